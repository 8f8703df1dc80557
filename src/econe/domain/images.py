"""Machine images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from econe.domain.reasons import Reason


class ImageState(StrEnum):
    PENDING = "pending"
    """Its content is on the way into the engine's own store."""
    AVAILABLE = "available"
    DISABLED = "disabled"
    """Its owner has put it away: nobody runs it, others do not see it."""
    FAILED = "failed"
    """The engine could not take its content; `state_reason` says why."""
    DEREGISTERED = "deregistered"


class DiskFormat(StrEnum):
    """How content is kept. Whatever was uploaded has become one of these two."""

    RAW = "raw"
    QCOW2 = "qcow2"


class BootMode(StrEnum):
    """Which firmware an image's disk can boot by, in EC2's words (API reference, Image)."""

    BIOS = "legacy-bios"
    UEFI = "uefi"
    UEFI_PREFERRED = "uefi-preferred"
    """By either."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes kept under the name of their hash; never changed once kept."""

    name: str
    """The first 32 hex digits of the BLAKE3 hash of what was uploaded; EC2's image location."""
    format: DiskFormat
    stored_bytes: int
    virtual_bytes: int
    """The size of the disk that a guest sees."""


@dataclass(frozen=True, slots=True)
class Placing:
    """Where and how an engine with a store of its own shall keep an image; empty: as set."""

    datastore: str = ""
    type: str = ""
    format: str = ""
    driver: str = ""


class Protection(StrEnum):
    """From deregistration, in EC2's words (API reference, Image)."""

    NONE = "disabled"
    ON = "enabled-without-cooldown"
    COOLING = "enabled-with-cooldown"
    """It lasts for a day after it was taken away."""


@dataclass(frozen=True, slots=True)
class Image:
    """An uploaded disk. It can be run, and is listed, once it is registered."""

    id: str
    account: str
    name: str
    location: str
    """The name of its content (Content.name)."""
    disk_format: DiskFormat
    size_bytes: int
    """Virtual size of the disk."""
    created_at: datetime
    registered: bool = False
    state: ImageState = ImageState.AVAILABLE
    public: bool = False
    description: str = ""
    architecture: str = "x86_64"
    root_device: str = "/dev/sda1"
    boot_mode: BootMode | None = None
    imds_v2: bool = False
    """Its software asks the metadata service with tokens (EC2's ImdsSupport v2.0), so its instances
    require them unless somebody said otherwise. Never taken back."""
    """None: its owner did not say."""
    uefi_data: str = ""
    """UEFI variables that its machines begin with (uefi_data.py)."""
    state_reason: Reason = Reason()
    engine_ref: str = ""
    """The engine's own name for it, where the engine keeps images itself."""
    adopted: bool = False
    """Made by others in the engine: deregistering hides it here and deletes nothing there."""
    placing: Placing = Placing()
    attempts: int = 0
    """Failed tries of the work plane since the last success."""
    retry_at: datetime | None = None
    problem: str = ""
    """Why it waits, for the operator."""
    deprecates_at: datetime | None = None
    deprecated: bool = False
    """Since that moment: others than its owner see it only if they ask for deprecated ones."""
    protection: Protection = Protection.NONE
    protected_until: datetime | None = None
    """Where a protection that has a cooldown was taken away."""
    version: int = 1
    shares: tuple[str, ...] = ()
    """Who may run it beside its owner: account numbers, and `group:<id>` for all of a group."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
