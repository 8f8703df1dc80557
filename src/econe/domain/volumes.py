"""Volumes: an instance's root disk is one from its first second."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class VolumeState(StrEnum):
    CREATING = "creating"
    AVAILABLE = "available"
    IN_USE = "in-use"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk and, while `instance_id` is set, its attachment. Devices are unique per instance."""

    id: str
    account: str
    size_gib: int
    zone: str
    state: VolumeState
    created_at: datetime
    image_id: str | None = None
    """The image it was made of, for root disks."""
    volume_type: str = "gp3"
    instance_id: str | None = None
    device: str | None = None
    attached_at: datetime | None = None
    delete_on_termination: bool = False
    version: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
