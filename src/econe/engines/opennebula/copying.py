"""The same content under another name, for somebody else to read: linked, cloned, copied or
converted, and whole from the moment at which it has its name."""

import errno
import fcntl
import hashlib
import os
import secrets
import subprocess
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.images import DiskFormat

PART: Final = ".part"
"""What is not whole yet ends so."""
QEMU_IMG: Final = "qemu-img"
CONVERT_S: Final = 3600
READABLE: Final = 0o444

_FICLONE: Final = 0x40049409  # linux/fs.h; Python 3.11 does not name it
# Another file system, one without links, too many of them, or a file that is not ours.
_NO_LINK: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
)


def share(source: Path, target: Path) -> None:
    """Give what lies at `source` the name `target`, too, and let everybody read it who comes to
    either name. A second call does nothing. Blocks for as long as a copy takes, if it must be one.

    Raises EngineRefused where there is nothing at `source`, and OSError.
    """
    if target.exists():
        return
    try:
        source.chmod(READABLE)
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError as error:
        if source.exists():
            raise
        raise EngineRefused("The content of the image is gone.", str(source)) from error
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        part = _part_of(target)
        try:
            _copy(source, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def convert(source: Path, source_format: DiskFormat, target: Path, into: DiskFormat) -> None:
    """The disk of `source` as another kind of file. A second call does nothing. Blocks: minutes.

    Raises EngineBusy where it cannot be done now, EngineRefused where there is no qemu-img.
    """
    if target.exists():
        return
    part = _part_of(target)
    # The format is said: QEMU's own guess would let the content of a raw disk name other files.
    words = [QEMU_IMG, "convert", "-f", source_format, "-O", into, str(source), str(part)]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CONVERT_S,
            check=False,
        )
        if done.returncode != 0:
            raise EngineBusy(f"qemu-img convert: {done.returncode} {done.stderr[-500:].strip()}")
        part.chmod(READABLE)
        part.replace(target)
    except FileNotFoundError as error:
        raise EngineRefused("The program 'qemu-img' is not installed.", str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise EngineBusy(f"qemu-img convert took more than {CONVERT_S} seconds") from error
    finally:
        part.unlink(missing_ok=True)


def sha1_of(path: Path) -> str:
    """In hex. About a second for each GB. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False))
    return digest.hexdigest()


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.{secrets.token_hex(4)}{PART}")


def _copy(source: Path, part: Path) -> None:
    with source.open("rb") as reading, part.open("xb") as writing:
        try:
            fcntl.ioctl(writing, _FICLONE, reading.fileno())
        except OSError:
            _copy_data(reading.fileno(), writing.fileno())
        os.fchmod(writing.fileno(), READABLE)


def _copy_data(source: int, target: int) -> None:
    """Holes stay holes: most of a raw disk is one."""
    size = os.fstat(source).st_size
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break  # nothing but a hole is left
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            copied = os.sendfile(target, source, at, end - at)
            if copied == 0:
                raise OSError(errno.EIO, "the content became shorter")
            at += copied
    os.ftruncate(target, size)
