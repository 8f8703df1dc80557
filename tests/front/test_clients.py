"""Unmodified boto3 against the whole running app."""

import datetime
import hashlib
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError
from tests.support.cloud import Cloud, codes, make_caller, serving, simulator
from tests.support.eventually import eventually

from econe.app import build, utc_now
from econe.store import open_store
from econe.wire.signing import UNSIGNED, host_of, presign_v4, sign_v4

STRANGE = ["ü", "日本語", "<&>\"'", "a b+c%20d", "🦫", "\u202e", "e\u0301", "tab\there", "x" * 255]


def test_one_instance_lives_its_life(cloud: Cloud, ec2: Any) -> None:
    (instance,) = cloud.running(1)
    ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: cloud.states([instance]) == ["stopped"], within_s=10)
    ec2.start_instances(InstanceIds=[instance])
    eventually(lambda: cloud.states([instance]) == ["running"], within_s=10)
    ec2.terminate_instances(InstanceIds=[instance])
    eventually(lambda: cloud.states([instance]) == ["terminated"], within_s=10)


@pytest.mark.parametrize("text", STRANGE)
def test_tags_hold_any_text(cloud: Cloud, ec2: Any, text: str) -> None:
    (instance,) = cloud.running(1)
    tags = [{"Key": text[:100], "Value": text}]
    ec2.create_tags(Resources=[instance], Tags=tags)
    asked = [{"Name": f"tag:{text[:100]}", "Values": [text.replace("*", "\\*")]}]
    (reservation,) = ec2.describe_instances(Filters=asked)["Reservations"]
    assert reservation["Instances"][0]["Tags"] == tags


def test_a_wrong_secret_is_refused_as_ec2_does(cloud: Cloud) -> None:
    wrong = Cloud(cloud.app, cloud.url, make_caller(cloud.app))
    object.__setattr__(wrong.caller, "secret", "wrong")
    with pytest.raises(ClientError) as refused:
        wrong.client().describe_regions()
    assert codes(refused) == ("AuthFailure", 401)


def test_a_clock_that_is_wrong_is_told_by_the_date_header(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore reads Date to correct itself; our part is to refuse and to send it."""
    import botocore.auth

    off = utc_now().replace(tzinfo=None) - datetime.timedelta(hours=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: off, raising=True)
    with pytest.raises(ClientError) as refused:
        cloud.client().describe_regions()
    assert codes(refused) == ("RequestExpired", 400)
    assert refused.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]


def test_dry_run_says_it_would_have_worked(cloud: Cloud, ec2: Any) -> None:
    """The EBS CSI driver's health probe is DescribeAvailabilityZones with DryRun."""
    for ask in (
        lambda: ec2.describe_availability_zones(DryRun=True),
        lambda: ec2.run_instances(ImageId=cloud.image(), MinCount=1, MaxCount=1, DryRun=True),
    ):
        with pytest.raises(ClientError) as refused:
            ask()
        assert codes(refused) == ("DryRunOperation", 412)
    assert ec2.describe_instances()["Reservations"] == []


def test_botocores_own_token_makes_a_retry_safe(cloud: Cloud, ec2: Any) -> None:
    asked = {"ImageId": cloud.image(), "MinCount": 2, "MaxCount": 2, "ClientToken": "once"}
    first = [each["InstanceId"] for each in ec2.run_instances(**asked)["Instances"]]
    again = [each["InstanceId"] for each in ec2.run_instances(**asked)["Instances"]]
    assert first == again
    with pytest.raises(ClientError) as refused:
        ec2.run_instances(**{**asked, "MaxCount": 3})
    assert codes(refused) == ("IdempotentParameterMismatch", 400)


def test_what_amazon_has_and_we_have_not_is_unsupported(ec2: Any) -> None:
    with pytest.raises(ClientError) as refused:
        ec2.describe_spot_price_history()
    assert codes(refused) == ("UnsupportedOperation", 400)
    with pytest.raises(ClientError) as refused:
        ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1, EbsOptimized=True)
    assert codes(refused) == ("UnsupportedOperation", 400)
    assert "EbsOptimized" in str(refused.value)


def test_many_callers_at_once_each_get_their_own(cloud: Cloud) -> None:
    problems: list[BaseException] = []
    others = [cloud.as_other() for _ in range(6)]

    def live(one: Cloud) -> None:
        try:
            client = one.client()
            name = one.caller.name
            client.create_key_pair(KeyName=name, KeyType="ed25519")
            for _ in range(10):
                (key,) = client.describe_key_pairs()["KeyPairs"]
                assert key["KeyName"] == name
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=live, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_sts_says_who_asks(cloud: Cloud) -> None:
    assert cloud.client("sts").get_caller_identity()["Account"] == cloud.caller.number


def presigned(cloud: Cloud, *, host: str = "", expires_s: int = 60, **asked: str) -> str:
    url = f"{host or cloud.url}/?{urlencode(asked)}"
    signed = presign_v4(
        method="GET",
        url=url,
        access_key=cloud.caller.access_key,
        secret=cloud.caller.secret,
        now=utc_now(),
        expires_s=expires_s,
    )
    return f"{url}&{urlencode(signed)}"


def test_a_presigned_url_works_until_it_expires(cloud: Cloud) -> None:
    url = presigned(cloud, Action="DescribeRegions", Version="2016-11-15")
    assert b"us-east-1" in urllib.request.urlopen(url, timeout=5).read()
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), timeout=5)
    assert refused.value.code == 401
    refused.value.close()


def test_an_answer_without_connection_is_not_owed(cloud: Cloud) -> None:
    """The caller goes away before its answer: the server goes on."""
    url = presigned(cloud, Action="DescribeInstances", Version="2016-11-15")
    host, port = host_of(url).split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"GET /?{url.split('?')[1]} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
            )
    assert cloud.client().describe_regions()["Regions"]


# --- uploads, with the real vault --------------------------------------------------------


def disk(mib: int = 2) -> bytes:
    """A disk with a boot sector, which is all that the vault asks of a raw one."""
    return (b"\xfa" * 510 + b"\x55\xaa").ljust(mib << 20, b"\x11")


def upload_head(cloud: Cloud, length: int, sha256: str = UNSIGNED) -> bytes:
    url = f"{cloud.url}/?Action=UploadImage&Version=2016-11-15"
    headers = sign_v4(
        method="POST",
        url=url,
        headers={},
        body_sha256=sha256,
        access_key=cloud.caller.access_key,
        secret=cloud.caller.secret,
        now=utc_now(),
    )
    lines = [f"POST /?{url.split('?')[1]} HTTP/1.1", f"Host: {host_of(url)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {length}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


def upload(cloud: Cloud, content: bytes, sha256: str = UNSIGNED) -> bytes:
    host, port = host_of(cloud.url).split(":")
    said = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(upload_head(cloud, len(content), sha256) + content)
        while part := connection.recv(65536):
            said += part
    return said


def test_an_uploaded_image_can_be_run_once_it_is_registered(cloud: Cloud, ec2: Any) -> None:
    said = upload(cloud, disk(), hashlib.sha256(disk()).hexdigest())
    assert said.startswith(b"HTTP/1.1 200"), said
    found = re.search(rb"<imageId>(ami-[0-9]{8})</imageId>", said)
    assert found
    image = found[1].decode()
    assert ec2.describe_images()["Images"] == []
    with pytest.raises(ClientError) as refused:
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    assert codes(refused) == ("InvalidAMIID.Unavailable", 400)
    assert ec2.register_image(ImageLocation=image, Name=f"of {image}")["ImageId"] == image
    (listed,) = ec2.describe_images()["Images"]
    assert (listed["ImageId"], listed["State"]) == (image, "available")
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)


def files(state: Path) -> list[Path]:
    return [path for room in ("uploads", "blobs") for path in (state / room).iterdir()]


def test_a_server_killed_in_the_middle_of_an_upload_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    words = ["run", "--state", str(state), "--listen", "127.0.0.1:0", "--engine", "simulator"]
    app = build(simulator(state))
    caller = make_caller(app)
    app.close()
    with subprocess.Popen(
        [sys.executable, "-m", "econe.cli.server", *words], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        url = server.stdout.readline().split()[-1]
        killed = Cloud(app, url, caller)
        host, port = host_of(url).split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(upload_head(killed, 64 << 20) + disk(8))
            eventually(lambda: any(p.stat().st_size for p in _data(state)), within_s=10)
            server.send_signal(signal.SIGKILL)
            server.wait(10)
    assert files(state), "the test killed it too early"
    with serving(simulator(state)) as (again, _):
        assert again.vault.sweep(0) == 1
        assert files(state) == []
    store = open_store(state)
    with store.reading() as tx:
        assert tx.images.get("ami-00000001") is None
    store.close()


def _data(state: Path) -> list[Path]:
    return list((state / "uploads").glob("*/data"))


def test_an_upload_cut_off_leaves_nothing_on_the_disk(cloud: Cloud) -> None:
    state = cloud.app.settings.state
    before = set(files(state))
    host, port = host_of(cloud.url).split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(upload_head(cloud, 64 << 20) + disk(8))
        eventually(lambda: any(p.stat().st_size for p in _data(state)), within_s=10)
    eventually(lambda: set(files(state)) == before, within_s=10)
