"""The state directory: whose it is now, and where its server answers.

One server at a time uses it: it holds a lock on `econe.lock`, which ends with the process however
that ends. `server.pid` says the process id and the URL, for status and stop; it is believed only
while the lock is held.
"""

import fcntl
import hashlib
import hmac
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from econe.durable import write_whole

LOCK, PID = "econe.lock", "server.pid"


class CannotStart(Exception):  # noqa: N818
    """The server cannot run as it is set up; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Running:
    """The server that holds the lock. While it starts it has no URL yet."""

    pid: int | None
    url: str


def _refuse_what_others_write(state: Path) -> None:
    """Whoever can put links in there can have us, as root perhaps, write and read anywhere."""
    if state.stat().st_mode & stat.S_IWOTH:
        raise CannotStart(f"cannot use {state}: everybody may write there; chmod 700 it")


class StateLock:
    """Held by the server while it lives. Raises CannotStart."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def __enter__(self) -> Self:
        try:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_what_others_write(self._state)
            self._file = os.open(self._state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise CannotStart(f"cannot use {self._state}: {problem.strerror}") from problem
        if not self._lock():
            os.close(self._file)
            held = running(self._state)
            who = f" (process {held.pid})" if held and held.pid else ""
            raise CannotStart(f"another econe-server{who} runs on {self._state}")
        (self._state / PID).unlink(missing_ok=True)
        return self

    def _lock(self) -> bool:
        """Tried for a moment: running() in another process holds the lock while it looks."""
        for wait_s in (0.01, 0.05, 0.2, 0):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(wait_s)
            else:
                return True
        return False

    def __exit__(self, *_: object) -> None:
        (self._state / PID).unlink(missing_ok=True)
        os.close(self._file)

    def announce(self, url: str) -> None:
        """Say to other processes that the server answers at `url`."""
        write_whole(self._state / PID, f"{os.getpid()}\n{url}\n", mode=0o644)


def running(state: Path) -> Running | None:
    """The server that runs on the directory, or None."""
    try:
        file = os.open(state / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(state)
    finally:
        os.close(file)
    return None


def _read_pid(state: Path) -> Running:
    try:
        pid, url = (state / PID).read_text("utf-8").split("\n")[:2]
        return Running(int(pid), url)
    except (OSError, ValueError):
        return Running(None, "")


def derived_secret(state: Path, purpose: str) -> bytes:
    """A secret of its own for `purpose`, the same after a restart: made of the key file."""
    return hmac.digest((state / "secret.key").read_bytes(), purpose.encode(), hashlib.sha256)
