"""Interfaces follow what the engine shows of an instance's NICs."""

from dataclasses import replace

import pytest

from econe.domain.addresses import match_interfaces
from econe.domain.engine_networks import find_engine_network, make_engine_network
from econe.domain.engine_ports import SeenNic
from econe.domain.queries import Query

FIRST = SeenNic("02:00:0a:00:00:05", "10.0.0.5", "0")
SECOND = SeenNic("02:00:0a:01:00:05", "10.1.0.5", "1")
ELSEWHERE = SeenNic("02:00:0a:00:00:05", "10.0.0.5", "7")
"""The first's MAC and address, in another network: OpenNebula makes MACs of addresses."""


def match(desk, instance_id, *nics):
    with desk.store.writing() as tx:
        return match_interfaces(tx, tx.instances.get(instance_id), nics, desk.now)


def shown(desk, instance_id):
    with desk.store.reading() as tx:
        return [
            SeenNic(each.mac, each.private_ip, tx.subnets.get(each.subnet_id).engine_ref)
            for each in tx.instances.get(instance_id).interfaces
        ]


@pytest.fixture
def id_(helen):
    """An instance without interfaces, in an account with the engine's network 0."""
    (id_,) = helen.launch()
    with helen.store.writing() as tx:
        make_engine_network(
            tx, helen.account.number, ref="0", cidr="10.0.0.0/24", zone="z", now=helen.now
        )
    match(helen, id_)
    assert helen.row(id_).interfaces == ()
    return id_


def test_what_the_engine_shows_becomes_interfaces_in_its_order(helen, id_):
    assert match(helen, id_, FIRST, SECOND)
    assert shown(helen, id_) == [FIRST, SECOND]
    row = helen.row(id_)
    assert [each.device_index for each in row.interfaces] == [0, 1]
    assert [each.account for each in row.interfaces] == [helen.account.number] * 2
    (group,) = row.interfaces[0].groups
    assert group[1] == "default"
    assert row.private_ip == "10.0.0.5"


def test_the_same_again_changes_nothing(helen, id_):
    match(helen, id_, FIRST, SECOND)
    before = helen.row(id_)
    assert not match(helen, id_, FIRST, SECOND)
    assert not match(helen, id_, FIRST, SECOND, FIRST)
    assert helen.row(id_) == before


def test_an_interface_that_stays_keeps_its_id_and_tags(helen, id_):
    match(helen, id_, FIRST, SECOND)
    first, second = helen.row(id_).interfaces
    helen("CreateTags", Resources=[second.id], Tags=[{"Key": "a", "Value": "b"}])
    assert match(helen, id_, SECOND)
    (left,) = helen.row(id_).interfaces
    assert (left.id, left.device_index, left.tags) == (second.id, 0, {"a": "b"})
    assert helen.find("interfaces", first.id) is None


def test_interfaces_can_change_places(helen, id_):
    match(helen, id_, FIRST, SECOND)
    first, second = helen.row(id_).interfaces
    assert match(helen, id_, SECOND, FIRST)
    assert [each.id for each in helen.row(id_).interfaces] == [second.id, first.id]


def test_another_address_is_another_interface(helen, id_):
    match(helen, id_, FIRST)
    (before,) = helen.row(id_).interfaces
    moved = replace(FIRST, private_ip="10.0.0.6")
    assert match(helen, id_, moved)
    (after,) = helen.row(id_).interfaces
    assert (after.private_ip, after.mac) == ("10.0.0.6", FIRST.mac)
    assert after.id != before.id


def test_what_an_old_instance_claims_goes_to_where_it_was_seen_last(helen, id_):
    (other,) = helen.launch()
    match(helen, other, FIRST)
    assert match(helen, id_, replace(FIRST, mac="02:00:00:00:00:99"))
    assert shown(helen, other) == []
    assert match(helen, other, replace(FIRST, private_ip="10.0.0.9", mac="02:00:00:00:00:99"))
    assert shown(helen, id_) == []


def test_two_networks_may_have_the_same_addresses_and_macs(helen, id_):
    (other,) = helen.launch()
    match(helen, other)
    assert match(helen, id_, FIRST)
    assert match(helen, other, ELSEWHERE)
    assert (shown(helen, id_), shown(helen, other)) == ([FIRST], [ELSEWHERE])


def test_two_accounts_may_see_the_same_network(helen, paris, id_):
    (other,) = paris.launch()
    match(helen, id_, FIRST)
    assert match(paris, other, replace(FIRST, private_ip="10.0.0.6", mac="02:00:0a:00:00:06"))
    assert helen.row(id_).subnet_id != paris.row(other).interfaces[0].subnet_id
    assert len(shown(helen, id_)) == 1


def test_a_network_that_is_not_offered_is_made_for_the_account(helen, id_):
    match(helen, id_, SECOND)
    with helen.store.reading() as tx:
        network = find_engine_network(tx, helen.account.number, "1")
        assert network is not None
        assert (network.subnet.cidr, network.vpc.is_default) == ("10.1.0.5/32", False)
        before = tx.vpcs.find(Query()).items
    match(helen, id_)
    match(helen, id_, SECOND)
    with helen.store.reading() as tx:
        assert tx.vpcs.find(Query()).items == before


@pytest.mark.parametrize("field", ["private_ip", "network_ref"])
def test_a_nic_that_cannot_be_told_of_is_left_out(helen, id_, field):
    assert match(helen, id_, FIRST, replace(SECOND, **{field: ""}))
    assert shown(helen, id_) == [FIRST]


def test_the_instance_has_a_new_version_where_anything_changed(helen, id_):
    before = helen.row(id_).version
    match(helen, id_, FIRST)
    assert helen.row(id_).version > before
