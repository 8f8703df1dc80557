"""`(id, version)` names exactly what a view of a row shows, so that views can be kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.store import made
from tests.contract.store.conftest import Stand
from tests.contract.store.made import HELEN

from econe.domain.ports import Stale, Store, Transaction
from econe.domain.queries import Query
from econe.domain.volumes import VolumeState


def row(tx: Transaction, noun: str, row_id: str) -> Any:
    found = getattr(tx, noun).get(row_id)
    assert found is not None
    return found


def save(noun: str, row_id: str, **changes: Any) -> Callable[[Transaction], Any]:
    return lambda tx: getattr(tx, noun).save(replace(row(tx, noun, row_id), **changes))


def put(row_id: str, kind: str, **tags: str) -> Callable[[Transaction], None]:
    return lambda tx: tx.tags.put(HELEN, row_id, kind, tags)


RAISING: dict[str, Callable[[Transaction], Any]] = {
    "a tag is added": put("i-00000001", "instance", new="1"),
    "a tag has another value": put("i-00000001", "instance", Name="changed"),
    "a tag is dropped": lambda tx: tx.tags.drop("i-00000001", "Name"),
    "a tag is dropped by its value": lambda tx: tx.tags.drop("i-00000001", "Name", "web"),
    "a volume changes": save("volumes", "vol-00000001", state=VolumeState.DELETING),
    "a volume is detached": save("volumes", "vol-00000001", instance_id=None, device=None),
    "a volume is attached": save(
        "volumes", "vol-00000009", instance_id="i-00000001", device="/dev/sdf"
    ),
    "a volume is added": lambda tx: tx.volumes.add(
        made.volume("vol-00000010", instance_id="i-00000001", device="/dev/sdg")
    ),
    "a volume is removed": lambda tx: tx.volumes.remove("vol-00000001"),
    "a volume is tagged": put("vol-00000001", "volume", a="b"),
    "an interface changes": save("interfaces", "eni-00000001", delete_on_termination=False),
    "an interface's groups change": save("interfaces", "eni-00000001", groups=()),
    "an interface is detached": save("interfaces", "eni-00000001", instance_id=None),
    "an interface is removed": lambda tx: tx.interfaces.remove("eni-00000001"),
    "an interface is tagged": put("eni-00000001", "network-interface", a="b"),
}


@pytest.fixture
def launched(store: Store) -> Store:
    with store.writing() as tx:
        made.launch(tx)
        made.launch(tx, "i-00000002")
        tx.tags.put(HELEN, "i-00000001", "instance", {"Name": "web"})
        tx.volumes.add(made.volume("vol-00000009"))
    return store


@pytest.mark.parametrize("happening", RAISING)
def test_an_instances_version_rises_when(launched: Store, happening: str) -> None:
    with launched.writing() as tx:
        before = row(tx, "instances", "i-00000001")
        bystander = row(tx, "instances", "i-00000002")
        RAISING[happening](tx)
        after = row(tx, "instances", "i-00000001")
        assert after.version > before.version
        assert replace(after, version=before.version) != before
        assert row(tx, "instances", "i-00000002") == bystander


@pytest.mark.parametrize(
    "happening",
    {
        "a present tag is put again": put("i-00000001", "instance", Name="web"),
        "a tag that is not there is dropped": lambda tx: tx.tags.drop("i-00000001", "x"),
        "a tag of another value is dropped": lambda tx: tx.tags.drop("i-00000001", "Name", "x"),
        "a loose volume changes": save("volumes", "vol-00000009", size_gib=99),
    }.items(),
    ids=lambda item: item[0],
)
def test_an_instances_version_stays_when(
    launched: Store, happening: tuple[str, Callable[[Transaction], Any]]
) -> None:
    with launched.writing() as tx:
        before = row(tx, "instances", "i-00000001")
        happening[1](tx)
        assert row(tx, "instances", "i-00000001") == before


@pytest.mark.parametrize(
    ("noun", "kind", "add"),
    [
        ("images", "image", made.image()),
        ("key_pairs", "key-pair", made.key_pair()),
        ("launch_templates", "launch-template", made.launch_template()),
        ("volumes", "volume", made.volume()),
        ("interfaces", "network-interface", made.interface()),
        ("vpcs", "vpc", None),
        ("subnets", "subnet", None),
        ("security_groups", "security-group", None),
    ],
)
def test_tags_raise_the_version_of_what_they_hang_on(
    store: Store, noun: str, kind: str, add: Any
) -> None:
    with store.writing() as tx:
        if add is not None:
            getattr(tx, noun).add(add)
        (before,) = getattr(tx, noun).find(Query()).items
        versions = [before.version]
        for deed in (
            put(before.id, kind, a="1"),
            put(before.id, kind, a="2"),
            lambda tx: tx.tags.drop(before.id, "a"),
        ):
            deed(tx)
            versions.append(row(tx, noun, before.id).version)
        assert versions == sorted(set(versions))


def test_a_save_over_a_row_whose_tags_changed_is_stale(launched: Store) -> None:
    with launched.writing() as tx:
        read = row(tx, "instances", "i-00000001")
        tx.tags.put(HELEN, "i-00000001", "instance", {"x": "y"})
        with pytest.raises(Stale):
            tx.instances.save(read)


def test_keys_tell_the_versions_that_rows_have(launched: Store) -> None:
    with launched.reading() as tx:
        keys = tx.instances.keys(Query(account=HELEN)).items
        rows = tx.instances.many(key.id for key in keys)
        assert [(key.id, key.version, key.group) for key in keys] == [
            (row.id, row.version, row.reservation_id) for row in rows
        ]


IDS = ("i-00000001", "i-00000002")
DEEDS = st.one_of(
    st.tuples(st.just("tag"), st.sampled_from(IDS), st.sampled_from("ab"), st.sampled_from("xy")),
    st.tuples(st.just("untag"), st.sampled_from(IDS), st.sampled_from("ab")),
    st.tuples(st.just("attach"), st.sampled_from((*IDS, None))),
    st.tuples(st.just("save"), st.sampled_from(IDS), st.sampled_from("pq")),
    st.tuples(st.just("tag volume"), st.sampled_from("xy")),
    st.tuples(st.just("grow"), st.integers(1, 3)),
)


def do(tx: Transaction, deed: tuple[Any, ...]) -> None:
    match deed:
        case ("tag", row_id, key, value):
            tx.tags.put(HELEN, row_id, "instance", {key: value})
        case ("untag", row_id, key):
            tx.tags.drop(row_id, key)
        case ("attach", instance_id):
            device = "/dev/sdf" if instance_id else None
            save("volumes", "vol-00000009", instance_id=instance_id, device=device)(tx)
        case ("save", row_id, text):
            save("instances", row_id, problem=text)(tx)
        case ("tag volume", value):
            tx.tags.put(HELEN, "vol-00000009", "volume", {"v": value})
        case ("grow", size):
            save("volumes", "vol-00000009", size_gib=size)(tx)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.lists(DEEDS, max_size=3), st.booleans()), max_size=12))
def test_an_id_and_a_version_never_name_two_contents(
    stand: Stand,
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[tuple[list[tuple[Any, ...]], bool]],
) -> None:
    """Also where transactions in between were undone: readers see only what was committed."""
    store = stand(tmp_path_factory.mktemp("versions"))
    seen: dict[tuple[str, int], Any] = {}
    try:
        with store.writing() as tx:
            made.found(tx)
            for row_id in IDS:
                made.launch(tx, row_id)
            tx.volumes.add(made.volume("vol-00000009"))
        for deeds, undone in plan:
            with store.writing() as tx:
                for deed in deeds:
                    do(tx, deed)
                if undone:
                    tx.undo()
            with store.reading() as tx:
                for found in tx.instances.many(IDS):
                    assert seen.setdefault((found.id, found.version), found) == found
                for disk in tx.volumes.find(Query()).items:
                    assert seen.setdefault((disk.id, disk.version), disk) == disk
    finally:
        store.close()
