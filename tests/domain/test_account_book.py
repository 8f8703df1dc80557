"""Accounts and keys, over a real store."""

import hashlib
import multiprocessing
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from econe.domain import account_book
from econe.domain.accounts import AccessKey, Account
from econe.domain.default_network import find_default_network
from econe.domain.faults import Duplicate, Invalid, NoCapacity, NotFound
from econe.domain.hidden import Hidden
from econe.domain.ports import Store, Transaction
from econe.store import open_store

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
POOLS = ("172.31.0.0/16", "10.128.0.0/9")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


def create(
    tx: Transaction, name: str, password: str | None = None, pools: tuple[str, ...] = POOLS
) -> tuple[Account, AccessKey]:
    return account_book.create_account(tx, name, password, NOW, zone="us-east-1a", pools=pools)


def test_an_account_has_a_number_a_key_pair_and_a_network(book: Store) -> None:
    with book.writing() as tx:
        account, key = create(tx, "helen")
    with book.reading() as tx:
        assert tx.accounts.named("helen") == account
        assert tx.access_keys.of(account.number) == [key]
        network = find_default_network(tx, account.number)
    assert re.fullmatch("[1-9][0-9]{11}", account.number)
    assert re.fullmatch("AKIA[A-Z2-7]{16}", key.access_key)
    (secret,) = key.secrets
    assert re.fullmatch("[A-Za-z0-9]{40}", secret.reveal())
    assert network is not None
    assert (network.vpc.cidr, network.vpc.is_default) == ("172.31.0.0/16", True)
    assert (network.subnet.cidr, network.subnet.zone) == ("172.31.0.0/20", "us-east-1a")
    assert network.group.name == "default"
    assert network.group.description == "default VPC security group"


def test_each_account_has_addresses_of_its_own_until_there_are_none(book: Store) -> None:
    pools = ("172.31.0.0/16", "10.0.0.0/15")
    cidrs = []
    with book.writing() as tx:
        for name in ("a", "b", "c"):
            account, _ = create(tx, name, pools=pools)
            network = find_default_network(tx, account.number)
            assert network is not None
            cidrs.append(network.vpc.cidr)
    assert cidrs == ["172.31.0.0/16", "10.0.0.0/16", "10.1.0.0/16"]
    with pytest.raises(NoCapacity, match="no address range left"), book.writing() as tx:
        create(tx, "d", pools=pools)
    with book.reading() as tx:
        assert tx.accounts.named("d") is None


@pytest.mark.parametrize("name", ["a", "A-b_c.d@e", "0", "x" * 63])
def test_names_that_are_allowed(book: Store, name: str) -> None:
    with book.writing() as tx:
        assert create(tx, name)[0].name == name


@pytest.mark.parametrize(
    "name", ["", "x" * 64, "a:b", "a b", "a\n", "\x00", "zoë", "a/b", "<a>", "a'", "a\u0660"]
)
def test_names_that_are_not_allowed(book: Store, name: str) -> None:
    with pytest.raises(Invalid), book.writing() as tx:
        create(tx, name)


def test_a_name_is_given_once(book: Store) -> None:
    with book.writing() as tx:
        create(tx, "helen")
        with pytest.raises(Duplicate, match="helen"):
            create(tx, "helen")
        create(tx, "Helen")


def test_a_password_makes_the_guides_pair_beside_the_ordinary_one(book: Store) -> None:
    with book.writing() as tx:
        account, key = create(tx, "helen", "open: sésame")
        pair = tx.access_keys.get("helen")
    given = "open: sésame".encode()
    assert key.access_key.startswith("AKIA")
    assert pair is not None
    assert pair.account == account.number
    assert [secret.reveal() for secret in pair.secrets] == [
        hashlib.sha1(given).hexdigest(),
        hashlib.sha256(given).hexdigest(),
    ]


def test_a_password_can_be_given_later_and_changed(book: Store) -> None:
    with book.writing() as tx:
        create(tx, "helen")
        first = account_book.set_password(tx, "helen", "one", NOW)
        account_book.set_key_enabled(tx, "helen", enabled=False)
        second = account_book.set_password(tx, "helen", "two", NOW)
        assert first.secrets != second.secrets
        assert tx.access_keys.get("helen") == second
        assert not second.enabled, "a new password does not undo what the operator forbade"


@pytest.mark.parametrize("password", ["", " ", " x", "x ", "a\nb", "a\x00", "\ud800"])
def test_passwords_that_one_auth_could_not_hold(book: Store, password: str) -> None:
    with pytest.raises(Invalid), book.writing() as tx:
        create(tx, "helen", password)


def test_a_password_never_takes_over_the_key_of_another_account(book: Store) -> None:
    with book.writing() as tx:
        _, theirs = create(tx, "john")
        with pytest.raises(Duplicate, match="another account"):
            create(tx, theirs.access_key, "secret")
        assert tx.access_keys.get(theirs.access_key) == theirs


def test_keys_are_made_listed_disabled_and_deleted(book: Store) -> None:
    with book.writing() as tx:
        account, first = create(tx, "helen")
        second = account_book.create_key(tx, "helen", NOW)
        assert {key.access_key for key in account_book.list_keys(tx, "helen")} == {
            first.access_key,
            second.access_key,
        }
        assert not account_book.set_key_enabled(tx, first.access_key, enabled=False).enabled
        assert account_book.set_key_enabled(tx, first.access_key, enabled=True) == first
        account_book.delete_key(tx, first.access_key)
        assert tx.access_keys.of(account.number) == [second]


def test_an_account_is_disabled_and_enabled(book: Store) -> None:
    with book.writing() as tx:
        create(tx, "helen")
        account_book.set_account_enabled(tx, "helen", enabled=False)
        disabled = tx.accounts.named("helen")
        assert disabled is not None
        assert not disabled.enabled
        account_book.set_account_enabled(tx, "helen", enabled=True)
        enabled = tx.accounts.named("helen")
        assert enabled is not None
        assert enabled.enabled


def test_what_is_not_there_is_not_found(book: Store) -> None:
    with book.writing() as tx:
        for deed in (
            lambda: account_book.find_account(tx, "nobody"),
            lambda: account_book.set_account_enabled(tx, "nobody", enabled=True),
            lambda: account_book.set_password(tx, "nobody", "x", NOW),
            lambda: account_book.create_key(tx, "nobody", NOW),
            lambda: account_book.list_keys(tx, "nobody"),
            lambda: account_book.set_key_enabled(tx, "AKIA", enabled=True),
            lambda: account_book.delete_key(tx, "AKIA"),
        ):
            with pytest.raises(NotFound, match="There is no"):
                deed()


def make_accounts(state: Path, prefix: str) -> None:
    store = open_store(state)
    for number in range(10):
        with store.writing() as tx:
            create(tx, f"{prefix}{number}")
    store.close()


def test_two_processes_that_make_accounts_give_each_its_own_addresses(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=make_accounts, args=(tmp_path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    store = open_store(tmp_path)
    with store.reading() as tx:
        accounts = tx.accounts.all()
        networks = [find_default_network(tx, account.number) for account in accounts]
    store.close()
    assert len(accounts) == 20
    assert len({network.vpc.cidr for network in networks if network}) == 20


def test_what_a_user_of_the_engines_is_cannot_be_changed_here(book: Store) -> None:
    with book.writing() as tx:
        tx.accounts.add(Account("100000000005", "fred", NOW, engine_ref="5"))
        tx.access_keys.add(AccessKey("fred", "100000000005", (Hidden("h"),), NOW, is_password=True))
        for change in (
            lambda: account_book.set_password(tx, "fred", "pw", NOW),
            lambda: account_book.set_account_enabled(tx, "fred", enabled=False),
            lambda: account_book.set_key_enabled(tx, "fred", enabled=False),
            lambda: account_book.delete_key(tx, "fred"),
        ):
            with pytest.raises(Invalid, match="change it there"):
                change()
        key = account_book.create_key(tx, "fred", NOW)
        assert key.account == "100000000005"
        assert not account_book.set_key_enabled(tx, key.access_key, enabled=False).enabled
        account_book.delete_key(tx, key.access_key)
