"""One HTTP exchange with oned, and never longer than its deadline.

The deadline is for all of it: the name's look-up, connect, TLS, sending, and each byte that
comes. http.client alone cannot do that (its timeout is for one recv, so a server that drips bytes
holds it for ever), nor can xmlrpc.client or pyone. So http.client is given not a socket but a
`_Line`, which sets the time that is left before each call of the system.

Connections are kept for the next exchange where the server allows it: oned itself closes each
(seen with 7.0.2: `Connection: close`, whatever is asked), a TLS proxy before it does not.
"""

import contextlib
import http.client
import io
import ipaddress
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

IDLE_S: Final = 5.0
"""A connection that nobody used for longer is not trusted with another request: oned's
KEEPALIVE_TIMEOUT is 15 s, proxies have less."""
MOST_IDLE: Final = 8
_PIECE: Final = 1024 * 1024
_PORTS: Final = {"http": 80, "https": 443}


class TransportError(Exception):
    """The exchange did not come to a whole answer. The text names no part of the request."""


class NotSent(TransportError):  # noqa: N818
    """Nothing of the request can have reached the server."""


class Broken(TransportError):  # noqa: N818
    """The request was sent, at least in part."""


class Stale(Broken):
    """A kept connection was closed by the other side before a byte of the answer came: as good
    as always because it was too old, but the server may have read the request."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where oned answers: `http://127.0.0.1:2633/RPC2`."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def read_endpoint(url: str) -> Endpoint:
    """Raises ValueError, whose text is for the operator. A missing path is `/RPC2`."""
    parts = urlsplit(url)
    port = parts.port  # raises ValueError itself
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not of the form http://HOST[:PORT]/RPC2")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("oned's URL may hold scheme, host, port and path only")
    path = parts.path or "/RPC2"
    if not (path.isascii() and path.isprintable()) or " " in path:
        raise ValueError(f"the path of {url!r} must be percent-encoded")
    return Endpoint(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)


class _Line:
    """A connected socket that knows until when it may be used; what http.client takes for one."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self._socket = plain
        self.deadline = deadline
        self.received = 0
        self._is_read = False
        self._is_closed = False

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        self._arm()
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def begin(self, deadline: float) -> None:
        """A new exchange."""
        self.deadline, self.received = deadline, 0

    def is_quiet(self) -> bool:
        """Whether nothing came unasked. What comes between exchanges is the other's goodbye."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._arm()
            left = left[self._socket.send(left) :]

    def receive_into(self, buffer: Any) -> int:
        self._arm()
        count = self._socket.recv_into(buffer)
        self.received += count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """http.client reads one answer from it. It closes the line before it reads an answer that
        ends with the connection: so the line stays open until both are closed, as a socket does."""
        self._is_read = True
        return io.BufferedReader(_Incoming(self), _PIECE)

    def let_go(self) -> None:
        """The answer's reader is closed."""
        self._is_read = False
        if self._is_closed:
            self.cut()

    def close(self) -> None:
        self._is_closed = True
        if not self._is_read:
            self.cut()

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _arm(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)


class _Incoming(io.RawIOBase):
    """The reading side, for a BufferedReader."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._line.let_go()


class _Connection(http.client.HTTPConnection):
    """http.client on a line that is there: it never connects itself."""

    auto_open = 0

    def __init__(self, endpoint: Endpoint, line: _Line) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self.default_port = _PORTS[endpoint.scheme]  # for the Host header
        self.line = line
        self.sock: Any = line
        self.used_at = 0.0


class Transport:
    """Exchanges with one server, from any thread. Never through a proxy."""

    def __init__(self, url: str, *, most_bytes: int) -> None:
        """`most_bytes` of an answer's body. Raises ValueError as read_endpoint does."""
        self.endpoint = read_endpoint(url)
        self._most_bytes = most_bytes
        self._tls = ssl.create_default_context() if self.endpoint.scheme == "https" else None
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def post(self, body: bytes, deadline: float) -> tuple[int, bytes]:
        """Send it, and give the answer's status and body. `deadline` is of time.monotonic().

        Raises NotSent, Broken, Stale.
        """
        connection = self._kept()
        was_kept = connection is not None
        if connection is None:
            connection = _Connection(self.endpoint, self._connect(deadline))
        connection.line.begin(deadline)
        try:
            status, answer = self._exchange(connection, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.line.cut()
            is_stale = was_kept and not connection.line.received
            kind = Stale if is_stale and not isinstance(error, TimeoutError) else Broken
            raise kind(_reason(error)) from None
        except BaseException:
            connection.line.cut()
            raise
        self._keep(connection)
        return status, answer

    def close(self) -> None:
        """Close what nobody uses; what is under way ends by itself and is then closed, too."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.line.cut()

    def _exchange(self, connection: _Connection, body: bytes) -> tuple[int, bytes]:
        connection.request("POST", self.endpoint.path, body, {"Content-Type": "text/xml"})
        response = connection.getresponse()
        if response.length is None:
            answer = self._read_to_its_end(response)
        elif response.length > self._most_bytes:
            raise ValueError("the answer is too large")
        else:
            answer = response.read()  # raises IncompleteRead if it ends too early
        return response.status, answer

    def _read_to_its_end(self, response: http.client.HTTPResponse) -> bytes:
        pieces, size = [], 0
        while piece := response.read(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > self._most_bytes:
                raise ValueError("the answer is too large")
        return b"".join(pieces)

    def _kept(self) -> _Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if time.monotonic() - connection.used_at < IDLE_S and connection.line.is_quiet():
                return connection
            connection.line.cut()

    def _keep(self, connection: _Connection) -> None:
        if connection.sock is None:
            connection.line.cut()  # the server said that it closes
            return
        connection.used_at = time.monotonic()
        with self._lock:
            if not self._closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.line.cut()

    def _connect(self, deadline: float) -> _Line:
        try:
            line = _Line(_connected(self.endpoint, deadline), deadline)
        except OSError as error:
            raise NotSent(_reason(error)) from None
        if self._tls:
            try:
                line.start_tls(self._tls, self.endpoint.host)
            except OSError as error:  # ssl.SSLError, too
                line.cut()
                raise NotSent(_reason(error)) from None
        return line


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {str(error)[:100]}"


def _connected(endpoint: Endpoint, deadline: float) -> socket.socket:
    """Try each address of the host, all within the deadline."""
    problem: OSError = OSError("the host has no address")
    for family, address in _addresses(endpoint, deadline):
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(max(deadline - time.monotonic(), 0.001))
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            plain.close()
            problem = error
        else:
            return plain
    raise problem


def _addresses(endpoint: Endpoint, deadline: float) -> list[tuple[int, Any]]:
    try:
        ipaddress.ip_address(endpoint.host)
    except ValueError:
        return _look_up(endpoint, deadline)
    return _resolve(endpoint)


def _resolve(endpoint: Endpoint) -> list[tuple[int, Any]]:
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def _look_up(endpoint: Endpoint, deadline: float) -> list[tuple[int, Any]]:
    """A name's look-up cannot be given a time, so it is waited for in a thread of its own."""
    answers: SimpleQueue[list[tuple[int, Any]] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_resolve(endpoint))
        except OSError as error:
            answers.put(error)
        except UnicodeError:
            answers.put(OSError("the host's name is not valid"))

    threading.Thread(target=ask, name="oned-name", daemon=True).start()
    try:
        answer = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
    except Empty:
        raise TimeoutError("timed out") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
