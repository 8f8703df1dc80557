"""Console logs: read by GetConsoleOutput, and kept from filling the disk.

QEMU appends (O_APPEND) and never looks back, so an old beginning can be given back to the file
system at any time by punching a hole: offsets stay, nothing races, nothing is copied. Where the
file system cannot, the log is truncated, and its tail with it.
"""

import ctypes
import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from econe.engines.qemu.place import place_of, places

SHOWN_BYTES: Final = 64 * 1024
"""EC2 shows the last 64 KB (API reference, GetConsoleOutput)."""
_BLOCK: Final = 4096
_QEMU_LOG_BYTES: Final = 64 * 1024

_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02


class QemuConsoles:
    """ports.Consoles over `instances/<id>/console.log`."""

    def __init__(self, instances: Path, keep_kib: int) -> None:
        self._instances, self._keep_bytes = instances, keep_kib * 1024

    def output(self, instance_id: str) -> tuple[bytes, datetime] | None:
        try:
            fd = os.open(place_of(self._instances, instance_id).console, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ValueError):
            return None
        try:
            found = os.fstat(fd)
            start = max(_first_data(fd, found.st_size), found.st_size - SHOWN_BYTES)
            tail = os.pread(fd, SHOWN_BYTES, start)
        finally:
            os.close(fd)
        if not tail:
            return None
        return tail, datetime.fromtimestamp(found.st_mtime, UTC)

    def cap(self) -> None:
        """Give back what is more than may be kept, of all logs."""
        for place in places(self._instances):
            cap(place.console, self._keep_bytes)
            cap(place.log, _QEMU_LOG_BYTES)


def cap(path: Path, keep_bytes: int) -> None:
    """Free all of an append-only file but its last `keep_bytes`, roughly."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        found = os.fstat(fd)
        if found.st_blocks * 512 <= keep_bytes + keep_bytes // 4 + _BLOCK:
            return
        hole = (found.st_size - keep_bytes) // _BLOCK * _BLOCK
        if hole > 0 and not _punch(fd, hole):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _first_data(fd: int, size: int) -> int:
    """Where the punched hole ends; the guest's own NULs are data."""
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but hole
            return size
        return 0  # a file system that knows no holes


def _punch(fd: int, length: int) -> bool:
    """Free the first `length` bytes; False where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return bool(libc.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, 0, length) == 0)
