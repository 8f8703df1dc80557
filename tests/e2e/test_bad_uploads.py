"""Uploads that cannot come to their end: a full disk, a caller or a server that goes away."""

import contextlib
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


def test_an_image_that_does_not_unfold_into_the_room_there_is_is_refused(
    server: Server, helen: Account, random_disk: Path
):
    packed = random_disk.with_name("disk.img.gz")
    with random_disk.open("r+b") as disk:  # 512 KiB that become 96 MiB
        disk.truncate(512 * 1024)
        disk.truncate(96 * MIB)
    with packed.open("wb") as out:
        subprocess.run(["gzip", "-1c", str(random_disk)], stdout=out, check=True)
    assert packed.stat().st_size < 2 * MIB
    done = helen.run("econe-upload", str(packed))
    # The zeros make no difference where files may have holes: what counts is that it ends well.
    if done.returncode == 0:
        helen.ec2.deregister_image(ImageId=re.search(r"ami-\d+", done.stdout)[0])
    else:
        assert "not enough free disk space" in done.stderr
    eventually(lambda: nothing_half_made(server), within_s=10)


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


def begun_upload(account: Account, total: int) -> socket.socket:
    """A connection that has sent the head of an upload, and 4 MiB of its `total`."""
    url = presigned(account)
    where = urlsplit(url)
    head = (
        f"POST {where.path}?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        f"Content-Length: {total}\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    sending = socket.create_connection((where.hostname, where.port), 10)
    sending.sendall(head.encode() + os.urandom(4 * MIB))
    return sending


def presigned(account: Account) -> str:
    """UploadImage is ours, so botocore cannot name it; its signer can sign it."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(
        "POST",
        f"{account.server.url}/",
        params={"Action": "UploadImage", "Version": "2016-11-15"},
    )
    credentials = Credentials(account.access_key, account.secret)
    SigV4QueryAuth(credentials, "ec2", "us-east-1").add_auth(request)
    return str(request.prepare().url)


def uploads(server: Server) -> list[Path]:
    return list((server.state / "uploads").glob("*/data"))


def test_an_upload_that_is_cut_off_leaves_nothing(server: Server, helen: Account):
    sending = begun_upload(helen, 16 * MIB)
    eventually(lambda: uploads(server), within_s=10)
    sending.close()
    eventually(lambda: not uploads(server), within_s=10)
    assert "The caller went away" in server.log or "RequestTimeout" in server.log


def test_an_upload_of_a_server_that_was_killed_is_swept_away_by_the_next(
    server: Server, helen: Account
):
    sending = begun_upload(helen, 16 * MIB)
    eventually(lambda: uploads(server), within_s=10)
    server.kill()
    sending.close()
    assert len(uploads(server)) == 1
    server.start()
    eventually(lambda: not uploads(server), within_s=15)
    assert "Leavings of uploads were removed count=1" in server.log
