"""The vault: image content, kept under the hash of what was uploaded.

    uploads/<random>/data           an upload, while it is received and looked at
    blobs/<32 hex>.raw|.qcow2       content; read-only, complete, and on the disk before it is here

A blob appears by one link(2) after everything has been flushed, so whatever a crash leaves lies in
`uploads/`. Each directory there is locked by whoever works in it (and by its probe); the lock goes
with the process, so `sweep` can tell leavings from work.
"""

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from econe.domain.faults import Broken, Fault, Invalid, LimitExceeded, NoCapacity, Noun
from econe.domain.images import Content, DiskFormat
from econe.durable import sync_directory
from econe.settings import Images
from econe.store import vault_probe

_GIB: Final = 1 << 30
_MIB: Final = 1 << 20

# Bytes after which the kernel is told to begin writing to the disk. Without that, all of it begins
# at the end, with fsync, and the caller waits for it.
_WRITE_OUT_EVERY: Final = 128 * _MIB
_GIVEN_AGAIN_S: Final = 60.0

_LOCATION: Final = re.compile("[0-9a-f]{32}")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileVault:
    """Implements econe.domain.ports.Vault in `<state>/blobs` and `<state>/uploads`."""

    def __init__(self, state: Path, images: Images) -> None:
        self._images = images
        self._blobs = state / "blobs"
        self._uploads = state / "uploads"
        for directory in (self._blobs, self._uploads):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._given_again: dict[str, float] = {}

    def receive(self) -> "FileUpload":
        """Raises NoCapacity."""
        self._expect_room(0)
        while True:
            directory = self._uploads / secrets.token_hex(8)
            try:
                directory.mkdir(mode=0o700)
                lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue  # swept away before it could be locked
            except OSError as error:
                raise _fault_of(error) from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return FileUpload(self, self._images, directory, lock)
            except FileNotFoundError:
                os.close(lock)  # the same
            except OSError as error:
                os.close(lock)
                raise _fault_of(error) from error

    def path(self, location: str, disk_format: DiskFormat) -> Path:
        """Raises ValueError for what is no location."""
        if _LOCATION.fullmatch(location) is None:
            raise ValueError(f"{location!r} is no location")
        return self._blobs / f"{location}.{DiskFormat(disk_format)}"

    def locations(self) -> set[str]:
        """Whatever else lies there is none of ours."""
        return {
            path.stem
            for path in self._blobs.iterdir()
            if path.suffix in _SUFFIXES and _LOCATION.fullmatch(path.stem)
        }

    def forget(self, location: str) -> None:
        """Nothing happens if it is not kept, or if the same content has just been given again:
        then an image that needs it is about to be written down."""
        if time.monotonic() - self._given_again.get(location, -_GIVEN_AGAIN_S) < _GIVEN_AGAIN_S:
            return
        self._given_again.pop(location, None)
        for disk_format in DiskFormat:
            self.path(location, disk_format).unlink(missing_ok=True)
        sync_directory(self._blobs)

    def sweep(self, older_than_s: float) -> int:
        count = 0
        for directory in self._uploads.iterdir():
            with suppress(FileNotFoundError):
                count += _sweep_one(directory, older_than_s)
        return count

    # --- for uploads -----------------------------------------------------------------------

    def _expect_room(self, length: int) -> None:
        found = os.statvfs(self._uploads)
        free = found.f_bavail * found.f_frsize
        if free - length < self._images.keep_free_mib * _MIB:
            raise _no_room(f"{free} bytes are free")

    def _kept(self, name: str) -> Content | None:
        """What is kept under this name. Noted as received now, for those who clear away."""
        for disk_format in DiskFormat:
            path = self.path(name, disk_format)
            try:
                os.utime(path)
                size = path.stat().st_size
                virtual = _qcow2_size(path) if disk_format is DiskFormat.QCOW2 else size
            except FileNotFoundError:
                continue
            return Content(name, disk_format, size, virtual)
        return None

    def _kept_again(self, name: str) -> Content | None:
        self._given_again[name] = time.monotonic()
        found = self._kept(name)
        if found is None:
            del self._given_again[name]
        return found

    def _keep(self, file: Path, name: str, disk_format: DiskFormat) -> Content:
        """Give a file that is on the disk its name. The first of two equal ones stays. Its time is
        that of the keeping: proving may have taken long."""
        with suppress(FileExistsError):
            os.link(file, self.path(name, disk_format), follow_symlinks=False)
        os.utime(self.path(name, disk_format), follow_symlinks=False)
        sync_directory(self._blobs)
        kept = self._kept(name)
        if kept is None:
            raise Broken(Noun.IMAGE, hidden=f"{name} is gone as soon as it was kept")
        return kept


_SUFFIXES: Final = frozenset(f".{disk_format}" for disk_format in DiskFormat)


class FileUpload:
    """Implements econe.domain.ports.Upload. Not for several threads at once."""

    def __init__(self, vault: FileVault, images: Images, directory: Path, lock: int) -> None:
        self._vault, self._images = vault, images
        self._directory, self._lock = directory, lock
        self._data = directory / "data"
        self._file = os.open(self._data, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._hash = blake3()
        self._size = 0
        self._written_out = 0
        self._open = True

    def write(self, chunk: bytes) -> None:
        """Raises LimitExceeded and NoCapacity."""
        if self._size + len(chunk) > self._images.max_upload_gib * _GIB:
            most = self._images.max_upload_gib
            raise LimitExceeded(
                Noun.IMAGE, said=f"The image is larger than {most} GiB, the most that is allowed."
            )
        self._vault._expect_room(len(chunk))
        try:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise _fault_of(error) from error
        self._hash.update(chunk)
        self._size += len(chunk)
        if self._size - self._written_out >= _WRITE_OUT_EVERY:
            _begin_writing_out(self._file, self._written_out, self._size - self._written_out)
            self._written_out = self._size

    def finish(self) -> Content:
        """See the port. Also raises NoCapacity, and Broken where the probe itself fails."""
        try:
            name = self._hash.hexdigest()[:32]
            return self._vault._kept_again(name) or self._prove_and_keep(name)
        except OSError as error:
            raise _fault_of(error) from error
        finally:
            self.abort()

    def abort(self) -> None:
        if not self._open:
            return
        self._open = False
        os.close(self._file)
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._lock)  # last: until then nobody else removes it

    def _prove_and_keep(self, name: str) -> Content:
        os.fchmod(self._file, 0o444)
        if os.geteuid() == 0:  # the probe gives up root, and unfolds into this directory
            os.chown(self._directory, vault_probe.NOBODY, vault_probe.NOBODY)
        verdict = vault_probe.look(self._directory, self._images, self._lock)
        if verdict.full:
            raise _no_room("while unfolding")
        if verdict.refused:
            raise Invalid(Noun.IMAGE, said=verdict.refused, hidden=verdict.hidden)
        proven = self._directory / verdict.file
        self._settle(proven)
        return self._vault._keep(proven, name, DiskFormat(verdict.format))

    def _settle(self, proven: Path) -> None:
        """Make the file ours, read-only, and durable. What the probe wrote is not trusted to be a
        plain file, nor what we wrote to be still there: the directory was the probe's."""
        file = os.open(proven, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found, ours = os.fstat(file), os.fstat(self._file)
            is_ours = (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
            if proven == self._data and not is_ours:
                raise Broken(Noun.IMAGE, hidden="the upload was replaced while it was looked at")
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise Broken(Noun.IMAGE, hidden=f"the probe made no plain file: {found}")
            if os.geteuid() == 0:
                os.fchown(file, 0, 0)
            os.fchmod(file, 0o444)
            os.fsync(file)
        finally:
            os.close(file)


def _sweep_one(directory: Path, older_than_s: float) -> int:
    """1 if it was leavings, and is gone."""
    if directory.is_symlink():  # not ours, and leads anywhere
        directory.unlink()
        return 1
    lock = os.open(directory, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    else:
        if not directory.is_dir():
            newest = directory.lstat().st_mtime
        else:
            newest = max(path.lstat().st_mtime for path in (directory, *directory.iterdir()))
        if time.time() - newest < older_than_s:
            return 0
        if directory.is_dir():
            shutil.rmtree(directory)
        else:
            directory.unlink()
        return 1
    finally:
        os.close(lock)


def _qcow2_size(path: Path) -> int:
    with path.open("rb") as opened:
        size: int = struct.unpack_from(">Q", opened.read(32), 24)[0]
    return size


def _no_room(hidden: str) -> NoCapacity:
    return NoCapacity(
        Noun.IMAGE, said="There is not enough free disk space for the image.", hidden=hidden
    )


def _fault_of(error: OSError) -> Fault:
    if error.errno in _FULL:
        return _no_room(str(error))
    return Broken(Noun.IMAGE, hidden=f"{type(error).__name__}: {error}")


_SYNC_FILE_RANGE_WRITE: Final = 2
_libc: Final[Any] = ctypes.CDLL(None, use_errno=True)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def _begin_writing_out(file: int, offset: int, length: int) -> None:
    """sync_file_range(2): a hint, and no promise; its failure changes nothing."""
    _libc.sync_file_range(file, offset, length, _SYNC_FILE_RANGE_WRITE)
