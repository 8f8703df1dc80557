"""Logging: one line an event, a sentence and then key=value, with the time in UTC first.

    2026-11-23T16:00:00.123Z info Answered a request. id=… action=DescribeRegions …

A log file is kept to a bounded size: when it is full it becomes `<name>.1`, and the one before
that is gone.
"""

import contextlib
import logging
import os
import sys
import time
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO

FULL_BYTES: Final = 64 * 1024 * 1024
"""Two such files hold about a million requests."""


class Lines(logging.Formatter):
    _second = 0
    _head = ""
    """The time as text, made once a second."""

    def format(self, record: logging.LogRecord) -> str:
        if int(record.created) != self._second:
            self._second = int(record.created)
            self._head = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._second))
        level = record.levelname.lower()
        text = f"{self._head}.{int(record.msecs):03d}Z {level} {record.getMessage()}"
        if record.exc_info:
            # The traceback stays with its line: every further line begins with blanks.
            text += "\n" + self.formatException(record.exc_info)
            text = text.replace("\n", "\n    ")
        return text


class BoundedFile(logging.StreamHandler[TextIO]):
    """Appends to a file, and begins a new one when it is full."""

    def __init__(self, path: Path, full_bytes: int = FULL_BYTES) -> None:
        self._path, self._full = path, full_bytes
        self._file = self._open()
        super().__init__(self._file)

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        self._size = self._path.stat().st_size
        return file

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock."""
        try:
            line = self.format(record) + "\n"
            if self._size > self._full:
                self._begin_new()
            self._file.write(line)
            self._file.flush()
            self._size += len(line)
        except Exception:  # a full disk must not stop requests
            self.handleError(record)

    def _begin_new(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = self._open()
        self.setStream(self._file)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        super().close()


def log_to(path: Path | None) -> None:
    """Send all logging of this process to the file, or to stderr."""
    handler = BoundedFile(path) if path is not None else logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    # What our lines do not show need not be found out for each of them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = ""  # where in the source a line comes from (logging's own documentation)
    logging.raiseExceptions = False
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.captureWarnings(True)
