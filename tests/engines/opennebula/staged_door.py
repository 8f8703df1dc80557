"""Our own door, as far as oned fetches uploads through it: a real server on loopback."""

import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from econe.domain.image_ports import Staged
from econe.front.server import bind, make_server, url_of
from econe.front.staged import StagedFiles
from econe.settings import Server


@dataclass
class Door:
    url: str = ""
    staged: Staged | None = None

    def open(self, token: str) -> BinaryIO | None:
        return None if self.staged is None else self.staged.open(token)


@contextmanager
def open_door() -> Iterator[Door]:
    door = Door()
    files = StagedFiles(door)

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if not await files.give(scope, receive, send):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    ready = threading.Event()
    with bind("127.0.0.1", 0) as listening:
        door.url = url_of(listening, Server())
        server = make_server(app, Server(), ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(10)
            yield door
        finally:
            server.stop()
            thread.join(20)
            files.close()
