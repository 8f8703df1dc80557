"""A request's body as it arrives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any


class Disconnected(Exception):  # noqa: N818
    """The caller went away before its request was whole. Nothing may come of it."""


class TooLarge(Exception):  # noqa: N818
    """More than may be sent, or is said to come."""


class TooSlow(Exception):  # noqa: N818
    """Nothing came for too long."""


class Body:
    """The body of one request."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        headers: Mapping[str, str],
    ) -> None:
        self._receive = receive
        self.expected = _expected(headers)
        """Bytes, or None where only the end will tell (chunked)."""

    async def whole(self, most: int) -> bytes:
        """All of it. Raises TooLarge beyond `most` bytes, and Disconnected."""
        parts, size = [], 0
        async for part in self.parts(most, silence_s=None):
            parts.append(part)
            size += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def parts(self, most: int, *, silence_s: float | None) -> AsyncIterator[bytes]:
        """As they come; asking for the next is what lets the caller send on.

        Raises TooLarge beyond `most` bytes, at once if the head says so; TooSlow after `silence_s`
        seconds without any; Disconnected.
        """
        if self.expected is not None and self.expected > most:
            raise TooLarge
        size, more = 0, True
        while more:
            try:
                message = await asyncio.wait_for(self._receive(), silence_s)
            except TimeoutError:
                raise TooSlow from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > most:
                raise TooLarge
            if part:
                yield part


def _expected(headers: Mapping[str, str]) -> int | None:
    if "transfer-encoding" in headers:
        return None
    length = headers.get("content-length", "0")
    # The HTTP parser has refused what is no number.
    return int(length)
