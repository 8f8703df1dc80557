"""Requests a second: ours against a static answer of the same bytes, and against moto_server."""

import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from bench.harness import BIN, Cloud, Row, cloud, process, rate, small_disk


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, cloud("simulator") as ours:
        image = ours.upload(small_disk(Path(folder)))
        ours.ec2().run_instances(ImageId=image, MinCount=100, MaxCount=100)
        describe = ours.presigned("describe_instances")
        regions = ours.presigned("describe_regions")
        rows = []
        describe_rate = rate(describe)
        for what, url, got in (
            (
                "DescribeInstances of 100, signed v4: against a static answer",
                describe,
                describe_rate,
            ),
            ("DescribeRegions: against a static answer", regions, rate(regions)),
        ):
            with static(fetch(url), Path(folder)) as floor:
                floor_rate = rate(floor)
            rows.append(
                Row(what, f"{got:.0f}/s", f"{floor_rate:.0f}/s", got / floor_rate, ">= 0.10")
            )
        moto_rate = moto()
        rows.insert(
            1,
            Row(
                "DescribeInstances of 100: against moto_server",
                f"{describe_rate:.0f}/s",
                f"{moto_rate:.1f}/s",
                describe_rate / moto_rate,
                ">= 100",
            ),
        )
        return rows


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


@contextmanager
def static(body: bytes, folder: Path) -> Iterator[str]:
    file = folder / "body"
    file.write_bytes(body)
    with process(BIN / "python", "-m", "bench.static", file, ready="running on") as server:
        line = server.ready_line  # type: ignore[attr-defined]
        yield line.split("running on ")[1].split(" ")[0]


def moto() -> float:
    """moto_server's requests a second for 100 instances, over one connection."""
    with process(BIN / "moto_server", "-H", "127.0.0.1", "-p", "0", ready="Running on") as server:
        url = server.ready_line.split("Running on ")[1].strip()  # type: ignore[attr-defined]
        peer = Cloud(url, "testing", "testing", Path(), server.pid)
        ec2 = boto3.client(
            "ec2", endpoint_url=url, region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip
        image = ec2.describe_images()["Images"][0]["ImageId"]
        ec2.run_instances(ImageId=image, MinCount=100, MaxCount=100)
        return rate(peer.presigned("describe_instances"), seconds=10, connections=1)
