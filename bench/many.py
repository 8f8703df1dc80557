"""Many instances: a thousand launched by one call, against moto; and what a Describe costs where
100,000 are stored, against 100.

Stored ones are written into the state directory before the server starts: stopped instances, which
the work plane has nothing to do for. Between any two readings there is a commit, so that no answer
is one that was kept (front/memory.py).
"""

import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.harness import BIN, Cloud, Row, cloud, lower_quartile, median, process, small_disk
from bench.requests import fetch

MANY = 100_000
FEW = 100
SHOWN = 20
"""How many instances each of the compared answers tells of."""
READINGS = 60
LAUNCHED = 1000


def measure() -> list[Row]:
    return [launched(), *described()]


# --- launching ---------------------------------------------------------------------------


def launched() -> Row:
    with tempfile.TemporaryDirectory() as folder, cloud("simulator", max_instances=10**6) as ours:
        image = ours.upload(small_disk(Path(folder)))
        took_s = median([_launch(ours, image) for _ in range(3)])
    with process(BIN / "moto_server", "-H", "127.0.0.1", "-p", "0", ready="Running on") as server:
        url = server.ready_line.split("Running on ")[1].strip()  # type: ignore[attr-defined]
        peer = Cloud(url, "testing", "testing", Path(), server.pid)
        moto_s = _launch(peer, peer.ec2().describe_images()["Images"][0]["ImageId"])
    return Row(
        f"RunInstances of {LAUNCHED} in one call: instances a second, against moto_server",
        f"{LAUNCHED / took_s:.0f}/s",
        f"{LAUNCHED / moto_s:.0f}/s",
        moto_s / took_s,
        ">= 10",
    )


def _launch(server: Cloud, image: str) -> float:
    """Seconds from the request to its answer's last byte, when nothing else goes on. Signed in the
    header: moto_server takes a signed URL for one of S3's."""
    count = str(LAUNCHED)
    asked = {"ImageId": image, "InstanceType": "t2.nano", "MinCount": count, "MaxCount": count}
    form = urlencode({"Action": "RunInstances", "Version": "2016-11-15", **asked})
    head = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    signed = AWSRequest("POST", f"{server.url}/", data=form, headers=head)
    keys = Credentials(server.access_key, server.secret_key)
    SigV4Auth(keys, "ec2", "us-east-1").add_auth(signed)
    request = urllib.request.Request(signed.url, form.encode(), dict(signed.headers))
    wait_until_idle(server.pid)
    began = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        body = answer.read()
    took_s = time.perf_counter() - began
    assert body.count(b"<instanceId>") >= LAUNCHED
    return took_s


def _seconds(url: str) -> float:
    began = time.perf_counter()
    fetch(url)
    return time.perf_counter() - began


# --- describing --------------------------------------------------------------------------


def described() -> list[Row]:
    with stored(FEW) as few, stored(MANY) as many:
        for each in (few, many):
            wait_until_idle(each.pid)
        return [_compared(what, parameters, few, many) for what, parameters in ASKED.items()]


ASKED: dict[str, dict[str, object]] = {
    f"of {SHOWN} ids": {"InstanceIds": [f"i-{number:08d}" for number in range(1, SHOWN + 1)]},
    f"by a tag that {SHOWN} have": {"Filters": [{"Name": "tag:group", "Values": ["bench"]}]},
    f"by a page of {SHOWN}": {"MaxResults": SHOWN},
}


def _compared(what: str, parameters: dict[str, object], few: Cloud, many: Cloud) -> Row:
    """Of readings in turn, so that what else the machine does falls on both."""
    pairs = [(_uncached(few, parameters), _uncached(many, parameters)) for _ in range(READINGS)]
    few_s, many_s = (lower_quartile(list(times)) for times in zip(*pairs, strict=True))
    return Row(
        f"DescribeInstances {what}: with {MANY:,} stored, against {FEW}",
        f"{many_s * 1000:.1f} ms",
        f"{few_s * 1000:.1f} ms",
        many_s / few_s,
        "<= 1.5",
    )


@contextmanager
def stored(count: int) -> Iterator[Cloud]:
    def prepare(state: Path, number: str) -> None:
        fill(state, number, count)

    settings = {"ECONE_WORK_ROUND_EVERY_S": "3600"}
    with cloud("simulator", max_instances=10**6, prepare=prepare, more=settings) as ours:
        yield ours


def _uncached(ours: Cloud, parameters: dict[str, object]) -> float:
    """Seconds, after a commit, and when the work plane has looked at what it was."""
    url = ours.presigned("describe_instances", **parameters)
    stamp = [{"Key": "at", "Value": str(time.time())}]
    ours.ec2_kept.create_tags(Resources=["i-00000001"], Tags=stamp)
    time.sleep(0.1)
    return _seconds(url)


def wait_until_idle(pid: int, patience_s: float = 300.0) -> None:
    """Until the server has taken next to no time for a second."""

    def ticks() -> int:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        before = ticks()
        time.sleep(1.0)
        if ticks() - before <= 5:
            return
    raise SystemExit(f"bench: the server had not become idle after {patience_s:g} s")


def fill(state: Path, account: str, count: int) -> None:
    """That many stopped instances; the first SHOWN of them tagged."""
    from econe.domain.default_network import find_default_network
    from econe.domain.instances import Instance, InstanceState
    from econe.store import open_store

    now = datetime.now(UTC)
    store = open_store(state)
    try:
        with store.writing() as tx:
            network = find_default_network(tx, account)
            assert network is not None
            row = Instance(
                id="", account=account, reservation_id="r-00000001", launch_index=0,
                image_id="ami-00000001", image_location="0" * 32, instance_type="t2.nano",
                vpc_id=network.vpc.id, subnet_id=network.subnet.id, zone="us-east-1a",
                launched_at=now, state=InstanceState.STOPPED, vcpus=1, memory_mib=512,
            )  # fmt: skip
            for number, row_id in enumerate(tx.next_ids("i", count)):
                tx.instances.add(replace(row, id=row_id, launch_index=number))
                if number < SHOWN:
                    tx.tags.put(account, row_id, "instance", {"group": "bench"})
    finally:
        store.close()
