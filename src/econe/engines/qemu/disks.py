"""Volumes: qcow2 files in `<state>/volumes`, those of images as overlays over their content.

An overlay costs the same to make whatever the size of the image. A volume is made under another
name and then renamed, so that a volume that has its name is whole.
"""

import os
import re
import struct
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import DiskSpec, EngineBusy, EngineRefused
from econe.domain.images import DiskFormat
from econe.domain.ports import Vault
from econe.durable import sync_directory
from econe.engines.qemu.command import Drive
from econe.engines.qemu.place import busy_if_the_system_fails

GIB: Final = 1 << 30
CREATE_S: Final = 60.0

_PART: Final = ".part"
_ID: Final = re.compile("vol-[0-9a-z]+")
_FILE: Final = re.compile(rf"({_ID.pattern})\.qcow2(\.part)?")
"""Whatever else lies there is none of ours."""
_QCOW2_SIZE: Final = struct.Struct(">4s20xQ")
"""Magic, and at offset 24 the virtual size in bytes (QEMU, docs/interop/qcow2.txt)."""


class QemuDisks:
    """ports.Disks, and what the machines need of volumes."""

    def __init__(self, directory: Path, vault: Vault) -> None:
        self._directory, self._vault = directory, vault

    def remove(self, volume_id: str) -> None:
        path = self.path(volume_id)
        with busy_if_the_system_fails():
            path.unlink(missing_ok=True)
            _part(path).unlink(missing_ok=True)

    def look(self) -> set[str]:
        if not self._directory.is_dir():
            return set()
        with busy_if_the_system_fails():
            names = [path.name for path in self._directory.iterdir()]
        return {found[1] for name in names if (found := _FILE.fullmatch(name))}

    def path(self, volume_id: str) -> Path:
        if not _ID.fullmatch(volume_id):
            raise ValueError(f"no volume id: {volume_id!r}")
        return self._directory / f"{volume_id}.qcow2"

    def ensure(self, disk: DiskSpec) -> None:
        """Make it unless it is there. Raises EngineRefused if its content is gone or larger than
        the volume is to be, EngineBusy if the disk is full."""
        path = self.path(disk.volume_id)
        if path.exists():
            return
        part = _part(path)
        words = ["qemu-img", "create", "-q", "-f", "qcow2"]
        if disk.location:
            content = self._content(disk)
            below = os.path.relpath(content, self._directory)
            # -u: the content is not opened. It was proven when it was received.
            words += ["-u", "-b", below, "-F", str(disk.content_format)]
        part.unlink(missing_ok=True)
        self._create([*words, part.name, str(disk.size_gib * GIB)])
        with part.open("rb") as made:
            os.fsync(made.fileno())
        part.rename(path)
        sync_directory(self._directory)

    def open(self, disk: DiskSpec, held: ExitStack) -> Drive:
        """The volume and its content as open files, closed with `held`."""
        path = self.path(disk.volume_id)
        fd = _open(path, os.O_RDWR, held)
        if not disk.location:
            return Drive(disk.volume_id, fd)
        backing = _open(self._content(disk), os.O_RDONLY, held)
        return Drive(disk.volume_id, fd, backing, disk.content_format)

    def _content(self, disk: DiskSpec) -> Path:
        content = self._vault.path(disk.location, disk.content_format)
        try:
            size = virtual_bytes(content, disk.content_format)
        except FileNotFoundError as error:
            raise EngineRefused("The image's content is gone.", str(content)) from error
        if size > disk.size_gib * GIB:
            raise EngineRefused(
                f"The image is larger than the volume of {disk.size_gib} GiB.",
                f"{content}: {size} bytes",
            )
        return content

    def _create(self, words: list[str]) -> None:
        try:
            done = subprocess.run(
                words,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CREATE_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise EngineRefused("The program 'qemu-img' is not installed.", str(error)) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineBusy(f"qemu-img: {error}") from error
        if done.returncode != 0:
            raise EngineBusy(f"qemu-img: {done.stderr.strip()}")


def virtual_bytes(content: Path, disk_format: DiskFormat) -> int:
    """The size of the disk that a guest sees. Raises FileNotFoundError."""
    if disk_format is DiskFormat.RAW:
        return content.stat().st_size
    with content.open("rb") as file:
        magic, size = _QCOW2_SIZE.unpack(file.read(_QCOW2_SIZE.size))
    if magic != b"QFI\xfb":
        raise EngineRefused("The image's content is damaged.", f"{content} is no qcow2")
    return int(size)


def _part(path: Path) -> Path:
    return path.with_name(path.name + _PART)


def _open(path: Path, flags: int, held: ExitStack) -> int:
    try:
        fd = os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise EngineRefused("A disk of the machine is gone.", str(path)) from error
    held.callback(os.close, fd)
    return fd
