"""The datastore's driver: how large a source is, and the copy of it.

Read from remotes/libfs.sh, downloader.sh and fs/cp of 7.0.2, and watched at a real oned: of an
http source the driver reads the head twice (a GET that it drops after 64 KiB); unless that is a
qcow2 it reads the head once more and asks HEAD for the length. To copy, it reads the head again,
then all, up to four times. The stand-in asks the same, keeps nothing, and remembers the digest.
"""

import hashlib
import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.support.oned.errors import INTERNAL, Refused
from tests.support.oned.images import Image
from tests.support.oned.objects import Datastore

if TYPE_CHECKING:
    from tests.support.oned.world import World

_HEAD = 65536
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_CHUNK = 1 << 20
_ATTEMPTS = 4
"""curl's: one and three more. It waits between them, 1, 2 and 4 seconds; the stand-in does not."""


class Sources(Protocol):
    """The files that the front-end host sees."""

    def real(self, path: str) -> str:
        """Without links and dots, as `readlink -f` prints it."""

    def head(self, path: str) -> bytes:
        """The first bytes. Raises OSError."""

    def size(self, path: str) -> int:
        """Bytes. Raises OSError."""

    def chunks(self, path: str) -> Iterator[bytes]: ...


class RealFiles:
    def real(self, path: str) -> str:
        return str(Path(path).resolve())

    def head(self, path: str) -> bytes:
        with Path(path).open("rb") as file:
            return file.read(_HEAD)

    def size(self, path: str) -> int:
        return Path(path).stat().st_size

    def chunks(self, path: str) -> Iterator[bytes]:
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


class Copies:
    def __init__(self, world: "World", sources: Sources) -> None:
        self._world = world
        self.sources = sources
        self.digests: dict[int, str] = {}
        """SHA-256 of what was copied, by image."""
        self._threads: list[threading.Thread] = []

    def wait(self) -> bool:
        """For downloads that are under way; True if there was any."""
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()
        return bool(threads)

    def size_mb(self, datastore: Datastore, path: str) -> int:
        """Raises Refused with what the driver prints."""
        if datastore.ds_mad == "dummy":
            return 1024
        length = _remote_size(path) if _is_remote(path) else self._local_size(path)
        if length == 0:
            raise _no_size("Runtime error during size estimation")
        return -(-length // (1 << 20))

    def format(self, datastore: Datastore, path: str) -> str:
        if datastore.ds_mad == "dummy":
            return "dummy_format"
        head = b""
        if not _is_remote(path):
            head = self.sources.head(path)
        return "qcow2" if head[:4] == b"QFI\xfb" else "raw"

    def _local_size(self, path: str) -> int:
        try:
            return _virtual_size(self.sources.head(path)) or self.sources.size(path)
        except IsADirectoryError:
            # `du` counts it, and the copy fails.
            return self.sources.size(path)
        except OSError as error:
            raise _no_size(f"cannot access '{path}' ({error.strerror})") from error

    def is_restricted(self, datastore: Datastore, path: str) -> bool:
        """By `readlink -f` and plain prefixes: `/srv/a` also lets in `/srv/ab`."""
        if _is_remote(path):
            return False
        real = self.sources.real(path)
        if any(real.startswith(safe) for safe in datastore.directories("SAFE_DIRS")):
            return False
        return any(real.startswith(each) for each in datastore.directories("RESTRICTED_DIRS"))

    def start(self, image: Image, datastore: Datastore) -> None:
        """Copy now, or begin to; tells life of the end. The world's lock is held."""
        life = self._world.image_life
        if datastore.ds_mad == "dummy" or not image.path:
            life.copied(image.id, "dummy_path" if datastore.ds_mad == "dummy" else None, "")
        elif self.is_restricted(datastore, image.path):
            life.not_copied(
                image.id,
                f"Not allowed to copy image from {image.path}, check RESTRICTED_DIRS in your"
                " datastore",
            )
        elif _is_remote(image.path):
            thread = threading.Thread(target=self._copy, args=(image,), daemon=True)
            self._threads.append(thread)
            thread.start()
        else:
            self._copy(image)

    def _copy(self, image: Image) -> None:
        said = ""
        content = None
        for _ in range(_ATTEMPTS if _is_remote(image.path) else 1):
            try:
                content = self._read(image)
                break
            except _Short as short:
                said += f"curl: (18) transfer closed with {short.missing} bytes remaining to read"
            except (OSError, http.client.HTTPException):
                said += "curl: (56) Recv failure" if _is_remote(image.path) else ""
        with self._world.lock:
            life = self._world.image_life
            if content is None or not content.is_as_wanted(image):
                # Of a wrong checksum oned says nothing but that the copy failed.
                said += "Error copying" if content is None else ""
                life.not_copied(
                    image.id, f"{said}Error copying {image.path} to {life.place_of(image)}"
                )
                return
            self.digests[image.id] = content.sha256.hexdigest()
            life.copied(image.id, None, content.format)

    def _read(self, image: Image) -> "_Content":
        remote = _is_remote(image.path)
        content = _Content()
        for chunk in _download(image.path) if remote else self.sources.chunks(image.path):
            content.add(chunk)
        return content


class _Content:
    """What was read, as far as it is kept: digests and the first bytes."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self._others = {
            "MD5": hashlib.md5(usedforsecurity=False),
            "SHA1": hashlib.sha1(usedforsecurity=False),
        }
        self._first = b""

    def add(self, chunk: bytes) -> None:
        self._first = self._first or chunk[:4]
        for each in (self.sha256, *self._others.values()):
            each.update(chunk)

    @property
    def format(self) -> str:
        return "qcow2" if self._first == b"QFI\xfb" else "raw"

    def is_as_wanted(self, image: Image) -> bool:
        """By the attributes MD5 and SHA1 of the image."""
        return all(
            image.template.get(name, found.hexdigest()) == found.hexdigest()
            for name, found in self._others.items()
        )


class _Short(Exception):  # noqa: N818 - as curl says it
    def __init__(self, missing: int) -> None:
        super().__init__()
        self.missing = missing


def _is_remote(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def _no_size(text: str) -> Refused:
    return Refused(INTERNAL, f"Cannot parse image SIZE: {text}")


def _virtual_size(head: bytes) -> int:
    """Of a qcow2, from its header; 0 of anything else."""
    return int.from_bytes(head[24:32], "big") if head[:4] == b"QFI\xfb" else 0


def _remote_size(url: str) -> int:
    try:
        _remote_head(url)
        virtual = _virtual_size(_remote_head(url))
        if not virtual:
            _remote_head(url)
    except (OSError, http.client.HTTPException) as error:
        # The script asks whether the URL is a readable file, which it never is.
        raise _no_size(f"cannot access '{url}' (Permission denied)") from error
    if virtual:
        return virtual
    request = urllib.request.Request(url, method="HEAD")
    try:
        with _OPENER.open(request, timeout=60) as answer:
            length = answer.headers.get("Content-Length")
    except (urllib.error.URLError, http.client.HTTPException) as error:
        raise _no_size("Unsupported remote image format") from error
    if length is None:
        raise _no_size("Unsupported remote image format")
    return int(length)


def _remote_head(url: str) -> bytes:
    with _OPENER.open(url, timeout=60) as answer:
        head: bytes = answer.read(_HEAD)
        return head


def _download(url: str) -> Iterator[bytes]:
    _remote_head(url)
    with _OPENER.open(url, timeout=60) as answer:
        expected = answer.headers.get("Content-Length")
        got = 0
        # read1, since read takes a body that ends early for an error of its own.
        while chunk := answer.read1(_CHUNK):
            got += len(chunk)
            yield chunk
        if expected is not None and got != int(expected):
            raise _Short(int(expected) - got)
