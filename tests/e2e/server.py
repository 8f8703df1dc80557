"""A server as its users have it: a process over a state directory, and real clients beside it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.ranges import borrowed
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FOREIGN = re.compile(r"(ECONE|EC2|AWS|ONE)_")
"""What of our own environment must not reach a server or a tool."""
PATIENCE_S = 90.0
"""For whatever a guest has to do: it boots in 6 s on an idle machine of two cores."""

_session = boto3.Session(region_name="us-east-1")  # one: reading the models takes a second


class Server:
    """start() and stop() or kill() in turn, over the same state and at the same port."""

    def __init__(
        self,
        state: Path,
        cidrs: Sequence[str],
        settings: Mapping[str, object],
        command: Sequence[str] = (str(BIN / "econe-server"),),
    ) -> None:
        """`settings` by dotted name. `command` is what is run in the place of econe-server."""
        self.state, self.command, self.url = state, tuple(command), ""
        said = {"cloud.default_vpc_cidrs": ",".join(cidrs), **settings}
        self.env = {name: text for name, text in os.environ.items() if not FOREIGN.match(name)}
        for name, value in said.items():
            self.env["ECONE_" + name.replace(".", "_").upper()] = str(value)
        self.process: subprocess.Popen[str] | None = None
        self.accounts: list[Account] = []

    def start(self, command: Sequence[str] | None = None) -> None:
        """Returns when it answers. `command` for this once."""
        assert self.process is None
        listen = self.url.removeprefix("http://") or "127.0.0.1:0"
        words = ["run", "--state", str(self.state), "--listen", listen, "--engine", "qemu"]
        self.state.mkdir(exist_ok=True)
        with (self.state.parent / f"{self.state.name}.stderr").open("a+") as errors:
            self.process = subprocess.Popen(
                [*(command or self.command), *words],
                cwd=ROOT,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            assert self.process.stdout
            line = self.process.stdout.readline()
            if "ready on" not in line:
                self.kill()
                errors.seek(0)
                raise AssertionError(f"the server did not start: {errors.read()}")
        self.url = line.split("ready on ")[1].strip()

    def stop(self) -> None:
        """In order. Nothing happens if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def await_death(self, within_s: float = PATIENCE_S) -> int:
        """The exit status of a server that ends by itself."""
        assert self.process is not None
        status = self.process.wait(within_s)
        self.kill()
        return status

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            with process:
                process.send_signal(number)
                try:
                    process.wait(30)
                finally:
                    process.kill()

    def account(self, name: str = "helen") -> "Account":
        made = self.admin("account", "create", name, "--password", "hello")
        self.accounts.append(
            Account(self, name, made["number"], made["access_key"], made["secret_key"])
        )
        return self.accounts[-1]

    def metrics(self, instance_id: str) -> list[dict[str, Any]]:
        """The samples that are kept, in order of time."""
        return list(self.admin("metrics", instance_id)["samples"])

    def admin(self, *words: str) -> Any:
        """What econe-admin tells; it must succeed."""
        told = subprocess.run(
            [*self._admin, *words, "--json"],
            check=False,
            env=self.env,
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    @property
    def _admin(self) -> tuple[str, ...]:
        *before, server = self.command
        admin = server.replace("econe-server", "econe-admin").replace("cli.server", "cli.admin")
        return (*before, admin, "--state", str(self.state))

    @property
    def log(self) -> str:
        return (self.state / "server.log").read_text(errors="replace")

    def console(self, instance_id: str) -> str:
        """As the server keeps it."""
        path = self.state / "instances" / instance_id / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def consoles(self) -> dict[str, str]:
        """Of all instances that there are."""
        return {each.name: self.console(each.name) for each in self.state.glob("instances/i-*")}

    def pid_of(self, instance_id: str) -> int:
        """Of its one QEMU."""
        (found,) = [qemu.pid for qemu in leavings.qemus(self.state) if qemu.instance == instance_id]
        return found

    def close(self) -> None:
        """End everything, whatever state it is in, and leave nothing."""
        for account in self.accounts:
            account.close()
        self.kill()
        leavings.clear(self.state)


@dataclass
class Account:
    """Somebody with a key pair, at a server."""

    server: Server
    name: str
    number: str
    access_key: str
    secret: str

    def __post_init__(self) -> None:
        self.desk = self.server.state.parent / f"desk-{self.name}"
        self.desk.mkdir(exist_ok=True)
        self._ec2: Any = None

    @property
    def ec2(self) -> Any:
        """Unmodified boto3, with its own retries."""
        if self._ec2 is None:
            self._ec2 = _session.client(
                "ec2",
                endpoint_url=self.server.url,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret,
                config=Config(connect_timeout=10, read_timeout=60),
            )
        return self._ec2

    def close(self) -> None:
        if self._ec2 is not None:
            self._ec2.close()

    # --- tools ---------------------------------------------------------------------------

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A tool of ours or the AWS CLI, as a process."""
        env = {
            **{name: text for name, text in os.environ.items() if not FOREIGN.match(name)},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.desk),
            "EC2_URL": self.server.url,
            "EC2_ACCESS_KEY": self.access_key,
            "EC2_SECRET_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        return subprocess.run(
            command,
            check=False,
            cwd=self.desk,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def said(self, *command: str) -> str:
        """What it printed; it must succeed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def image(self, disk: Path) -> str:
        """Uploaded and registered."""
        told = self.said("econe-upload", str(disk))
        found = re.fullmatch(r"Success: ImageId (ami-\d{8})\n", told)
        assert found, told
        assert self.said("econe-register", found[1]) == told
        return found[1]

    def key_pair(self, name: str = "mykey", kind: str = "ed25519") -> Path:
        """Where the private key is."""
        made = self.ec2.create_key_pair(KeyName=name, KeyType=kind)
        path = self.desk / f"{name}.pem"
        path.write_text(made["KeyMaterial"])
        path.chmod(0o600)
        return path

    # --- instances -----------------------------------------------------------------------

    def launch(self, image: str, **more: Any) -> str:
        asked = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "InstanceType": "t1.micro"}
        (instance,) = self.ec2.run_instances(**(asked | more))["Instances"]
        assert instance["State"]["Name"] == "pending"
        return str(instance["InstanceId"])

    def describe(self, instance_id: str) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[instance_id])
        (reservation,) = answer["Reservations"]
        (instance,) = reservation["Instances"]
        return dict(instance)

    def state(self, instance_id: str) -> str:
        return str(self.describe(instance_id)["State"]["Name"])

    def until(self, instance_id: str, state: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Its description once it is in the state; fails at once where it never will be."""

        def look() -> dict[str, Any] | None:
            found = self.describe(instance_id)
            now = found["State"]["Name"]
            assert now != "terminated" or state == "terminated", found.get("StateReason")
            return found if now == state else None

        return eventually(look, within_s=within_s, every_s=0.25)

    def guest(self, instance_id: str, key: Path, user: str = "root") -> Guest:
        """Of a running instance, by the address that the tools show."""
        told = self.said("econe-describe-instances", instance_id)
        found = re.search(r" running +(\S+) ", told)
        assert found, told
        host, _, port = found[1].partition(":")
        return Guest(instance_id, host, int(port or 22), key, user)


LIVE: list[Server] = []
"""Those that tests use now: when one fails, their logs are shown."""


@contextmanager
def alive(server: Server) -> Iterator[Server]:
    LIVE.append(server)
    try:
        server.start()
        yield server
    finally:
        LIVE.remove(server)
        server.close()


@contextmanager
def serving(
    directory: Path, *, networks: int = 1, settings: Mapping[str, object] | None = None
) -> Iterator[Server]:
    """A server that has started over `directory`/state, with room for so many default VPCs."""
    with (
        borrowed(networks) as cidrs,
        alive(Server(directory / "state", cidrs, settings or {})) as server,
    ):
        yield server
