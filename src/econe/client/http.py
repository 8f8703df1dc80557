"""HTTP/1.1 as an EC2 client needs it: one request and one answer on one connection.

Why not http.client: importing it costs 21 ms (email, ssl) where the whole interpreter takes 9, and
the tools must start in a few times that. This module costs 2 ms on top of `re` and `socket`; ssl is
imported for https only. What is left out is what EC2 never does: redirects, keep-alive, cookies,
compression. What is not left out: chunked and counted and close-delimited bodies, interim answers,
limits on everything that the other side sends, and a deadline that no drip of bytes can stretch.

`AnswerReader` is the protocol without I/O; `Connection` moves bytes between it and a socket.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping

from econe.client.errors import BadAnswer, Misconfigured, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl


MOST_HEAD_BYTES = 64 * 1024
MOST_BODY_BYTES = 64 * 1024 * 1024
"""A page of 1000 instances is about 3 MB."""
CONNECT_S = 15.0
"""Longest wait for one address to take the connection."""
SILENCE_S = 60.0
"""Longest wait for the next byte."""
ANSWER_S = 300.0
"""Longest wait for a whole answer."""

_PIECE = 256 * 1024
_PORTS = {"http": 80, "https": 443}


class Endpoint:
    """Where a cloud answers."""

    __slots__ = ("host", "path", "port", "scheme")

    def __init__(self, scheme: str, host: str, port: int, path: str) -> None:
        self.scheme, self.host, self.port, self.path = scheme, host, port, path

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def read_endpoint(url: str) -> Endpoint:
    """The parts of an http or https URL; a missing path is `/`. Raises Misconfigured."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Misconfigured(f"the URL {url!r} is malformed: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise Misconfigured(f"the URL {url!r} is not of the form http://HOST[:PORT][/PATH]")
    if parts.username is not None or parts.query or parts.fragment:
        raise Misconfigured(f"the URL {url!r} may hold scheme, host, port and path only")
    if not (parts.path.isascii() and parts.path.isprintable()) or " " in parts.path:
        raise Misconfigured(f"the path of the URL {url!r} must be percent-encoded")
    try:
        host = parts.hostname if parts.hostname.isascii() else _idna(parts.hostname)
    except UnicodeError:
        raise Misconfigured(f"the host of the URL {url!r} is malformed") from None
    return Endpoint(parts.scheme, host, port or _PORTS[parts.scheme], parts.path or "/")


def _idna(host: str) -> str:
    return host.encode("idna").decode("ascii")


class Answer:
    """Names of headers are in lower case; of a repeated header it is the last."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


class AnswerReader:
    """Reads one answer from bytes as they come. Raises BadAnswer.

    `may_continue` turns true at `100 Continue`; `status` is 0 until the final head is there.
    """

    def __init__(self, *, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.may_continue = False
        self.complete = False
        self._most = most_body_bytes
        self._new = bytearray()
        self._body = bytearray()
        self._left = 0
        self._step: Callable[[], bool] = self._read_head

    def feed(self, data: bytes) -> None:
        self._new += data
        while not self.complete and self._step():
            pass

    def end(self) -> None:
        """The other side has closed."""
        if self._step == self._read_to_close:
            self.complete = True
        elif not self.complete:
            what = "in the middle of its answer" if self.status or self._new else "without one"
            raise BadAnswer(f"the server closed the connection {what}")

    def answer(self) -> Answer:
        return Answer(self.status, self.headers, bytes(self._body))

    # Each step takes what it can from `_new` and says whether another may follow at once.

    def _read_head(self) -> bool:
        end = self._new.find(b"\r\n\r\n")
        if end < 0:
            if len(self._new) > MOST_HEAD_BYTES:
                raise BadAnswer("the head of the server's answer is too long")
            return False
        lines = bytes(self._new[:end]).decode("latin-1").split("\r\n")
        del self._new[: end + 4]
        status = _status(lines[0])
        if 100 <= status < 200:
            self.may_continue = self.may_continue or status == 100
            return True
        self.headers = _headers(lines[1:])
        self.status = status
        self._choose_body()
        return True

    def _choose_body(self) -> None:
        coding = self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length")
        if self.status in {204, 304}:
            self.complete = True
        elif coding == "chunked":
            self._step = self._read_chunk_size
        elif coding:
            raise BadAnswer(f"the server's answer has the unknown transfer coding {coding!r}")
        elif length is not None:
            if not (length.isascii() and length.isdigit() and len(length) < 19):
                raise BadAnswer("the server's answer has a malformed length")
            self._expect(int(length), self._read_counted)
        else:
            self._step = self._read_to_close

    def _expect(self, size: int, step: Callable[[], bool]) -> None:
        if len(self._body) + size > self._most:
            raise BadAnswer(f"the server's answer is larger than {self._most >> 20} MiB")
        self._left, self._step = size, step

    def _read_counted(self) -> bool:
        self._take_body()
        self.complete = self._left == 0
        return False

    def _read_to_close(self) -> bool:
        self._expect(len(self._new), self._read_to_close)
        self._take_body()
        return False

    def _read_chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
            raise BadAnswer("the server's answer has a malformed chunk")
        size = int(digits, 16)
        if size:
            self._expect(size, self._read_chunk)
        else:
            self._step = self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._take_body()
        if self._left:
            return False
        self._step = self._read_chunk_end
        return True

    def _read_chunk_end(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            raise BadAnswer("the server's answer has a malformed chunk")
        self._step = self._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        self.complete = line == b""
        return line is not None

    def _take_body(self) -> None:
        piece = self._new[: self._left]
        self._body += piece
        self._left -= len(piece)
        del self._new[: len(piece)]

    def _line(self) -> bytes | None:
        end = self._new.find(b"\r\n")
        if end < 0:
            if len(self._new) > MOST_HEAD_BYTES:
                raise BadAnswer("the server's answer has a line that is too long")
            return None
        line = bytes(self._new[:end])
        del self._new[: end + 2]
        return line


def _status(line: str) -> int:
    version, _, rest = line.partition(" ")
    digits = rest[:3]
    if not version.startswith("HTTP/1.") or not (digits.isascii() and digits.isdigit()):
        raise BadAnswer("what answered does not speak HTTP")
    return int(digits)


def _headers(lines: list[str]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadAnswer("the server's answer has a malformed head")
        headers[name.strip().lower()] = value.strip()
    return headers


class Connection:
    """One connection for one exchange. A context manager; raises Unreachable and BadAnswer."""

    def __init__(self, endpoint: Endpoint, environ: Mapping[str, str]) -> None:
        self.endpoint = endpoint
        self.reader = AnswerReader()
        try:
            plain = _connected(endpoint)
        except OSError as error:
            raise _unreachable(endpoint, error) from error
        self.socket: socket.socket = plain
        if endpoint.scheme == "https":
            try:
                self.socket = _secured(plain, endpoint, environ)
            except OSError as error:
                plain.close()
                raise _unreachable(endpoint, error) from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """An answer may come, and the connection close, before all is sent: then read it."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return
        except OSError as error:
            raise _unreachable(self.endpoint, error) from error

    def receive(self, *, silence_s: float = SILENCE_S, answer_s: float = ANSWER_S) -> Answer:
        """Wait for the whole answer."""
        deadline = time.monotonic() + answer_s
        while not self.reader.complete:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unreachable(f"{self.endpoint.url} took longer than {answer_s:.0f} s")
            self.socket.settimeout(min(left, silence_s))
            try:
                data = self.socket.recv(_PIECE)
            except OSError as error:
                raise _unreachable(self.endpoint, error) from error
            if data:
                self.reader.feed(data)
            else:
                self.reader.end()
        return self.reader.answer()


def write_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The bytes of a request's head. Raises Misconfigured where a value cannot be in one."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
    for line in lines:
        if not line.isprintable():
            raise Misconfigured("the access key has a character that no HTTP header can hold")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def _connected(endpoint: Endpoint) -> socket.socket:
    """To the first of the host's addresses that takes it. `socket.create_connection` would do, but
    for the codec of international names that a host as text loads (1 ms); ours is ASCII."""
    host = endpoint.host.encode("ascii")
    problem: OSError = ConnectionRefusedError()
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, endpoint.port, type=socket.SOCK_STREAM
    ):
        plain = socket.socket(family, kind, protocol)
        plain.settimeout(CONNECT_S)
        try:
            plain.connect(address)
        except OSError as error:
            plain.close()
            problem = error
        else:
            return plain
    raise problem


def _secured(plain: socket.socket, endpoint: Endpoint, environ: Mapping[str, str]) -> ssl.SSLSocket:
    """TLS with the certificate verified: against AWS_CA_BUNDLE if set, else the system's
    authorities (OpenSSL itself honours SSL_CERT_FILE and SSL_CERT_DIR)."""
    import ssl

    bundle = environ.get("AWS_CA_BUNDLE") or None
    try:
        context = ssl.create_default_context(cafile=bundle)
    except OSError as error:
        plain.close()
        raise Misconfigured(f"AWS_CA_BUNDLE names {bundle}: {error}") from error
    return context.wrap_socket(plain, server_hostname=endpoint.host)


def _unreachable(endpoint: Endpoint, error: OSError) -> Unreachable:
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(
            f"nothing answers at {endpoint.url} (connection refused): is econe-server running "
            "there? -U or EC2_URL say where it is"
        )
    if isinstance(error, socket.gaierror):
        return Unreachable(f"the host of {endpoint.url} is not known: {error.strerror}")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{endpoint.url} does not answer in time")
    if type(error).__name__ == "SSLCertVerificationError":
        why = getattr(error, "verify_message", "") or str(error)
        return Unreachable(
            f"the certificate of {endpoint.url} is not trusted ({why}): "
            "AWS_CA_BUNDLE or SSL_CERT_FILE name the authorities that are"
        )
    return Unreachable(f"{endpoint.url} cannot be reached: {error.strerror or error}")
