"""Who is heard in a VPC: kernels that are there, through the rules that hold for all guests."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines import network_world
from tests.engines.network_world import World, network, nic

from econe.domain.health import Pulse
from econe.engines.qemu import netns, netns_links, vpc_names
from econe.engines.qemu.vpc import VpcNetworks

pytestmark = pytest.mark.root


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    runtime = Path(f"/run/econe-test-{os.getpid()}")
    monkeypatch.setattr(vpc_names, "RUNTIME", runtime)
    with network_world.world(runtime) as made:
        yield made


@pytest.fixture
def networks(world: World, tmp_path: Path) -> Iterator[VpcNetworks]:
    made = world.networks(tmp_path)
    yield made
    for vpc_id in made.look():
        made.remove(vpc_id)


def test_who_has_the_address_is_heard_and_who_is_not_there_is_not(
    world: World, networks: VpcNetworks
):
    here, gone = nic(1, network()), nic(2, network())
    world.guest(networks, here)
    networks.admit(gone)
    assert networks.hear([here, gone]) == {
        here.interface_id: Pulse.BEATS,
        gone.interface_id: Pulse.STILL,
    }


def test_a_guest_that_drops_every_packet_is_heard(world: World, networks: VpcNetworks):
    here = nic(1, network())
    space = world.guest(networks, here)
    deaf = "table inet f { chain i { type filter hook input priority 0; policy drop; }; }"
    netns.inside(space, lambda: netns.run(("nft", "-f", "-"), deaf))
    assert networks.hear([here]) == {here.interface_id: Pulse.BEATS}


def test_a_guest_that_lost_its_address_is_not_heard(world: World, networks: VpcNetworks):
    here = nic(1, network())
    space = world.guest(networks, here)
    netns.inside(space, lambda: netns_links.change(["address flush dev eth0"]))
    assert networks.hear([here]) == {here.interface_id: Pulse.STILL}


def test_nobody_can_answer_for_another(world: World, networks: VpcNetworks):
    here, absent = nic(1, network()), nic(2, network())
    networks.admit(absent)
    space = world.guest(networks, here)
    more = [f"address add {absent.private_ip}/20 dev eth0"]
    netns.inside(space, lambda: netns_links.change(more))
    assert networks.hear([here, absent])[absent.interface_id] is Pulse.STILL


def test_guests_of_several_vpcs_and_subnets_are_asked_at_once(world: World, networks: VpcNetworks):
    places = [network(), network(subnet=2), network(2, second=30)]
    there = [nic(number, place) for number, place in enumerate(places, start=1)]
    absent = [nic(number, place) for number, place in enumerate(places, start=11)]
    for one in there:
        world.guest(networks, one)
    for one in absent:
        networks.admit(one)
    began = time.monotonic()
    heard = networks.hear([*there, *absent])
    assert time.monotonic() - began < 3
    assert {id_ for id_, pulse in heard.items() if pulse is Pulse.BEATS} == {
        one.interface_id for one in there
    }


def test_nobody_is_heard_in_a_network_that_is_gone(world: World, networks: VpcNetworks):
    here = nic(1, network())
    world.guest(networks, here)
    networks.remove(here.network.vpc_id)
    assert networks.hear([here]) == {here.interface_id: Pulse.STILL}


def test_a_thousand_that_do_not_answer_take_no_longer_than_one(networks: VpcNetworks):
    many = [nic(1, network())]
    networks.ensure(network())
    for number in range(1000):
        own = f"172.31.{4 + number // 250}.{number % 250 + 1}"
        mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        first = nic(1, network())
        many.append(type(first)(f"eni-{number + 100:08d}", mac, own, first.network, "ip-" + own))
    began = time.monotonic()
    heard = networks.hear(many)
    assert time.monotonic() - began < 4
    assert set(heard.values()) == {Pulse.STILL}
