"""A cloud without engines: the real store in a temporary directory, the real handlers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from econe.actions.context import Context
from econe.actions.fragments import Rendered
from econe.actions.keymaker import OpenSshKeys
from econe.actions.registry import HANDLERS
from econe.domain import happenings
from econe.domain.accounts import Account
from econe.domain.cloud import Cloud
from econe.domain.default_network import ensure_default_network
from econe.domain.engine_ports import Capabilities, Phase, Seen
from econe.domain.health import Check, Outcome
from econe.domain.hidden import Hidden
from econe.domain.images import Content, DiskFormat
from econe.domain.instances import Instance
from econe.domain.ports import Picture, Store
from econe.domain.queries import Key
from econe.front.faults import tell
from econe.store import open_store

GIB = 1 << 30
NOW = datetime(2026, 11, 23, 16, 0, 0, tzinfo=UTC)


WELL = Outcome(Check.PASSED)

SHARED = Capabilities(
    name="shared",
    network="none",
    shared=True,
    gives_addresses=True,
    keeps_images=True,
    keeps_disks=False,
    metadata=False,
    console="vnc",
)
"""An engine that others use too, and that has networks and images of its own."""


class Consoles:
    """What guests wrote, as the test says."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[bytes, datetime]] = {}

    def output(self, instance_id: str) -> tuple[bytes, datetime] | None:
        return self.written.get(instance_id)


class Screens:
    """All show red, or what the test says goes wrong."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.problem: Exception | None = None

    def picture(self, instance_id: str, *, wake: bool = False) -> Picture:
        self.asked.append((instance_id, wake))
        if self.problem is not None:
            raise self.problem
        return Picture(4, 2, b"\xff\x00\x00" * 8)


class Kept:
    """Fragments that the test says are rendered, and which keys were asked for."""

    def __init__(self) -> None:
        self.rendered: dict[Key, Rendered] = {}

    def known(self, keys: Any) -> dict[Key, Rendered]:
        return {key: self.rendered[key] for key in keys if key in self.rendered}


def unwrapped(each: Any) -> Any:
    """What a fragment shows."""
    return each.structure if hasattr(each, "structure") else each


@dataclass
class Desk:
    """Calls handlers as the pipeline does: its transaction, its clock, its account."""

    store: Store
    cloud: Cloud
    account: Account
    consoles: Consoles
    now: datetime = NOW
    fragments: Kept = field(default_factory=Kept)

    def __call__(self, action: str, *, content: Content | None = None, **asked: Any) -> Any:
        handler = HANDLERS[action]
        opened = self.store.writing() if handler.writes else self.store.reading()
        with opened as tx:
            context = Context(
                account=self.account,
                cloud=self.cloud,
                tx=tx,
                now=self.now,
                request_id="r",
                fragments=self.fragments,
                words=tell,
                content=content,
            )
            made = handler.call(context, asked)
        return handler.asks(self.cloud, made) if handler.asks else made

    def on(self, can: Capabilities) -> "Desk":
        """The same account of the same store, over an engine that can do this."""
        return replace(self, cloud=replace(self.cloud, can=can))

    def again(self) -> "Desk":
        """As the pipeline comes to the next request: with the account as it is now."""
        with self.store.reading() as tx:
            account = tx.accounts.get(self.account.number)
        assert account is not None
        return replace(self, account=account)

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def image(self, *, registered: bool = True, gib: int = 1) -> str:
        content = Content("19ead5de585f43282acab4060bfb7a07", DiskFormat.RAW, 4096, gib * GIB)
        image_id: str = self("UploadImage", content=content)["ImageId"]
        if registered:
            self("RegisterImage", ImageLocation=image_id)
        return image_id

    def launch(self, count: int = 1, **asked: Any) -> list[str]:
        if "ImageId" not in asked:
            asked["ImageId"] = self.image()
        made = self("RunInstances", MinCount=count, MaxCount=count, **asked)
        return [each["InstanceId"] for each in made["Instances"]]

    def started(self, ids: Sequence[str]) -> None:
        """What the work plane does when machines run."""
        up = Seen(Phase.RUNNING, "")
        self._report(
            ids, lambda tx, row: happenings.started(tx, row.id, row.generation, self.now, up)
        )

    def examined(self, ids: Sequence[str], system: Outcome = WELL, guest: Outcome = WELL) -> None:
        """What the work plane does when it has looked how they are."""
        self._report(
            ids,
            lambda tx, row: happenings.examined(tx, row.id, row.booted_at_least, system, guest),
        )

    def sampled(self, ids: Sequence[str]) -> None:
        """What the work plane does when it has read what they use."""
        self._report(ids, lambda tx, row: happenings.sampled(tx, row.id, row.monitoring))

    def halted(self, ids: Sequence[str], **how: bool) -> None:
        self._report(
            ids, lambda tx, row: happenings.halted(tx, row.id, row.generation, self.now, **how)
        )

    def gone(self, ids: Sequence[str]) -> None:
        self._report(ids, lambda tx, row: happenings.gone(tx, row.id, self.now))

    def running(self, count: int = 1, **asked: Any) -> list[str]:
        ids = self.launch(count, **asked)
        self.started(ids)
        return ids

    def terminated(self, count: int = 1) -> list[str]:
        ids = self.running(count)
        self("TerminateInstances", InstanceIds=ids)
        self.gone(ids)
        return ids

    def row(self, instance_id: str) -> Instance:
        with self.store.reading() as tx:
            row = tx.instances.get(instance_id)
            assert row is not None
            return row

    def instances(self, **asked: Any) -> list[Any]:
        """The structures of DescribeInstances, unwrapped."""
        made = self("DescribeInstances", **asked)
        return [
            unwrapped(each)
            for reservation in made["Reservations"]
            for each in reservation["Instances"]
        ]

    def statuses(self, **asked: Any) -> list[Any]:
        """The structures of DescribeInstanceStatus, unwrapped."""
        made = self("DescribeInstanceStatus", **asked)
        return [unwrapped(each) for each in made["InstanceStatuses"]]

    def shown(self, **asked: Any) -> list[str]:
        return [each["InstanceId"] for each in self.instances(**asked)]

    def find(self, noun: str, row_id: str) -> Any:
        """A row of tx.<noun>; None if it is gone."""
        with self.store.reading() as tx:
            return getattr(tx, noun).get(row_id)

    def _report(self, ids: Sequence[str], report: Callable[[Any, Instance], Any]) -> None:
        with self.store.writing() as tx:
            for instance_id in ids:
                row = tx.instances.get(instance_id)
                assert row is not None
                assert report(tx, row) is not None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def items_of(answer: Any, member: str) -> list[Any]:
    """The structures of a list in an answer, rendered parts unwrapped; of reservations their
    instances."""
    items = answer[member]
    if member == "Reservations":
        items = [each for reservation in items for each in reservation["Instances"]]
    return [getattr(each, "structure", each) for each in items]


def make_cloud() -> Cloud:
    return Cloud(
        region="us-east-1",
        zone="us-east-1a",
        consoles=Consoles(),
        screens=Screens(),
        key_maker=OpenSshKeys(),
        can=Capabilities(name="test", network="none", routing_guests=True),
        page_key=Hidden(b"k" * 32),
        endpoint="127.0.0.1:4567",
    )


@pytest.fixture
def cloud() -> Cloud:
    return make_cloud()


def make_account(store: Store, cloud: Cloud, number: str, name: str) -> Desk:
    account = Account(number, name, NOW)
    with store.writing() as tx:
        tx.accounts.add(account)
        ensure_default_network(tx, number, cloud.zone, cloud.vpc_pools, NOW)
    return Desk(store, cloud, account, cloud.consoles)  # type: ignore[arg-type]


@pytest.fixture
def helen(store: Store, cloud: Cloud) -> Desk:
    return make_account(store, cloud, "111122223333", "helen")


@pytest.fixture
def paris(store: Store, cloud: Cloud) -> Desk:
    """Another account in the same cloud."""
    return make_account(store, cloud, "444455556666", "paris")


@contextmanager
def refused(kind: Any, noun: Any, text: str = "") -> Iterator[Any]:
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.noun is noun
    assert text in (caught.value.said or caught.value.subject)
