"""Status checks: which instances are due, what the engine finds, and what is written of it.

The loop shows every row that it reads (notice), so a new guest is known within a round. A guest
that has not answered yet, or no longer does, is looked at every few seconds, one that is well once
a minute. Only what changes is written, so that a cloud in which nothing happens has no commits.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from econe.domain import happenings, specs
from econe.domain.engine_ports import Engine, EngineBusy, EngineLost, Subject, Vitals
from econe.domain.health import Check, Outcome, Patience, Pulse, judge
from econe.domain.instances import Instance, InstanceState
from econe.domain.ports import Store
from econe.settings import Work

log = logging.getLogger(__name__)

BATCH: Final = 200
"""Instances looked at, and written, at once."""
NOTHING_HEARD: Final = Vitals(Pulse.STILL, Pulse.STILL)
"""Of a machine that the engine leaves out: it does not hold it."""


@dataclass(slots=True)
class _Kept:
    """Of one instance; losing it makes a failure a minute later known."""

    began: datetime
    """Another start is another guest."""
    due: datetime
    system_silent: datetime | None = None
    guest_silent: datetime | None = None


class Checkups:
    """notice() is called by the loop's thread, take() by one chore at a time."""

    def __init__(self, store: Store, engine: Engine, work: Work) -> None:
        self._store, self._engine = store, engine
        self._every = timedelta(seconds=work.check_every_s)
        self._again = timedelta(seconds=work.check_again_s)
        self._patience = Patience(
            boot=timedelta(seconds=work.boot_limit_s),
            silence=timedelta(seconds=work.impaired_after_s),
        )
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}
        self._next: datetime | None = None

    @property
    def due_at(self) -> datetime | None:
        """When take() has something to do; None: never, as things are."""
        return self._next

    def is_due(self, now: datetime) -> bool:
        return self._next is not None and self._next <= now

    def notice(self, row: Instance, now: datetime) -> None:
        """Of every row that a round reads, as often as it does."""
        kept = self._kept.get(row.id)
        if row.state is not InstanceState.RUNNING:
            if kept is not None:
                with self._lock:
                    self._kept.pop(row.id, None)
        elif kept is None or kept.began != row.booted_at_least:
            with self._lock:
                self._kept[row.id] = _Kept(row.booted_at_least, due=now)
                self._next = now

    def take(self, now: datetime) -> None:
        """Look at all that are due. Raises what the store raises; an engine that cannot be asked
        now is asked again later."""
        with self._lock:
            due = sorted(id_ for id_, kept in self._kept.items() if kept.due <= now)
        try:
            for start in range(0, len(due), BATCH):
                self._examine(due[start : start + BATCH], now)
        finally:
            with self._lock:
                for id_ in due:
                    if id_ in self._kept and self._kept[id_].due <= now:
                        self._kept[id_].due = now + self._again
                self._next = min((kept.due for kept in self._kept.values()), default=None)

    def _examine(self, ids: Sequence[str], now: datetime) -> None:
        rows, subjects = self._subjects(ids)
        try:
            found = self._engine.checks.look(subjects)
        except (EngineBusy, EngineLost) as away:
            log.warning("The status of instances cannot be looked at now problem=%r", away)
            return
        news = {
            row.id: outcomes
            for row in rows
            if (outcomes := self._judge(row, found.get(row.id, NOTHING_HEARD), now)) is not None
        }
        self._write(news, {row.id: row for row in rows})

    def _subjects(self, ids: Sequence[str]) -> tuple[list[Instance], dict[str, Subject]]:
        """Those that still run; the others are forgotten."""
        with self._store.reading() as tx:
            rows = [r for r in tx.instances.many(ids) if r.state is InstanceState.RUNNING]
            subjects = {row.id: specs.subject(tx, row) for row in rows}
        with self._lock:
            for stopped in set(ids) - subjects.keys():
                self._kept.pop(stopped, None)
        return rows, subjects

    def _judge(
        self, row: Instance, vitals: Vitals, now: datetime
    ) -> tuple[Outcome, Outcome] | None:
        """Both outcomes, if one of them is new. Also says when to look again."""
        with self._lock:
            kept = self._kept.get(row.id)
            if kept is None or kept.began != row.booted_at_least:
                return None  # started anew meanwhile
            kept.system_silent = _silence(kept.system_silent, vitals.machine, now)
            kept.guest_silent = _silence(kept.guest_silent, vitals.guest, now)
            before = row.system_status, row.guest_status
            after = (
                self._outcome(before[0], vitals.machine, kept.began, kept.system_silent, now),
                self._outcome(before[1], vitals.guest, kept.began, kept.guest_silent, now),
            )
            kept.due = now + self._pause(now, kept)
        return after if after != before else None

    def _pause(self, now: datetime, kept: _Kept) -> timedelta:
        """The longer nothing was heard, the longer until the next look: what comes back is seen
        after an eighth of the time for which it was away, at most."""
        silent = [since for since in (kept.system_silent, kept.guest_silent) if since is not None]
        if not silent:
            return self._every
        return max(self._again, min(self._every, (now - min(silent)) / 8))

    def _outcome(
        self,
        before: Outcome,
        pulse: Pulse,
        began: datetime,
        silent_since: datetime | None,
        now: datetime,
    ) -> Outcome:
        return judge(
            before,
            pulse,
            now=now,
            began=began,
            silent_since=silent_since or now,
            patience=self._patience,
        )

    def _write(
        self, news: Mapping[str, tuple[Outcome, Outcome]], rows: Mapping[str, Instance]
    ) -> None:
        if not news:
            return
        with self._store.writing() as tx:
            for id_, (system, guest) in news.items():
                happenings.examined(tx, id_, rows[id_].booted_at_least, system, guest)
        for id_, outcomes in news.items():
            _tell(id_, outcomes)

    def retain(self, ids: Iterable[str]) -> None:
        """Forget all others."""
        wanted = set(ids)
        with self._lock:
            for gone in self._kept.keys() - wanted:
                self._kept.pop(gone)


def _silence(since: datetime | None, pulse: Pulse, now: datetime) -> datetime | None:
    return None if pulse is Pulse.BEATS else since or now


def _tell(instance_id: str, outcomes: tuple[Outcome, Outcome]) -> None:
    system, guest = outcomes
    failed = Check.FAILED in (system.check, guest.check)
    log.log(
        logging.WARNING if failed else logging.INFO,
        "A status check changed id=%s system=%s instance=%s",
        instance_id,
        system.check,
        guest.check,
    )
