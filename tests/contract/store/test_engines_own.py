"""What every store keeps of engines that have users, types, networks and images of their own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.contract.store import made
from tests.contract.store.made import HELEN, JOHN, NOW

from econe.domain.accounts import Limits
from econe.domain.images import ImageState, Placing
from econe.domain.instances import InstanceState
from econe.domain.ports import Known, Store, Taken, Transaction, Usage
from econe.domain.queries import Criterion, Query
from econe.domain.reasons import Reason
from econe.domain.sizes import Size

LARGE = Size("m1.large", 4, 8192, engine_ref="7")
OWN = Size("m1.large", 1, 128, owner=HELEN, engine_ref="9")
TINY = Size("a.tiny", 1, 64)


# --- accounts and keys


def test_an_account_keeps_its_user_groups_and_limits(store: Store) -> None:
    account = made.account(
        "100000000002",
        "ada",
        engine_ref="2",
        groups=("1", "100"),
        limits=Limits(5, 8, 4096, 3, 20),
    )
    with store.writing() as tx:
        tx.accounts.add(account)
        assert tx.accounts.get("100000000002") == account
        changed = replace(account, name="ada#2", groups=(), limits=Limits(vcpus=0))
        tx.accounts.save(changed)
        assert tx.accounts.named("ada#2") == changed
        assert changed in tx.accounts.all()


def test_a_user_of_the_engine_has_one_account(store: Store) -> None:
    with store.writing() as tx:
        tx.accounts.add(made.account("100000000002", "ada", engine_ref="2"))
        with pytest.raises(Taken, match=r"accounts\.engine_ref"):
            tx.accounts.add(made.account("100000000003", "bob", engine_ref="2"))


def test_a_password_key_is_known_as_one(store: Store) -> None:
    key = made.access_key("helen", secrets=("a", "b"), is_password=True)
    with store.writing() as tx:
        tx.access_keys.add(key)
        tx.access_keys.add(made.access_key("k"))
        tx.access_keys.save(replace(key, enabled=False))
    with store.reading() as tx:
        assert tx.access_keys.passwords() == [replace(key, enabled=False)]
        assert tx.access_keys.of(HELEN) == [
            replace(key, enabled=False),
            made.access_key("k"),
        ]


# --- types


def test_types_are_replaced_and_told_by_name_and_owner(store: Store) -> None:
    with store.writing() as tx:
        assert tx.sizes.all() == []
        assert not tx.sizes.replace([])
        assert tx.sizes.replace([OWN, LARGE, TINY])
        assert tx.sizes.all() == [TINY, LARGE, OWN]
        assert not tx.sizes.replace([TINY, OWN, LARGE])
        assert tx.sizes.replace([replace(LARGE, vcpus=2)])
    with store.reading() as tx:
        assert tx.sizes.all() == [replace(LARGE, vcpus=2)]


# --- instances


def test_what_is_known_in_the_engine_is_found_by_its_name_there(store: Store) -> None:
    with store.writing() as tx:
        tx.instances.add(made.instance(engine_ref="17"))
        tx.instances.add(made.instance("i-00000002", account=JOHN, engine_ref="18"))
        tx.instances.add(made.instance("i-00000003"))
        gone = {"state": InstanceState.TERMINATED, "engine_ref": "19"}
        tx.instances.add(made.instance("i-00000004", **gone))
    with store.reading() as tx:
        assert tx.instances.known() == {
            "17": Known("i-00000001", HELEN),
            "18": Known("i-00000002", JOHN),
        }


def test_what_was_launched_together_is_found_in_order(store: Store) -> None:
    with store.writing() as tx:
        for number, index, launch in ((1, 2, 1), (2, 0, 1), (3, 0, 2), (4, 1, 1)):
            row_id, reservation = f"i-{number:08d}", f"r-{launch:08d}"
            made.launch(tx, row_id, launch_index=index, reservation_id=reservation)
    with store.reading() as tx:
        rows = tx.instances.of_reservation("r-00000001")
        assert [row.id for row in rows] == ["i-00000002", "i-00000004", "i-00000001"]
        assert all(row.volumes for row in rows)
        assert tx.instances.of_reservation("r-00000009") == []


def test_usage_is_of_the_accounts_instances_that_are_not_terminated(store: Store) -> None:
    with store.writing() as tx:
        assert tx.instances.usage(HELEN) == Usage(0, 0, 0)
        for number, state in enumerate(InstanceState, 1):
            row = made.instance(f"i-{number:08d}", state=state, vcpus=2, memory_mib=100)
            tx.instances.add(row)
        tx.instances.add(made.instance("i-00000007"))
        tx.instances.add(made.instance("i-00000008", account=JOHN, vcpus=9))
    with store.reading() as tx:
        assert tx.instances.usage(HELEN) == Usage(6, 10, 500)
        assert tx.instances.usage(HELEN, on=True) == Usage(5, 8, 400)


def test_the_sizes_of_an_accounts_disks_together(store: Store) -> None:
    with store.writing() as tx:
        assert tx.volumes.total_gib(HELEN) == 0
        tx.volumes.add(made.volume("vol-00000001", size_gib=3))
        tx.volumes.add(made.volume("vol-00000002", size_gib=4))
        tx.volumes.add(made.volume("vol-00000003", size_gib=5, account=JOHN))
        assert tx.volumes.total_gib(HELEN) == 7


def test_a_number_is_claimed_where_no_greater_one_was_given(store: Store) -> None:
    with store.writing() as tx:
        assert tx.claim_id("i", 12) == "i-00000012"
        assert tx.claim_id("i", 12) == "i-00000013"
        assert tx.claim_id("i", 0) == "i-00000014"
        assert list(tx.next_ids("i")) == ["i-00000015"]
        assert tx.claim_id("i", 16) == "i-00000016"
        assert tx.claim_id("ami", 3) == "ami-00000003"


def test_a_claimed_number_is_not_given_again(store: Store, opening: Callable[[], Store]) -> None:
    with store.writing() as tx:
        tx.claim_id("i", 41)
    store.close()
    with opening().writing() as tx:
        assert tx.claim_id("i", 41) == "i-00000042"


# --- images


def image(row_id: str = "ami-00000001", **fields: Any) -> Any:
    return made.image(row_id, **fields)


def seen(tx: Transaction, *groups: str) -> list[str]:
    query = Query(viewer=JOHN, viewer_groups=groups)
    found = tx.images.find(query).items
    assert [key.id for key in tx.images.keys(query).items] == [row.id for row in found]
    return [row.id for row in found]


def test_an_image_comes_back_with_every_field(store: Store) -> None:
    row = image(
        state=ImageState.FAILED,
        state_reason=Reason("Server.InternalError", "x"),
        engine_ref="3",
        adopted=True,
        placing=Placing("default", "OS", "qcow2", "raw"),
        attempts=3,
        retry_at=NOW,
        problem="no space",
        shares=("740281935577", "group:5"),
    )
    with store.writing() as tx:
        tx.images.add(row)
        assert tx.images.get(row.id) == row
        changed = tx.images.save(replace(row, shares=("group:6",), retry_at=None))
        assert tx.images.get(row.id) == changed
        assert tx.images.find(Query(account=HELEN)).items == [changed]
        tx.images.remove(row.id)
        tx.images.add(image())
        assert tx.images.get(row.id) == image()


def test_images_are_seen_by_those_whom_they_are_shared_with(store: Store) -> None:
    with store.writing() as tx:
        tx.images.add(image("ami-00000001", account=JOHN))
        tx.images.add(image("ami-00000002", shares=("group:5", "group:6")))
        tx.images.add(image("ami-00000003", public=True, shares=(JOHN,)))
        tx.images.add(image("ami-00000004", shares=(JOHN, "group:5")))
        tx.images.add(image("ami-00000005"))
    with store.reading() as tx:
        assert seen(tx) == ["ami-00000001", "ami-00000003", "ami-00000004"]
        assert seen(tx, "group:6", "group:5") == [f"ami-0000000{n}" for n in (1, 2, 3, 4)]
        assert seen(tx, "group:7") == seen(tx)


@pytest.mark.parametrize(
    ("who", "found"),
    [
        (("all",), "3"),
        ((JOHN,), "34"),
        (("group:5",), "24"),
        ((JOHN, "group:5"), "234"),
        (("all", "group:5"), "234"),
        (("group:*",), "24"),
        (("nobody",), ""),
        (("al?",), "3"),
    ],
)
def test_images_are_found_by_who_was_given_leave_to_run_them(
    store: Store, who: tuple[str, ...], found: str
) -> None:
    with store.writing() as tx:
        tx.images.add(image("ami-00000001"))
        tx.images.add(image("ami-00000002", shares=("group:5",)))
        tx.images.add(image("ami-00000003", public=True, shares=(JOHN,)))
        tx.images.add(image("ami-00000004", shares=(JOHN, "group:5")))
    with store.reading() as tx:
        query = Query(account=HELEN, criteria=(Criterion("executable_by", who),))
        assert "".join(row.id[-1] for row in tx.images.find(query).items) == found


def test_a_pending_image_holds_its_name_and_a_failed_one_does_not(store: Store) -> None:
    with store.writing() as tx:
        tx.images.add(image("ami-00000001", name="a", state=ImageState.FAILED))
        tx.images.add(image("ami-00000002", name="a", state=ImageState.PENDING))
        with pytest.raises(Taken, match=r"images\.name"):
            tx.images.add(image("ami-00000003", name="a"))


# --- networks


def test_an_account_has_an_engines_network_once(store: Store) -> None:
    with store.writing() as tx:
        tx.vpcs.add(made.vpc("vpc-00000002", is_default=False, engine_ref="0"))
        other = made.vpc("vpc-00000003", is_default=True, engine_ref="0", account=JOHN)
        tx.vpcs.add(other)
        with pytest.raises(Taken, match=r"vpcs\.engine_ref"):
            tx.vpcs.add(made.vpc("vpc-00000004", is_default=False, engine_ref="0"))
        found = tx.vpcs.find(Query(criteria=(Criterion("engine_ref", ("0",)),))).items
        assert [row.id for row in found] == ["vpc-00000002", "vpc-00000003"]


def test_the_default_networks_of_two_accounts_may_be_one_of_the_engines(store: Store) -> None:
    with store.writing() as tx:
        tx.vpcs.add(made.vpc("vpc-00000002", account=JOHN, engine_ref="0"))
        assert tx.vpcs.get("vpc-00000002") == made.vpc("vpc-00000002", account=JOHN, engine_ref="0")


def test_a_mac_is_unique_in_its_subnet(store: Store) -> None:
    with store.writing() as tx:
        other = {"id": "subnet-00000002", "is_default": False, "cidr": "172.31.16.0/20"}
        tx.subnets.add(replace(made.subnet(), **other))
        tx.interfaces.add(made.interface())
        elsewhere = replace(made.interface(), id="eni-00000002", subnet_id="subnet-00000002")
        tx.interfaces.add(elsewhere)
        query = Query(criteria=(Criterion("mac", (elsewhere.mac,)),))
        found = tx.interfaces.find(query).items
        assert [row.id for row in found] == ["eni-00000001", "eni-00000002"]
