"""Every filter of every Describe, on one small cloud: with what is there, and with what is not."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support import reference
from tests.support.desk import make_account, make_cloud
from tests.support.filter_cases import (
    CASES,
    OWNER,
    PLACES,
    TAGGED,
    World,
    found,
    furnish,
    value_of,
)
from tests.support.filter_tables import EXTRA, TABLES

from econe.actions.filters import NOTHING
from econe.actions.registry import HANDLERS
from econe.domain.queries import literally
from econe.store import open_store


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = open_store(tmp_path_factory.mktemp("filters"))
    desk = make_account(store, make_cloud(), OWNER, "helen")
    yield furnish(desk.on(replace(desk.cloud.can, topology=True)))
    store.close()


EMPTY = {
    "DescribeAvailabilityZones": {"message"},
    "DescribeSecurityGroups": {
        f"{way}ip-permission.{end}" for way in ("", "egress.") for end in ("from-port", "to-port")
    },
}
"""Filters on what others could have, and the one of the world has not: zones have messages when
something is wrong, and a permission for everything has no ports."""
EACH = pytest.mark.parametrize(
    ("action", "name"), [(action, name) for action, names in CASES.items() for name in names]
)
WITHOUT = [
    (action, name)
    for action, table in TABLES.items()
    for name, path in table.shown.items()
    if path == NOTHING or name in EMPTY.get(action, ())
]


@EACH
def test_a_filter_selects_what_has_the_value(world: World, action: str, name: str) -> None:
    value = value_of(world, action, name)
    assert found(world, action, name, literally(value))
    assert found(world, action, name, "elephant", literally(value))
    assert found(world, action, name, "*")
    if value:
        assert found(world, action, name, "?" * len(value))
        assert found(world, action, name, literally(value[:-1]) + "*")


@EACH
def test_and_nothing_else(world: World, action: str, name: str) -> None:
    value = value_of(world, action, name)
    assert not found(world, action, name, "elephant")
    assert not found(world, action, name, literally(value) + "?")
    assert not found(world, action, name, literally(value).swapcase() + "x")
    if value.swapcase() != value:
        assert not found(world, action, name, literally(value.swapcase()))


@pytest.mark.parametrize(("action", "name"), WITHOUT)
def test_a_filter_on_what_nothing_here_has_selects_nothing(
    world: World, action: str, name: str
) -> None:
    if action in PLACES:
        assert not found(world, action, name, "*", "")
    else:
        assert world.desk(action, Filters=[{"Name": name, "Values": ["*"]}]) == {"Addresses": []}


def test_every_describe_with_filters_is_here() -> None:
    with_filters = {name for name, handler in HANDLERS.items() if "Filters" in handler.takes}
    assert set(TABLES) == with_filters
    assert set(CASES) == set(PLACES) == with_filters - {"DescribeAddresses"}


@pytest.mark.parametrize("action", CASES)
def test_no_supported_filter_is_without_a_case(action: str) -> None:
    with_case = set(CASES[action]) | {name for of, name in WITHOUT if of == action}
    assert with_case - set(TAGGED) == TABLES[action].names()
    assert bool(set(TAGGED) & with_case) is TABLES[action].tagged


# --- the API reference -------------------------------------------------------------------


@pytest.mark.parametrize("action", TABLES)
def test_every_documented_filter_is_supported_and_no_other(action: str) -> None:
    table = TABLES[action]
    names = {each.name for each in reference.filters(action)}
    by_tag = {name for name in names if name.startswith("tag")}
    assert table.names() - EXTRA.get(action, set()) == names - by_tag
    assert table.tagged is bool(by_tag)


TRUTHS = ("A Boolean", "Indicates whether", "(true | false)")
NEVER_ASKED = {
    # Of addresses of version 6, of which there are none.
    "network-interface.ipv6-addresses.is-primary-ipv6",
    # Only in accounts that have said which images they allow.
    "image-allowed",
    # Not truth values: kinds and names, of what is not here.
    "instance-lifecycle",
    "instance-storage-info.encryption-support",
    "instance-storage-info.nvme-support",
    "network-interface.operator.principal",
    "operator.principal",
    "ipv6-cidr-block-association.state",
    "operator.managed",
}


@pytest.mark.parametrize("action", TABLES)
def test_what_is_true_or_false_of_everything_is_never_nothing(action: str) -> None:
    """`false` is what EC2 answers of a thing that is not so, and scripts ask for it."""
    if action == "DescribeAddresses":
        return
    shown = TABLES[action].shown
    wrong = {
        each.name
        for each in reference.filters(action)
        if any(mark in each.text for mark in TRUTHS) and shown.get(each.name) == NOTHING
    }
    assert wrong - NEVER_ASKED == set()
