"""Machine images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ImageState(StrEnum):
    AVAILABLE = "available"
    DEREGISTERED = "deregistered"


class DiskFormat(StrEnum):
    """How content is kept. Whatever was uploaded has become one of these two."""

    RAW = "raw"
    QCOW2 = "qcow2"


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
    version: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
