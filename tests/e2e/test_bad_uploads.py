"""Uploads that cannot come to their end: a full disk, a caller or a server that goes away."""

import contextlib
import gzip
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

MIB = 1 << 20
ROOM = 64 * MIB
SETTINGS = {"images.keep_free_mib": 0, "work.sweep_every_s": 0.2, "work.content_quiet_s": 1}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A file system of 64 MiB."""
    place = Path(tempfile.mkdtemp(prefix="econe-e2e-"))
    options = ["-o", f"size={ROOM}", "-t", "tmpfs", "econe-e2e"]
    subprocess.run(["mount", *options, str(place)], check=True)
    place.chmod(0o755)
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


@pytest.fixture
def random_disk(tmp_path: Path) -> Iterator[Path]:
    """96 MiB that begin as a disk does; more than there is room for."""
    path = tmp_path / "disk.img"
    sector = bytes(510) + b"\x55\xaa"
    path.write_bytes(sector + os.urandom(96 * MIB - 512))
    yield path
    path.unlink()


def nothing_half_made(server: Server) -> bool:
    return not list((server.state / "uploads").iterdir()) and not list(
        (server.state / "blobs").iterdir()
    )


def free_bytes(server: Server) -> int:
    return shutil.disk_usage(server.state).free


def test_a_disk_that_fills_up_in_the_middle_is_told_and_forgotten(
    server: Server, helen: Account, random_disk: Path, sector_image: Path
):
    free = free_bytes(server)
    done = helen.run("econe-upload", str(random_disk))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "econe-upload: There is not enough free disk space for the image. "
        "(InsufficientVolumeCapacity)\n"
    )
    assert "status=500 code=InsufficientVolumeCapacity" in server.log
    eventually(lambda: nothing_half_made(server), within_s=5)
    assert free_bytes(server) > free - MIB
    # It goes on: with uploads that fit, and with all else.
    image = helen.image(sector_image)
    assert helen.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available"
    helen.ec2.deregister_image(ImageId=image)
    eventually(lambda: nothing_half_made(server), within_s=10)


def test_an_image_that_unfolds_to_more_than_there_is_room_for_is_told_and_forgotten(
    server: Server, helen: Account, tmp_path: Path
):
    packed = tmp_path / "disk.img.gz"
    with gzip.open(packed, "wb", 6) as out:  # 96 MiB in less than one, and no bomb yet
        out.write(bytes(510) + b"\x55\xaa" + os.urandom(512) * (96 * 2048 - 1))
    assert packed.stat().st_size < MIB
    free = free_bytes(server)
    done = helen.run("econe-upload", str(packed))
    assert done.returncode == 1
    assert "not enough free disk space for the image" in done.stderr
    eventually(lambda: nothing_half_made(server), within_s=5)
    assert free_bytes(server) > free - MIB


def test_on_a_full_disk_everything_that_writes_fails_and_nothing_else(
    server: Server, helen: Account, sector_image: Path
):
    ballast = server.state / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(MIB // 4))
            file.flush()
    try:
        assert free_bytes(server) < MIB // 4
        assert helen.ec2.describe_instances()["Reservations"] == []
        done = helen.run("econe-upload", str(sector_image))
        assert done.returncode == 1
        assert re.fullmatch(r"econe-upload: .*(Capacity|InternalError)\)\n", done.stderr)
        assert helen.ec2.describe_regions()["Regions"]
    finally:
        ballast.unlink()
    assert helen.image(sector_image)
    assert server.process.poll() is None


@contextlib.contextmanager
def begun_upload(account: Account, total: int) -> Iterator[None]:
    """The head of an upload, and 4 MiB of its `total`, are sent; then it is broken off."""
    url = presigned(account)
    where = urlsplit(url)
    head = (
        f"POST {where.path}?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        f"Content-Length: {total}\r\nX-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port), 10) as sending:
        sending.sendall(head.encode() + os.urandom(4 * MIB))
        eventually(lambda: uploads(account.server), within_s=10)
        yield


def presigned(account: Account) -> str:
    """UploadImage is ours, so botocore cannot name it. Its signer for bodies that are not signed
    is called S3's."""
    request = AWSRequest(
        "POST",
        f"{account.server.url}/",
        params={"Action": "UploadImage", "Version": "2016-11-15"},
    )
    credentials = Credentials(account.access_key, account.secret)
    S3SigV4QueryAuth(credentials, "ec2", "us-east-1").add_auth(request)
    return str(request.prepare().url)


def uploads(server: Server) -> list[Path]:
    return list((server.state / "uploads").glob("*/data"))


def test_an_upload_that_is_cut_off_leaves_nothing(server: Server, helen: Account):
    with begun_upload(helen, 16 * MIB):
        assert len(uploads(server)) == 1
    eventually(lambda: not uploads(server), within_s=10)
    assert "status=408 code=RequestTimeout" in server.log


def test_an_upload_of_a_server_that_was_killed_is_swept_away_by_the_next(
    server: Server, helen: Account
):
    with begun_upload(helen, 16 * MIB):
        server.kill()
    assert len(uploads(server)) == 1
    server.start()
    eventually(lambda: not uploads(server), within_s=15)
    assert "Leavings of uploads were removed count=1" in server.log
