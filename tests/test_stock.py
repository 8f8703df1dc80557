"""The operator's images: what becomes of a file or a download, over a real store and vault."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.desk import SHARED
from tests.support.shelf import Shelf, shelved

from econe import downloads
from econe.checksums import Checksum, NoChecksum
from econe.domain import account_book
from econe.domain.accounts import Limits
from econe.domain.engine_ports import ANY_ENGINE
from econe.domain.faults import Duplicate, Invalid, LimitExceeded, Malformed, NotFound, Unsupported
from econe.domain.images import BootMode, ImageState
from econe.domain.ports import Store
from econe.domain.queries import Query
from econe.downloads import CannotDownload
from econe.settings import Images
from econe.stock import CannotStock, Stock, Wanted, name_of, vouch
from econe.store import open_store
from econe.store.vault import FileVault

NOW = datetime(2026, 11, 26, 14, 0, tzinfo=UTC)
DISK = bytes(510) + b"\x55\xaa" + b"a disk " * 1024
DISK += bytes(-len(DISK) % 512)
OTHER = DISK[:-1] + b"!"
SHA256 = Checksum("sha256", hashlib.sha256(DISK).hexdigest())


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with shelved() as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def stock(store: Store, tmp_path: Path) -> Stock:
    vault = FileVault(tmp_path, Images(keep_free_mib=0))
    return Stock(store, vault, ANY_ENGINE, Limits(instances=5), most_bytes=1 << 20)


def add(stock, source, **wanted):
    return stock.add(Wanted(source=str(source), **wanted), lambda: NOW)


def images(stock):
    with stock.store.reading() as tx:
        return tx.images.find(Query()).items


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "debian-12-generic-amd64.raw"
    path.write_bytes(DISK)
    return path


@pytest.fixture
def nothing_left(stock, tmp_path):
    """Of whatever the test tries."""
    yield
    assert images(stock) == []
    assert list((tmp_path / "uploads").iterdir()) == []
    assert stock.vault.locations() == set()


def test_a_file_becomes_an_image_that_can_be_run(stock, disk):
    made = add(stock, disk, public=True, description="Debian", tags={"os": "debian"})
    assert not made.known
    (image,) = images(stock)
    assert image == made.image
    assert (image.name, image.description) == ("debian-12-generic-amd64", "Debian")
    assert (image.registered, image.public, image.state) == (True, True, ImageState.AVAILABLE)
    assert dict(image.tags) == {"os": "debian"}
    assert stock.vault.path(image.location, image.disk_format).read_bytes() == DISK


def test_it_is_the_catalogues_which_has_no_key_and_no_usual_limit(stock, disk, store):
    limited = replace(stock, limits=Limits(images=0, storage_gib=0))
    made = add(limited, disk)
    assert made.account.name == "catalogue"
    assert made.image.account == made.account.number
    with store.reading() as tx:
        assert tx.access_keys.of(made.account.number) == []
    disk.write_bytes(OTHER)
    assert add(limited, disk, name="other").account == made.account


def test_it_may_be_another_accounts_within_its_limits(stock, disk, store):
    with store.writing() as tx:
        helen, _ = account_book.create_account(
            tx, "helen", None, NOW, zone="z", pools=("172.31.0.0/16",)
        )
        account_book.set_limits(tx, "helen", {"images": 1})
    assert add(stock, disk, account="helen").image.account == helen.number
    disk.write_bytes(OTHER)
    with pytest.raises(LimitExceeded, match="quota of 1"):
        add(stock, disk, account="helen", name="other")
    with pytest.raises(NotFound, match="no account nobody"):
        add(stock, disk, account="nobody")


def test_a_download_that_is_vouched_for(stock, shelf):
    packed = gzip.compress(DISK)
    shelf.files["/img/tiny%20disk.img.gz"] = packed
    told = []
    digest = Checksum("sha512", hashlib.sha512(packed).hexdigest())
    wanted = Wanted(source=f"{shelf.url}/img/tiny%20disk.img.gz", checksum=digest)
    made = stock.add(wanted, lambda: NOW, lambda *seen: told.append(seen))
    assert (made.image.name, made.vouched.by) == ("tiny disk", "you")
    assert stock.vault.path(made.image.location, made.image.disk_format).read_bytes() == DISK
    assert told[-1] == (len(packed), len(packed))


@pytest.mark.usefixtures("nothing_left")
def test_content_that_is_not_what_was_vouched_for(stock, disk, shelf):
    shelf.files["/d.img"] = OTHER
    for source in (disk, f"{shelf.url}/d.img"):
        disk.write_bytes(OTHER)
        with pytest.raises(NoChecksum, match=f"should be {SHA256.digits}"):
            add(stock, source, checksum=SHA256, name="disk")


def test_sums_at_a_url(stock, shelf):
    shelf.files |= {"/disk.img": DISK, "/sums": f"{SHA256.digits} *disk.img\n".encode()}
    made = add(stock, f"{shelf.url}/disk.img", checksum_url=f"{shelf.url}/sums?secret")
    assert (made.vouched.checksum, made.vouched.by) == (SHA256, f"{shelf.url}/sums")


@pytest.mark.usefixtures("nothing_left")
def test_sums_that_do_not_name_it(stock, shelf):
    shelf.files |= {"/disk.img": DISK, "/sums": f"{SHA256.digits}  other.img\n".encode()}
    with pytest.raises(NoChecksum, match=r"no sum of disk.img"):
        add(stock, f"{shelf.url}/disk.img", checksum_url=f"{shelf.url}/sums")
    with pytest.raises(CannotDownload, match="404"):
        add(stock, f"{shelf.url}/disk.img", checksum_url=f"{shelf.url}/sum")
    assert "/disk.img" not in shelf.asked


@pytest.mark.usefixtures("nothing_left")
def test_http_without_a_checksum_is_refused(stock, shelf):
    shelf.files |= {"/disk.img": DISK, "/SHA256SUMS": f"{SHA256.digits}  disk.img\n".encode()}
    with pytest.raises(CannotStock, match="anybody's"):
        add(stock, f"{shelf.url}/disk.img")
    assert shelf.asked == []


def test_unless_that_is_what_is_wanted(stock, shelf):
    shelf.files["/disk.img"] = DISK
    made = add(stock, f"{shelf.url}/disk.img", unverified=True)
    assert made.vouched.checksum is None
    assert shelf.asked == ["/disk.img"]


class Web:
    """In the place of downloads.fetch_text, for https."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **files: str | int) -> None:
        self.files, self.asked = files, []
        monkeypatch.setattr(downloads, "fetch_text", self)

    def __call__(self, url: str, *, most_bytes: int) -> str:
        name = url.rpartition("/")[2]
        self.asked.append(name)
        found = self.files.get(name.replace(".", "_"), 404)
        if isinstance(found, int):
            raise CannotDownload(f"{name}: {found}", absent=found in (403, 404))
        return found


DEBIAN = Wanted(source="https://images.example/d/disk.img?x=1")


def test_by_https_the_sums_beside_it_are_found(monkeypatch):
    web = Web(monkeypatch, SHA256SUMS=f"{SHA256.digits}  disk.img\n", SHA512SUMS=403)
    vouched = vouch(DEBIAN)
    assert (vouched.checksum, vouched.by) == (SHA256, "https://images.example/d/SHA256SUMS")
    assert web.asked == ["SHA512SUMS", "SHA256SUMS"]
    web.files = {"disk_img_sha256": SHA256.digits, "SHA512SUMS": f"{'0' * 128}  other.img"}
    assert vouch(DEBIAN).by.endswith("/disk.img.sha256")


def test_by_https_there_need_be_none(monkeypatch):
    web = Web(monkeypatch)
    assert vouch(DEBIAN).checksum is None
    assert len(web.asked) == 7
    assert vouch(replace(DEBIAN, unverified=True)).checksum is None
    assert len(web.asked) == 7


def test_a_server_that_fails_is_none_without_sums(monkeypatch):
    Web(monkeypatch, SHA256SUMS=500)
    with pytest.raises(CannotDownload, match="500"):
        vouch(DEBIAN)


# --- again ---------------------------------------------------------------------------------


def test_the_same_again_is_known_and_made_what_is_wanted(stock, disk):
    first = add(stock, disk)
    again = add(stock, disk, public=True, tags={"a": "b"})
    assert (again.known, again.image.id) == (True, first.image.id)
    assert (again.image.public, dict(again.image.tags)) == (True, {"a": "b"})
    assert images(stock) == [again.image]
    assert add(stock, disk).image == again.image


def test_other_content_of_the_same_name_is_refused(stock, disk):
    first = add(stock, disk)
    disk.write_bytes(OTHER)
    with pytest.raises(Duplicate, match=f"already in use by AMI {first.image.id}"):
        add(stock, disk)
    assert images(stock) == [first.image]
    assert not add(stock, disk, name="debian-13").known


def test_a_name_is_free_once_its_image_is_deregistered(stock, disk, store):
    first = add(stock, disk).image
    with store.writing() as tx:
        tx.images.save(replace(first, state=ImageState.DEREGISTERED, registered=False))
    assert add(stock, disk).image.id != first.id


# --- what cannot be ------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"name": "x"}, Malformed),
        ({"name": "a*b"}, Malformed),
        ({"description": "x" * 256}, Invalid),
        ({"tags": {"aws:x": "y"}}, Invalid),
        ({"architecture": "sparc"}, Unsupported),
    ],
)
def test_what_cannot_be_said_of_an_image(stock, disk, said, problem):
    with pytest.raises(problem):
        add(stock, disk, **said)


def test_how_it_boots(stock, disk):
    able = replace(stock, can=replace(ANY_ENGINE, uefi=True))
    assert add(able, disk, boot_mode=BootMode.UEFI).image.boot_mode is BootMode.UEFI
    with pytest.raises(Unsupported, match="cannot boot by UEFI"):
        add(stock, disk, boot_mode=BootMode.UEFI, name="other")
    assert len(images(stock)) == 1


@pytest.mark.usefixtures("nothing_left")
def test_what_is_no_disk(stock, tmp_path):
    (tmp_path / "text.img").write_bytes(b"hello" * 1000)
    with pytest.raises(Invalid, match="not a disk image"):
        add(stock, tmp_path / "text.img")
    for source in (tmp_path, tmp_path / "absent.img", "/dev/zero"):
        with pytest.raises(CannotStock):
            add(stock, source, name="some name")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("source", ["ftp://x/disk.img", "http:///disk.img", "https://[x/disk.img"])
def test_what_is_no_source(stock, source):
    with pytest.raises(CannotStock, match=r"URL|only http"):
        add(stock, source)


@pytest.mark.usefixtures("nothing_left")
def test_what_is_too_large(stock, shelf):
    shelf.files["/d.img"] = DISK
    small = replace(stock, most_bytes=100)
    with pytest.raises(CannotDownload, match="larger"):
        add(small, f"{shelf.url}/d.img", unverified=True, name="disk")


@pytest.mark.usefixtures("nothing_left")
def test_whoever_is_interrupted_leaves_nothing(stock, disk):
    def interrupt(_got, _of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stock.add(Wanted(source=str(disk)), lambda: NOW, interrupt)


def test_content_that_is_cleared_away_meanwhile_makes_no_image(stock, disk):
    add(stock, disk)

    def clear_away():
        for location in stock.vault.locations():
            FileVault.forget(FileVault(disk.parent, Images()), location)
        return NOW

    with pytest.raises(CannotStock, match="try again"):
        stock.add(Wanted(source=str(disk), name="again"), clear_away)
    assert len(images(stock)) == 1


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("debian-12-generic-amd64.qcow2", "debian-12-generic-amd64"),
        ("noble-server-cloudimg-amd64.img", "noble-server-cloudimg-amd64"),
        ("disk.IMG.XZ", "disk"),
        ("a.b.c", "a.b.c"),
        ("größe & mehr.raw", "gr-e - mehr"),
        ("x" * 300, "x" * 128),
    ],
)
def test_what_an_image_is_called_after_its_file(file_name, name):
    assert name_of(file_name) == name


@pytest.mark.parametrize("file_name", ["", "a.qcow2", ".img"])
def test_a_file_that_gives_no_name(file_name):
    with pytest.raises(CannotStock, match="--name"):
        name_of(file_name)


# --- where the engine keeps images ---------------------------------------------------------


def test_an_engine_takes_it_over_as_it_does_uploads(stock, disk, store):
    cluster = replace(stock, can=SHARED, has_users=True)
    with store.writing() as tx:
        account_book.ensure_catalogue(tx, NOW)
    made = add(cluster, disk, account="catalogue")
    assert (made.image.state, made.image.registered) == (ImageState.PENDING, True)
    assert add(cluster, disk, account="catalogue").known
    for said in ({}, {"account": "catalogue", "public": True}):
        with pytest.raises(CannotStock, match=r"--account|--public"):
            add(cluster, disk, **said)
