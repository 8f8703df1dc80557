"""Processes that outlive us, QEMU above all: start one, find it again, end it.

A process is known by its machine's uuid, which stands on its command line and is random: a pid
alone proves nothing (pids come again), and after a crash of ours there may be no pid on record.
Signals go through a pidfd that was checked after it was opened, so they cannot hit another.
"""

import contextlib
import errno
import os
import select
import shutil
import signal
import subprocess
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineBusy, EngineRefused

PROC: Final = Path("/proc")

_PASSING: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})
"""Reasons for which a process cannot be started now and can be later."""

_LATER: Final = (
    "Cannot allocate memory",
    "cannot set up guest memory",
    "Resource temporarily unavailable",
    "Too many open files",
    "No space left on device",
    # Another QEMU still has the disk: one that is just ending.
    'Failed to get "write" lock',
    "Failed to get shared",
    # Somebody took the port after it was chosen; another is chosen the next time.
    "Could not set up host forwarding rule",
)
"""QEMU says why it cannot start in words only; with these it may be able to later."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one QEMU."""

    binary: str
    arguments: Sequence[str]
    directory: Path
    """Its working directory."""
    log: Path
    fds: Sequence[int]
    owner: int | None
    """User and group it runs as; None for ours."""
    groups: Sequence[int] = ()


def spawn(launch: Launch) -> "Process":
    """Start it, in a session of its own. Raises EngineBusy, EngineRefused."""
    binary = find_binary(launch.binary)
    log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            [str(binary), *launch.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=launch.directory,
            env={"PATH": os.defpath, "LC_ALL": "C"},  # none of the server's own secrets
            pass_fds=launch.fds,
            start_new_session=True,
            umask=0o077,
            user=launch.owner,
            group=launch.owner,
            extra_groups=None if launch.owner is None else launch.groups,
        )
    except OSError as error:
        raise _cannot_start(launch.binary, error) from error
    finally:
        os.close(log)
    child.returncode = 0  # It is meant to outlive us: Popen shall neither wait for it nor complain.
    return Process(child.pid, os.pidfd_open(child.pid))  # a zombie has one, too


def find_binary(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise EngineRefused(f"The emulator '{Path(name).name}' is not installed.", f"binary {name}")
    return Path(found).absolute()


def _cannot_start(binary: str, error: OSError) -> EngineBusy | EngineRefused:
    if error.errno in _PASSING:
        return EngineBusy(f"cannot start a process now: {error}")
    return EngineRefused(f"The emulator '{Path(binary).name}' cannot be run.", str(error))


def why_it_ended(status: int | None, said: str) -> EngineBusy | EngineRefused:
    """What a QEMU that ended before it ran means, by its wait status and its log."""
    hidden = f"wait status {status}: {said.strip()[-2000:]}"
    if status is not None and os.WIFSIGNALED(status):
        # Not its own decision: the kernel was out of memory, or somebody killed it.
        return EngineBusy(f"QEMU was killed while it started; {hidden}")
    if any(words in said for words in _LATER):
        return EngineBusy(f"QEMU cannot start now; {hidden}")
    return EngineRefused("The emulator did not accept the machine.", hidden)


def find(uuid: str, recorded: int | None) -> "Process | None":
    """The live process that carries `uuid`. `recorded` is where it was last."""
    if recorded is not None:
        return hold(recorded, "-uuid", uuid)
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and carries(int(entry.name), "-uuid", uuid):
            return hold(int(entry.name), "-uuid", uuid)
    return None


def hold(pid: int, *words: str) -> "Process | None":
    """The process, if it carries all `words`."""
    try:
        process = Process(pid, os.pidfd_open(pid))
    except ProcessLookupError:
        return None
    # Only now: what carries them after its pidfd was opened is what the pidfd means.
    return process if carries(pid, *words) else None


def carries(pid: int, *words: str) -> bool:
    """Whether it is alive (a zombie has no command line) and `words` stand on its command line."""
    try:
        line = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return {os.fsencode(word) for word in words} <= {*line}


class Children:
    """Those we started and have not buried. Others' pids are never waited for: they may have
    become those of children that somebody else waits for."""

    def __init__(self) -> None:
        self._pids: set[int] = set()

    def add(self, pid: int) -> None:
        self._pids.add(pid)

    def bury(self, pid: int) -> int | None:
        """The wait status of a child that has ended; None for any other."""
        if pid not in self._pids:
            return None
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            self._pids.discard(pid)
            return None
        if not ended:
            return None
        self._pids.discard(pid)
        return status


class Process:
    """A process that can be waited for and signalled without mistaking another for it."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid, self._fd = pid, pidfd
        weakref.finalize(self, os.close, pidfd)

    def fileno(self) -> int:
        """Of its pidfd, which is readable from its end on."""
        return self._fd

    def ended_within(self, seconds: float) -> bool:
        """Ended means that it has let go of everything: its memory, files, locks and taps."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)
