"""Reads HTTP/1 requests of guests out of bytes, with limits. No I/O."""

from dataclasses import dataclass
from typing import Final

import httptools

MOST_BYTES: Final = 16384
"""Of one request, or of several that come at once. Nothing that EC2's service takes is longer."""


class Refused(Exception):  # noqa: N818
    """Not HTTP, or too much of it; the conversation ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    keep_alive: bool


class Reader:
    """One for each connection. After Refused it must not be fed again."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._headers = b"", dict[str, str]()
        self._size = 0
        self._done: list[Request] = []

    @property
    def is_amid(self) -> bool:
        """Whether a request has begun and is not complete."""
        return self._size > 0

    def feed(self, chunk: bytes) -> list[Request]:
        """The requests that `chunk` completes. Raises Refused."""
        self._size += len(chunk)
        if self._size > MOST_BYTES:
            raise Refused(413)
        try:
            self._parser.feed_data(chunk)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as failure:
            raise Refused(400) from failure
        done, self._done = self._done, []
        return done

    # --- called by the parser ------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", {}

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_message_complete(self) -> None:
        self._size = 0
        self._done.append(
            Request(
                method=self._parser.get_method().decode("ascii"),
                path=_path(self._url),
                headers=self._headers,
                keep_alive=self._parser.should_keep_alive(),
            )
        )


def _path(url: bytes) -> str:
    """Raises HttpParserError. Clients behind a proxy send the whole URL."""
    return (httptools.parse_url(url).path or b"/").decode("latin-1")
