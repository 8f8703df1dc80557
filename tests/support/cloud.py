"""A cloud on a loopback port: the whole real app over the simulator, with real clients."""

import hashlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tests.support.eventually import eventually

from econe.app import App, build, utc_now
from econe.domain.accounts import AccessKey, Account
from econe.domain.hidden import Hidden
from econe.domain.images import DiskFormat, Image
from econe.front.server import bind, make_server, url_of
from econe.settings import Settings

_numbers = itertools.count(1)
session = boto3.Session(region_name="us-east-1")  # one: reading the models takes a second


@dataclass(frozen=True)
class Caller:
    """An account with one key pair."""

    number: str
    name: str
    access_key: str
    secret: str


def make_caller(app: App, name: str = "") -> Caller:
    number = next(_numbers)
    caller = Caller(
        f"{number:012d}", name or f"user{number}", f"AKIA{number:016d}", f"sec+/{number}"
    )
    with app.store.writing() as tx:
        tx.accounts.add(Account(caller.number, caller.name, utc_now()))
        tx.access_keys.add(
            AccessKey(caller.access_key, caller.number, (Hidden(caller.secret),), utc_now())
        )
    return caller


class Cloud:
    """What a test sees of a running server, as one account of it."""

    def __init__(self, app: App, url: str, caller: Caller) -> None:
        self.app, self.url, self.caller = app, url, caller

    def as_other(self) -> "Cloud":
        """The same server, as another account."""
        return Cloud(self.app, self.url, make_caller(self.app))

    def client(self, service: str = "ec2", **config: Any) -> Any:
        """Unmodified boto3. It does not try again, so that a test sees each answer."""
        return session.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=self.caller.access_key,
            aws_secret_access_key=self.caller.secret,
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def resource(self) -> Any:
        """boto3's objects."""
        return session.resource(
            "ec2",
            endpoint_url=self.url,
            aws_access_key_id=self.caller.access_key,
            aws_secret_access_key=self.caller.secret,
            config=Config(retries={"max_attempts": 0}),
        )

    def image(self, *, registered: bool = True) -> str:
        """An image, without its content: the simulator reads none."""
        with self.app.store.writing() as tx:
            (image_id,) = tx.next_ids("ami")
            tx.images.add(
                Image(
                    id=image_id,
                    account=self.caller.number,
                    name=image_id,
                    location=hashlib.md5(image_id.encode()).hexdigest(),
                    disk_format=DiskFormat.RAW,
                    size_bytes=1 << 30,
                    created_at=utc_now(),
                    registered=registered,
                )
            )
        return image_id

    def running(self, count: int = 1, **more: Any) -> list[str]:
        """Ids of instances that run."""
        ec2 = self.client()
        asked = {"ImageId": self.image(), "MinCount": count, "MaxCount": count, **more}
        ids = [each["InstanceId"] for each in ec2.run_instances(**asked)["Instances"]]
        eventually(lambda: self.states(ids) == ["running"] * count, within_s=10)
        return ids

    def states(self, ids: Sequence[str]) -> list[str]:
        answer = self.client().describe_instances(InstanceIds=ids)
        return [
            instance["State"]["Name"]
            for reservation in answer["Reservations"]
            for instance in reservation["Instances"]
        ]


@contextmanager
def serving(settings: Settings, **parts: Any) -> Iterator[tuple[App, str]]:
    """A server in this process, in a thread of its own; ends with the block."""
    app = build(settings, **parts)
    ready = threading.Event()
    try:
        with bind("127.0.0.1", 0) as listening:
            server = make_server(app.asgi, settings.server, ready.set)
            app.start()
            thread = threading.Thread(
                target=server.run, kwargs={"sockets": [listening]}, name="serving"
            )
            thread.start()
            try:
                assert ready.wait(10)
                yield app, url_of(listening, settings.server)
            finally:
                server.stop()
                thread.join(20)
    finally:
        app.close()


def simulator(state: Path, **sections: Any) -> Settings:
    """Settings for tests: the simulator, and rounds that follow each other fast."""
    settings = Settings(state=state, engine="simulator", **sections)
    return replace(settings, work=replace(settings.work, watch_every_s=0.05))


def codes(refused: Any) -> tuple[str, int]:
    """The code and the status of a botocore ClientError."""
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
