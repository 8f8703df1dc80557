"""Content that an engine fetches from us: GET and HEAD of /staged/<token>.

OpenNebula's datastore drivers read such a URL three times (remotes/libfs.sh and downloader.sh,
7.0.2): the first 64 KiB, dropping the connection; HEAD, for the Content-Length of a raw disk; and
all of it, with curl, which begins again where it is cut off.

The token is all that is asked for: whoever has it may read this one file. What is no token looks
like a path at which there has never been anything.
"""

import asyncio
import logging
import re
from typing import BinaryIO, Final

from econe.domain.image_ports import Staged
from econe.front.messages import Receive, Scope, Send
from econe.front.workers import Workers

log: Final = logging.getLogger("econe.request")

PREFIX: Final = "/staged/"
CHUNK_BYTES: Final = 256 * 1024
READERS: Final = 2
"""Threads that read. A file is read by one at a time, and as fast as its reader takes it."""

_ONE_RANGE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


class StagedFiles:
    def __init__(self, staged: Staged) -> None:
        self._staged = staged
        self._readers = Workers(READERS, "staged")

    def close(self) -> None:
        self._readers.close()

    async def give(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer, if there is something at this path; else False, and nothing was sent."""
        if not scope["path"].startswith(PREFIX) or scope["method"] not in ("GET", "HEAD"):
            return False
        token = scope["path"].removeprefix(PREFIX)
        file = await self._readers.do(self._staged.open, token)
        if file is None:
            return False
        try:
            await self._give(file, scope, receive, send)
        finally:
            await self._readers.do(file.close)
        return True

    async def _give(self, file: BinaryIO, scope: Scope, receive: Receive, send: Send) -> None:
        size = await self._readers.do(file.seek, 0, 2)
        status, first, end = part_of(dict(scope["headers"]), size)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % (end - first)),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", b"no-store"),
        ]
        if status == 206:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (first, end - 1, size)))
        elif status == 416:
            headers.append((b"content-range", b"bytes */%d" % size))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        left = end - first if scope["method"] == "GET" else 0
        await self._readers.do(file.seek, first)
        unsent = await self._stream(file, left, receive, send)
        method = scope["method"]
        log.info("Gave staged content. %s=%d sent=%d of=%d", method, status, left - unsent, size)

    async def _stream(self, file: BinaryIO, left: int, receive: Receive, send: Send) -> int:
        """Send `left` bytes and end the answer. How many were not sent: the caller went away, or
        the file was cut short, which leaving the answer unended tells it."""
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while left > 0 and not gone.done():
                chunk = await self._readers.do(file.read, min(CHUNK_BYTES, left))
                if not chunk:
                    break
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if left == 0:
                await send({"type": "http.response.body", "body": b""})
            return left
        finally:
            gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def part_of(headers: dict[bytes, bytes], size: int) -> tuple[int, int, int]:
    """(status, first byte, end) of what is asked for.

    One range is understood. Anything else asks for all, as RFC 9110 (14.2) lets a server do; so
    does If-Range, since there is no validator that it could name.
    """
    said = headers.get(b"range", b"").decode("latin-1")
    found = _ONE_RANGE.fullmatch(said)
    if not found or found[0] == "bytes=-" or b"if-range" in headers:
        return 200, 0, size
    if not found[1]:
        first, end = max(0, size - int(found[2])), size
    else:
        first = int(found[1])
        if found[2] and int(found[2]) < first:
            return 200, 0, size
        end = min(size, int(found[2]) + 1) if found[2] else size
    if first >= end:
        return 416, 0, 0
    return 206, first, end
