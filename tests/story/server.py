"""econe-server as an administrator runs it beside the front-end, and users with their tools."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.story.cluster import ROOT, Cluster
from tests.support.eventually import eventually

BIN = Path(sys.executable).parent
FOREIGN = re.compile(r"(ECONE|EC2|AWS|ONE)_")
"""What of our own environment must not reach a server or a tool."""
PATIENCE_S = 30.0
FIXED = {"work": {"watch_every_s": 0.1, "retry_most_s": 1.0, "round_every_s": 1.0}}
QUICK: dict[str, Any] = {"users_every_s": 0.5, "look_every_s": 0.5, "timeout_s": 5.0}

_session = boto3.Session(region_name="us-east-1")  # one: reading the models takes a second


def environment() -> dict[str, str]:
    mine = {name: text for name, text in os.environ.items() if not FOREIGN.match(name)}
    return {**mine, "PATH": f"{BIN}:{os.environ['PATH']}"}


class Server:
    """start(), stop() and kill() in turn, over the same state."""

    def __init__(self, place: Path, cluster: Cluster, **opennebula: Any) -> None:
        """`opennebula` are settings of that section, beside QUICK."""
        self.place, self.cluster, self.url = place, cluster, ""
        self.state, self.config = place / "state", place / "econe.toml"
        credentials = place / "ec2_auth"
        credentials.touch(mode=0o600)
        credentials.write_text(cluster.service + "\n")
        said = {
            "endpoint": cluster.url,
            "credentials": str(credentials),
            "upload_path": str(cluster.upload_dir),
            **QUICK,
            **opennebula,
        }
        lines = [f'state = "{self.state}"', 'engine = "opennebula"']
        for section, keys in {**FIXED, "opennebula": said}.items():
            lines += [f"[{section}]", *(f"{name} = {json.dumps(v)}" for name, v in keys.items())]
        self.config.write_text("\n".join(lines) + "\n")

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*words, "--config", str(self.config)],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def said(self, *words: str) -> str:
        done = self.command(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> None:
        """As a daemon. At the address of before, if it ran before."""
        listen = self.url.removeprefix("http://") or "127.0.0.1:0"
        told = json.loads(self.said("econe-server", "start", "--listen", listen, "--json"))
        self.url = told["url"]

    def stop(self) -> None:
        self.said("econe-server", "stop")

    def kill(self) -> None:
        """By the process id that it wrote down; nothing happens if it does not run."""
        told = json.loads(self.command("econe-server", "status", "--json").stdout)
        if told["pid"]:
            with suppress(ProcessLookupError):
                os.kill(told["pid"], signal.SIGKILL)
            eventually(lambda: self.command("econe-server", "status").returncode == 3, within_s=10)

    @property
    def log(self) -> str:
        return (self.state / "server.log").read_text(errors="replace")

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
            return dict(json.load(answer))

    def admin(self, *words: str) -> Any:
        return json.loads(self.said("econe-admin", *words, "--json"))

    def user(self, name: str) -> "User":
        """With an ONE_AUTH file of the password that the cluster has."""
        return User(self, name)

    def instances(self, user: "User") -> dict[str, str]:
        """Instance id -> state."""
        return {found["InstanceId"]: found["State"]["Name"] for found in user.described()}


@dataclass
class User:
    """Somebody with an ONE_AUTH file or, if `keys` are set, with these."""

    server: Server
    name: str
    keys: tuple[str, str] | None = None
    _ec2: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.desk = self.server.place / f"desk-{self.name}"
        self.desk.mkdir(exist_ok=True)
        self.one_auth = self.desk / "one_auth"
        self.write_password(self.server.cluster.passwords[self.name])

    def write_password(self, password: str) -> None:
        self.one_auth.write_text(f"{self.name}:{password}\n")

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A tool of ours or the AWS CLI, as a process."""
        env = environment() | {"HOME": str(self.desk), "EC2_URL": self.server.url}
        if self.keys is None:
            env["ONE_AUTH"] = str(self.one_auth)
        else:
            env |= {
                "EC2_ACCESS_KEY": self.keys[0],
                "EC2_SECRET_KEY": self.keys[1],
                "AWS_ENDPOINT_URL": self.server.url,
                "AWS_ACCESS_KEY_ID": self.keys[0],
                "AWS_SECRET_ACCESS_KEY": self.keys[1],
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        return subprocess.run(
            command, check=False, cwd=self.desk, env=env, capture_output=True, text=True, timeout=60
        )

    def said(self, *command: str, expect: str = "") -> str:
        """What it printed; it must succeed, and `expect` be found in it."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert re.search(expect, done.stdout, re.MULTILINE), f"no {expect!r} in: {done.stdout}"
        return done.stdout

    def until(self, *command: str, expect: str) -> str:
        """What it printed once `expect` is found in it."""

        def look() -> str | None:
            told = self.said(*command)
            return told if re.search(expect, told, re.MULTILINE) else None

        return eventually(look, within_s=PATIENCE_S, every_s=0.1) or ""

    # --- boto3 ---------------------------------------------------------------------------

    @property
    def ec2(self) -> Any:
        """Unmodified boto3."""
        if self._ec2 is None:
            assert self.keys is not None
            self._ec2 = _session.client(
                "ec2",
                endpoint_url=self.server.url,
                aws_access_key_id=self.keys[0],
                aws_secret_access_key=self.keys[1],
                config=Config(
                    connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1}
                ),
            )
        return self._ec2

    def described(self) -> list[dict[str, Any]]:
        answer = self.ec2.describe_instances()
        return [found for each in answer["Reservations"] for found in each["Instances"]]

    def instance(self, instance_id: str) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[instance_id])
        return dict(answer["Reservations"][0]["Instances"][0])

    def is_in(self, instance_id: str, state: str) -> dict[str, Any]:
        """Its description once it is in the state."""

        def look() -> dict[str, Any] | None:
            found = self.instance(instance_id)
            return found if found["State"]["Name"] == state else None

        return eventually(look, within_s=PATIENCE_S, every_s=0.1) or {}

    def refusal(self) -> str:
        """The code with which a request of theirs is refused; empty where it is answered."""
        try:
            self.ec2.describe_regions()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    def close(self) -> None:
        if self._ec2 is not None:
            self._ec2.close()


def is_away(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/health", timeout=5).close()
    except (OSError, urllib.error.URLError):
        return True
    return False
