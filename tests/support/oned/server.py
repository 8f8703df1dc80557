"""The HTTP door: POST /RPC2, one thread a connection, as Abyss in a real oned 7.0.2 serves it.

Seen there: every answer closes its connection, whatever the request asked for, though oned.conf
speaks of KEEPALIVE; at most 15 connections are served at once (MAX_CONN), others wait.
"""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from tests.support.oned import calls  # noqa: F401 - registers the methods
from tests.support.oned.errors import Refused, RpcFault
from tests.support.oned.faults import (
    Body,
    Drop,
    Faults,
    Hang,
    Says,
    Slow,
    Status,
    Trouble,
    Truncated,
)
from tests.support.oned.protocol import (
    Args,
    Call,
    Param,
    read_call,
    write_answer,
    write_failure,
    write_fault,
)
from tests.support.oned.registry import find
from tests.support.oned.world import World


@dataclass(frozen=True)
class Asked:
    """One call that arrived, for tests to count: `user` is who acted, None if nobody was let in."""

    method: str
    user: str | None
    args: tuple[Param, ...]
    at: float


class Log(list[Asked]):
    def of(self, method: str) -> list[Asked]:
        return [each for each in self if each.method == method]

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self:
            found[each.method] = found.get(each.method, 0) + 1
        return found


class _Gone(Exception):  # noqa: N818 - the caller is to see a closed connection
    pass


class Oned:
    """The stand-in: a world, a server over it, faults, and the log of calls.

    With `keep_alive` it does what a proxy before oned may do, and keeps connections open."""

    def __init__(
        self,
        world: World | None = None,
        *,
        port: int = 0,
        keep_alive: bool = False,
        max_connections: int = 15,
    ) -> None:
        self.keep_alive = keep_alive
        self.max_connections = max_connections
        self.world = world or World()
        self.faults = Faults()
        self.calls = Log()
        self._fixed: dict[str, bytes] = {}
        self._port = port
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/RPC2"

    def start(self) -> "Oned":
        """On the port of before, if it ran before."""
        assert self._server is None, "it runs already"
        self._server = _Server(("127.0.0.1", self._port), _Handler, self)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port and every connection; the world stays, remembered sessions do not."""
        server, self._server = self._server, None
        if server is None:
            return
        self.faults.release()
        server.is_closing = True
        server.shutdown()
        server.close_all()
        server.server_close()
        self.world.sessions.forget()

    def __enter__(self) -> "Oned":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve_bytes(self, method: str, body: bytes) -> None:
        """Answer this method with these bytes, whoever asks: for measuring clients."""
        self._fixed[method] = body

    def answer(self, body: bytes) -> list[bytes]:
        """The answer's body in pieces. Raises `_Gone` when the connection is to be dropped."""
        try:
            call = read_call(body)
        except RpcFault as fault:
            return write_fault(fault.code, fault.text)
        if call.method in self._fixed:
            return [self._fixed[call.method]]
        trouble = self._cross(call.method, before=True)
        if trouble is not None:
            self._note(call, None)
            return _troubled(call, trouble)
        answer = self._perform(call)
        trouble = self._cross(call.method, before=False)
        if isinstance(trouble, Truncated):
            raise _Cut(b"".join(answer), trouble.keep)
        return answer if trouble is None else _troubled(call, trouble)

    def _cross(self, method: str, *, before: bool) -> Trouble | None:
        try:
            trouble = self.faults.cross(method, before=before)
        except BaseException as error:
            raise _Gone from error
        if isinstance(trouble, Slow):
            time.sleep(trouble.seconds)
            return None
        if isinstance(trouble, Hang):
            self.faults.hang(method, trouble)
            raise _Gone
        if isinstance(trouble, Drop):
            raise _Gone
        return trouble

    def _perform(self, call: Call) -> list[bytes]:
        user = None
        try:
            method = find(call.method, self.world.version)
            with self.world.looking():
                caller = self.world.sessions.caller(Args(call.params).text(0))
                caller.request = self.world.next_request()
                user = caller.name
                return write_answer(method(self.world, caller, Args(call.params[1:])))
        except Refused as refused:
            return write_failure(call.method, refused)
        except RpcFault as fault:
            return write_fault(fault.code, fault.text)
        except NotImplementedError as gap:
            raise _Page(501, f"the stand-in has no {gap}".encode()) from gap
        finally:
            self._note(call, user)

    def _note(self, call: Call, user: str | None) -> None:
        args = Args(call.params[1:]).plain()
        self.calls.append(Asked(call.method, user, args, time.monotonic()))


class _Cut(Exception):  # noqa: N818
    def __init__(self, whole: bytes, keep: int) -> None:
        super().__init__()
        self.whole = whole
        self.keep = keep


class _Page(Exception):  # noqa: N818
    def __init__(self, status: int, body: bytes) -> None:
        super().__init__()
        self.status = status
        self.body = body


def _troubled(call: Call, trouble: Trouble) -> list[bytes]:
    if isinstance(trouble, Status):
        raise _Page(trouble.status, trouble.body)
    if isinstance(trouble, Body):
        return [trouble.body]
    if isinstance(trouble, Says):
        what = trouble.what
        if isinstance(what, Refused):
            return write_failure(call.method, what)
        return write_fault(what.code, what.text)
    raise _Gone


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], oned: Oned
    ) -> None:
        super().__init__(address, handler)
        self.oned = oned
        self.is_closing = False
        self._slots = threading.Semaphore(oned.max_connections)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Waits for a free slot, and nobody else is let in meanwhile."""
        while not self._slots.acquire(timeout=0.05):
            if self.is_closing:
                super().shutdown_request(request)
                return
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            had_slot = request in self._open
            self._open.discard(request)
        super().shutdown_request(request)
        if had_slot:
            self._slots.release()

    def close_all(self) -> None:
        with self._guard:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "Xmlrpc-c_Abyss/1.33.14"
    sys_version = ""
    timeout = 120

    def do_POST(self) -> None:
        announced = self.headers.get("Content-Length")
        if self.path != "/RPC2":
            self._refuse(404, "responds to only one URI path")
            return
        if announced is None:
            self._refuse(411, "You must send a content-length HTTP header in an XML-RPC call.")
            return
        body = self.rfile.read(int(announced))
        if not body:
            self._refuse(400, "your request is empty (zero length)")
            return
        try:
            self._send(200, self._oned.answer(body))
        except _Page as page:
            self._send(page.status, [page.body])
        except _Cut as cut:
            self._start(200, len(cut.whole))
            self.wfile.write(cut.whole[: cut.keep])
            self._drop()
        except _Gone:
            self._drop()

    def do_GET(self) -> None:
        if self.path == "/RPC2":
            self._refuse(405, "POST is the only HTTP method this server understands")
        else:
            self._refuse(404, "responds to only one URI path")

    def do_HEAD(self) -> None:
        self.do_GET()

    @property
    def _oned(self) -> Oned:
        return cast(_Server, self.server).oned

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True
        page = f"<HTML><BODY><H1>Error {status}</H1><P>{text}</P></BODY></HTML>"
        self._send(status, [page.encode()])

    def _start(self, status: int, length: int) -> None:
        self.send_response(status)
        kind = "text/xml; charset=utf-8" if status == 200 else "text/html"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if self.close_connection or not self._oned.keep_alive:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, status: int, pieces: list[bytes]) -> None:
        body = b"".join(pieces)
        self._start(status, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The log is `Oned.calls`."""
