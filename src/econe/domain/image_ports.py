"""What the domain needs of engines that keep images themselves. The promises of engine ports hold
(engine_ports.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from econe.domain.images import DiskFormat, ImageState, Placing


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """All that an engine with a store of its own is told of an image."""

    id: str
    account: str
    name: str
    description: str
    path: Path
    """The content, as the vault keeps it."""
    content_format: DiskFormat
    size_bytes: int
    architecture: str = "x86_64"
    placing: Placing = Placing()


@dataclass(frozen=True, slots=True)
class SeenImage:
    """An image as the engine shows it now."""

    ref: str
    id: str
    """Ours, if it was made by ensure(); else empty."""
    account: str
    name: str
    state: ImageState
    registered: bool
    """Whether the engine has it marked as a machine image."""
    public: bool
    shares: tuple[str, ...]
    """As Image.shares."""
    size_bytes: int
    location: str
    content_format: DiskFormat
    created_at: datetime
    description: str = ""
    why: str = ""
    """Why it failed, for the operator."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What an older econe kept there."""


class Images(Protocol):
    """Content, where the engine keeps it itself. See the promises of engine ports."""

    def ensure(self, spec: ImageSpec) -> str:
        """Hand over the content if no image carries `spec.id`; otherwise adopt that one. The
        answer is the engine's name for it. look() tells when it is AVAILABLE or FAILED; until then
        `spec.path` must stay."""

    def look(self) -> Mapping[str, SeenImage]:
        """All that are ours or marked as machine images, of every account, by the engine's name."""

    def mark(self, ref: str, *, registered: bool) -> None:
        """Mark it as a machine image, or take the mark away. Nothing happens if it is absent."""

    def remove(self, ref: str) -> None:
        """Raises EngineBusy while machines need it. Nothing happens if it is absent."""


class Staged(Protocol):
    """Content on its way into an engine that fetches it from our own door (front/staged.py)."""

    def open(self, token: str) -> BinaryIO | None:
        """The content behind a secret token, at its beginning; the caller closes it.

        None for what is no token or one no longer, in a time that tells nothing of the tokens that
        there are. Any thread; touches the disk.
        """
