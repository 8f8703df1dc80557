"""A vault in memory: what front does with one, without disks and child processes."""

import hashlib
import threading
from pathlib import Path

from econe.domain.faults import Invalid, LimitExceeded, NoCapacity, Noun
from econe.domain.images import Content, DiskFormat


class MemoryVault:
    """Keeps what begins with `DISK`; refuses the rest as no disk image."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.open: list[MemoryUpload] = []
        self.most_bytes = 1 << 30
        self.room_bytes = 1 << 30
        self.largest_write = 0
        self.writers: set[str] = set()
        """Names of the threads that wrote."""

    def receive(self) -> "MemoryUpload":
        upload = MemoryUpload(self)
        self.open.append(upload)
        return upload

    def path(self, location: str, disk_format: DiskFormat) -> Path:
        return Path(f"/nowhere/{location}.{disk_format}")

    def locations(self) -> set[str]:
        return set(self.kept)

    def forget(self, location: str) -> None:
        self.kept.pop(location, None)

    def sweep(self, older_than_s: float) -> int:
        return 0


class MemoryUpload:
    def __init__(self, vault: MemoryVault) -> None:
        self._vault = vault
        self.data = bytearray()

    def write(self, chunk: bytes) -> None:
        self.data += chunk
        self._vault.largest_write = max(self._vault.largest_write, len(chunk))
        self._vault.writers.add(threading.current_thread().name)
        if len(self.data) > self._vault.most_bytes:
            raise LimitExceeded(Noun.IMAGE)
        if len(self.data) > self._vault.room_bytes:
            raise NoCapacity(Noun.IMAGE, hidden="no space left on device")

    def finish(self) -> Content:
        if not self.data.startswith(b"DISK"):
            raise Invalid(Noun.IMAGE, "it is empty" if not self.data else "unknown format")
        location = hashlib.sha256(self.data).hexdigest()[:32]
        self._vault.kept[location] = bytes(self.data)
        self._vault.open.remove(self)
        return Content(location, DiskFormat.RAW, len(self.data), len(self.data))

    def abort(self) -> None:
        if self in self._vault.open:
            self._vault.open.remove(self)
