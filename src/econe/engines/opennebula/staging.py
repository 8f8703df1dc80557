"""Uploads on their way into oned: handed over as a file or as a URL.

oned copies an image by itself, after it has answered that it will, so what it copies from must
stay until the image is READY or in ERROR. It takes a path on its own machine, or a URL.

A path is dangerous in two ways. oned's drivers run as oneadmin and read whatever they are told to
(with SAFE_DIRS alone a user could register /etc/hostname; facts/opennebula.md 3), so what is told
to them is a name that we made, in a directory that is ours, and nothing of it comes from a user.
And other users of this machine must not read uploads. Their content is readable for all, since
oned's user is not ours; but the directory lets in only that user's group where we can arrange it
(as root, or as a member), and can never be listed, and the names in it cannot be guessed. Names
can be read in the process list while a driver copies: only the first of the two guards helps then.
The files are no copies but other names of the vault's, where that is possible. So they are given
to nobody: an owner could write to what the vault keeps.

A URL names a token that only oned is told. The token of a file is no part of its name: what a
caller asks for is hashed before anything is looked up, so that the time which a look-up takes
tells nothing, and no path that a caller writes is ever opened.

Names are made of the image's id and a key of ours. So a second try finds the file of the first,
also after a crash, and nobody else can tell which they are.
"""

import hashlib
import hmac
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.hidden import Hidden
from econe.domain.image_ports import ImageSpec
from econe.domain.images import DiskFormat
from econe.engines.opennebula.copying import convert, sha1_of, share
from econe.engines.opennebula.upload_way import Way, make_room

log = logging.getLogger(__name__)

FORGOTTEN_S: Final = 3600.0
"""How long a file stays that no image of oned's is made of: a call whose answer was lost may still
be under way, and what failed is tried again."""
MOST_SUMS: Final = 10000

_TOKEN: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Handed:
    """What oned is told of some content."""

    source: str
    """A path or a URL: PATH of an image's template."""
    sha1: str
    """Of the file. The fs and ceph drivers compare it with what they read, of paths too."""


@dataclass(slots=True)
class _File:
    since: float
    handed_at: float | None = None
    """When oned had an image of it; None while there is none that we know of."""


class Staging:
    """Implements ports.Staged. Thread-safe; one image is not handed over by two threads at once."""

    def __init__(
        self, way: Way, key: Hidden[bytes], *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._way, self._key, self._timer = way, key, timer
        self._tag = self._made_of("tag")[:8] + "-"
        self._lock = threading.Lock()
        self._files: dict[str, _File] = {}
        self._sums: dict[tuple[int, int, int, int], str] = {}

    def hand_over(self, spec: ImageSpec, into: DiskFormat) -> Handed:
        """Make the content readable for oned, as this kind of file. May be called again.

        Blocks: instantly where it can be linked, minutes where it must be copied or converted.
        Raises EngineBusy and EngineRefused.
        """
        token = self._token(spec.id)
        target = self._file_of(token)
        with self._lock:
            self._files.setdefault(target.name, _File(self._timer()))
        try:
            make_room(self._way)
            if into is spec.content_format:
                share(spec.path, target)
            else:
                convert(spec.path, spec.content_format, target, into)
            self._make_sure(target)
            sha1 = self._sum_of(target)
        except OSError as error:
            raise EngineBusy(f"{self._way.directory} cannot take an upload: {error}") from error
        return Handed(self._way.url_of(token) or str(target.resolve(strict=True)), sha1)

    def handed(self, image_id: str) -> None:
        """oned has an image of it now."""
        name = self._file_of(self._token(image_id)).name
        with self._lock:
            self._files.setdefault(name, _File(self._timer())).handed_at = self._timer()

    def take_back(self, image_id: str) -> None:
        """oned needs it no more. Nothing happens if it is not there."""
        self._remove(self._file_of(self._token(image_id)))

    def sweep(self, arriving: Collection[str], done: Collection[str], began: float) -> None:
        """Take back all but what images are still being copied from.

        `arriving` and `done` are ids of images, as oned told them after `began` (this object's
        timer); of an image that oned does not have, the file goes when it is certain that none
        will come.
        """
        try:
            found = [path for path in self._way.directory.iterdir() if self._is_ours(path)]
        except OSError:
            return  # there is none yet, or none that we may read: nothing is ours in it
        if not found:
            return
        needed, ended = self._names_of(arriving), self._names_of(done)
        for path in found:
            if path.name in ended or (
                path.name not in needed and self._is_forgotten(path.name, began)
            ):
                log.info("Removed an upload that is not needed any more file=%s", path.name)
                self._remove(path)

    def now(self) -> float:
        """For `sweep`."""
        return self._timer()

    def open(self, token: str) -> BinaryIO | None:
        """See ports.Staged."""
        if not self._way.by_url or not _TOKEN.fullmatch(token):
            return None
        try:
            descriptor = os.open(
                self._file_of(token), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            )
        except OSError:
            return None
        return open(descriptor, "rb")  # noqa: PTH123 - a descriptor; the caller closes it

    # --- names -----------------------------------------------------------------------------

    def _made_of(self, text: str) -> str:
        return hmac.new(self._key.reveal(), text.encode(), hashlib.sha256).hexdigest()

    def _token(self, image_id: str) -> str:
        return self._made_of(f"token {image_id}")

    def _file_of(self, token: str) -> Path:
        hidden = hashlib.sha256(token.encode()).hexdigest()[:40]
        return self._way.directory / (self._tag + hidden)

    def _names_of(self, image_ids: Collection[str]) -> set[str]:
        return {self._file_of(self._token(image_id)).name for image_id in image_ids}

    def _is_ours(self, path: Path) -> bool:
        """Others may use the directory: another econe, an administrator."""
        return path.name.startswith(self._tag)

    # --- files -----------------------------------------------------------------------------

    def _make_sure(self, target: Path) -> None:
        """That oned is told of a file in our directory and of nothing else."""
        inside = self._way.directory.resolve(strict=True) / target.name
        if target.resolve(strict=True) != inside or not stat.S_ISREG(target.lstat().st_mode):
            raise EngineRefused("The cloud could not do this.", f"{target} is no file of ours")

    def _sum_of(self, path: Path) -> str:
        """Content that several images share is read once."""
        found = path.stat()
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        known = self._sums.get(key)
        if known is None:
            if len(self._sums) >= MOST_SUMS:
                self._sums.clear()
            known = self._sums[key] = sha1_of(path)
        return known

    def _is_forgotten(self, name: str, began: float) -> bool:
        now = self._timer()
        with self._lock:
            # One of an earlier process counts from now on: its call may be under way, too.
            file = self._files.setdefault(name, _File(now))
            if file.handed_at is not None:
                return file.handed_at < began
            return now - file.since > FORGOTTEN_S

    def _remove(self, path: Path) -> None:
        with self._lock:
            self._files.pop(path.name, None)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("Cannot remove an upload file=%s error=%s", path, error)
