"""The operator's images: files and downloads that become registered images, for one account or all.

The way of an upload, without the door: the vault receives and proves the content, whatever it is
and wherever it comes from, and the gallery keeps the row. Works on the state directory, beside a
server that runs or without one. Nothing is written of what cannot be checked, and nothing is left
of what does not come to its end.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from econe import checksums, downloads
from econe.checksums import Checksum, NoChecksum
from econe.domain import account_book
from econe.domain.accounts import Account, Limits
from econe.domain.booting import check_architecture
from econe.domain.engine_ports import Capabilities
from econe.domain.gallery import (
    HOLDING_NAMES,
    Gallery,
    Registration,
    check_description,
    check_name,
)
from econe.domain.image_book import ImageBook
from econe.domain.images import BootMode, Content, Image
from econe.domain.ports import Store, Transaction, Vault
from econe.domain.queries import Criterion, Query, literally
from econe.domain.tagging import check_tags
from econe.downloads import CannotDownload, Progress

CHUNK_BYTES: Final = 1 << 20
MOST_SUMS_BYTES: Final = 1 << 20
"""Of a file of checksums; the longest that Debian and Ubuntu publish have some ten KiB."""
_SUFFIXES: Final = re.compile(
    r"(\.(qcow2|img|raw|vmdk|vdi|vhd|vhdx|disk))?(\.(gz|xz|bz2|zst))?$", re.I
)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]+")


class CannotStock(Exception):  # noqa: N818
    """One line for the operator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    source: str
    """A path, or an http or https URL."""
    account: str = ""
    """Whose it shall be, by name; empty: the catalogue's."""
    name: str = ""
    """Empty: what the file is called, without what says how it is packed."""
    description: str = ""
    architecture: str | None = None
    boot_mode: BootMode | None = None
    public: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None
    checksum_url: str = ""
    unverified: bool = False
    """A download is taken although nothing vouches for its content."""

    @property
    def file_name(self) -> str:
        if downloads.is_url(self.source):
            return unquote(PurePosixPath(urlsplit(self.source).path).name)
        return Path(self.source).name


@dataclass(frozen=True, slots=True)
class Vouched:
    """A checksum, and who said it."""

    checksum: Checksum | None
    by: str
    """`you`, the URL of the sums, or why there is none."""


@dataclass(frozen=True, slots=True)
class Stocked:
    image: Image
    account: Account
    known: bool
    """The account had the same content under the same name already."""
    vouched: Vouched


@dataclass(frozen=True, slots=True)
class Stock:
    """Use cases. Raise Fault, CannotStock, CannotDownload and NoChecksum."""

    store: Store
    vault: Vault
    can: Capabilities
    limits: Limits
    """What is usual for an account."""
    most_bytes: int
    has_users: bool = False
    """Accounts are the engine's users: none is made here."""

    def add(
        self,
        wanted: Wanted,
        clock: Callable[[], datetime],
        progress: Progress = lambda _got, _of: None,
    ) -> Stocked:
        """Blocks for as long as the download and its examination take."""
        check_source(wanted.source)
        name = wanted.name or name_of(wanted.file_name)
        self._check(wanted, name)
        vouched = vouch(wanted)
        content = self._receive(wanted.source, vouched.checksum, progress)
        with self.store.writing() as tx:
            account = self._account(tx, wanted.account, clock())
            image, known = self._keep(tx, account, content, replace(wanted, name=name), clock())
            if not self.vault.path(content.name, content.format).exists():
                raise CannotStock("the content was cleared away meanwhile; try again")
        return Stocked(image, account, known, vouched)

    def _check(self, wanted: Wanted, name: str) -> None:
        """All that can be known before the first byte comes."""
        check_name(name)
        check_description(wanted.description)
        check_tags(wanted.tags)
        check_architecture(wanted.architecture, self.can)
        if wanted.public and self.can.keeps_images:
            raise CannotStock(
                "who may use an image is the cluster's to say here: leave --public out, and let "
                "others use it there (oneimage chmod) once it is available"
            )
        if self.has_users and not wanted.account:
            raise CannotStock("accounts are OpenNebula's users here: name one with --account")
        if wanted.account:
            with self.store.reading() as tx:
                account_book.find_account(tx, wanted.account)

    def _account(self, tx: Transaction, name: str, now: datetime) -> Account:
        if name:
            return account_book.find_account(tx, name)
        return account_book.ensure_catalogue(tx, now)

    def _receive(self, source: str, checksum: Checksum | None, progress: Progress) -> Content:
        upload = self.vault.receive()
        try:
            proof = hashlib.new(checksum.algorithm) if checksum else None

            def take(piece: bytes) -> None:
                if proof is not None:
                    proof.update(piece)
                upload.write(piece)

            if downloads.is_url(source):
                downloads.fetch(source, take, most_bytes=self.most_bytes, progress=progress)
            else:
                _read_file(Path(source), take, progress)
            if proof is not None and checksum is not None and proof.hexdigest() != checksum.digits:
                raise NoChecksum(
                    f"the {checksum.algorithm} sum is {proof.hexdigest()}, and should be "
                    f"{checksum.digits}"
                )
            return upload.finish()
        finally:
            upload.abort()

    def _keep(
        self, tx: Transaction, account: Account, content: Content, wanted: Wanted, now: datetime
    ) -> tuple[Image, bool]:
        gallery, owner = Gallery(self.can, self.limits), account.number
        image = _same(tx, owner, wanted.name, content)
        known = image is not None
        if image is None:
            image = gallery.keep(
                tx,
                owner,
                content,
                now,
                name=wanted.name,
                description=wanted.description,
                architecture=wanted.architecture,
            )
        said = Registration(image.id, boot_mode=wanted.boot_mode, tags=wanted.tags or None)
        image = gallery.register(tx, owner, said)
        if wanted.public and not image.public:
            ImageBook(self.can).share(tx, owner, image.id, (), public=True)
        return tx.images.get(image.id) or image, known


def check_source(source: str) -> None:
    """A path, or a URL of the web. Raises CannotStock."""
    scheme = _SCHEME.match(source)
    if scheme is None:
        return
    if not downloads.is_url(source):
        raise CannotStock(f"{scheme[0]}: only http and https can be fetched")
    try:
        there = bool(urlsplit(source).hostname)
    except ValueError:
        there = False
    if not there:
        raise CannotStock("this is no URL: it names no host")


def name_of(file_name: str) -> str:
    """`debian-12-generic-amd64` of `debian-12-generic-amd64.qcow2.xz`. Raises CannotStock."""
    name = _NOT_IN_NAMES.sub("-", _SUFFIXES.sub("", file_name))[:128].strip()
    if len(name) < 3:
        raise CannotStock("the file has no name that would do for an image: give --name")
    return name


def vouch(wanted: Wanted) -> Vouched:
    """What the content must have. Sums are looked for beside a download only by https: who can
    change the one on its way can change the other. Raises CannotStock and the others."""
    if wanted.checksum is not None:
        return Vouched(wanted.checksum, "you")
    if wanted.checksum_url:
        found = checksums.find(_sums(wanted.checksum_url), wanted.file_name)
        if found is None:
            raise NoChecksum(f"{downloads.bare(wanted.checksum_url)}: no sum of {wanted.file_name}")
        return Vouched(found, downloads.bare(wanted.checksum_url))
    if not downloads.is_url(wanted.source):
        return Vouched(None, "a file of this machine")
    if wanted.unverified:
        return Vouched(None, "you asked for none")
    if urlsplit(wanted.source).scheme.lower() == "https":
        return _beside(wanted.source, wanted.file_name)
    raise CannotStock(
        "what comes by http may be anybody's: give --sha256 or --sha512, or --checksum-url, or "
        "--unverified"
    )


def _sums(url: str) -> str:
    return downloads.fetch_text(url, most_bytes=MOST_SUMS_BYTES)


def _beside(url: str, file_name: str) -> Vouched:
    """A server that fails is no server that has no sums."""
    for place in checksums.places(url):
        try:
            text = _sums(place)
        except CannotDownload as problem:
            if not problem.absent:
                raise
            continue
        found = checksums.find(text, file_name)
        if found is not None:
            return Vouched(found, downloads.bare(place))
    return Vouched(None, "there is none beside it")


def _read_file(path: Path, take: Callable[[bytes], None], progress: Progress) -> None:
    try:
        if not path.is_file():
            path.stat()
            raise CannotStock(f"{path}: not a plain file")
        with path.open("rb") as opened:
            size = path.stat().st_size
            while piece := opened.read(CHUNK_BYTES):
                take(piece)
                progress(opened.tell(), size)
    except OSError as error:
        raise CannotStock(f"{path}: {error.strerror}") from error


def _same(tx: Transaction, account: str, name: str, content: Content) -> Image | None:
    """The account's image of this name, if it has this content."""
    named = Criterion("name", (literally(name),))
    for image in tx.images.find(Query(account=account, criteria=(named,))).items:
        if image.state in HOLDING_NAMES and image.location == content.name:
            return image
    return None
