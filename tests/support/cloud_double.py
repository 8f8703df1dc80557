"""A double of a cloud for clients: reads one request a connection, proves its signature by
wire.signatures as the server does, and answers what the test says."""

import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from econe.wire.multipart import Field, FileBegin, FileChunk, Reader
from econe.wire.signatures import Request, read_claim

ACCESS, SECRET = "helen", "secret of helen"


class Received:
    """A request, as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        line, *lines = head.decode("utf-8").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.headers = [tuple(each.split(": ", 1)) for each in lines]
        self.body = body
        path, _, query = self.target.partition("?")
        self.path = path
        self.query = parse_qsl(query, keep_blank_values=True)
        self.form: list[tuple[str, str]] = []
        self.file = body
        kind = self.header("content-type")
        if kind.startswith("application/x-www-form-urlencoded"):
            self.form = parse_qsl(body.decode(), keep_blank_values=True)
        elif kind.startswith("multipart/form-data"):
            self._read_parts(kind)

    def _read_parts(self, kind: str) -> None:
        """Fields, and as in the server the file must be called `file` and come last."""
        reader = Reader(kind)
        pieces = []
        for event in reader.feed(self.body):
            match event:
                case Field():
                    assert not pieces
                    self.form.append((event.name, event.value))
                case FileBegin():
                    assert event.name == "file"
                case FileChunk():
                    pieces.append(event.data)
        reader.close()
        self.file = b"".join(pieces)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def params(self) -> dict[str, str]:
        """What is asked, without what a signature of version 2 adds."""
        own = {"AWSAccessKeyId", "Signature", "SignatureVersion", "SignatureMethod", "Timestamp"}
        return {name: value for name, value in (*self.query, *self.form) if name not in own}

    def is_proven_by(self, secret: str) -> bool:
        claim = read_claim(
            Request(
                self.method,
                self.path,
                self.query,
                self.headers,
                self.form,
                hashlib.sha256(self.body).hexdigest(),
            )
        )
        claim.check_time(datetime.now(UTC), 900)
        return claim.is_proven_by(secret)


def xml(document: str, status: int = 200) -> bytes:
    body = document.encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def error(code: str, message: str, status: int = 400) -> bytes:
    return xml(
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>req-1</RequestID></Response>",
        status,
    )


class CloudDouble:
    """`answers` are raw bytes, one a request and the last for ever, or functions of the socket
    that do whatever hostile servers do; functions of the request make them from what is asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.answers: list[bytes | Callable[[Received], bytes]] = []
        self.instead: Callable[[socket.socket], None] | None = None
        """Takes the connection over before a byte is read."""
        self.continues = True
        self.prove = True
        self._context = context
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def asked(self) -> list[dict[str, str]]:
        return [each.params for each in self.received]

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            connection.settimeout(10)
            with contextlib.suppress(OSError), connection:
                if self._context is None:
                    self._answer(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as secured:
                        self._answer(secured)

    def _answer(self, connection: socket.socket) -> None:
        if self.instead is not None:
            self.instead(connection)
            return
        request = read_request(connection, continues=self.continues)
        self.received.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.prove and not request.is_proven_by(SECRET):
            answer = error("AuthFailure", "not proven", 401)
        connection.sendall(answer(request) if callable(answer) else answer)


def read_request(connection: socket.socket, *, continues: bool) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(dict(_pairs(head)).get("content-length", "0"))
    if continues and dict(_pairs(head)).get("expect") == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    pieces = [body]
    left = length - len(body)
    while left > 0:
        pieces.append(_more(connection))
        left -= len(pieces[-1])
    return Received(head, b"".join(pieces))


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise ConnectionResetError
    return data


def _pairs(head: bytes) -> Iterator[tuple[str, str]]:
    for line in head.decode("utf-8").split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        yield name.lower(), value
