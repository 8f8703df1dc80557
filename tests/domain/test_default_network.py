from dataclasses import replace

import pytest
from tests.support.desk import NOW, refused

from econe.domain.accounts import Account
from econe.domain.default_network import ensure_default_network, find_default_network
from econe.domain.faults import NoCapacity, Noun

POOLS = ("172.31.0.0/16", "10.0.0.0/15")


def account(store, number):
    with store.writing() as tx:
        tx.accounts.add(Account(number, f"n{number}", NOW))
    return number


def ensure(store, number, pools=POOLS):
    with store.writing() as tx:
        return ensure_default_network(tx, number, "us-east-1a", pools, NOW)


def test_it_is_made_once(store):
    number = account(store, "000000000001")
    first, second = ensure(store, number), ensure(store, number)
    assert first == second
    assert (first.vpc.cidr, first.subnet.cidr) == ("172.31.0.0/16", "172.31.0.0/20")
    assert first.group.name == "default"
    with store.reading() as tx:
        assert find_default_network(tx, number) == first


def test_ranges_are_given_out_one_after_the_other_until_there_are_none(store):
    numbers = [account(store, f"{n:012d}") for n in range(4)]
    cidrs = [ensure(store, number).vpc.cidr for number in numbers[:3]]
    assert cidrs == ["172.31.0.0/16", "10.0.0.0/16", "10.1.0.0/16"]
    with refused(NoCapacity, Noun.VPC):
        ensure(store, numbers[3])


def test_a_range_can_be_given_out_again(store):
    first, second = account(store, "000000000001"), account(store, "000000000002")
    vpc = ensure(store, first).vpc
    with store.writing() as tx:
        tx.vpcs.save(replace(vpc, is_default=False))
    assert ensure(store, second).vpc.cidr == "172.31.0.0/16"


@pytest.mark.parametrize("pool", ["10.0.0.0/24"])
def test_a_pool_without_room_for_a_vpc_is_our_mistake(store, pool):
    with pytest.raises(ValueError):
        ensure(store, account(store, "000000000001"), (pool,))
