"""The census: what an engine that others use too has of its own, carried into the store.

Users become accounts, networks VPCs, types instance types, and machines that were made by other
means instances. Every part compares in a reading transaction first and writes only what differs:
an idle census commits nothing, because every commit makes answers that are kept worthless.

Rule 1: what is asked of the engine is asked outside any transaction, and what is written is
        compared again with the rows as they are then.
Rule 2: a part that fails leaves the others to go on; an engine that is away ends the round of
        them, and the next one begins afresh.
Rule 3: nobody is taken for gone because the engine told of nobody.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Network
from typing import Final, TypeVar

from econe.domain import people as enrolment
from econe.domain.engine_networks import match_networks, see_something_else
from econe.domain.engine_ports import (
    Engine,
    EngineBusy,
    EngineLost,
    EngineRefused,
    Estate,
    OfferedNetwork,
    Person,
    Stranger,
)
from econe.domain.networks import Vpc
from econe.domain.ports import Store, StoreBusy
from econe.domain.queries import Query
from econe.domain.sizes import Size
from econe.domain.strangers import Place, adopt_strangers
from econe.settings import Opennebula

log = logging.getLogger(__name__)

Row = TypeVar("Row")

BATCH: Final = 100
"""Accounts, keys or machines written in one transaction: others wait for it."""


class Census:
    """Of one engine. take() and adopt() may be called from any thread, one at a time."""

    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        settings: Opennebula,
        zone: str,
    ) -> None:
        self._store, self._engine, self._settings, self._zone = store, engine, settings, zone
        self._heard_at: datetime | None = None
        """When the engine last told of its users; at first, when it was first asked."""
        self._warned: set[str] = set()
        """What was said already."""
        self._left: frozenset[str] = frozenset()
        """Machines that cannot be taken up as things are."""

    @property
    def every_s(self) -> float:
        return self._settings.users_every_s

    def take(self, now: datetime) -> None:
        """Every part once. Does nothing for an engine that is ours alone. Raises nothing."""
        estate = self._engine.estate
        if estate is None:
            return
        parts: tuple[Callable[[], None], ...] = (
            partial(self._take_people, estate, now),
            partial(self._take_networks, estate, now),
            partial(self._take_sizes, estate),
            partial(self._take_machines, estate, now),
        )
        for part in parts:
            try:
                part()
            except (EngineBusy, EngineLost, EngineRefused) as away:
                log.warning("The census ends early: the engine does not tell problem=%r", away)
                return
            except Exception:
                log.exception("A part of the census failed; the next one tries again part=%r", part)

    def _warn(self, said: str) -> None:
        """Once, not every half minute."""
        if said not in self._warned:
            self._warned.add(said)
            log.warning("%s", said)

    # --- users -----------------------------------------------------------------------------

    def _take_people(self, estate: Estate, now: datetime) -> None:
        try:
            people = estate.people()
        except (EngineBusy, EngineLost, EngineRefused):
            self._consider_distrust(now)
            raise
        self._heard_at = now
        if not people:
            log.warning("The engine tells of no user at all, which is not believed")
            return
        self._write_people(people, now)

    def _write_people(self, people: Sequence[Person], now: datetime) -> None:
        with_passwords = self._settings.password_keys
        with self._store.reading() as tx:
            found = enrolment.compare_people(tx, people, now, with_passwords=with_passwords)
        for name in found.refused:
            self._warn(f"The user name {name!r} is an access key already, which stays what it is")
        if found.stale_keys or found.renamed:
            with self._store.writing() as tx:
                enrolment.remove_keys(tx, found.stale_keys)
                enrolment.rename(tx, found.renamed)
        for accounts in _batches(found.accounts):
            with self._store.writing() as tx:
                enrolment.put_accounts(tx, accounts)
        for keys in _batches(found.keys):
            with self._store.writing() as tx:
                enrolment.put_keys(tx, keys)
        if found.accounts or found.renamed:
            self._left = frozenset()
            changed = len(found.accounts) + len(found.renamed)
            log.info("Accounts follow the engine's users changed=%d", changed)

    def _consider_distrust(self, now: datetime) -> None:
        """What was heard long ago may not be so any more: nobody signs in by it."""
        if self._heard_at is None or self._heard_at > now:  # the second: the clock was set back
            self._heard_at = now
        if now - self._heard_at < timedelta(seconds=self._settings.trust_users_s):
            return
        with self._store.reading() as tx:
            keys = enrolment.distrusted_keys(tx)
        for batch in _batches(keys):
            with self._store.writing() as tx:
                enrolment.put_keys(tx, batch)
        if keys:
            log.warning(
                "Passwords are not believed any more: no user list from the engine since=%s",
                self._heard_at.isoformat(),
            )

    # --- networks --------------------------------------------------------------------------

    def _take_networks(self, estate: Estate, now: datetime) -> None:
        offered = self._sort_out(estate.networks())
        with self._store.reading() as tx:
            accounts = [row for row in tx.accounts.all() if row.engine_ref and row.enabled]
            vpcs: dict[str, list[Vpc]] = defaultdict(list)
            for vpc in tx.vpcs.find(Query()).items:
                vpcs[vpc.account].append(vpc)
            differing = [
                account.number
                for account in accounts
                if see_something_else(tx, vpcs[account.number], offered)
            ]
        for batch in _batches(differing):
            with self._store.writing() as tx:
                for account in batch:
                    match_networks(tx, account, offered, zone=self._zone, now=now)
        if differing:
            log.info("Accounts see the networks that are offered changed=%d", len(differing))

    def _sort_out(self, networks: Sequence[OfferedNetwork]) -> list[OfferedNetwork]:
        """Each once, with at most one default, and none that EC2's words cannot tell of."""
        kept: dict[str, OfferedNetwork] = {}
        has_default = False
        for each in networks:
            if not _is_network(each.cidr):
                self._warn(f"The network {each.name} has no IPv4 range and is not offered")
            elif each.ref not in kept:
                kept[each.ref] = replace(each, is_default=each.is_default and not has_default)
                has_default |= each.is_default
        return list(kept.values())

    # --- types -----------------------------------------------------------------------------

    def _take_sizes(self, estate: Estate) -> None:
        sizes: dict[tuple[str, str], Size] = {}
        for size in estate.sizes():
            if size.name and size.vcpus > 0 and size.memory_mib > 0:
                sizes.setdefault((size.name, size.owner), size)
        wanted = [sizes[key] for key in sorted(sizes)]
        with self._store.reading() as tx:
            if tx.sizes.all() == wanted:
                return
        with self._store.writing() as tx:
            tx.sizes.replace(wanted)
        log.info("The engine's types are taken over count=%d", len(wanted))

    # --- machines --------------------------------------------------------------------------

    def has_machines(self) -> bool:
        """Whether the last look showed one that might be taken up. Cheap: no call, no database."""
        estate = self._engine.estate
        if estate is None or not self._settings.adopt_machines:
            return False
        return any(
            each.ref not in self._left for each in estate.strangers() if each.ref.isdecimal()
        )

    def adopt(self, now: datetime) -> None:
        """Take up the machines of others that the last look showed."""
        if self._engine.estate is not None:
            self._take_machines(self._engine.estate, now)

    def _take_machines(self, estate: Estate, now: datetime) -> None:
        if not self._settings.adopt_machines:
            return
        strangers = [each for each in estate.strangers() if each.ref.isdecimal()]
        self._left = frozenset(each.ref for each in strangers)
        with self._store.reading() as tx:
            known = tx.instances.known()
            owners = {account.number for account in tx.accounts.all()}
        new = [each for each in strangers if each.ref not in known and each.account in owners]
        for batch in _batches(new):
            try:
                self._take_up(batch, now)
            except StoreBusy:
                raise
            except Exception:  # one that cannot be written must not keep all others out
                log.exception("Machines of others are taken up one by one")
                for each in batch:
                    with _others_go_on(each):
                        self._take_up([each], now)

    def _take_up(self, strangers: Sequence[Stranger], now: datetime) -> None:
        place = Place(zone=self._zone, can=self._engine.can, now=now)
        with self._store.writing() as tx:
            rows = adopt_strangers(tx, strangers, place)
        for row in rows:
            log.info("A machine of others is an instance now id=%s ref=%s", row.id, row.engine_ref)


@contextmanager
def _others_go_on(stranger: Stranger) -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception("A machine of others cannot be taken up ref=%s", stranger.ref)


def _is_network(cidr: str) -> bool:
    try:
        IPv4Network(cidr)
    except ValueError:
        return False
    return True


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
