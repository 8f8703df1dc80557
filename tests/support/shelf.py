"""A web server on loopback that serves what a test puts on it, well or badly."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Shelf:
    """`files` by path; an Answer in place of bytes does as it likes with the connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        self.heads: list[dict[str, str]] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        self.heads.append({name.lower(): value for name, value in request.headers.items()})
        found = self.files.get(request.path.partition("?")[0])
        if callable(found):
            found(request)
        elif found is None:
            request.send_error(404)
        else:
            request.send_response(200)
            request.send_header("Content-Length", str(len(found)))
            request.end_headers()
            request.wfile.write(found)


def leads_to(url: str, status: int = 302) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Location", url)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


@contextmanager
def shelved(tls: ssl.SSLContext | None = None) -> Iterator[Shelf]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # who asks may be ended meanwhile
                shelf.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    shelf = Shelf(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
