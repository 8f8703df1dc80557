"""A server on 127.0.0.1 whose every connection follows a script: what a sick oned may do."""

import socket
import struct
import threading
import time
from collections.abc import Callable

Script = Callable[["Peer"], None]


class Peer:
    """The server's side of one connection."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self.buffer = b""

    def read_request(self) -> bytes:
        """The body of one request; empty when the client closed."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return b""
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        (length,) = (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        while len(self.buffer) < length:
            if not self._more():
                return b""
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return body

    def answer(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def drip(self, data: bytes, every_s: float) -> None:
        for index in range(len(data)):
            self.send(data[index : index + 1])
            time.sleep(every_s)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except OSError:
            return False
        self.buffer += data
        return bool(data)


class Loopback:
    """Plays `scripts` in turn, one for each connection, the last one for all that follow."""

    def __init__(self, *scripts: Script, wrap: Callable[..., socket.socket] | None = None) -> None:
        self._scripts, self._wrap = scripts, wrap
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._ending = threading.Event()
        self._open: list[socket.socket] = []
        self.connections = 0
        self.requests: list[bytes] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/RPC2"

    def __enter__(self) -> "Loopback":
        self._threads[0].start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        for plain in self._open:
            plain.close()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                plain, _ = self._listener.accept()
            except TimeoutError:
                continue
            plain.settimeout(5)
            self._open.append(plain)
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._play, args=(script, plain), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, plain: socket.socket) -> None:
        try:
            peer = Peer(self._wrap(plain) if self._wrap else plain)
            real = peer.read_request

            def noted() -> bytes:
                body = real()
                if body:
                    self.requests.append(body)
                return body

            peer.read_request = noted  # type: ignore[method-assign]
            script(peer)
            peer.socket.close()
        except OSError:
            pass
        finally:
            plain.close()


def until_closed(peer: Peer, answer: bytes, *headers: str) -> None:
    """Answer each request the same way, as long as the client keeps the connection."""
    while peer.read_request():
        peer.answer(answer, *headers)
