"""Looks at an uploaded file, in a process of its own: is it a disk, and of what form?

An upload is hostile until this has looked at it. The vault starts this file as a script (no site
packages, so nothing but the standard library is here) in a directory that holds the upload as
`data`, with one JSON argument: a Task. It takes limits on itself, gives up root if it has it, and
prints one JSON line: {"format", "file"}, or {"refused": sentence}, or {"full": true}.

Which driver QEMU's tool uses is decided here, by the magic numbers of a few known formats, and
said to it with -f; it never probes, so the content of a raw disk can choose nothing. Formats that
can name other files (a backing file, a data file, extents) are read here before QEMU opens them.
"""

import errno
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

SECTOR = 512
CHUNK = 1 << 20
QEMU_IMG = "qemu-img"
NOBODY = 65534
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The last is by our own limit on the length of files."""

# More than this many bytes that are not zero from one compressed byte is no disk; real ones give
# 2 to 20. A small file may do as it likes.
BOMB_RATIO = 200
BOMB_LEAST = 1 << 30
XZ_MEMORY = 256 << 20


class NotADisk(Exception):  # noqa: N818 - the file's fault
    """A sentence for the user."""


class NoRoom(Exception):  # noqa: N818 - the host's fault
    """The disk has too little free space for what the file unfolds to."""


class Task:
    """What the vault asks; see `limit` for what the numbers mean."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.most_virtual_bytes: int = said["most_virtual_bytes"]
        self.keep_free_bytes: int = said["keep_free_bytes"]
        self.memory_bytes: int = said["memory_bytes"]
        self.seconds: int = said["seconds"]


def main() -> None:
    task = Task(json.loads(sys.argv[1]))
    limit(task)
    try:
        answer = examine(task)
    except NotADisk as problem:
        answer = {"refused": str(problem)}
    except MemoryError:
        answer = {"refused": "The file needs more memory to be unpacked than is allowed."}
    except NoRoom:
        answer = {"full": True}
    except OSError as problem:
        if problem.errno not in FULL:
            raise
        answer = {"full": True}
    print(json.dumps(answer))  # noqa: T201 - the answer


def limit(task: Task) -> None:
    """Limits that also hold for QEMU's tool, and no more rights than to this directory.

    Its threads have small stacks, so that they fit into the memory (see also vault_probe: one
    allocator arena instead of one for each thread).
    """
    for what, most in (
        (resource.RLIMIT_AS, task.memory_bytes),
        (resource.RLIMIT_CPU, task.seconds),
        (resource.RLIMIT_FSIZE, 2 * task.most_virtual_bytes),
        (resource.RLIMIT_STACK, 1 << 20),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (most, most))
    if os.geteuid() == 0:
        # Now: nobody may not read the library where it lies in root's home.
        import bz2  # noqa: F401
        import lzma  # noqa: F401
        import subprocess  # noqa: F401
        import zlib  # noqa: F401

        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def room(task: Task) -> int:
    """How many bytes may still be written here."""
    found = os.statvfs(".")
    return found.f_bavail * found.f_frsize - task.keep_free_bytes


def examine(task: Task) -> dict[str, Any]:
    file = "data"
    if os.path.getsize(file) == 0:  # noqa: PTH202 - pathlib takes 5 ms to load
        raise NotADisk("The file is empty.")
    packing = packing_of(file)
    if packing:
        unfold(file, packing, "unfolded", task)
        file = "unfolded"
        if packing_of(file):
            raise NotADisk("The file is compressed more than once.")
    disk_format = format_of(file)
    if disk_format == "raw":
        check_raw(file)
        virtual_bytes = os.path.getsize(file)  # noqa: PTH202
    else:
        try:
            CHECKS[disk_format](file)
        except struct.error:
            raise NotADisk(f"The {disk_format} image is cut off inside its header.") from None
        virtual_bytes = check_with_qemu(file, disk_format)
    if virtual_bytes > task.most_virtual_bytes:
        raise too_large(task)
    if virtual_bytes == 0:
        raise NotADisk("The image is of a disk without size.")
    if disk_format not in ("raw", "qcow2") or needs_rewriting(file, disk_format):
        convert(file, disk_format, task)
        file, disk_format = "converted", "qcow2"
    return {"format": disk_format, "file": file}


def too_large(task: Task) -> NotADisk:
    gib = task.most_virtual_bytes / (1 << 30)
    return NotADisk(f"The disk is larger than {gib:g} GiB, the most that is allowed.")


def head_of(file: str, length: int = 1 << 17) -> bytes:
    with open(file, "rb") as opened:  # noqa: PTH123
        return opened.read(length)


def tail_of(file: str, length: int = SECTOR) -> bytes:
    with open(file, "rb") as opened:  # noqa: PTH123
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - length))
        return opened.read(length)


# --- what surrounds a disk -----------------------------------------------------------------

_PACKINGS = ((b"\x1f\x8b", "gz"), (b"\xfd7zXZ\0", "xz"), (b"(\xb5/\xfd", "zst"), (b"BZh", "bz2"))


def packing_of(file: str) -> str | None:
    head = head_of(file, 8)
    return next((name for magic, name in _PACKINGS if head.startswith(magic)), None)


def unfold(file: str, packing: str, into: str, task: Task) -> None:
    """Write the file without its compression. Stretches of zeros take up no space."""
    written = 0
    total = 0
    most_written = max(BOMB_LEAST, BOMB_RATIO * os.path.getsize(file))  # noqa: PTH202
    zeros = bytes(CHUNK)
    with open(file, "rb") as packed, open(into, "wb", buffering=0) as out:  # noqa: PTH123
        for piece in _PIECES[packing](packed):
            total += len(piece)
            if total > task.most_virtual_bytes:
                raise too_large(task)
            if piece == zeros[: len(piece)]:
                out.seek(len(piece), os.SEEK_CUR)
                continue
            written += len(piece)
            if written > most_written:
                raise NotADisk("The file unfolds to far more than a compressed disk would.")
            if room(task) < len(piece):
                raise NoRoom
            write_all(out, piece)
        out.truncate(total)
    if total == 0:
        raise NotADisk("The compressed file is empty.")


def write_all(out: Any, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[out.write(view) :]


class _Gunzip:
    """zlib behind the interface that lzma's and bz2's readers have."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(31)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _gunzip() -> Any:
    return _Gunzip()


def _unxz() -> Any:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


def _bunzip() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _with(make: Callable[[], Any]) -> Callable[[BinaryIO], Iterator[bytes]]:
    def pieces(packed: BinaryIO) -> Iterator[bytes]:
        try:
            yield from _unpacked(packed, make)
        except (NotADisk, MemoryError, ImportError):
            raise
        except Exception as problem:  # zlib.error, LZMAError, OSError and EOFError by turns
            if isinstance(problem, OSError) and problem.errno is not None:
                raise
            raise NotADisk("The compressed file is damaged.") from problem

    return pieces


def _unpacked(packed: BinaryIO, make: Callable[[], Any]) -> Iterator[bytes]:
    """One compressed stream after the other, as the tools write them into one file."""
    data = packed.read(CHUNK)
    while True:
        reader = make()
        while not reader.eof:
            if reader.needs_input and not data:
                data = packed.read(CHUNK)
                if not data:
                    raise NotADisk("The compressed file is cut off before its end.")
            piece = reader.decompress(data, CHUNK)
            data = b""
            if piece:
                yield piece
        data = reader.unused_data or packed.read(CHUNK)
        while data and not data.strip(b"\0"):  # padding
            data = packed.read(CHUNK)
        if not data:
            return


def _unzstd(packed: BinaryIO) -> Iterator[bytes]:
    """Python 3.11 has no reader for it; the tool is asked."""
    import subprocess

    command = ["zstd", "-d", "-c", "-q", "--memory=256MB"]
    try:
        child = subprocess.Popen(
            command, stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except (FileNotFoundError, PermissionError):
        raise NotADisk(
            "The file is compressed with zstd, which this server cannot unpack: the program 'zstd' "
            "is not installed. Send it uncompressed, or as gz or xz."
        ) from None
    with child:
        assert child.stdout is not None
        assert child.stderr is not None
        while piece := child.stdout.read(CHUNK):
            yield piece
        said = child.stderr.read(4096)
    if child.returncode != 0:
        cut = b"premature" in said or b"truncated" in said
        how = "cut off before its end" if cut else "damaged"
        raise NotADisk(f"The compressed file is {how}.")


_PIECES: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {
    "gz": _with(_gunzip),
    "xz": _with(_unxz),
    "bz2": _with(_bunzip),
    "zst": _unzstd,
}


# --- which format --------------------------------------------------------------------------


def format_of(file: str) -> str:
    head = head_of(file, SECTOR)
    if head.startswith(b"QFI\xfb"):
        return "qcow2"
    if head.startswith((b"KDMV", b"COWD")):
        return "vmdk"
    if head.startswith(b"vhdxfile"):
        return "vhdx"
    if head[0x40:0x44] == b"\x7f\x10\xda\xbe":
        return "vdi"
    if head.startswith(b"conectix") or tail_of(file).startswith(b"conectix"):
        return "vpc"
    return "raw"


_FILE_SYSTEMS = (
    (1080, b"\x53\xef"),  # ext2, ext3, ext4
    (0, b"XFSB"),
    (65600, b"_BHRfS_M"),  # btrfs
    (32769, b"CD001"),  # ISO 9660
)
_NO_DISKS = (
    (0, b"PK\x03\x04", "a zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"# Disk DescriptorFile", "a VMDK descriptor, which only names the files of a disk"),
)


def check_raw(file: str) -> None:
    """A raw disk has no header of its own; what boots has a boot sector or a file system."""
    size, head = os.path.getsize(file), head_of(file)  # noqa: PTH202
    for at, magic, what in _NO_DISKS:
        if head[at : at + len(magic)] == magic:
            raise NotADisk(f"The file is {what}, not a disk image.")
    known = any(head[at : at + len(magic)] == magic for at, magic in _FILE_SYSTEMS)
    partitioned = head[510:512] == b"\x55\xaa" or b"EFI PART" in (head[512:520], head[4096:4104])
    if not known and not partitioned:
        raise NotADisk(
            "The file is not a disk image: it has neither a boot sector, nor a partition table, "
            "nor a known file system, and is not qcow2, VMDK, VDI or VHD."
        )
    if size % SECTOR:
        raise NotADisk(
            f"The file is {size} bytes long, which is no whole number of {SECTOR}-byte sectors. "
            "It may have been cut off."
        )


# --- formats with headers, read before QEMU opens them --------------------------------------


def check_qcow2(file: str) -> None:
    """https://www.qemu.org/docs/master/interop/qcow2.html"""
    head = head_of(file, 104)
    version, backing_at = struct.unpack_from(">IQ", head, 4)
    (encryption,) = struct.unpack_from(">I", head, 32)
    if version not in (2, 3):
        raise NotADisk(f"The qcow image has version {version}; versions 2 and 3 are supported.")
    if backing_at:
        raise NotADisk("The qcow2 image names a backing file. Convert it to one that needs none.")
    if encryption:
        raise NotADisk("The qcow2 image is encrypted.")
    if version == 3:
        (features,) = struct.unpack_from(">Q", head, 72)
        if features & 0b100:
            raise NotADisk("The qcow2 image keeps its data in another file.")
        if features & 0b010:
            raise NotADisk("The qcow2 image is marked as corrupt.")


def check_vmdk(file: str) -> None:
    head = head_of(file, 44)
    if head.startswith(b"COWD"):
        raise NotADisk("The VMDK is of the old ESX form, which is not supported.")
    capacity, _, descriptor_at, descriptor_length = struct.unpack_from("<QQQQ", head, 12)
    if capacity == 0:
        raise NotADisk("The VMDK names other files as its extents. Send it as one file.")
    with open(file, "rb") as opened:  # noqa: PTH123
        opened.seek(min(descriptor_at * SECTOR, os.path.getsize(file)))  # noqa: PTH202
        descriptor = opened.read(min(descriptor_length, 2048) * SECTOR).lower()
    if not descriptor_at or not descriptor.strip(b"\0"):
        raise NotADisk("The VMDK is one of several files of a disk. Send it as one file.")
    if b"parentfilenamehint" in descriptor:
        raise NotADisk("The VMDK names a parent disk. Convert it to one that needs none.")


def check_vdi(file: str) -> None:
    head = head_of(file, SECTOR)
    if head[0x1A8:0x1B8].strip(b"\0") or head[0x1B8:0x1C8].strip(b"\0"):
        raise NotADisk("The VDI names a parent disk. Convert it to one that needs none.")
    (data_at,) = struct.unpack_from("<I", head, 0x158)
    block_bytes, _, _, blocks = struct.unpack_from("<4I", head, 0x178)
    if data_at + block_bytes * blocks > os.path.getsize(file):  # noqa: PTH202
        raise NotADisk("The VDI is cut off before its end.")


def check_vpc(file: str) -> None:
    footer = tail_of(file)
    if not footer.startswith(b"conectix"):
        raise NotADisk("The VHD is cut off: it has no footer.")
    (kind,) = struct.unpack_from(">I", footer, 60)
    if kind not in (2, 3):
        raise NotADisk("The VHD is a differencing disk. Convert it to one that needs no parent.")


def check_vhdx(file: str) -> None:
    """QEMU itself refuses those that name a parent; this says only that there is enough of it."""
    if os.path.getsize(file) < 1 << 20:  # noqa: PTH202
        raise NotADisk("The VHDX is cut off inside its header.")


CHECKS: dict[str, Callable[[str], None]] = {
    "qcow2": check_qcow2,
    "vmdk": check_vmdk,
    "vdi": check_vdi,
    "vpc": check_vpc,
    "vhdx": check_vhdx,
}


def needs_rewriting(file: str, disk_format: str) -> bool:
    """A qcow2 with snapshots of its own, or in need of repair, is written anew without them."""
    if disk_format != "qcow2":
        return False
    head = head_of(file, 104)
    (snapshots,) = struct.unpack_from(">I", head, 60)
    dirty = head[7] == 3 and struct.unpack_from(">Q", head, 72)[0] & 1
    return bool(snapshots or dirty)


# --- what QEMU's tool says -----------------------------------------------------------------


def check_with_qemu(file: str, disk_format: str) -> int:
    """The virtual size. Raises NotADisk for damage, and once more for other files."""
    told = json.loads(qemu(["info", "--output=json", "-f", disk_format, file], "unreadable"))
    details = told.get("format-specific", {}).get("data", {})
    extents = details.get("extents", [])
    if told.get("backing-filename") or details.get("data-file"):
        raise NotADisk("The image names another file.")
    if any(extent.get("filename", file) != file for extent in extents):
        raise NotADisk("The image names other files as its extents.")
    if told.get("encrypted"):
        raise NotADisk("The image is encrypted.")
    if disk_format in ("qcow2", "vmdk", "vdi"):
        # 3: clusters are lost, which harms nobody. 63: this kind of image has no check.
        qemu(["check", "-q", "-f", disk_format, file], "damaged", fine=(0, 3, 63))
    check_complete(file, disk_format)
    return int(told["virtual-size"])


def check_complete(file: str, disk_format: str) -> None:
    """QEMU reads zeros behind the end of a file, so one that is cut off would pass unnoticed."""
    import subprocess

    size = os.path.getsize(file)  # noqa: PTH202
    command = [QEMU_IMG, "map", "--output=json", "-f", disk_format, file]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for line in child.stdout:  # one entry a line; there may be millions
            entry = json.loads(line.strip().strip(b"[],") or b"{}")
            if "offset" in entry and entry["offset"] + entry["length"] > size:
                child.kill()
                raise NotADisk(f"The {disk_format} image is cut off before its end.")
    if child.returncode != 0:
        raise NotADisk("The image is unreadable.")


def convert(file: str, disk_format: str, task: Task) -> None:
    """Tables of a disk may name one cluster a million times: that is a bomb, too."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    most_written = max(BOMB_LEAST, BOMB_RATIO * os.path.getsize(file))  # noqa: PTH202
    allowed = min(most, room(task))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(0, min(allowed, most_written)), most))
    try:
        qemu(["convert", "-f", disk_format, "-O", "qcow2", file, "converted"], "unreadable")
    except NoRoom:
        if allowed > most_written:
            raise NotADisk("The file unfolds to far more than a disk of its size holds.") from None
        raise


def qemu(words: list[str], otherwise: str, fine: tuple[int, ...] = (0,)) -> str:
    import subprocess

    try:
        done = subprocess.run(
            [QEMU_IMG, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except (FileNotFoundError, PermissionError):
        raise NotADisk(
            "Only raw disk images can be taken: the program 'qemu-img' is not installed on this "
            "server."
        ) from None
    if done.returncode in fine:
        return done.stdout
    full = any(os.strerror(code) in done.stderr for code in FULL)
    writes = words[0] == "convert"  # what only reads says so of sizes in the file's own header
    if (writes and full) or -done.returncode == signal.SIGXFSZ:
        raise NoRoom
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        raise NotADisk("The image takes too long to be examined.")
    sys.stderr.write(f"qemu-img {' '.join(words)}: {done.returncode} {done.stderr[-2000:]}")
    raise NotADisk(f"The {words[words.index('-f') + 1]} image is {otherwise}.")


if __name__ == "__main__":
    main()
