"""Staged content over a real server, read as OpenNebula's datastore drivers read it.

Which requests they make was read in remotes/libfs.sh and downloader.sh of OpenNebula 7.0.2.
"""

import http.client
import logging
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest
from tests.front.conftest import Desk
from tests.support.eventually import eventually

from econe.front.asgi import Application
from econe.front.server import bind, make_server, url_of
from econe.front.staged import CHUNK_BYTES, part_of
from econe.settings import Images, Server

TOKEN = "5" * 64
CONTENT = bytes(range(256)) * (5 * CHUNK_BYTES // 256) + b"the end"


class OneFile:
    """One token, one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[BinaryIO] = []

    def open(self, token: str) -> BinaryIO | None:
        if token != TOKEN:
            return None
        self.opened.append(self.path.open("rb"))
        return self.opened[-1]


@pytest.fixture
def staged(tmp_path: Path) -> OneFile:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return OneFile(path)


@contextmanager
def serving(desk: Desk, staged: OneFile | None) -> Iterator[str]:
    settings = Server(listen="127.0.0.1:0")
    app = Application(
        desk.pipeline, desk.vault, lambda: {"ok": True}, settings, Images(), staged=staged
    )
    ready = threading.Event()
    with bind("127.0.0.1", 0) as listening:
        server = make_server(app, settings, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(10)
            yield url_of(listening, settings)
        finally:
            server.stop()
            thread.join(20)
            app.close()


@pytest.fixture
def url(desk: Desk, staged: OneFile) -> Iterator[str]:
    with serving(desk, staged) as url:
        yield url


def ask(
    url: str, method: str = "GET", path: str = f"/staged/{TOKEN}", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read()
    finally:
        connection.close()


def test_whoever_has_the_token_gets_all_of_the_content(url: str, staged: OneFile) -> None:
    status, headers, body = ask(url)
    assert (status, body == CONTENT) == (200, True)
    assert headers["content-length"] == str(len(CONTENT))
    assert headers["content-type"] == "application/octet-stream"
    assert headers["cache-control"] == "no-store"
    eventually(lambda: staged.opened[0].closed, within_s=10)


def test_head_tells_the_size_and_sends_nothing(url: str, staged: OneFile) -> None:
    status, headers, body = ask(url, "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(CONTENT)), b"")
    eventually(lambda: staged.opened[0].closed, within_s=10)


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [("bytes=0-9", 0, 10), ("bytes=1310700-", 1310700, None), ("bytes=-7", -7, None)],
)
def test_a_download_that_was_cut_off_can_go_on(
    url: str, asked: str, first: int, end: int | None
) -> None:
    status, headers, body = ask(url, Range=asked)
    wanted = CONTENT[first:end]
    assert (status, body == wanted) == (206, True)
    start = first % len(CONTENT)
    said = f"bytes {start}-{start + len(wanted) - 1}/{len(CONTENT)}"
    assert headers["content-range"] == said


def test_a_range_beyond_the_end_is_refused(url: str) -> None:
    status, headers, body = ask(url, Range=f"bytes={len(CONTENT)}-")
    assert (status, headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert body == b""


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (b"bytes=3-1", (200, 0, 9)),  # invalid: to be ignored (RFC 9110, 14.1.1)
        (b"bytes=0-1,4-5", (200, 0, 9)),
        (b"bytes=-", (200, 0, 9)),
        (b"lines=0-1", (200, 0, 9)),
        ("bytes=\u0661-".encode("latin-1", "replace"), (200, 0, 9)),
        (b"bytes=8-99", (206, 8, 9)),
        (b"bytes=-99", (206, 0, 9)),
        (b"bytes=-0", (416, 0, 0)),
        (b"bytes=9-", (416, 0, 0)),
    ],
)
def test_ranges(asked: bytes, part: tuple[int, int, int]) -> None:
    assert part_of({b"range": asked}, 9) == part


def test_a_range_with_a_condition_gives_all() -> None:
    assert part_of({b"range": b"bytes=1-", b"if-range": b'"x"'}, 9) == (200, 0, 9)


@pytest.mark.parametrize(
    "path",
    [
        "/staged/",
        "/staged",
        "/staged/" + "4" * 64,
        f"/staged/{TOKEN}/",
        f"/staged/../staged/{TOKEN}x",
        f"/staged/%2e%2e/{TOKEN}",
        f"//staged/{TOKEN}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_else_is_there(url: str, path: str, method: str) -> None:
    other = ask(url, method, "/no-such-path")
    found = ask(url, method, path)
    assert found[0] == other[0] == 404
    assert len(found[2]) == len(other[2])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_can_only_be_read(url: str, staged: OneFile, method: str) -> None:
    assert ask(url, method)[0] == 404
    assert staged.opened == []


def test_without_such_an_engine_the_path_is_empty(desk: Desk, staged: OneFile) -> None:
    with serving(desk, None) as url:
        assert ask(url)[0] == 404


def test_a_reader_that_goes_away_is_not_read_for(url: str, staged: OneFile) -> None:
    """The drivers take the first 64 KiB of a URL and close, twice."""
    with staged.path.open("wb") as file:
        file.truncate(1 << 30)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", f"/staged/{TOKEN}")
    answer = connection.getresponse()
    assert len(answer.read(65536)) == 65536
    answer.close()
    connection.close()
    eventually(lambda: staged.opened[0].closed, within_s=10)


def test_the_log_does_not_tell_the_token(url: str, caplog: pytest.LogCaptureFixture) -> None:
    def told() -> str:
        # uvicorn writes no access log; pytest listens to that logger nevertheless.
        return "\n".join(
            each.getMessage() for each in caplog.records if each.name != "uvicorn.access"
        )

    with caplog.at_level(logging.DEBUG):
        ask(url)
        ask(url, path="/staged/" + "4" * 64)
        eventually(lambda: "Gave staged content" in told(), within_s=10)
    assert TOKEN not in told()
    assert "4" * 64 not in told()


def test_a_file_that_is_cut_short_is_an_answer_cut_short(url: str, staged: OneFile) -> None:
    """Never one that looks whole."""
    with staged.path.open("wb") as file:
        file.truncate(64 << 20)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", f"/staged/{TOKEN}")
    answer = connection.getresponse()
    assert answer.read(1)
    with staged.path.open("r+b") as file:
        file.truncate(8)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_reads_it_as_the_drivers_call_it(url: str, tmp_path: Path) -> None:
    where = f"{url}/staged/{TOKEN}"
    head = subprocess.run(
        ["curl", "-LIk", "--max-time", "60", where], check=True, capture_output=True, text=True
    )
    assert f"content-length: {len(CONTENT)}" in head.stdout.lower()
    target = tmp_path / "copy"
    with target.open("wb") as file:
        retry = ["--retry", "3", "--retry-delay", "3", "--retry-all-errors"]
        subprocess.run(
            ["curl", "--fail", "-sS", "-k", "-L", *retry, where], check=True, stdout=file
        )
    assert target.read_bytes() == CONTENT
