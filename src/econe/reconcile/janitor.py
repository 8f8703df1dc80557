"""What nobody needs any more, removed: once a minute, all of it again after any interruption.

Each chore stands alone: one that fails is logged and leaves the others to go on.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from econe.domain.engine_ports import Engine
from econe.domain.images import DiskFormat, Image, ImageState
from econe.domain.key_use import KeyUse
from econe.domain.ports import Store, Transaction, Vault
from econe.domain.queries import Query
from econe.settings import Work

log = logging.getLogger(__name__)

TOKENS_KEPT = timedelta(hours=24)
"""A client token is good for at least a day; EC2 says no more than that it expires (API
reference, "Ensuring idempotency")."""

HANDED_OVER_QUIET_S = 60.0
"""How old content must be that the engine has taken over, before our copy of it is deleted: an
upload of the same may be about to write its row."""
BATCH = 100
"""Rows removed in one transaction: others wait for it."""


class Janitor:
    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        vault: Vault,
        work: Work,
        terminated_listed_s: float,
        key_use: KeyUse | None = None,
    ) -> None:
        self._key_use = key_use
        self._store, self._engine, self._vault = store, engine, vault
        self._quiet_s = work.content_quiet_s
        self._listed = timedelta(seconds=terminated_listed_s)

    def sweep(self, now: datetime) -> None:
        """Do every chore once. Raises nothing."""
        chores: tuple[Callable[[], None], ...] = (
            partial(self._forget_terminated, now),
            partial(self._forget_tokens, now),
            partial(self._let_time_pass, now),
            self._write_key_use,
            self._forget_images,
            partial(self._forget_content, now),
            self._remove_disks,
            self._sweep_uploads,
        )
        for chore in chores:
            try:
                chore()
            except Exception:
                log.exception("A chore failed; the next sweep tries again chore=%r", chore)

    def _forget_terminated(self, now: datetime) -> None:
        """The console first: without the row nobody would know of it."""
        with self._store.reading() as tx:
            ids = tx.instances.terminated_before(now - self._listed)
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            for instance_id in batch:
                self._engine.machines.forget(instance_id)
            with self._store.writing() as tx:
                for instance_id in batch:
                    tx.instances.remove(instance_id)

    def _forget_tokens(self, now: datetime) -> None:
        with self._store.writing() as tx:
            tx.tokens.forget_before(now - TOKENS_KEPT)

    def _let_time_pass(self, now: datetime) -> None:
        """Deprecations begin and protections end by themselves: each with a commit, so that no
        answer from before is given again."""
        with self._store.reading() as tx:
            due = _due(tx, now)
        if due:
            with self._store.writing() as tx:
                for image in _due(tx, now):
                    tx.images.save(image)

    def _write_key_use(self) -> None:
        if self._key_use is not None:
            self._key_use.write_down(self._store)

    def _forget_images(self) -> None:
        """A deregistered image keeps its row while an instance or a disk is made of it. Where the
        engine keeps images, pictures.py does this when the engine has none any more."""
        if self._engine.can.keeps_images:
            return
        with self._store.reading() as tx:
            doomed = _unneeded_images(tx)
        if doomed:
            with self._store.writing() as tx:
                for image in _unneeded_images(tx):
                    tx.images.remove(image.id)
                    log.info("A deregistered image's row was removed id=%s", image.id)

    def _forget_content(self, now: datetime) -> None:
        """Young content is left alone: its upload may be about to write its row."""
        with self._store.reading() as tx:
            images = tx.images.find(Query()).items
            if self._engine.can.keeps_images:
                needed, handed_over = _content_on_its_way(images)
            else:
                needed, handed_over = _needed_content(tx, images), frozenset[str]()
        for location in sorted(self._vault.locations() - needed):
            quiet_s = HANDED_OVER_QUIET_S if location in handed_over else self._quiet_s
            with _others_go_on(location):
                if self._age_s(location, now) >= min(quiet_s, self._quiet_s):
                    self._vault.forget(location)
                    log.info("Content that no image needs was deleted location=%s", location)

    def _age_s(self, location: str, now: datetime) -> float:
        """Since it was last received; 0 where there is none to be found."""
        for disk_format in DiskFormat:
            try:
                changed = self._vault.path(location, disk_format).stat().st_mtime
            except FileNotFoundError:
                continue
            return (now - datetime.fromtimestamp(changed, UTC)).total_seconds()
        return 0.0

    def _remove_disks(self) -> None:
        """Disks whose volume has no row: looked for first, since a row comes before its disk."""
        disks = self._engine.disks.look()
        with self._store.reading() as tx:
            orphans = disks - {volume.id for volume in tx.volumes.many(sorted(disks))}
        for volume_id in sorted(orphans):
            with _others_go_on(volume_id):
                log.warning("Removing a disk whose volume has no row id=%s", volume_id)
                self._engine.disks.remove(volume_id)

    def _sweep_uploads(self) -> None:
        swept = self._vault.sweep(self._quiet_s)
        if swept:
            log.info("Leavings of uploads were removed count=%d", swept)


@contextmanager
def _others_go_on(what: str) -> Iterator[None]:
    """One thing that cannot be removed must not keep all that come after it."""
    try:
        yield
    except Exception:
        log.exception("This cannot be removed; the next sweep tries again id=%s", what)


def _content_on_its_way(images: Sequence[Image]) -> tuple[frozenset[str], frozenset[str]]:
    """(what the engine has not taken over yet, what it has, or never will)."""
    needed = {image.location for image in images if image.state is ImageState.PENDING}
    return frozenset(needed), frozenset(image.location for image in images) - needed


def _needed_content(tx: Transaction, images: Sequence[Image]) -> frozenset[str]:
    """Of images that can be run, of live instances, and of volumes that outlived theirs: root
    disks are overlays over the content they were made of."""
    made_of = {volume.image_id for volume in tx.volumes.find(Query()).items}
    return frozenset(row.image_location for row in tx.instances.live()) | {
        image.location
        for image in images
        if image.state is not ImageState.DEREGISTERED or image.id in made_of
    }


def _due(tx: Transaction, now: datetime) -> list[Image]:
    """Images as they are from now on, where that differs from their rows."""
    rows = tx.images.find(Query()).items
    return [after for row in rows if (after := _as_of(row, now)) != row]


def _as_of(row: Image, now: datetime) -> Image:
    if row.deprecates_at is not None and row.deprecates_at <= now:
        row = replace(row, deprecated=True)
    if row.protected_until is not None and row.protected_until <= now:
        row = replace(row, protected_until=None)
    return row


def _unneeded_images(tx: Transaction) -> list[Image]:
    needed: set[str | None] = {row.image_id for row in tx.instances.live()}
    needed |= {volume.image_id for volume in tx.volumes.find(Query()).items}
    return [
        image
        for image in tx.images.find(Query()).items
        if image.state is ImageState.DEREGISTERED and image.id not in needed
    ]
