"""Taking over what an older econe left in OpenNebula: `econe-admin import-opennebula`.

Images and machines become rows by the same code as the census uses, so it makes no difference
which of the two comes first, and a second time changes nothing. What only this does: key pairs,
which old econe kept in its users' templates; and saying what became of each thing.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from econe.actions.keymaker import OpenSshKeys
from econe.domain import image_happenings
from econe.domain.accounts import number_of
from econe.domain.engine_ports import Person, Stranger
from econe.domain.faults import Duplicate, Fault
from econe.domain.image_ports import SeenImage
from econe.domain.keyring import Keyring, key_pair_named
from econe.domain.ports import Known, Store, Transaction
from econe.domain.queries import Query
from econe.domain.strangers import Place, adopt_strangers
from econe.domain.tagging import check_tags
from econe.domain.tags import MOST
from econe.reconcile.census import Census
from econe.settings import Settings

if TYPE_CHECKING:
    from econe.engines.opennebula.engine import OpennebulaEngine
    from econe.engines.opennebula.leavings import Leaving

log = logging.getLogger(__name__)

LATER: Final = "volumes and snapshots come in a later version; it stays as it is in OpenNebula"
PREFIXES: Final = {"image": "ami", "instance": "i", "volume": "vol", "snapshot": "snap"}


class Outcome(StrEnum):
    ADOPTED = "adopted"
    KNOWN = "known"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Heirloom:
    """One thing, and what became of it."""

    kind: str
    """`image`, `instance`, `key pair`, `volume`, `snapshot`."""
    account: str
    """Its owner's number."""
    old: str
    """What old econe called it: an id, a key pair's name."""
    outcome: Outcome
    new: str = ""
    """Its id here."""
    why: str = ""
    tags: tuple[str, ...] = ()
    """Keys of the tags that came with it."""
    lost_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Key -> why it did not come."""


def inherit(
    store: Store, engine: "OpennebulaEngine", settings: Settings, now: datetime
) -> list[Heirloom]:
    """Take over all that is there. May run beside a server. Raises EngineBusy and EngineLost where
    oned cannot tell, and then something may have been taken over already."""
    people = engine.estate.people()
    zone = settings.cloud.zone
    Census(store=store, engine=engine, settings=settings.opennebula, zone=zone).take(now)
    left = engine.leavings()
    heir = _Heir(store, engine, Place(zone=zone, can=engine.can, now=now))
    return [*heir.images(left), *heir.instances(left), *heir.key_pairs(people), *_set_aside(left)]


class _Heir:
    def __init__(self, store: Store, engine: "OpennebulaEngine", place: Place) -> None:
        self._store, self._engine, self._place = store, engine, place

    # --- images ------------------------------------------------------------------------------

    def images(self, left: Sequence["Leaving"]) -> Iterator[Heirloom]:
        seen = self._engine.images.look()
        for each in left:
            if each.was == "image":
                yield self._image(each, seen.get(each.ref))

    def _image(self, left: "Leaving", seen: SeenImage | None) -> Heirloom:
        if seen is None:
            return _skipped(left, "it is no disk, or is being deleted")
        with self._store.writing() as tx:
            row = image_happenings.adopted(tx, seen)
            if row is not None:
                return _adopted(left, row.id, seen.tags, tx)
            rows = tx.images.find(Query(account=left.account)).items
            known = next((row.id for row in rows if row.engine_ref == left.ref), seen.id)
        return _known(left, known) if known else _skipped(left, NO_ACCOUNT)

    # --- machines ----------------------------------------------------------------------------

    def instances(self, left: Sequence["Leaving"]) -> Iterator[Heirloom]:
        """After the images, which they are made of."""
        self._engine.machines.look()
        strangers = {each.ref: each for each in self._engine.estate.strangers()}
        with self._store.reading() as tx:
            known = tx.instances.known()
        for each in left:
            if each.was == "instance":
                yield self._instance(each, strangers.get(each.ref), known)

    def _instance(
        self, left: "Leaving", stranger: Stranger | None, known: Mapping[str, Known]
    ) -> Heirloom:
        if left.ref in known:
            return _known(left, known[left.ref].id)
        if stranger is None:
            return _skipped(left, "its owner is disabled, or has a driver that is not served")
        with self._store.writing() as tx:
            rows = adopt_strangers(tx, [stranger], self._place)
            if rows:
                return _adopted(left, rows[0].id, stranger.tags, tx)
        return _skipped(left, NO_ACCOUNT)

    # --- key pairs ---------------------------------------------------------------------------

    def key_pairs(self, people: Sequence[Person]) -> Iterator[Heirloom]:
        for person in people:
            for name, public_key in person.key_pairs:
                yield self._key_pair(number_of(person.ref), name, public_key)

    def _key_pair(self, account: str, name: str, public_key: str) -> Heirloom:
        """Its fingerprint is computed as EC2 does: old econe's was another one."""
        keyring = Keyring(OpenSshKeys())
        material, now = public_key.encode(), self._place.now
        try:
            with self._store.writing() as tx:
                if tx.accounts.get(account) is None:
                    return Heirloom("key pair", account, name, Outcome.SKIPPED, why=NO_ACCOUNT)
                row = keyring.take(tx, account, name=name, material=material, tags={}, now=now)
                return Heirloom("key pair", account, name, Outcome.ADOPTED, row.id)
        except Duplicate:
            return self._compare(account, name, public_key)
        except Fault as fault:
            why = fault.said or "it is no public key of a kind that EC2 takes"
            return Heirloom("key pair", account, name, Outcome.SKIPPED, why=why)

    def _compare(self, account: str, name: str, public_key: str) -> Heirloom:
        with self._store.reading() as tx:
            row = key_pair_named(tx, account, name)
        if row is not None and row.public_key.split()[:2] == public_key.split()[:2]:
            return Heirloom("key pair", account, name, Outcome.KNOWN, row.id)
        why = "there is a key pair of this name with another key"
        return Heirloom("key pair", account, name, Outcome.SKIPPED, why=why)


NO_ACCOUNT: Final = "its owner has no account"


def _set_aside(left: Sequence["Leaving"]) -> Iterator[Heirloom]:
    for each in left:
        if each.was in ("volume", "snapshot"):
            yield _skipped(each, LATER)


def _old_id(left: "Leaving") -> str:
    """facts/econe.md 2: the number of the thing in oned, in eight digits."""
    return f"{PREFIXES[left.was.value]}-{int(left.ref):08d}"


def _skipped(left: "Leaving", why: str) -> Heirloom:
    return Heirloom(left.was.value, left.account, _old_id(left), Outcome.SKIPPED, why=why)


def _known(left: "Leaving", new: str) -> Heirloom:
    """Its tags are its owner's to change since it was adopted: none comes again."""
    return Heirloom(left.was.value, left.account, _old_id(left), Outcome.KNOWN, new)


def _adopted(left: "Leaving", new: str, offered: Mapping[str, str], tx: Transaction) -> Heirloom:
    kept = tx.tags.of(new)
    lost = {key: _why_not(key, value) for key, value in offered.items() if key not in kept}
    tags = tuple(sorted(kept.keys() & offered.keys()))
    return Heirloom(
        left.was.value,
        left.account,
        _old_id(left),
        Outcome.ADOPTED,
        new,
        tags=tags,
        lost_tags=lost,
    )


def _why_not(key: str, value: str) -> str:
    try:
        check_tags({key: value})
    except Fault as fault:
        return fault.said
    return f"there may be {MOST} tags"
