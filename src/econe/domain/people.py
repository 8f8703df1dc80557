"""Accounts and password keys, as an engine's users are now.

An account is known by the user's id in the engine, which is never given again; its name follows
the user's. The password key is called what the user is called, since that is what people sign in
with, and goes to whoever has the name now. It never takes the place of a key of another kind.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from econe.domain.accounts import AccessKey, Account, number_of
from econe.domain.engine_ports import Person
from econe.domain.ports import Transaction


@dataclass(frozen=True, slots=True)
class Differences:
    """What is to be written, in this order."""

    stale_keys: tuple[AccessKey, ...] = ()
    """Password keys that go, before any comes in their place."""
    renamed: tuple[Account, ...] = ()
    """Together, since they may have each other's names."""
    accounts: tuple[Account, ...] = ()
    """All others that are new or differ."""
    keys: tuple[AccessKey, ...] = ()
    """Password keys that are new or differ."""
    refused: tuple[str, ...] = ()
    """User names that are an access key already, which stays what it is."""


def compare_people(
    tx: Transaction, people: Sequence[Person], now: datetime, *, with_passwords: bool
) -> Differences:
    """What the store must be told, `people` being all users that there are.

    Those that are gone lose their password key, their name, and the use of their account; what is
    theirs stays. Without `with_passwords` nobody has a password key.
    """
    here = {person.ref: person for person in people if person.name and _is_numbered(person)}
    accounts = tx.accounts.all()
    present = {account.engine_ref: account for account in accounts if account.engine_ref}
    ours = {account.name for account in accounts if not account.engine_ref}
    changed = [
        after
        for after in _accounts_of(here, present, ours, now)
        if after != present.get(after.engine_ref)
    ]
    renamed = [
        after
        for after in changed
        if after.engine_ref in present and after.name != present[after.engine_ref].name
    ]
    passwords = [_password_of(person, now) for person in here.values() if person.secret]
    stale, keys, refused = _compare_keys(tx, passwords if with_passwords else [], present.values())
    return Differences(
        stale_keys=tuple(stale),
        renamed=tuple(renamed),
        accounts=tuple(after for after in changed if after not in renamed),
        keys=tuple(keys),
        refused=tuple(refused),
    )


def distrusted_keys(tx: Transaction) -> list[AccessKey]:
    """The password keys of engine's users that open a door, each as it is when it does not."""
    theirs = {account.number for account in tx.accounts.all() if account.engine_ref}
    return [
        replace(key, enabled=False)
        for key in tx.access_keys.passwords()
        if key.enabled and key.account in theirs
    ]


# --- writing, inside the caller's transaction ----------------------------------------------


def remove_keys(tx: Transaction, keys: Iterable[AccessKey]) -> None:
    for key in keys:
        present = tx.access_keys.get(key.access_key)
        if present is not None and present.is_password and present.account == key.account:
            tx.access_keys.remove(key.access_key)


def rename(tx: Transaction, accounts: Sequence[Account]) -> None:
    """Also where each has the other's name: first all names are given up."""
    taken = {account.name for account in (*tx.accounts.all(), *accounts)}
    for account in accounts:
        tx.accounts.save(replace(account, name=_free_name("", account.number, taken)))
    for account in accounts:
        tx.accounts.save(account)


def put_accounts(tx: Transaction, accounts: Iterable[Account]) -> None:
    for account in accounts:
        if tx.accounts.get(account.number) is None:
            tx.accounts.add(account)
        else:
            tx.accounts.save(account)


def put_keys(tx: Transaction, keys: Iterable[AccessKey]) -> None:
    """A name that became somebody's key meanwhile is left alone."""
    for key in keys:
        present = tx.access_keys.get(key.access_key)
        if present is None:
            tx.access_keys.add(key)
        elif present.is_password and present.account == key.account:
            tx.access_keys.save(key)


# --- comparing -----------------------------------------------------------------------------


def _is_numbered(person: Person) -> bool:
    """The engine's ids are numbers; what is none cannot have an account."""
    try:
        number_of(person.ref)
    except ValueError:
        return False
    return True


def _accounts_of(
    here: Mapping[str, Person],
    present: Mapping[str, Account],
    taken: Collection[str],
    now: datetime,
) -> list[Account]:
    """As they should be: those of the users that are here come first to their names."""
    names = set(taken)
    made = []
    for person in sorted(here.values(), key=lambda person: int(person.ref)):
        before = present.get(person.ref)
        made.append(
            Account(
                number=number_of(person.ref),
                name=_free_name(person.name, person.ref, names),
                created_at=before.created_at if before else now,
                enabled=person.enabled,
                engine_ref=person.ref,
                groups=person.groups,
                limits=person.limits,
            )
        )
    for ref, account in present.items():
        if ref not in here:
            bare = account.name.removesuffix(f"#{ref}")
            name = _free_name(f"{bare}#{ref}", ref, names)
            made.append(replace(account, name=name, enabled=False))
    return made


def _free_name(name: str, ref: str, taken: set[str]) -> str:
    """The name, or what `#<ref>` makes of it; taken from now on."""
    while not name or name in taken:
        name += f"#{ref}"
    taken.add(name)
    return name


def _password_of(person: Person, now: datetime) -> AccessKey:
    assert person.secret is not None
    return AccessKey(
        access_key=person.name,
        account=number_of(person.ref),
        secrets=(person.secret,),
        created_at=now,
        enabled=person.enabled,
        is_password=True,
    )


def _compare_keys(
    tx: Transaction, wanted: Sequence[AccessKey], accounts: Iterable[Account]
) -> tuple[list[AccessKey], list[AccessKey], list[str]]:
    """(those that go, those that come or differ, names that are taken). Keys of accounts that are
    no user's are not touched."""
    theirs = {account.number for account in accounts}
    present = {key.access_key: key for key in tx.access_keys.passwords() if key.account in theirs}
    owners = {key.access_key: key.account for key in wanted}
    stale = [key for name, key in present.items() if owners.get(name) != key.account]
    going = {key.access_key for key in stale}
    differing, refused = [], []
    for key in wanted:
        before = present.get(key.access_key)
        if before is None or key.access_key in going:
            if before is None and tx.access_keys.get(key.access_key) is not None:
                refused.append(key.access_key)
            else:
                differing.append(key)
        elif (before.secrets, before.enabled) != (key.secrets, key.enabled):
            differing.append(replace(key, created_at=before.created_at))
    return stale, differing, refused
