"""Serves guests: one thread with an event loop of its own, apart from the API's.

The sockets come from the networks, bound where guests find them: 169.254.169.254 in a VPC's
namespace, or a unix socket in a machine's directory. The server implements what the QEMU engine
calls its MetadataDoor: serve() and drop(), from any thread.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from econe.metadata.guests import Guests
from econe.metadata.reader import Reader, Refused, Request
from econe.metadata.service import Response, Service, reason_phrase, refusal

T = TypeVar("T")

_log = logging.getLogger(__name__)

REQUEST_LIMIT_S: Final = 10.0
"""Until a request has come whole, and until its answer has been taken."""
IDLE_LIMIT_S: Final = 15.0
"""Between requests of a connection."""
_THREADS: Final = 2
_CALL_LIMIT_S: Final = 10.0
_FAR: Final = 64
"""Linux's own time to live."""


class MetadataServer:
    """start(), then serve() and drop() as networks come and go, then close()."""

    def __init__(
        self,
        service: Service,
        *,
        request_limit_s: float = REQUEST_LIMIT_S,
        idle_limit_s: float = IDLE_LIMIT_S,
    ) -> None:
        self._service = service
        self.request_limit_s, self.idle_limit_s = request_limit_s, idle_limit_s
        self.guests: Guests[Conversation] = Guests()
        # Whatever loop policy the API sets: what runs is what is tested.
        self._loop = asyncio.SelectorEventLoop()
        self._pool = ThreadPoolExecutor(_THREADS, "metadata")
        self._thread = threading.Thread(target=self._run, name="metadata", daemon=True)
        self._servers: dict[str, asyncio.Server] = {}

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End all conversations. Nothing happens if it does not run."""
        if self._thread.is_alive():
            for owner in [*self._servers]:
                self.drop(owner)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CALL_LIMIT_S)
        self._pool.shutdown(wait=True)
        if not self._loop.is_closed() and not self._thread.is_alive():
            self._loop.close()

    def serve(self, owner: str, listening: socket.socket) -> None:
        """Answer what comes in on `listening`, which is ours from now on. `owner` is the VPC it was
        bound in, or the instance that it belongs to."""
        self._call(self._serve(owner, listening))

    def drop(self, owner: str) -> None:
        """Close the owner's socket and connections. Nothing happens if it has none."""
        self._call(self._drop(owner))

    async def ask(self, owner: str, source: str, request: Request) -> Response:
        """For conversations."""
        if not self.guests.may_ask((owner, source)):
            return refusal(503)
        return await self._loop.run_in_executor(
            self._pool, self._service.respond, owner, source, request
        )

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        waiting = asyncio.all_tasks(self._loop)
        for task in waiting:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_LIMIT_S)

    async def _serve(self, owner: str, listening: socket.socket) -> None:
        await self._drop(owner)

        def converse() -> Conversation:
            return Conversation(self, owner, self._loop)

        listening.setblocking(False)
        open_server: Callable[..., Coroutine[Any, Any, asyncio.Server]] = (
            self._loop.create_unix_server
            if listening.family == socket.AF_UNIX
            else self._loop.create_server
        )
        self._servers[owner] = await open_server(converse, sock=listening)

    async def _drop(self, owner: str) -> None:
        server = self._servers.pop(owner, None)
        if server is not None:
            server.close()
        for conversation in self.guests.of(owner):
            conversation.end()


class Conversation(asyncio.Protocol):
    """One connection: one request at a time, with a limit on each wait."""

    def __init__(self, server: MetadataServer, owner: str, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._owner, self._loop = server, owner, loop
        self._reader = Reader()
        self._waiting: list[Request] = []
        self._answering: asyncio.Task[None] | None = None
        self._taken = asyncio.Event()
        """Whether the guest has taken all that it was sent."""
        self._taken.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        self._source = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._timer = self._loop.call_later(self._server.request_limit_s, self.end)
        for surplus in self._server.guests.enter((self._owner, self._source), self):
            surplus.end()

    def data_received(self, data: bytes) -> None:
        if not self._reader.is_amid:
            self._limit(self._server.request_limit_s)
        try:
            self._waiting += self._reader.feed(data)
        except Refused as why:
            self._transport.pause_reading()
            self._write(refusal(why.status), keep_alive=False)
            return
        if self._waiting and self._answering is None:
            self._transport.pause_reading()
            self._answering = self._loop.create_task(self._answer())

    def pause_writing(self) -> None:
        self._taken.clear()

    def resume_writing(self) -> None:
        self._taken.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._timer.cancel()
        if self._answering is not None:
            self._answering.cancel()
        self._server.guests.leave((self._owner, self._source), self)

    def end(self) -> None:
        self._server.guests.leave((self._owner, self._source), self)
        self._transport.abort()

    async def _answer(self) -> None:
        while self._waiting:
            request = self._waiting.pop(0)
            response = await self._server.ask(self._owner, self._source, request)
            self._limit(self._server.request_limit_s)
            self._write(response, keep_alive=request.keep_alive, with_body=request.method != "HEAD")
            if not request.keep_alive:
                return
            await self._taken.wait()
        self._answering = None
        self._limit(self._server.idle_limit_s)
        self._transport.resume_reading()

    def _limit(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.end)

    def _write(self, response: Response, *, keep_alive: bool, with_body: bool = True) -> None:
        """The hop limit is the packets' time to live: what must not pass a router carries 1."""
        if self._source:
            accepted = self._transport.get_extra_info("socket")
            accepted.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, response.hop_limit or _FAR)
        self._transport.write(render(response, keep_alive=keep_alive, with_body=with_body))
        if not keep_alive:
            self._transport.close()


def render(response: Response, *, keep_alive: bool, with_body: bool) -> bytes:
    fields = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        **response.headers,
        "Connection": "keep-alive" if keep_alive else "close",
        "Server": "EC2ws",
    }
    head = f"HTTP/1.1 {response.status} {reason_phrase(response.status)}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in fields.items()
    )
    return head.encode("latin-1") + b"\r\n" + (response.body if with_body else b"")
