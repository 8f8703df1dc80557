"""econe-admin image …, as an operator uses it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.test_admin import Operator
from tests.support.desk import NOW
from tests.support.shelf import Shelf, shelved

from econe.cli import admin
from econe.domain.images import Protection
from econe.domain.instances import Instance
from econe.store import open_store

DISK = bytes(510) + b"\x55\xaa" + b"a disk " * 512


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Operator:
    """Over a cloud that has helen's account."""
    monkeypatch.setattr(admin, "host_networks", tuple)
    monkeypatch.setenv("ECONE_IMAGES_KEEP_FREE_MIB", "0")
    operator = Operator(tmp_path / "state", capsys)
    operator("account", "create", "helen")
    return operator


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "debian-12.img"
    path.write_bytes(DISK)
    return path


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with shelved() as made:
        made.files["/debian-12.img"] = DISK
        yield made


def test_a_public_image_of_a_file(run: Operator, disk: Path) -> None:
    told = dict(
        line.split(maxsplit=1) for line in run("image", "add", str(disk), "--public").splitlines()
    )
    assert told["image"] == "ami-00000001, added"
    assert told["name"] == "debian-12"
    assert told["account"].startswith("catalogue ")
    assert told["state"] == "available, public"
    assert told["checked"] == "by no checksum: a file of this machine"
    again = run("image", "add", str(disk), "--public")
    assert again.startswith("image    ami-00000001, known already\n")
    head, line = run("image", "list").splitlines()
    assert head.split() == ["IMAGE", "NAME", "ACCOUNT", "STATE", "VISIBILITY", "GiB", "CREATED"]
    assert line.split()[:5] == ["ami-00000001", "debian-12", "catalogue", "available", "public"]


def test_a_download_with_its_sum(run: Operator, shelf: Shelf) -> None:
    url, digest = f"{shelf.url}/debian-12.img", hashlib.sha256(DISK).hexdigest()
    told = run.json(
        "image", "add", url, "--sha256", digest, "--account", "helen", "--name", "mine",
        "--boot-mode", "uefi-preferred", "--description", "d", "--tag", "a=b=c", "--tag", "e=",
    )  # fmt: skip
    assert told["outcome"] == "added"
    assert (told["name"], told["account"], told["visibility"]) == ("mine", "helen", "private")
    assert (told["checksum"], told["checksum_by"]) == (f"sha256:{digest}", "you")
    again = run.json(
        "image",
        "add",
        url,
        f"--checksum=SHA-256:{digest.upper()}",
        "--account=helen",
        "--name=mine",
    )
    assert (again["outcome"], again["id"]) == ("known", told["id"])
    (listed,) = run.json("image", "list", "--account", "helen")["images"]
    assert (listed["description"], listed["boot_mode"]) == ("d", "uefi-preferred")
    assert run("image", "list", "--account=helen").count("\n") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "anybody's"),
        (["--sha256", "0" * 64], "should be 000"),
        (["--checksum-url", "{}/SHA256SUMS"], "404"),
        (["--unverified", "--name", "x"], "between 3 and 128"),
        (["--unverified", "--account", "nobody"], "no account nobody"),
        (["--unverified", "--arch", "sparc"], "sparc"),
    ],
)
def test_what_is_refused(run: Operator, shelf: Shelf, words: list[str], said: str) -> None:
    words = [word.format(shelf.url) for word in words]
    assert said in run("image", "add", f"{shelf.url}/debian-12.img", *words, status=1)
    assert run("image", "list") == "There are no images.\n"
    assert list((run.state / "uploads").glob("*")) == []


@pytest.mark.parametrize(
    "words",
    [
        ["--sha256", "0" * 63],
        ["--sha512", "0" * 64],
        ["--checksum", "md5:" + "0" * 32],
        ["--tag", "novalue"],
        ["--boot-mode", "coreboot"],
        ["--sha256", "0" * 64, "--unverified"],
    ],
)
def test_what_cannot_be_meant(run: Operator, disk: Path, words: list[str]) -> None:
    run("image", "add", str(disk), *words, status=2)


def test_other_content_of_the_same_name(run: Operator, disk: Path) -> None:
    run("image", "add", str(disk))
    disk.write_bytes(DISK + bytes(512))
    assert "already in use by AMI ami-00000001" in run("image", "add", str(disk), status=1)


def test_an_image_is_removed_and_its_instances_stay(run: Operator, disk: Path) -> None:
    image = run.json("image", "add", str(disk), "--account", "helen")
    store = open_store(run.state)
    with store.writing() as tx:
        tx.instances.add(
            Instance(
                "i-00000001",
                image["account_number"],
                "r-1",
                0,
                image["id"],
                image["location"],
                "m1.small",
                "vpc-1",
                "subnet-1",
                "z",
                NOW,
            )
        )
    told = run("image", "remove", image["id"])
    assert told == "ami-00000001 (debian-12) is deregistered; 1 instance of it keeps its disk\n"
    assert run("image", "list") == "There are no images.\n"
    assert "no longer available" in run("image", "remove", image["id"], status=1)
    assert "no image ami-2" in run("image", "remove", "ami-2", status=1)
    assert "no image x" in run("image", "remove", "x", status=1)
    with store.reading() as tx:
        assert tx.instances.get("i-00000001") is not None
    store.close()


def test_a_protected_image_is_not_removed(run: Operator, disk: Path) -> None:
    image = run.json("image", "add", str(disk))["id"]
    store = open_store(run.state)
    with store.writing() as tx:
        row = tx.images.get(image)
        assert row is not None
        tx.images.save(replace(row, protection=Protection.ON))
    store.close()
    assert "protected from deregistration" in run("image", "remove", image, status=1)
    assert run.json("image", "list")["images"][0]["protected"] is True


def test_where_accounts_are_opennebulas_users(
    run: Operator, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECONE_ENGINE", "opennebula")
    assert "--account" in run("image", "add", str(disk), status=1)
    assert "oneimage chmod" in run(
        "image", "add", str(disk), "--public", "--account", "helen", status=1
    )
    told = run("image", "add", str(disk), "--account", "helen").splitlines()
    assert "state    pending, private" in told
    assert told[-1] == "It is handed over to OpenNebula once the server runs."


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_root_does_not_leave_content_that_the_server_cannot_touch(
    run: Operator, disk: Path
) -> None:
    os.chown(run.state, 65534, 65534)
    assert "run this as that user" in run("image", "add", str(disk), status=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_real_process_that_is_ended_leaves_nothing(
    run: Operator, shelf: Shelf, number: signal.Signals
) -> None:
    def slow(request):
        request.send_response(200)
        request.send_header("Content-Length", "10000000")
        request.end_headers()
        for _ in range(300):
            request.wfile.write(DISK)
            time.sleep(0.1)

    shelf.files["/slow.img"] = slow
    words = [sys.executable, "-m", "econe.cli.admin", "--state", str(run.state)]
    process = subprocess.Popen(
        [*words, "image", "add", f"{shelf.url}/slow.img", "--unverified"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    uploads = run.state / "uploads"
    deadline = time.monotonic() + 30
    while not list(uploads.glob("*/data")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("", "")
    assert process.returncode == 128 + number
    assert list(uploads.iterdir()) == []
    assert json.loads(run("image", "list", "--json")) == {"images": []}
