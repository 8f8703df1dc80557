"""Linux network namespaces by name, as `ip netns` knows them, without starting a program.

A named namespace is a file below /run/netns onto which the namespace is mounted. Only a thread
can change over to a namespace (setns), so whatever must happen inside one happens in a short-lived
thread: sockets and taps opened there stay in the namespace wherever they are used, and programs
started there live in it.

Python 3.11 has no os.setns or os.unshare (they came with 3.12), hence ctypes.
"""

import ctypes
import errno
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Final, TypeVar

T = TypeVar("T")

DIRECTORY: Final = Path("/run/netns")

_CLONE_NEWNET: Final = 0x40000000
_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_SHARED: Final = 1 << 20
_MNT_DETACH: Final = 2
_TIME_LIMIT_S: Final = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(Exception):  # noqa: N818 - part of the story of a command, told by its name
    """A program said no. `complaint` is what it wrote to stderr."""

    def __init__(self, command: str, complaint: str) -> None:
        super().__init__(f"{command}: {complaint}")
        self.command, self.complaint = command, complaint


def run(command: Sequence[str], given: str = "") -> str:
    """What the program writes to stdout when `given` is its stdin. Raises CommandFailed."""
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise CommandFailed(command[0], str(failure)) from failure
    if done.returncode != 0:
        raise CommandFailed(command[0], done.stderr.strip() or f"exit status {done.returncode}")
    return done.stdout


def path_of(name: str) -> Path:
    return DIRECTORY / name


def names(prefix: str) -> set[str]:
    """Namespaces, also half-made ones, whose name begins with `prefix`."""
    try:
        return {entry.name for entry in DIRECTORY.iterdir() if entry.name.startswith(prefix)}
    except FileNotFoundError:
        return set()


def exists(name: str) -> bool:
    """Whether a namespace is mounted there; a bare file is the leaving of a crash."""
    try:
        return path_of(name).stat().st_dev != DIRECTORY.stat().st_dev
    except FileNotFoundError:
        return False


def create(name: str) -> None:
    """Make the namespace if it is absent. Raises OSError."""
    if exists(name):
        return
    _share_directory()
    path = path_of(name)
    path.touch(mode=0o444)

    def make() -> None:
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        _mount("/proc/thread-self/ns/net", path, _MS_BIND)

    in_own_thread(make)


def delete(name: str) -> None:
    """Take the name away; the namespace ends when nothing in it is open. Raises OSError."""
    path = path_of(name)
    while exists(name):
        _check(_libc.umount2(os.fsencode(path), _MNT_DETACH), "umount")
    path.unlink(missing_ok=True)


def inside(name: str, work: Callable[[], T]) -> T:
    """Do `work` in the namespace. Raises OSError if it is absent, and what `work` raises."""

    def change_over() -> T:
        descriptor = os.open(path_of(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(descriptor, _CLONE_NEWNET), "setns")
        finally:
            os.close(descriptor)
        return work()

    return in_own_thread(change_over)


def in_own_thread(work: Callable[[], T]) -> T:
    """For `work` that changes what is a thread's own, as its namespace: the thread ends here."""
    outcome: Future[T] = Future()

    def do() -> None:
        try:
            outcome.set_result(work())
        except BaseException as failure:
            outcome.set_exception(failure)

    thread = Thread(target=do, name="namespace")
    thread.start()
    thread.join()
    return outcome.result()


def _share_directory() -> None:
    """As `ip netns add` does it, so that both can see and undo each other's mounts."""
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        _mount("", DIRECTORY, _MS_SHARED | _MS_REC)
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
        _mount(str(DIRECTORY), DIRECTORY, _MS_BIND | _MS_REC)
        _mount("", DIRECTORY, _MS_SHARED | _MS_REC)


def _mount(source: str, target: Path, flags: int) -> None:
    done = _libc.mount(
        source.encode(), os.fsencode(target), b"none", ctypes.c_ulong(flags), ctypes.c_void_p()
    )
    _check(done, f"mount on {target}")


def _check(returned: int, what: str) -> None:
    if returned != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
