"""A file as the body of a request, with memory that does not depend on its size.

The file goes from the page cache to the socket by sendfile; over TLS it is read in pieces. While it
is sent, the other side is listened to: a server that refuses answers at once, and what it says is
worth more to the user than the broken pipe that follows. `Expect: 100-continue` has it refuse
before the first byte, as curl does it.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable

from econe.client.errors import Misconfigured, Unreachable
from econe.client.http import Answer, Connection

Progress = Callable[[int], None]
"""Called with the bytes of the file sent so far; often."""

CONTINUE_S = 1.0
"""How long `100 Continue` is waited for; a server that does not know it says nothing."""
SILENCE_S = 300.0
"""Longest time in which a server may take nothing (its disk may be slow)."""
ANSWER_S = 3600.0
"""Longest time for it to look at the image once it has it."""

_PIECE = 1024 * 1024
_SENDFILE_PIECE = 16 * 1024 * 1024


class Source:
    """An open file to send, its size in bytes, and what the server may call it."""

    __slots__ = ("descriptor", "name", "size")

    def __init__(self, descriptor: int, size: int, name: str) -> None:
        self.descriptor, self.size, self.name = descriptor, size, name


def open_source(path: str) -> Source:
    """A regular file or a disk. Raises Misconfigured for everything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Misconfigured(
            f"missing IMAGE-PATH parameter or file not found: {path}: {why}"
        ) from None
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        os.close(descriptor)
        kind = "is a directory" if stat.S_ISDIR(mode) else "is not a file"
        raise Misconfigured(f"missing IMAGE-PATH parameter or file not found: {path} {kind}")
    size = os.lseek(descriptor, 0, os.SEEK_END)  # st_size is 0 for a disk
    return Source(descriptor, size, path.rstrip("/").rpartition("/")[2])


class _Outgoing:
    """What is still to be sent: some bytes, the file, some bytes."""

    def __init__(self, before: bytes, source: Source, after: bytes) -> None:
        self._before, self._after = memoryview(before), memoryview(after)
        self._source = source
        self.sent = 0
        """Of the file."""

    @property
    def done(self) -> bool:
        return not self._before and not self._after and self.sent == self._source.size

    def push(self, connection: Connection) -> None:
        """Send as much as the socket takes at once."""
        if self._before:
            self._before = self._before[_send(connection, self._before) :]
        elif self.sent < self._source.size:
            took = self._push_file(connection)
            if took == 0:
                raise Misconfigured(f"{self._source.name} became shorter while it was sent")
            self.sent += took
        else:
            self._after = self._after[_send(connection, self._after) :]

    def _push_file(self, connection: Connection) -> int:
        file, left = self._source.descriptor, self._source.size - self.sent
        if connection.endpoint.scheme == "https":
            return _send(connection, os.pread(file, min(left, _PIECE), self.sent))
        return os.sendfile(connection.socket.fileno(), file, self.sent, min(left, _SENDFILE_PIECE))


def _send(connection: Connection, piece: bytes | memoryview) -> int:
    """What the socket takes now; over TLS, which cannot take half a record back, all of it."""
    if connection.endpoint.scheme == "http":
        return connection.socket.send(piece)
    connection.socket.settimeout(SILENCE_S)
    connection.socket.sendall(piece)
    connection.socket.setblocking(False)
    return len(piece)


def send_upload(
    connection: Connection,
    head: bytes,
    source: Source,
    progress: Progress,
    *,
    before: bytes = b"",
    after: bytes = b"",
) -> Answer:
    """Send the request and its body, and read the answer, whenever it comes.

    `before` and `after` frame the file (multipart). Raises Misconfigured, Unreachable, BadAnswer.
    """
    connection.send(head)
    poll = select.poll()
    poll.register(connection.socket, select.POLLIN)
    connection.socket.setblocking(False)
    if poll.poll(CONTINUE_S * 1000):
        _listen(connection)
    outgoing = _Outgoing(before, source, after)
    poll.modify(connection.socket, select.POLLIN | select.POLLOUT)
    while not outgoing.done and not connection.reader.status:
        events = poll.poll(SILENCE_S * 1000)
        if not events:
            raise Unreachable(f"{connection.endpoint.url} takes no more of the upload")
        if events[0][1] & ~select.POLLOUT:
            _listen(connection)
        elif not _push(outgoing, connection):
            break
        progress(outgoing.sent)
    return connection.receive(silence_s=ANSWER_S, answer_s=ANSWER_S)


def _push(outgoing: _Outgoing, connection: Connection) -> bool:
    """False when the other side has closed; its answer may still be there to be read."""
    try:
        outgoing.push(connection)
    except (BrokenPipeError, ConnectionResetError):
        return False
    except BlockingIOError:
        pass
    except OSError as error:
        raise Unreachable(f"the upload failed: {error.strerror or error}") from error
    return True


def _listen(connection: Connection) -> None:
    try:
        data = connection.socket.recv(_PIECE)
    except BlockingIOError:
        return
    except OSError as error:
        if type(error).__name__ == "SSLWantReadError":  # a session ticket, not an answer
            return
        raise Unreachable(
            f"{connection.endpoint.url} broke the upload off: {error.strerror or error}"
        ) from error
    if data:
        connection.reader.feed(data)
    else:
        connection.reader.end()
