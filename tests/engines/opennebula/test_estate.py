"""What is in oned anyway: its users, types, networks and machines, as the store hears of them."""

import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.engines.opennebula.image_rig import Rig, rig, rigged
from tests.support.oned.faults import Body, Drop
from tests.support.oned.objects import User
from tests.support.oned.prepared import M1_SMALL

from econe.domain.accounts import Limits, number_of
from econe.domain.engine_ports import EngineBusy, OfferedNetwork, Person, Phase, Seen, Stranger
from econe.domain.sizes import Size
from econe.engines.opennebula.estate import OpennebulaEstate, key_pairs_of

__all__ = ["rig"]


def estate(rig: Rig, strangers: Sequence[Stranger] = ()) -> OpennebulaEstate:
    return OpennebulaEstate(rig.oned, rig.directory, rig.settings, lambda: strangers)


def people(rig: Rig) -> dict[str, Person]:
    return {person.name: person for person in estate(rig).people()}


def account(user: User) -> str:
    return number_of(str(user.id))


# --- users ---------------------------------------------------------------------------------


def test_users_are_people_and_service_accounts_are_not(rig: Rig) -> None:
    found = people(rig)
    assert found.keys() == {"oneadmin", "helen", "bob"}
    helen = found["helen"]
    assert helen.ref == str(rig.prepared.helen.id)
    assert helen.secret is not None
    assert helen.secret.reveal() == rig.prepared.helen.password
    assert helen.groups == (str(rig.prepared.group.id),)
    assert (helen.enabled, helen.limits, helen.key_pairs) == (True, Limits(), ())


def disabled(user: User) -> None:
    user.enabled = False


def of_ldap(user: User) -> None:
    user.driver = "ldap"


def with_a_colon(user: User) -> None:
    user.name = "bob:0"


@pytest.mark.parametrize("change", [disabled, of_ldap, with_a_colon])
def test_who_is_not_served_is_there_and_proves_nothing(rig: Rig, change: Any) -> None:
    change(rig.prepared.bob)
    bob = people(rig)[rig.prepared.bob.name]
    assert (bob.enabled, bob.secret) == (False, None)
    with pytest.raises(EngineBusy):
        rig.directory.session_of(bob.ref)


@pytest.mark.parametrize(
    "stored", ["", "-", "password", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"]
)
def test_what_is_no_hash_is_nobodys_secret(rig: Rig, stored: str) -> None:
    """Whoever was changed from another driver to core has `-` there, which anybody knows."""
    rig.prepared.bob.password = stored
    bob = people(rig)["bob"]
    assert (bob.enabled, bob.secret) == (True, None)


@pytest.mark.parametrize("length", [40, 64])
def test_hashes_of_old_and_new_users_are_secrets(rig: Rig, length: int) -> None:
    rig.prepared.bob.password = "0a" * (length // 2)
    secret = people(rig)["bob"].secret
    assert secret is not None
    assert secret.reveal() == rig.prepared.bob.password
    assert rig.prepared.bob.password not in repr(people(rig)["bob"])


def test_drivers_that_are_set_are_served(tmp_path: Path) -> None:
    with rigged(tmp_path, auth_drivers=("core", "ldap")) as rig:
        of_ldap(rig.prepared.bob)
        assert people(rig)["bob"].secret is not None


def test_quotas_are_limits(rig: Rig) -> None:
    helen = rig.prepared.helen.quotas
    helen.limit("VM", None, {"VMS": 4, "MEMORY": 4096})
    helen.limit("DATASTORE", 1, {"IMAGES": 2})
    found = people(rig)["helen"].limits
    assert found == Limits(instances=4, memory_mib=4096, images=2)
    rig.world.add_datastore("second")
    assert people(rig)["helen"].limits.images is None


def test_key_pairs_of_an_old_econe_are_seen(rig: Rig) -> None:
    kept = {"mykey": {"fingerprint": "aa:bb", "public_key": "ssh-rsa AAAAB3Nza mykey"}}
    text = base64.encodebytes(json.dumps(kept).encode()).decode()
    rig.prepared.helen.template.set("EC2_KEYPAIRS", text)
    assert people(rig)["helen"].key_pairs == (("mykey", "ssh-rsa AAAAB3Nza"),)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "not base64!",
        base64.b64encode(b"not json").decode(),
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        base64.b64encode(b'["a list"]').decode(),
        base64.b64encode(b'"text"').decode(),
        base64.b64encode(b'{"a": 1, "b": {}, "c": {"public_key": 7}, "": {"public_key": "k k"}}'),
    ],
)
def test_key_pairs_that_are_rubbish_are_none(said: Any) -> None:
    assert key_pairs_of(said) == ()


def test_one_bad_key_pair_does_not_hide_the_others() -> None:
    kept = {"bad": None, "good": {"public_key": "ssh-rsa AAAA good"}}
    text = base64.b64encode(json.dumps(kept).encode()).decode()
    assert key_pairs_of(text) == (("good", "ssh-rsa AAAA"),)


@pytest.mark.parametrize("method", ["one.userquota.info", "one.datastorepool.info"])
@pytest.mark.parametrize("trouble", [Drop(), Body(b"rubbish"), Body(b"")], ids=["drop", "r", "e"])
def test_people_are_not_told_by_halves(rig: Rig, method: str, trouble: Any) -> None:
    rig.directory.people()
    rig.standin.faults.fail(method, 2, with_=trouble)
    with pytest.raises(EngineBusy):
        estate(rig).people()


# --- types ---------------------------------------------------------------------------------


def sizes(rig: Rig) -> dict[tuple[str, str], Size]:
    return {(size.name, size.owner): size for size in estate(rig).sizes()}


def test_administrators_templates_are_types_for_all(rig: Rig) -> None:
    (size,) = sizes(rig).values()
    assert size == Size("m1.small", 1, 256, owner="", engine_ref=str(rig.prepared.m1_small.id))


def test_templates_of_members_of_the_administrators_group_are_for_all(rig: Rig) -> None:
    operator = rig.world.add_user("operator", "x", group=rig.prepared.group.id)
    operator.groups.append(0)
    text = M1_SMALL.replace("m1.small", "m1.large").replace('VCPU="1"', 'VCPU="4"')
    rig.world.add_template("large", text, owner=operator)
    assert sizes(rig)["m1.large", ""].vcpus == 4


def test_users_templates_are_types_for_themselves(rig: Rig) -> None:
    """However public they are: nobody else's launch goes through a user's template."""
    made = rig.world.add_template("mine", M1_SMALL, owner=rig.prepared.bob, public=True)
    found = sizes(rig)
    assert found["m1.small", account(rig.prepared.bob)].engine_ref == str(made.id)
    assert found["m1.small", ""].engine_ref == str(rig.prepared.m1_small.id)


def test_of_two_types_of_one_name_the_older_counts(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.world.add_template("again", M1_SMALL.replace("256", "512"))
    told = estate(rig)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            (size,) = told.sizes()
            assert size.memory_mib == 256
    assert caplog.text.count("has the same name") == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"MEMORY": ""},
        {"MEMORY": "2G"},  # oned would take it for 2 MiB
        {"MEMORY": "-1"},
        {"VCPU": "many"},
        {"EC2_INSTANCE_TYPE": ""},
        {"EC2_INSTANCE_TYPE": "two words"},
        {"EC2_INSTANCE_TYPE": "x" * 65},
    ],
)
def test_templates_that_say_no_size_are_no_types(rig: Rig, odd: dict[str, str]) -> None:
    usual = {"CPU": "1", "VCPU": "1", "MEMORY": "256", "EC2_INSTANCE_TYPE": "odd"}
    text = "\n".join(f'{name}="{value}"' for name, value in {**usual, **odd}.items() if value)
    rig.world.add_template("odd", text)
    assert [name for name, _ in sizes(rig)] == ["m1.small"]


def test_without_vcpu_there_is_one(rig: Rig) -> None:
    rig.world.add_template("t", 'CPU="2"\nMEMORY="64"\nEC2_INSTANCE_TYPE="t"')
    assert sizes(rig)["t", ""].vcpus == 1


# --- networks ------------------------------------------------------------------------------


def networks(rig: Rig) -> list[OfferedNetwork]:
    return list(estate(rig).networks())


def test_the_oldest_network_is_the_default(rig: Rig) -> None:
    rig.world.add_network("later", "10.0.0.10", 20)
    assert networks(rig) == [OfferedNetwork("0", "public", "147.96.80.0/24", is_default=True)]


def test_networks_are_offered_as_set(tmp_path: Path) -> None:
    with rigged(tmp_path, network="inner", networks=("0", "inner", "gone")) as rig:
        inner = rig.world.add_network("inner", "10.0.0.10", 20)
        rig.world.add_network("other", "10.1.0.10", 20)
        assert networks(rig) == [
            OfferedNetwork(str(inner.id), "inner", "10.0.0.0/24", is_default=True),
            OfferedNetwork("0", "public", "147.96.80.0/24", is_default=False),
        ]


def test_a_default_that_there_is_not_is_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with rigged(tmp_path, network="gone", networks=("public",)) as rig:
        told = estate(rig)
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                assert [each.is_default for each in told.networks()] == [False]
        assert caplog.text.count("no virtual network 'gone'") == 1


def test_a_users_network_does_not_take_the_place_of_an_administrators(tmp_path: Path) -> None:
    """Anybody may reserve addresses and call that what they like."""
    with rigged(tmp_path, network="lan") as rig:
        users = rig.world.add_network("lan", "192.168.7.10", 20)
        users.uid = rig.prepared.bob.id
        right = rig.world.add_network("lan", "10.0.0.10", 20)
        assert [each.ref for each in networks(rig)] == [str(right.id)]
        users.id, right.id = right.id, users.id  # also where it is the older one
        assert [each.cidr for each in networks(rig)] == ["10.0.0.0/24"]


def test_networks_without_ipv4_are_left_out(rig: Rig) -> None:
    rig.prepared.network.ranges.clear()
    for name in ("GATEWAY", "NETWORK_ADDRESS"):
        rig.prepared.network.template.drop(name)
    assert networks(rig) == []


def test_what_oned_cannot_write_hides_no_other(rig: Rig) -> None:
    rig.world.add_template("t", M1_SMALL.replace("m1.small", "t"))
    rig.world.add_template("unwritable", M1_SMALL.replace("m1.small", "bad"))
    rig.world.add_network("unwritable", "10.0.0.10", 20)
    rig.choke_on("unwritable")
    assert [name for name, _ in sizes(rig)] == ["m1.small", "t"]
    assert [each.name for each in networks(rig)] == ["public"]


# --- machines ------------------------------------------------------------------------------


def machine(ref: str, owner: User) -> Stranger:
    return Stranger(
        ref=ref,
        account=account(owner),
        name="web",
        seen=Seen(Phase.RUNNING, ref),
        instance_type="m1.small",
        vcpus=1,
        memory_mib=256,
        launched_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_only_users_who_are_served_have_machines(rig: Rig) -> None:
    helens, bobs = machine("1", rig.prepared.helen), machine("2", rig.prepared.bob)
    of_none = replace(helens, ref="3", account=number_of("77"))
    told = estate(rig, [helens, bobs, of_none])
    assert told.strangers() == []
    disabled(rig.prepared.bob)
    told.people()
    before = len(rig.standin.calls)
    assert told.strangers() == [helens]
    assert len(rig.standin.calls) == before
