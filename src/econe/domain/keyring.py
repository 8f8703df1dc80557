"""What can be done with key pairs: create, import, delete."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from econe.domain.faults import Conflict, Duplicate, Invalid, LimitExceeded, Noun, Unsupported
from econe.domain.hidden import Hidden
from econe.domain.ids import read_id
from econe.domain.keypairs import KeyPair
from econe.domain.ports import KeyMaker, KnownKey, Transaction
from econe.domain.queries import Criterion, Query, literally
from econe.domain.tagging import check_tags

LONGEST_NAME = 255
MOST_KEY_PAIRS = 5000
"""API reference, CreateKeyPair."""
TYPES = frozenset({"rsa", "ed25519"})


@dataclass(frozen=True, slots=True)
class Keyring:
    """Use cases of key pairs. Raise Fault; `account` is a number."""

    maker: KeyMaker
    most: int = MOST_KEY_PAIRS
    """That an account may have."""

    def create(
        self,
        tx: Transaction,
        account: str,
        *,
        name: str,
        key_type: str,
        key_format: str = "pem",
        tags: Mapping[str, str],
        now: datetime,
        made: KnownKey | None = None,
    ) -> tuple[KeyPair, Hidden[str]]:
        """A new pair and its private half, as `pem` or `ppk`; it is told this once and not kept.
        `made`: what prepare() made of the same."""
        make = self.prepare(
            tx, account, name=name, key_type=key_type, key_format=key_format, tags=tags
        )
        made = made or make()
        if made.private is None:
            raise TypeError("a key maker made a key without its private half")
        return _keep(tx, account, name=name, key=made, tags=tags, now=now), made.private

    def prepare(
        self,
        tx: Transaction,
        account: str,
        *,
        name: str,
        key_type: str,
        key_format: str,
        tags: Mapping[str, str],
    ) -> Callable[[], KnownKey]:
        """What makes the keys, once it is known that they may be made. For RSA it takes a tenth of
        a second and more, and no row: it is for where no transaction waits."""
        if key_type not in TYPES:
            raise Unsupported(
                Noun.KEY_PAIR, key_type, f"Key pairs of type '{key_type}' cannot be made."
            )
        _check_new(tx, account, name, tags)
        self._check_room(tx, account)
        return partial(self.maker.make, key_type, key_format=key_format, comment=name)

    def take(
        self,
        tx: Transaction,
        account: str,
        *,
        name: str,
        material: bytes,
        tags: Mapping[str, str],
        now: datetime,
    ) -> KeyPair:
        """ImportKeyPair."""
        _check_new(tx, account, name, tags)
        self._check_room(tx, account)
        key = self.maker.read(material)
        return _keep(tx, account, name=name, key=key, tags=tags, now=now)

    def _check_room(self, tx: Transaction, account: str) -> None:
        if len(tx.key_pairs.keys(Query(account=account)).items) >= self.most:
            raise LimitExceeded(Noun.KEY_PAIR, said=f"Maximum of {self.most} keypairs reached.")

    def delete(
        self, tx: Transaction, account: str, name: str | None, asked_id: str | None
    ) -> KeyPair | None:
        """The pair that was deleted; None, and no error, where there was none (as EC2). A name and
        an id may both be given, if they are of one pair."""
        found = None
        if asked_id is not None:
            found = tx.key_pairs.get(read_id(Noun.KEY_PAIR, asked_id))
        elif name is not None:
            found = key_pair_named(tx, account, name)
        if found is None or found.account != account:
            return None
        if name not in (None, found.name):
            raise Conflict(
                Noun.PARAMETER,
                "KeyName",
                f"The key pair '{found.id}' is not the key pair '{name}'.",
            )
        tx.key_pairs.remove(found.id)
        return found


def _check_new(tx: Transaction, account: str, name: str, tags: Mapping[str, str]) -> None:
    _check_name(name)
    check_tags(tags)
    if key_pair_named(tx, account, name) is not None:
        raise Duplicate(Noun.KEY_PAIR, name, f"The keypair '{name}' already exists.")


def _check_name(name: str) -> None:
    """EC2 User Guide, "Create a key pair": up to 255 ASCII characters, no spaces at the ends."""
    fits = 1 <= len(name) <= LONGEST_NAME and name.isascii() and name.isprintable()
    if not fits or name != name.strip():
        raise Invalid(
            Noun.PARAMETER,
            "KeyName",
            f"Value ({name}) for parameter KeyName is invalid. It must be 1 to {LONGEST_NAME} "
            "printable ASCII characters, without spaces at its ends.",
        )


def key_pair_named(tx: Transaction, account: str, name: str) -> KeyPair | None:
    same = Criterion("name", (literally(name),))
    rows = tx.key_pairs.find(Query(account=account, criteria=(same,))).items
    return rows[0] if rows else None


def _keep(
    tx: Transaction,
    account: str,
    *,
    name: str,
    key: KnownKey,
    tags: Mapping[str, str],
    now: datetime,
) -> KeyPair:
    (key_id,) = tx.next_ids("key")
    row = KeyPair(
        id=key_id,
        account=account,
        name=name,
        type=key.type,
        fingerprint=key.fingerprint,
        public_key=f"{key.public_key} {name}",
        created_at=now,
        tags=tags,
    )
    tx.key_pairs.add(row)
    if tags:
        tx.tags.put(account, key_id, Noun.KEY_PAIR.value, tags)
    return row
