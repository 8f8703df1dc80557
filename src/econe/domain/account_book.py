"""What the operator does with accounts and their access keys.

All within the caller's writing transaction; being the one writer, it may look first and write
then. Raise Fault with a sentence for the operator.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network
from typing import Final

from econe.domain.accounts import UNLIMITED, AccessKey, Account, Limits
from econe.domain.default_network import ensure_default_network
from econe.domain.faults import Duplicate, Invalid, NotFound, Noun
from econe.domain.hidden import Hidden
from econe.domain.ports import Transaction

CATALOGUE: Final = "catalogue"
"""Whose the operator's images are, unless he says otherwise."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.@-]{1,63}", re.ASCII)
_KEY_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_BYTES: Final = 30
"""Gives 40 characters of base64, as in AWS."""


def create_account(
    tx: Transaction,
    name: str,
    password: str | None,
    now: datetime,
    *,
    zone: str,
    pools: Sequence[str],
    busy: Sequence[IPv4Network] = (),
) -> tuple[Account, AccessKey]:
    """A new account with an access key pair and its default network.

    With a `password` the account also has the guide's pair (see set_password). The default VPC
    gets a /16 of its own out of `pools` that overlaps none of `busy`. Raises Invalid, Duplicate,
    and NoCapacity when the pools are used up.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            Noun.ACCOUNT,
            name,
            "An account's name is 1 to 63 of the letters A-Z and a-z, digits, and - _ . @",
        )
    if tx.accounts.named(name) is not None:
        raise Duplicate(Noun.ACCOUNT, name, f"There is an account {name} already")
    account = Account(_free_number(tx), name, now)
    tx.accounts.add(account)
    ensure_default_network(tx, account.number, zone, pools, now, busy=busy)
    key = _new_key(tx, account, now)
    if password is not None:
        _put_password(tx, account, password, now)
    return account, key


def ensure_catalogue(tx: Transaction, now: datetime) -> Account:
    """The account of the operator's images. Nobody has a key of it unless the operator makes one,
    and what is usual does not limit it."""
    present = tx.accounts.named(CATALOGUE)
    if present is not None:
        return present
    limits = Limits(images=UNLIMITED, storage_gib=UNLIMITED)
    account = Account(_free_number(tx), CATALOGUE, now, limits=limits)
    tx.accounts.add(account)
    return account


def find_account(tx: Transaction, name: str) -> Account:
    account = tx.accounts.named(name)
    if account is None:
        raise NotFound(Noun.ACCOUNT, name, f"There is no account {name}")
    return account


def set_account_enabled(tx: Transaction, name: str, *, enabled: bool) -> Account:
    """A disabled account is refused at the door; its machines go on as they are."""
    account = replace(_our_own(find_account(tx, name)), enabled=enabled)
    tx.accounts.save(account)
    return account


def set_limits(tx: Transaction, name: str, changes: Mapping[str, int | None]) -> Account:
    """`changes` by the names of Limits: a number, UNLIMITED, or None for what is usual. What the
    account has already stays. An engine's user has the engine's quotas."""
    account = _our_own(find_account(tx, name))
    after = replace(account, limits=replace(account.limits, **changes))
    if after != account:
        tx.accounts.save(after)
    return after


def set_password(tx: Transaction, name: str, password: str, now: datetime) -> AccessKey:
    """Make the guide's pair (ONE_AUTH's), or give it another password.

    Its access key is the account's name; its secrets are the password's SHA-1, which the old tools
    compute, and its SHA-256 (facts/econe.md H8).
    """
    return _put_password(tx, _our_own(find_account(tx, name)), password, now)


def _our_own(account: Account) -> Account:
    """Not a user of the engine's: what they are is written anew every half minute."""
    if account.engine_ref:
        raise Invalid(
            Noun.ACCOUNT,
            account.name,
            f"{account.name} is a user of the engine's (id {account.engine_ref}): change it there",
        )
    return account


def create_key(tx: Transaction, name: str, now: datetime) -> AccessKey:
    """One more access key pair for the account."""
    return _new_key(tx, find_account(tx, name), now)


def list_keys(tx: Transaction, name: str) -> list[AccessKey]:
    return tx.access_keys.of(find_account(tx, name).number)


def _not_a_users_password(tx: Transaction, key: AccessKey) -> AccessKey:
    """What an engine's users have as password is written anew every half minute, too."""
    owner = tx.accounts.get(key.account)
    if key.is_password and owner is not None:
        _our_own(owner)
    return key


def set_key_enabled(tx: Transaction, access_key: str, *, enabled: bool) -> AccessKey:
    key = replace(_not_a_users_password(tx, _find_key(tx, access_key)), enabled=enabled)
    tx.access_keys.save(key)
    return key


def delete_key(tx: Transaction, access_key: str) -> AccessKey:
    """The account stays, also without any key."""
    key = _not_a_users_password(tx, _find_key(tx, access_key))
    tx.access_keys.remove(access_key)
    return key


def _find_key(tx: Transaction, access_key: str) -> AccessKey:
    key = tx.access_keys.get(access_key)
    if key is None:
        raise NotFound(Noun.ACCESS_KEY, access_key, f"There is no access key {access_key}")
    return key


def _free_number(tx: Transaction) -> str:
    """12 digits, the first not 0: programs that take it for a number must not shorten it."""
    while True:
        number = str(10**11 + secrets.randbelow(9 * 10**11))
        if tx.accounts.get(number) is None:
            return number


def _new_key(tx: Transaction, account: Account, now: datetime) -> AccessKey:
    """In AWS's form, because some clients check it."""
    while True:
        access_key = "AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))
        if tx.access_keys.get(access_key) is None:
            break
    # base64's `+` and `/` would only have to be quoted in URLs and shells
    secret = secrets.token_urlsafe(_SECRET_BYTES).replace("-", "x").replace("_", "X")
    key = AccessKey(access_key, account.number, (Hidden(secret),), now)
    tx.access_keys.add(key)
    return key


def _put_password(tx: Transaction, account: Account, password: str, now: datetime) -> AccessKey:
    if not password or password != password.strip() or not password.isprintable():
        raise Invalid(
            Noun.ACCOUNT,
            account.name,
            "A password is not empty, has no control characters, and neither begins nor ends "
            "with a space (ONE_AUTH's file could not hold it)",
        )
    given = password.encode()
    hashes = (hashlib.sha1(given, usedforsecurity=False), hashlib.sha256(given))
    key = AccessKey(
        access_key=account.name,
        account=account.number,
        secrets=tuple(Hidden(made.hexdigest()) for made in hashes),
        created_at=now,
        is_password=True,
    )
    present = tx.access_keys.get(account.name)
    if present is None:
        tx.access_keys.add(key)
        return key
    if present.account != account.number:
        raise Duplicate(
            Noun.ACCESS_KEY, account.name, f"{account.name} is the access key of another account"
        )
    key = replace(key, created_at=present.created_at, enabled=present.enabled)
    tx.access_keys.save(key)
    return key
