"""What goes through the door: a request as it came, and an answer as it goes."""

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from econe.wire.xml import write_error

log: Final = logging.getLogger("econe.request")

Pairs = Sequence[tuple[str, str]]

# ASGI's own words.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose body was read, or an upload of which only the head was read."""

    method: str
    path: str
    query: bytes
    """The query string, still escaped."""
    headers: Mapping[str, str]
    """Lower-case names; the values of repeated ones joined by commas."""
    body: bytes = b""
    """A form (application/x-www-form-urlencoded)."""
    fields: Pairs | None = None
    """Of a multipart upload: what stands before the file, in place of `body`."""
    is_upload: bool = False
    """The body is a file that has not been read."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    request_id: str
    content_type: bytes = b"text/xml;charset=UTF-8"
    hang_up: bool = False
    """Close the connection: what else comes on it cannot be trusted to be a request."""


def new_request_id() -> str:
    return str(uuid.uuid4())


# --- the log -----------------------------------------------------------------------------

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@+-]{1,80}", re.ASCII)


@dataclass(slots=True)
class Line:
    """What the one log line of a request says. Never holds a secret, signature or user data."""

    request_id: str
    action: str = "-"
    account: str = "-"
    status: int = 0
    code: str = "-"
    ms: float = 0.0

    def write(self) -> None:
        # One %-format with fixed places costs a third of what joining pairs does.
        log.info(
            "Answered a request. id=%s action=%s account=%s ms=%.1f status=%d code=%s",
            self.request_id,
            shown(self.action),
            shown(self.account),
            self.ms,
            self.status,
            self.code,
        )


def shown(value: str) -> str:
    """As it may stand in a log line: what the caller wrote cannot make a second line or field."""
    return value if _PLAIN.fullmatch(value) else json.dumps(value[:80])


def refused(code: str, message: str, status: int, *, hang_up: bool = False) -> Answer:
    """The answer to what never became a request to the pipeline; logged."""
    request_id = new_request_id()
    Line(request_id, status=status, code=code).write()
    return Answer(status, write_error(code, message, request_id), request_id, hang_up=hang_up)
