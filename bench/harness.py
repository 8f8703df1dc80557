"""What the measures share: servers as separate processes, and a load from wrk."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """One line of the table. `bound` is what the project promises of `ratio`."""

    what: str
    ours: str
    other: str
    ratio: float
    bound: str

    @property
    def holds(self) -> bool:
        sign, _, limit = self.bound.partition(" ")
        return self.ratio >= float(limit) if sign == ">=" else self.ratio <= float(limit)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def lower_quartile(values: list[float]) -> float:
    """For what takes milliseconds: a quarter of the readings is not disturbed, even on a machine
    that does other things, and what disturbs the others says nothing of the server."""
    return sorted(values)[len(values) // 4]


@contextmanager
def process(*command: str | Path, ready: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Start a server and wait for the line that says it is ready; end it afterwards."""
    child = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    said = []
    try:
        assert child.stdout
        for line in child.stdout:
            said.append(line)
            if ready in line:
                break
        else:
            raise SystemExit(f"bench: {command[0]} did not start: {''.join(said)}")
        child.ready_line = said[-1]  # type: ignore[attr-defined]
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()


@dataclass(frozen=True)
class Cloud:
    """A running econe-server and the key pair of an account in it."""

    url: str
    access_key: str
    secret_key: str
    state: Path
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """For econe-* and for the AWS CLI."""
        return {
            **os.environ,
            "EC2_URL": self.url,
            "EC2_ACCESS_KEY": self.access_key,
            "EC2_SECRET_KEY": self.secret_key,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cached_property
    def ec2_kept(self):  # type: ignore[no-untyped-def]
        """One client, for many calls."""
        return self.ec2()

    def ec2(self):  # type: ignore[no-untyped-def]
        import boto3

        return boto3.client(
            "ec2",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def presigned(self, action: str, **parameters: object) -> str:
        """A signed v4 GET URL, good for 15 minutes: what wrk repeats."""
        return self.ec2_kept.generate_presigned_url(
            action, Params=parameters, ExpiresIn=900, HttpMethod="GET"
        )

    def upload(self, disk: Path) -> str:
        """Upload and register; the image's id."""
        said = subprocess.run(
            [BIN / "econe-upload", "--json", disk],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        image = json.loads(said.stdout)["imageId"]
        self.ec2().register_image(Name="bench", ImageLocation=image)
        return str(image)


@contextmanager
def cloud(
    engine: str,
    *,
    max_instances: int = 1000,
    prepare: Callable[[Path, str], None] | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Cloud]:
    """A server of its own on a free port over a state directory of its own. `prepare` is given the
    directory and the account's number before the server starts; `more` are settings."""
    state = Path(tempfile.mkdtemp(prefix="econe-bench-"))
    try:
        told = subprocess.run(
            [BIN / "econe-admin", "--state", state, "account", "create", "bench", "--json"],
            check=True,
            capture_output=True,
            text=True,
        )
        account = json.loads(told.stdout)
        if prepare is not None:
            prepare(state, account["number"])
        with process(
            BIN / "econe-server", "run", "--state", state, "--listen", "127.0.0.1:0",
            "--engine", engine, ready="ready on",
            env={**os.environ, "ECONE_CLOUD_MAX_INSTANCES": str(max_instances), **more},
        ) as server:  # fmt: skip
            url = server.ready_line.split("ready on ")[1].strip()  # type: ignore[attr-defined]
            yield Cloud(url, account["access_key"], account["secret_key"], state, server.pid)
    finally:
        if engine == "qemu":  # its networks outlive the server on purpose
            subprocess.run([BIN / "econe-server", "down", "--state", state], capture_output=True)
        shutil.rmtree(state, ignore_errors=True)


def rate(url: str, *, seconds: int = 5, connections: int = 4) -> float:
    """Requests a second that wrk gets answered with 200 at this URL."""
    if not shutil.which("wrk"):
        raise SystemExit("bench: wrk is not installed (Debian package wrk)")
    said = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in said:
        raise SystemExit(f"bench: not all answers were 200: {said}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


def wait_for(said: str, condition, seconds: float = 60.0, pause: float = 0.005) -> float:  # type: ignore[no-untyped-def]
    """The monotonic time at which `condition()` first held."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return time.monotonic()
        time.sleep(pause)
    raise SystemExit(f"bench: {said} did not happen within {seconds} s")


def small_disk(folder: Path) -> Path:
    """A disk that can be uploaded, for engines that never boot it."""
    disk = folder / "small.img"
    content = bytearray(1 << 20)
    content[510:512] = b"\x55\xaa"
    disk.write_bytes(content)
    return disk


def tiny_disk() -> Path:
    """The tiny image, built if need be."""
    disk = ROOT / ".cache/tiny.img"
    if not disk.exists():
        disk.parent.mkdir(exist_ok=True)
        subprocess.run([ROOT / "tools/tiny_image/build.py", disk], check=True, capture_output=True)
    return disk
