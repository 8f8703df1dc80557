"""The work plane's one loop: look, read, plan, act.

A round takes no hint of what changed. It looks at the engine, then reads rows, then plans each
and gives what is to be done to a few threads. The order matters: a row is written before its
machine is made, so a machine that was seen has its row by the time rows are read, or never again.
Instances that a job was working on when the look began are left to the next round, because a
row that the job wrote must not be judged by a look from before it.

Most rounds read only the unsettled rows and those whose machine changed since the look before.
A full round, the first one and then every `round_every_s`, reads all live rows.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from econe.domain.engine_ports import Engine, EngineBusy, EngineLost, Seen
from econe.domain.instances import Instance, InstanceState
from econe.domain.key_use import KeyUse
from econe.domain.ports import Clock, Samples, Store, StoreBusy, Vault
from econe.domain.sizes import Size
from econe.reconcile.census import Census
from econe.reconcile.checkups import Checkups
from econe.reconcile.janitor import Janitor
from econe.reconcile.job import Jobs
from econe.reconcile.pictures import Pictures
from econe.reconcile.plan import retry_after_s
from econe.reconcile.sampling import Sampler
from econe.reconcile.workers import Workers
from econe.settings import Work

log = logging.getLogger(__name__)

MOST_SPACING_S = 0.05
"""Rounds that pokes bring about take at most half of one core's time up to this length."""


class Loop:
    """Runs in a thread of its own after start(); tests call round() instead.

    Without start() jobs are done inside round(), one after the other in the calling thread.
    """

    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        vault: Vault,
        sizes: Mapping[str, Size],
        work: Work,
        clock: Clock,
        terminated_listed_s: float = 3600.0,
        census: Census | None = None,
        samples: Samples | None = None,
        pictures: Pictures | None = None,
        key_use: KeyUse | None = None,
    ) -> None:
        """`census`: for an engine that others use too; `pictures`: for one that keeps images."""
        self._store, self._engine, self._clock, self._work = store, engine, clock, work
        self._jobs = Jobs(store=store, engine=engine, sizes=sizes, work=work, clock=clock)
        self._workers = Workers(work.workers, freed=self.poke)
        self._janitor = Janitor(
            store=store,
            engine=engine,
            vault=vault,
            work=work,
            terminated_listed_s=terminated_listed_s,
            key_use=key_use,
        )
        self._checkups = Checkups(store, engine, work)
        self._sampler: Sampler | None = None
        if samples is not None and engine.meters is not None:
            self._sampler = Sampler(store, engine.meters, samples, work)
        self._census = census if engine.estate is not None else None
        self._pictures = pictures
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._sees: bool | None = None
        self._full_at: datetime | None = None
        self._sweep_at: datetime | None = None
        self._census_at: datetime | None = None
        self._before: Mapping[str, Seen] = {}
        self._suspects: set[str] = set()
        """Instances whose machine changed, until a round finds nothing to do for them."""
        self._unused_since: dict[str, datetime] = {}
        """VPC -> when its network was first found without an instance."""

    # --- its life ------------------------------------------------------------------------

    def poke(self) -> None:
        """Something changed; look soon. Any thread may call it, as often as it likes."""
        self._poked.set()

    def start(self) -> None:
        """Begin. The engine is open already, and pokes this loop."""
        self._workers.start()
        self._thread = threading.Thread(target=self._run, name="econe-loop", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the present round; wait for the jobs under way. Machines go on running."""
        self._stopping.set()
        self._poked.set()
        if self._thread is not None:
            self._thread.join()
        self._workers.stop()

    @property
    def goes_on(self) -> bool:
        """Whether rounds are being made, and the last one did not fail. For /health."""
        return self._thread is not None and self._thread.is_alive() and self._failures == 0

    @property
    def sees(self) -> bool | None:
        """Whether the engine answered when the last round looked; None before one did."""
        return self._sees

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._poked.clear()
            begun = time.monotonic()
            try:
                wait_s = self.round()
                self._failures, self._sees = 0, True
            except (EngineBusy, EngineLost, StoreBusy) as away:
                wait_s = self._after_failure()
                if not isinstance(away, StoreBusy):
                    self._sees = False
                log.warning("Nothing can be seen now problem=%r retry_s=%g", away, wait_s)
            except Exception:
                wait_s = self._after_failure()
                log.exception("A round failed retry_s=%g", wait_s)
            self._stopping.wait(min(time.monotonic() - begun, MOST_SPACING_S))
            self._poked.wait(wait_s)

    def _after_failure(self) -> float:
        self._failures += 1
        return min(retry_after_s(self._failures - 1, self._work), self._work.round_every_s)

    # --- a round -------------------------------------------------------------------------

    def round(self) -> float:
        """Do all that can be done now; the answer is in how many seconds to look again.

        Raises what looking at the engine or reading the store raises.
        """
        now = self._clock()
        wake = _Wake(now + timedelta(seconds=self._work.round_every_s))
        self._count(now, wake)  # first: also while the engine is away
        full = _is_due(self._full_at, now, self._work.round_every_s)
        sight = self._look(now, full)
        if full:
            self._look_after_networks(sight)
            self._workers.begin_chore("tidy", self._engine.tidy)
            self._jobs.memories.retain({*sight.seen, *(row.id for row in sight.rows)})
            self._checkups.retain(row.id for row in sight.rows)
            if self._sampler is not None:
                self._sampler.retain(row.id for row in sight.rows)
            self._full_at = now + timedelta(seconds=self._work.round_every_s)
        wake.by(self._full_at)
        if not self._engine.can.shared:  # else they may be somebody's, and are never ended
            for instance_id in sight.orphans:
                self._consider_orphan(instance_id, sight, wake)
        for row in sight.rows:
            self._consider(row, sight, wake)
        self._check_up(now, wake)
        self._sample(now, wake)
        self._sweep(now, wake)
        self._take_up_strangers(now)
        self._look_after_images(now, wake)
        return max(0.0, (wake.at - self._clock()).total_seconds())

    def _look(self, now: datetime, full: bool) -> "_Sight":
        busy = self._workers.busy()
        networks = self._look_at_networks() if full else None
        seen = self._engine.machines.look()
        before, self._before = self._before, seen
        self._suspects |= {i for i in before.keys() | seen.keys() if before.get(i) != seen.get(i)}
        with self._store.reading() as tx:
            rows = tx.instances.live() if full else tx.instances.waiting()
            more = self._suspects | (seen.keys() if full else set())
            rows += tx.instances.many(sorted(more - {row.id for row in rows}))
        orphans = sorted(more & seen.keys() - {row.id for row in rows})
        self._suspects &= {row.id for row in rows}
        rows.sort(key=lambda row: row.settled)  # what users wait for comes first
        return _Sight(now, seen, rows, orphans, networks, busy, self._strangers())

    def _strangers(self) -> frozenset[tuple[str, str]]:
        estate = self._engine.estate
        strangers = estate.strangers() if estate else ()
        return frozenset((each.ref, each.account) for each in strangers)

    def _look_at_networks(self) -> set[str] | None:
        """None: they cannot be looked at now, which must not hold machines up."""
        try:
            return self._engine.networks.look()
        except (EngineBusy, EngineLost) as away:
            log.warning("The networks cannot be looked at problem=%r", away)
            return None

    def _consider(self, row: Instance, sight: "_Sight", wake: "_Wake") -> None:
        self._checkups.notice(row, sight.now)
        if self._sampler is not None:
            self._sampler.notice(row, sight.now)
        if row.id in sight.busy or self._workers.removing(row.vpc_id):
            return  # when that job ends, or one soon after it, there is another round
        if not row.settled and not _is_due(row.retry_at, sight.now, self._work.retry_most_s):
            wake.by(row.retry_at)
            return
        seen = sight.seen.get(row.id)
        if seen is None and (row.engine_ref, row.account) in sight.strangers:
            return  # it was taken up after the look, which showed it as a stranger
        planned = self._jobs.plan(row, seen)
        if planned.moves:
            self._suspects.add(row.id)
            what = (row.version, seen, planned.moves)
            job = partial(self._jobs.work_on, row.id, seen)
            todo = _Todo(row.id, what, job, generation=row.generation, vpc_id=row.vpc_id)
            self._begin(todo, wake, sight.now)
            return
        self._suspects.discard(row.id)
        wake.by(planned.look_at)
        if not row.settled:
            wake.by(sight.now + self._watch)

    def _consider_orphan(self, instance_id: str, sight: "_Sight", wake: "_Wake") -> None:
        if instance_id not in sight.busy:
            self._suspects.add(instance_id)
            job = partial(self._jobs.destroy_orphan, instance_id)
            self._begin(_Todo(instance_id, sight.seen[instance_id], job), wake, sight.now)

    def _begin(self, todo: "_Todo", wake: "_Wake", now: datetime) -> None:
        memories = self._jobs.memories
        not_before = memories.not_before(
            todo.instance_id, todo.generation, todo.what, now, self._watch
        )
        if not_before is not None:
            wake.by(not_before)
            return
        wake.by(now + self._watch)
        if self._workers.begin(todo.instance_id, todo.vpc_id, todo.job):
            memories.begun(todo.instance_id, todo.what, now)

    @property
    def _watch(self) -> timedelta:
        return timedelta(seconds=self._work.watch_every_s)

    # --- chores --------------------------------------------------------------------------
    # One that finds no thread free waits for no moment: the end of another pokes the loop.

    def _check_up(self, now: datetime, wake: "_Wake") -> None:
        if self._checkups.is_due(now):
            self._workers.begin_chore("checkups", partial(self._checkups.take, now))
        if not self._checkups.is_due(now):
            wake.by(self._checkups.due_at)

    def _sample(self, now: datetime, wake: "_Wake") -> None:
        sampler = self._sampler
        if sampler is None:
            return
        if sampler.is_due(now):
            self._workers.begin_chore("samples", partial(sampler.take, now))
        if not sampler.is_due(now):
            wake.by(sampler.due_at)

    def _sweep(self, now: datetime, wake: "_Wake") -> None:
        every_s = self._work.sweep_every_s
        due = _is_due(self._sweep_at, now, every_s)
        if due and not self._workers.begin_chore("sweep", partial(self._janitor.sweep, now)):
            return
        self._sweep_at = now + timedelta(seconds=every_s) if due else self._sweep_at
        wake.by(self._sweep_at)

    def _count(self, now: datetime, wake: "_Wake") -> None:
        census = self._census
        if census is None:
            return
        due = _is_due(self._census_at, now, census.every_s)
        if due and not self._workers.begin_chore("census", partial(census.take, now)):
            return
        self._census_at = now + timedelta(seconds=census.every_s) if due else self._census_at
        wake.by(self._census_at)

    def _take_up_strangers(self, now: datetime) -> None:
        """Machines that others made, as soon as they are seen."""
        if self._census is not None and self._census.has_machines():
            self._workers.begin_chore("census", partial(self._census.adopt, now))

    def _look_after_images(self, now: datetime, wake: "_Wake") -> None:
        pictures = self._pictures
        if pictures is None:
            return
        due = pictures.is_due(now)
        if due and not self._workers.begin_chore("images", partial(pictures.run, now)):
            return
        wake.by(pictures.next_at)

    # --- networks ------------------------------------------------------------------------

    def _look_after_networks(self, sight: "_Sight") -> None:
        """Connect again what lost its network; remove networks that nobody uses any more."""
        if sight.networks is None:
            return
        for row in sight.rows:
            if row.state is InstanceState.RUNNING and row.vpc_id not in sight.networks:
                self._jobs.memories.of(row.id).connected = False
        used = {row.vpc_id for row in sight.rows if row.state is not InstanceState.TERMINATED}
        unused = sight.networks - used
        self._unused_since = {v: self._unused_since.get(v, sight.now) for v in unused}
        quiet = timedelta(seconds=self._work.network_quiet_s)
        for vpc_id, since in self._unused_since.items():
            if sight.now - since >= quiet and vpc_id not in sight.busy.values():
                self._workers.begin_chore(
                    f"remove {vpc_id}", partial(self._remove_network, vpc_id), removes_vpc=vpc_id
                )

    def _remove_network(self, vpc_id: str) -> None:
        self._engine.networks.remove(vpc_id)
        log.info("A network that no instance uses was removed vpc=%s", vpc_id)


def _is_due(moment: datetime | None, now: datetime, every_s: float) -> bool:
    """Also where the clock was set back by more than the whole period."""
    return moment is None or not 0 < (moment - now).total_seconds() <= every_s


@dataclass(slots=True)
class _Wake:
    """The earliest of the moments it is told."""

    at: datetime

    def by(self, moment: datetime | None) -> None:
        if moment is not None:
            self.at = min(self.at, moment)


@dataclass(frozen=True, slots=True)
class _Sight:
    """The world and the rows, in this order."""

    now: datetime
    seen: Mapping[str, Seen]
    rows: list[Instance]
    orphans: list[str]
    networks: set[str] | None
    """VPCs that are up; None where they were not looked at."""
    busy: Mapping[str, str] = field(default_factory=dict)
    """What jobs were working on when the look began."""
    strangers: frozenset[tuple[str, str]] = frozenset()
    """(the engine's name, account) of machines that were no instance's."""


@dataclass(frozen=True, slots=True)
class _Todo:
    instance_id: str
    what: Hashable
    """The row's version, the machine and the moves: the same twice means that nothing moved."""
    job: Callable[[], None]
    generation: int = 0
    vpc_id: str = ""
