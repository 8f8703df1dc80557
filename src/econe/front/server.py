"""uvicorn with httptools and uvloop, and what it lacks against slow and endless callers.

uvicorn parses each request as it arrives and asks the ASGI application for an answer. Door, its
protocol class here, adds limits to that:
- a head must be complete within `header_timeout_s` of the connection or of its first byte;
- a head that grows beyond `max_header_kib` ends the connection; trailers count as a head of their
  own, and are thrown away: nobody reads them, and what stands there must not pass for a header;
- what a caller goes on sending after its request was refused is thrown away, so that it can read
  the refusal, but neither for long nor in great amounts.
"""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import threading
from asyncio import TimerHandle
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from econe.settings import Server as Settings
from econe.wire.xml import write_error

WASTE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a refused body that are read and thrown away before the connection is cut."""
WASTE_TIME_S: Final = 5.0
KEEP_ALIVE_S: Final = 30
BACKLOG: Final = 1024
GOODBYE_S: Final = 5
"""How long requests in progress may take to end after the server was told to stop."""


class CannotListen(Exception):  # noqa: N818
    """The address cannot be had; the text is one line for the operator."""


class Door(HttpToolsProtocol):
    """One connection."""

    header_timeout_s = 20.0
    max_header_bytes = 64 * 1024

    _head_timer: TimerHandle | None = None
    _waste_timer: TimerHandle | None = None
    _in_head = True
    _head_bytes = 0
    _trailer_bytes = 0
    _wasted = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_header_bytes:
                self._refuse("RequestHeaderSectionTooLarge", "The request's head is too large", 431)
            elif self._head_timer is None:
                self._time_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > self.max_header_bytes:
            self._refuse(
                "RequestHeaderSectionTooLarge", "The request's trailers are too large", 431
            )

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._trailer_bytes = 0
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            self._waste(len(body))
            return
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # A pipelined or next request has its own body: only the present one's rest is waste.
        self._wasted = 0

    def on_message_complete(self) -> None:
        if self._waste_timer is not None:
            self._waste_timer.cancel()
            self._waste_timer = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse("MalformedRequest", msg, 400)

    def _waste(self, size: int) -> None:
        self._wasted += size
        if self._wasted > WASTE_LIMIT:
            self.transport.close()
        elif self._waste_timer is None:
            self._waste_timer = self.loop.call_later(WASTE_TIME_S, self.transport.close)

    def _time_head(self) -> None:
        self._head_timer = self.loop.call_later(self.header_timeout_s, self._late)

    def _late(self) -> None:
        """The head is not there in time. A caller that sent nothing is not told anything."""
        if self._head_bytes:
            self._refuse("RequestTimeout", "The request's head was not complete in time", 408)
        else:
            self.transport.close()

    def _refuse(self, code: str, message: str, status: int) -> None:
        """Answer below HTTP's level, where there is no request yet, and hang up."""
        if self.transport.is_closing():
            return
        body = write_error(code, message, "")
        head = b"".join(
            b"%s: %s\r\n" % header
            for header in [
                *self.server_state.default_headers,
                (b"content-type", b"text/xml;charset=UTF-8"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
        )
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + body)
        self.transport.close()

    def _cancel_timers(self) -> None:
        for timer in (self._head_timer, self._waste_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._waste_timer = None


class Server(uvicorn.Server):
    """Serves on sockets that are bound already, and says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self.on_tick(0)  # the Date header, before the first request instead of soon after
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises the signal again when it is done; a clean stop should end with 0."""
        yield

    def stop(self) -> None:
        """End soon and cleanly. May be called from any thread."""
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises CannotListen."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, proto)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except socket.gaierror as problem:
        raise CannotListen(f"cannot listen on {host}: {problem.strerror}") from problem
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        raise CannotListen(f"cannot listen on {host}:{port}: {reason}") from problem
    return listening


def url_of(listening: socket.socket, settings: Settings) -> str:
    """Where this socket is reached from this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def make_server(app: Any, settings: Settings, on_ready: Callable[[], None]) -> Server:
    """Raises CannotListen where the TLS files cannot be used."""
    if settings.tls_key and not settings.tls_certificate:
        raise CannotListen("tls_key is set and tls_certificate is not: nothing would be encrypted")
    protocol = type(
        "DoorAsSet",
        (Door,),
        {
            "header_timeout_s": settings.header_timeout_s,
            "max_header_bytes": settings.max_header_kib * 1024,
        },
    )
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GOODBYE_S,
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as problem:
        raise CannotListen(
            f"cannot use tls_certificate {settings.tls_certificate!r} "
            f"with tls_key {settings.tls_key!r}: {problem}"
        ) from problem
    return Server(config, on_ready)
