"""A reader of multipart/form-data (RFC 7578) without I/O: fed chunks, it gives back events.

Built for uploads of many GiB: a chunk inside a file is handed on as it came, without a copy; only
the few bytes that might begin a boundary wait for the next chunk. Everything that has to be held
(part headers, values of fields, how many parts) has a limit.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from econe.wire.refusal import Refusal, shown

MOST_HEADER_BYTES: Final = 8 * 1024
MOST_FIELD_BYTES: Final = 64 * 1024
MOST_PARTS: Final = 200
_LONGEST_BOUNDARY: Final = 70  # RFC 2046, section 5.1.1


@dataclass(frozen=True, slots=True)
class Field:
    """A whole field."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileBegin:
    """A part with a file name; its content follows."""

    name: str
    filename: str


@dataclass(frozen=True, slots=True)
class FileChunk:
    data: bytes


@dataclass(frozen=True, slots=True)
class FileEnd:
    pass


Event = Field | FileBegin | FileChunk | FileEnd


class _State(Enum):
    PREAMBLE = auto()
    AFTER_BOUNDARY = auto()
    HEADERS = auto()
    FIELD = auto()
    FILE = auto()
    DONE = auto()


class Reader:
    """Feed it the body, then close() it. Both raise Refusal (InvalidRequest); so does a content
    type that has no boundary. After a Refusal the reader is of no more use."""

    def __init__(self, content_type: str) -> None:
        self._delimiter = b"\r\n--" + _boundary_of(content_type)
        self._state = _State.PREAMBLE
        # As if a line had just ended, so that the first boundary looks like all others.
        self._held = b"\r\n"
        self._events: list[Event] = []
        self._parts = 0
        self._name = ""
        self._value: list[bytes] = []
        self._value_bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """What these next bytes of the body complete."""
        data = self._held + chunk if self._held else chunk
        self._held = b""
        at = 0
        while at < len(data) and self._state is not _State.DONE:
            at = self._STEPS[self._state](self, data, at)
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Say that the body has ended."""
        if self._state is not _State.DONE:
            raise _refuse("The body ends before its last boundary.")

    # Each step takes what it can of data[at:] and says where the next one begins; what it cannot
    # decide yet, it holds until more has come.

    def _content(self, data: bytes, at: int) -> int:
        end = data.find(self._delimiter, at)
        if end < 0:
            undecided = _may_begin(self._delimiter, data, at)
            self._held = data[undecided:]
            self._take(data, at, undecided)
            return len(data)
        self._take(data, at, end)
        if self._state is _State.FILE:
            self._events.append(FileEnd())
        elif self._state is _State.FIELD:
            value = b"".join(self._value)
            self._events.append(Field(self._name, _text(value, self._name)))
        self._state = _State.AFTER_BOUNDARY
        return end + len(self._delimiter)

    def _take(self, data: bytes, start: int, end: int) -> None:
        if start == end:
            return
        piece = data if end - start == len(data) else data[start:end]
        if self._state is _State.FILE:
            self._events.append(FileChunk(piece))
            return
        self._value_bytes += len(piece)
        if self._value_bytes > MOST_FIELD_BYTES:
            raise _refuse(
                f"The field '{shown(self._name)}' is longer than {MOST_FIELD_BYTES} bytes."
            )
        if self._state is _State.FIELD:
            self._value.append(piece)

    def _after_boundary(self, data: bytes, at: int) -> int:
        mark = data[at : at + 2]
        if len(mark) < 2:
            self._held = mark
            return len(data)
        if mark == b"--":
            self._state = _State.DONE
        elif mark == b"\r\n":
            self._state = _State.HEADERS
        else:
            raise _refuse("A boundary is not followed by a new line.")
        return at + 2

    def _headers(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n\r\n", at, at + MOST_HEADER_BYTES)
        if end < 0:
            if len(data) - at >= MOST_HEADER_BYTES:
                raise _refuse(f"The head of a part is longer than {MOST_HEADER_BYTES} bytes.")
            self._held = data[at:]
            return len(data)
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _refuse(f"The body has more than {MOST_PARTS} parts.")
        self._name, filename = _read_head(data[at:end])
        self._value, self._value_bytes = [], 0
        if filename is None:
            self._state = _State.FIELD
        else:
            self._state = _State.FILE
            self._events.append(FileBegin(self._name, filename))
        return end + 4

    _STEPS: Final = {
        _State.PREAMBLE: _content,
        _State.AFTER_BOUNDARY: _after_boundary,
        _State.HEADERS: _headers,
        _State.FIELD: _content,
        _State.FILE: _content,
    }


def _may_begin(delimiter: bytes, data: bytes, at: int) -> int:
    """From where on the data could be the beginning of the delimiter; their end if nowhere."""
    found = data.find(b"\r", max(at, len(data) - len(delimiter) + 1))
    while found >= 0:
        if delimiter.startswith(data[found:]):
            return found
        found = data.find(b"\r", found + 1)
    return len(data)


# --- heads ---------------------------------------------------------------------------------

_PARAMETER: Final = re.compile(
    r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*))'
)
_PLAIN_ENCODINGS: Final = frozenset({"binary", "8bit", "7bit"})


def _parameters(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        found.setdefault(name.lower(), quoted.replace('\\"', '"') or plain)
    return found


def _boundary_of(content_type: str) -> bytes:
    kind = content_type.partition(";")[0].strip().lower()
    boundary = _parameters(content_type).get("boundary", "")
    if kind != "multipart/form-data" or not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise _refuse("The content type is not multipart/form-data with a boundary.")
    if not boundary.isascii() or not boundary.isprintable():
        raise _refuse("The boundary has characters that it may not have.")
    return boundary.encode()


def _read_head(raw: bytes) -> tuple[str, str | None]:
    """The field's name, and the file's name if it is a file."""
    headers: dict[str, str] = {}
    for line in _text(raw, "").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise _refuse("The head of a part has a line without a colon.")
        headers.setdefault(name.strip().lower(), value.strip())
    encoding = headers.get("content-transfer-encoding", "binary").lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise _refuse(f"The transfer encoding '{shown(encoding)}' is not supported.")
    disposition = headers.get("content-disposition", "")
    parameters = _parameters(disposition)
    kind = disposition.partition(";")[0].strip().lower()
    if kind != "form-data" or not parameters.get("name"):
        raise _refuse("A part has no name.")
    return parameters["name"], parameters.get("filename", parameters.get("filename*"))


def _text(raw: bytes, name: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        of = f"The field '{shown(name)}'" if name else "The head of a part"
        raise _refuse(f"{of} is not valid UTF-8.") from None


def _refuse(message: str) -> Refusal:
    return Refusal("InvalidRequest", message)
