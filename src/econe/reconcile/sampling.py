"""Sampling of what machines use: each minute where an instance is monitored in detail, else every
five, as EC2 does (User Guide, "Basic monitoring and detailed monitoring").

The loop shows every row that it reads (notice). The first sample of an instance whose monitoring
was switched on is what makes it `enabled`.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from econe.domain import happenings, specs
from econe.domain.engine_ports import EngineBusy, EngineLost, Meters, Subject
from econe.domain.instances import CHANGING, Instance, InstanceState
from econe.domain.ports import Samples, Store, StoreBroken
from econe.domain.samples import Reading
from econe.settings import Work

log = logging.getLogger(__name__)

BATCH: Final = 200
"""Instances read at once."""


class Sampler:
    """notice() is called by the loop's thread, take() by one chore at a time."""

    def __init__(self, store: Store, meters: Meters, samples: Samples, work: Work) -> None:
        self._store, self._meters, self._samples = store, meters, samples
        self._every = {
            True: timedelta(seconds=work.sample_every_s),
            False: timedelta(seconds=work.sample_basic_every_s),
        }
        self._kept_for = timedelta(seconds=work.samples_kept_s)
        self._lock = Lock()
        self._due: dict[str, datetime] = {}
        self._next: datetime | None = None

    @property
    def due_at(self) -> datetime | None:
        """When take() has something to do; None: never, as things are."""
        return self._next

    def is_due(self, now: datetime) -> bool:
        return self._next is not None and self._next <= now

    def notice(self, row: Instance, now: datetime) -> None:
        """Of every row that a round reads, as often as it does."""
        if row.state is not InstanceState.RUNNING:
            if row.id in self._due:
                with self._lock:
                    self._due.pop(row.id, None)
        elif row.id not in self._due or row.monitoring in CHANGING:
            with self._lock:
                self._due[row.id] = self._next = now

    def retain(self, ids: Iterable[str]) -> None:
        """Forget all others."""
        wanted = set(ids)
        with self._lock:
            for gone in self._due.keys() - wanted:
                self._due.pop(gone)

    def take(self, now: datetime) -> None:
        """Read all that are due, and drop samples that are too old. Raises what the store raises;
        an engine that cannot be asked now is asked the next time."""
        with self._lock:
            due = sorted(id_ for id_, moment in self._due.items() if moment <= now)
        try:
            for start in range(0, len(due), BATCH):
                self._read(due[start : start + BATCH], now)
            self._samples.forget_before(now - self._kept_for)
        except StoreBroken as broken:
            log.warning("Samples could not be kept problem=%r", broken.hidden)
        finally:
            with self._lock:
                for id_ in due:
                    if id_ in self._due and self._due[id_] <= now:
                        self._due[id_] = now + self._every[True]
                self._next = min(self._due.values(), default=None)

    def _read(self, ids: list[str], now: datetime) -> None:
        rows, subjects = self._subjects(ids)
        found = self._ask(subjects)
        if found:
            self._samples.add(now, found)
        for row in rows.values():
            with self._lock:
                self._due[row.id] = now + self._every[row.monitored]
        changed = [id_ for id_ in found if rows[id_].monitoring in CHANGING]
        if changed:
            with self._store.writing() as tx:
                for id_ in changed:
                    happenings.sampled(tx, id_, rows[id_].monitoring)

    def _subjects(self, ids: list[str]) -> tuple[dict[str, Instance], dict[str, Subject]]:
        """Those that still run; the others are forgotten."""
        with self._store.reading() as tx:
            rows = {
                row.id: row for row in tx.instances.many(ids) if row.state is InstanceState.RUNNING
            }
            subjects = {id_: specs.subject(tx, row) for id_, row in rows.items()}
        with self._lock:
            for stopped in set(ids) - rows.keys():
                self._due.pop(stopped, None)
        return rows, subjects

    def _ask(self, subjects: Mapping[str, Subject]) -> Mapping[str, Reading]:
        try:
            return self._meters.read(subjects) if subjects else {}
        except (EngineBusy, EngineLost) as away:
            log.warning("What instances use cannot be read now problem=%r", away)
            return {}
