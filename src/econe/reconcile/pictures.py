"""Images in an engine that keeps them itself: uploads go into it, and rows follow what is there.

One run reads the rows, looks at the engine's images, plans each and acts. Rows come first: only
this chore makes images in the engine and names them in rows, so an image that a row names was there
before the look, or is gone.

Rule 1: a hand-over may take minutes, so a run does one, last of all, and another run follows.
Rule 2: what the engine says is reported; what was asked of it is not, until it is seen.
Rule 3: an image of others is hidden when it is deregistered, and never removed.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final

from econe.domain import image_happenings as happenings
from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.image_ports import Images, ImageSpec, SeenImage
from econe.domain.images import Image, ImageState
from econe.domain.ports import Store, StoreBusy, Transaction, Vault
from econe.domain.queries import Key, Query
from econe.domain.reasons import reason_of
from econe.reconcile.plan import retry_after_s
from econe.settings import Work

log = logging.getLogger(__name__)


class Move(StrEnum):
    HAND_OVER = "hand over its content"
    MARK = "mark it as a machine image"
    UNMARK = "take its mark away"
    REMOVE = "remove it"
    SAY_SHOWN = "report how it is shown"
    SAY_VANISHED = "report that it vanished"
    FORGET = "forget it"


CALLS: Final = frozenset({Move.HAND_OVER, Move.MARK, Move.UNMARK, Move.REMOVE})
"""What asks something of the engine, and waits after a try that did not work."""


def plan(row: Image, seen: SeenImage | None, *, needed: bool) -> tuple[Move, ...]:
    """What to do now. `seen` is the row's image in the engine; `needed` says whether an instance
    or a disk here is made of it."""
    if row.state is ImageState.DEREGISTERED:
        return _plan_end(row, seen, needed=needed)
    if seen is None:
        if row.engine_ref:
            return (Move.SAY_VANISHED,)
        return (Move.HAND_OVER,) if row.state is ImageState.PENDING else ()
    moves = (Move.SAY_SHOWN,) if happenings.differs(row, seen) else ()
    lacks_mark = row.registered and not seen.registered
    if lacks_mark and seen.state is ImageState.AVAILABLE:
        return (*moves, Move.MARK)
    return moves


def _plan_end(row: Image, seen: SeenImage | None, *, needed: bool) -> tuple[Move, ...]:
    if seen is None:
        return () if needed else (Move.FORGET,)
    moves = (Move.UNMARK,) if seen.registered else ()
    ends = not row.adopted and not needed
    return (*moves, Move.REMOVE) if ends else moves


@dataclass(frozen=True, slots=True)
class _Sight:
    """Rows, then the engine's images."""

    rows: Sequence[Image]
    needed: frozenset[str]
    """Ids of deregistered images that something here is made of."""
    seen: Mapping[str, SeenImage]

    def of(self, row: Image) -> SeenImage | None:
        """By the engine's name, or by our id where that is not known yet. One that went to another
        account is not this row's any more."""
        if row.engine_ref:
            found = self.seen.get(row.engine_ref)
        else:
            found = next((each for each in self.seen.values() if each.id == row.id), None)
        return found if found is not None and found.account == row.account else None


class Pictures:
    """Of an engine that keeps images. run() is called by one thread at a time."""

    def __init__(
        self,
        *,
        store: Store,
        images: Images,
        vault: Vault,
        work: Work,
        look_every_s: float,
    ) -> None:
        """`look_every_s`: longest time that what others do to images can go unnoticed."""
        self._store, self._images, self._vault, self._work = store, images, vault, work
        self._every = timedelta(seconds=look_every_s)
        self._known: Sequence[Key] | None = None
        """The rows as the last run read them."""
        self._failures = 0
        self.next_at: datetime | None = None
        """When there is something to do although no row changes; None: at once."""

    def is_due(self, now: datetime) -> bool:
        """Whether its time has come, or a row changed since the last run read them."""
        late = self.next_at is None or not timedelta(0) < self.next_at - now <= self._every
        if late or self._failures:
            return late
        with self._store.reading() as tx:
            return tx.images.keys(Query()).items != self._known

    def run(self, now: datetime) -> None:
        """All that can be done now. Raises nothing that the engine raises."""
        self.next_at = now + self._every
        try:
            sight = self._look()
        except (EngineBusy, EngineLost, EngineRefused) as away:
            wait_s = retry_after_s(self._failures, self._work)
            self._failures += 1
            self._wake(now, wait_s)
            log.warning("Images cannot be looked at problem=%r retry_s=%g", away, wait_s)
            return
        self._failures = 0
        waiting = [row for row in sight.rows if self._consider(row, sight, now)]
        self._adopt(sight)
        if waiting:
            self._hand_over(min(waiting, key=lambda row: row.created_at), now)
            self._wake(now, 0.0)

    def _look(self) -> _Sight:
        with self._store.reading() as tx:
            keys = tx.images.keys(Query()).items
            rows = tx.images.many([key.id for key in keys])
            needed = frozenset(
                row.id
                for row in rows
                if row.state is ImageState.DEREGISTERED and happenings.is_needed(tx, row.id)
            )
        self._known = keys
        return _Sight(rows, needed, self._images.look())

    def _wake(self, now: datetime, after_s: float) -> None:
        moment = now + timedelta(seconds=after_s)
        self.next_at = moment if self.next_at is None else min(self.next_at, moment)

    # --- one image -------------------------------------------------------------------------

    def _consider(self, row: Image, sight: _Sight, now: datetime) -> bool:
        """Do what is to be done now; whether there is content to be handed over, which is left
        to the end."""
        seen = sight.of(row)
        moves = plan(row, seen, needed=row.id in sight.needed)
        if row.retry_at is not None and row.retry_at > now and CALLS.intersection(moves):
            self._wake(now, (row.retry_at - now).total_seconds())
            moves = tuple(move for move in moves if move not in CALLS)
        for move in moves:
            if move is not Move.HAND_OVER:
                with self._trying(move, row, now):
                    self._make(move, row, seen)
        if CALLS.intersection(moves) or row.state is ImageState.PENDING:
            # What was asked for is done when it is seen; what comes soon is looked for often.
            age_s = (now - row.created_at).total_seconds()
            self._wake(now, max(self._work.watch_every_s, age_s / 10))
        return Move.HAND_OVER in moves

    def _make(self, move: Move, row: Image, seen: SeenImage | None) -> None:
        if move is Move.SAY_VANISHED:
            self._report(move, row, partial(happenings.vanished, image_id=row.id))
        elif move is Move.FORGET:
            self._report(move, row, partial(happenings.forgotten, image_id=row.id))
        elif seen is not None and move is Move.SAY_SHOWN:
            self._report(move, row, partial(happenings.shown, image_id=row.id, seen=seen))
        elif seen is not None:
            if move is Move.REMOVE:
                self._images.remove(seen.ref)
            else:
                self._images.mark(seen.ref, registered=move is Move.MARK)
            self._report(move, row, partial(happenings.worked, image_id=row.id))

    def _hand_over(self, row: Image, now: datetime) -> None:
        """The row is read again: others before it took their time."""
        with self._store.reading() as tx:
            fresh = tx.images.get(row.id)
        if fresh is None or fresh.state is not ImageState.PENDING or fresh.engine_ref:
            return
        with self._trying(Move.HAND_OVER, fresh, now):
            try:
                ref = self._images.ensure(self._spec(fresh))
            except EngineRefused as no:
                problem = f"{no.said} {no.hidden}".strip()
                reason = reason_of(no.code, no.said)
                refusal = partial(
                    happenings.refused, image_id=row.id, reason=reason, problem=problem
                )
                self._report(Move.HAND_OVER, fresh, refusal)
            else:
                taken = partial(happenings.handed_over, image_id=row.id, ref=ref)
                self._report(Move.HAND_OVER, fresh, taken)

    def _spec(self, row: Image) -> ImageSpec:
        return ImageSpec(
            id=row.id,
            account=row.account,
            name=row.name,
            description=row.description,
            path=self._vault.path(row.location, row.disk_format),
            content_format=row.disk_format,
            size_bytes=row.size_bytes,
            architecture=row.architecture,
            placing=row.placing,
        )

    # --- images of others ------------------------------------------------------------------

    def _adopt(self, sight: _Sight) -> None:
        """Images that are marked as machine images, and that no row is about."""
        found = {seen.ref for row in sight.rows if (seen := sight.of(row)) is not None}
        new = [
            seen
            for ref, seen in sight.seen.items()
            if seen.registered and ref not in found and ref.isdecimal()
        ]
        if not new:
            return
        with self._store.reading() as tx:
            owners = {account.number for account in tx.accounts.all()}
        for seen in new:
            if seen.account in owners:
                with _others_go_on(seen), self._store.writing() as tx:
                    row = happenings.adopted(tx, seen)
                    if row is not None:
                        log.info("An image of others is listed id=%s ref=%s", row.id, seen.ref)

    # --- reporting -------------------------------------------------------------------------

    def _report(
        self, move: Move, row: Image, report: Callable[[Transaction], Image | None]
    ) -> None:
        with self._store.writing() as tx:
            after = report(tx)
        if after is None:
            log.info("A report came too late id=%s report=%r", row.id, str(move))
        elif (after.state, after.engine_ref) != (row.state, row.engine_ref) or move in CALLS:
            failed = after.state is ImageState.FAILED
            log.log(
                logging.WARNING if failed else logging.INFO,
                "An image moved id=%s from=%s to=%s ref=%s after=%r%s",
                row.id,
                row.state,
                after.state,
                after.engine_ref,
                str(move),
                f" why={after.problem!r}" if failed else "",
            )

    @contextmanager
    def _trying(self, move: Move, row: Image, now: datetime) -> Iterator[None]:
        """What does not work is written down, and leaves the other images to go on."""
        try:
            yield
        except StoreBusy as busy:
            log.warning("The database is busy id=%s doing=%r problem=%r", row.id, str(move), busy)
            self._wake(now, self._work.retry_first_s)
        except EngineBusy as busy:
            self._wait(move, row, now, f"The engine is busy: {busy}")
        except EngineLost as lost:
            self._wait(move, row, now, f"It is unknown whether the engine did it: {lost}")
        except EngineRefused as no:
            self._wait(move, row, now, f"The engine refuses: {no.hidden or no.said}")
        except Exception as surprise:
            log.exception("Unexpected id=%s doing=%r", row.id, str(move))
            self._wait(move, row, now, f"Unexpected {type(surprise).__name__}: {surprise}")

    def _wait(self, move: Move, row: Image, now: datetime, why: str) -> None:
        delay_s = retry_after_s(row.attempts, self._work)
        problem = f"Could not {move}. {why}"
        log.warning("A try did not work id=%s state=%s problem=%r", row.id, row.state, problem)
        self._wake(now, delay_s)
        try:
            with self._store.writing() as tx:
                happenings.waits(tx, row.id, problem, now + timedelta(seconds=delay_s))
        except Exception:
            log.exception("A problem could not be written down id=%s", row.id)


@contextmanager
def _others_go_on(seen: SeenImage) -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception("An image of others cannot be listed ref=%s", seen.ref)
