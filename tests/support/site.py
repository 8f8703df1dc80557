"""A cloud without its door: the real store, the simulator, and a clock that tests set.

What users ask is done by the domain's use cases, as the actions do it; what the work plane does
is one `round()`, in the test's own thread.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from econe.domain.accounts import Account, Limits
from econe.domain.fleet import Fleet
from econe.domain.images import DiskFormat, Image
from econe.domain.instances import Instance, InstanceState
from econe.domain.launch import LaunchOrder
from econe.domain.ports import Store, Transaction, Upload
from econe.domain.sizes import CATALOGUE
from econe.engines.simulator import Simulator, World
from econe.reconcile.loop import Loop
from econe.settings import Work
from econe.store import open_store

ACCOUNT = "000000000001"
LOCATION = "a" * 32
IMAGE = "ami-00000001"


class ManualClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class WatchedStore:
    """A store that tells of its commits, and whose commits a test may forbid."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.boundary: Callable[[str, str], None] | None = None
        """Told (`commit`, `before` or `after`); what it raises before undoes the transaction."""

    def reading(self) -> AbstractContextManager[Transaction]:
        return self._inner.reading()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        with self._inner.writing() as tx:
            yield tx
            if self.boundary is not None:
                self.boundary("commit", "before")
        if self.boundary is not None:
            self.boundary("commit", "after")

    def close(self) -> None:
        self._inner.close()


class FakeVault:
    """Content as files of a directory, without the proving."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.sweeps: list[float] = []

    def receive(self) -> Upload:
        raise NotImplementedError

    def path(self, location: str, disk_format: DiskFormat) -> Path:
        return self._directory / f"{location}.{disk_format}"

    def locations(self) -> set[str]:
        return {path.stem for path in self._directory.iterdir()}

    def forget(self, location: str) -> None:
        for path in self._directory.glob(f"{location}.*"):
            path.unlink()

    def sweep(self, older_than_s: float) -> int:
        self.sweeps.append(older_than_s)
        return 0


class Site:
    """`helen`'s cloud with one registered image."""

    simulator: type[Simulator] = Simulator

    def __init__(self, directory: Path, work: Work | None = None) -> None:
        self.clock = ManualClock()
        self.work = work or Work()
        self.world = World(self.clock)
        self.store = WatchedStore(open_store(directory / "state"))
        (directory / "blobs").mkdir()
        self.vault = FakeVault(directory / "blobs")
        self.fleet = Fleet(
            zone="us-east-1a",
            sizes=CATALOGUE,
            default_type="m1.small",
            root_gib=0,
            limits=Limits(instances=1000),
            vpc_pools=("172.31.0.0/16", "10.128.0.0/9"),
        )
        self.engine, self.loop = self._server()
        with self.store.writing() as tx:
            tx.accounts.add(Account(number=ACCOUNT, name="helen", created_at=self.clock()))
            tx.images.add(self.image(IMAGE))

    def restart(self) -> None:
        """The server is gone, wherever it was, and another one starts over the same world."""
        self.engine.close()
        self.engine, self.loop = self._server()

    def _server(self) -> tuple[Simulator, Loop]:
        engine = self.simulator(self.world)
        loop = Loop(
            store=self.store,
            engine=engine,
            vault=self.vault,
            sizes=CATALOGUE,
            work=self.work,
            clock=self.clock,
            **self.parts(engine),
        )
        engine.open(loop.poke)
        return engine, loop

    def parts(self, engine: Simulator) -> dict[str, Any]:
        """What else the loop works with."""
        return {}

    def image(self, image_id: str, location: str = LOCATION) -> Image:
        return Image(
            id=image_id,
            account=ACCOUNT,
            name=image_id,
            location=location,
            disk_format=DiskFormat.RAW,
            size_bytes=1 << 20,
            created_at=self.clock(),
            registered=True,
        )

    # --- what users do -------------------------------------------------------------------

    def launch(
        self, count: int = 1, *, shutdown_behavior: str = "stop", **more: object
    ) -> list[str]:
        order = LaunchOrder(
            image=IMAGE,
            at_least=count,
            at_most=count,
            shutdown_behavior=shutdown_behavior,
            **more,  # type: ignore[arg-type]
        )
        with self.store.writing() as tx:
            return [row.id for row in self.fleet.launch(tx, ACCOUNT, order, self.clock())]

    def start(self, *ids: str) -> None:
        with self.store.writing() as tx:
            self.fleet.start(tx, ACCOUNT, ids, self.clock())

    def stop(self, *ids: str, forced: bool = False) -> None:
        with self.store.writing() as tx:
            self.fleet.stop(tx, ACCOUNT, ids, self.clock(), forced=forced)

    def reboot(self, *ids: str) -> None:
        with self.store.writing() as tx:
            self.fleet.reboot(tx, ACCOUNT, ids, self.clock())

    def terminate(self, *ids: str) -> None:
        with self.store.writing() as tx:
            self.fleet.terminate(tx, ACCOUNT, ids, self.clock())

    # --- what can be seen ----------------------------------------------------------------

    def row(self, instance_id: str) -> Instance:
        with self.store.reading() as tx:
            row = tx.instances.get(instance_id)
        assert row is not None
        return row

    def state(self, instance_id: str) -> InstanceState:
        return self.row(instance_id).state

    # --- time ----------------------------------------------------------------------------

    def running(self, count: int = 1, *, shutdown_behavior: str = "stop") -> list[str]:
        ids = self.launch(count, shutdown_behavior=shutdown_behavior)
        self.loop.round()
        assert all(self.state(i) is InstanceState.RUNNING for i in ids)
        return ids

    def rounds(self, seconds: float, every_s: float = 1.0) -> None:
        """As many rounds as the loop would have had in this time."""
        over = self.clock.now + timedelta(seconds=seconds)
        while self.clock.now < over:
            self.loop.round()
            self.clock.pass_s(every_s)

    def settle(self, limit: int = 200) -> None:
        """Rounds, each when the loop wants it, until nothing is unsettled and nothing moves."""
        quiet = 0
        for _ in range(limit):
            with self._counted() as calls:
                wait_s = self.loop.round()
            with self.store.reading() as tx:
                waiting = tx.instances.waiting()
            quiet = 0 if calls or waiting else quiet + 1
            if quiet == 2:
                return
            self.clock.pass_s(max(wait_s, 0.05))
        raise AssertionError(f"still unsettled after {limit} rounds: {waiting}")

    @contextmanager
    def _counted(self) -> Iterator[list[str]]:
        """The engine calls that may change something."""
        calls: list[str] = []

        def note(method: str, when: str) -> None:
            if not method.endswith(".look") and not method.startswith("estate."):
                calls.append(method)

        self.world.script.boundaries.append(note)
        try:
            yield calls
        finally:
            self.world.script.boundaries.remove(note)
