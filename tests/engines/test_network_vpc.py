"""VPCs on a host that is a namespace of its own: what guests can and cannot do."""

import os
import signal
import socket
import struct
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.engines import network_world
from tests.engines.network_frames import BROADCAST, IPV4, UDP, Guest, ipv4, udp
from tests.engines.network_world import (
    HOST,
    OUTSIDE,
    listening,
    network,
    never_reaches,
    nic,
    reaches,
    said,
    soon,
)

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.engines.qemu import netns, netns_links, network_check, nft_rules, vpc_names
from econe.engines.qemu.dnsmasq import Dnsmasq

pytestmark = pytest.mark.root

NETWORK = network()


@pytest.fixture
def world(monkeypatch):
    runtime = Path(f"/run/econe-test-{os.getpid()}")
    monkeypatch.setattr(vpc_names, "RUNTIME", runtime)
    with network_world.world(runtime) as made:
        yield made


@pytest.fixture
def networks(world, tmp_path):
    made = world.networks(tmp_path)
    yield made
    for vpc_id in made.look():
        made.remove(vpc_id)


@pytest.fixture
def guest(networks, tmp_path):
    """Frames on the tap of an admitted interface."""
    held = []

    def make(number=1, on=NETWORK):
        its = nic(number, on)
        networks.admit(its)
        opened = networks.open_nic(its, tmp_path, None)
        held.extend(opened.fds)
        return Guest(opened.fds[0], bytes.fromhex(its.mac.replace(":", "")))

    yield make
    for descriptor in held:
        os.close(descriptor)


def names_of(networks, vpc_id="vpc-00000001"):
    return vpc_names.VpcNames(vpc_id, networks._tag)


def test_a_guest_gets_its_address_router_names_and_host_name(guest):
    given = guest().lease()
    assert str(IPv4Address(given[0])) == "172.31.0.4"
    assert given[1] == bytes([255, 255, 240, 0])
    assert given[3] == bytes([172, 31, 0, 1])
    assert given[6] == bytes([172, 31, 0, 2])
    assert given[12] == b"ip-172-31-0-4"
    assert given[15].rstrip(b"\0") == b"ec2.internal"


def test_a_guest_speaks_only_as_itself(guest):
    one = guest()
    assert one.arp("172.31.0.1", as_address="172.31.0.9") is None
    assert one.arp("172.31.0.1", as_mac=bytes.fromhex("020000000009")) is None
    one.lease()
    router = one.arp("172.31.0.1")
    assert one.ping(router, "172.31.0.1")
    assert not one.ping(router, "172.31.0.1", source="172.31.0.9")
    assert not one.ping(router, "172.31.0.1", mac=bytes.fromhex("020000000009"))


def test_a_guest_that_was_not_admitted_or_is_dismissed_is_not_heard(guest, networks):
    one = guest()
    one.lease()
    router = one.arp("172.31.0.1")
    networks.dismiss(NETWORK, "eni-00000001")
    networks.dismiss(NETWORK, "eni-00000001")
    assert not one.ping(router, "172.31.0.1")
    assert one.dhcp(1) is None


def test_an_address_goes_to_its_next_owner_at_once(guest, networks, tmp_path):
    guest(1).lease()
    networks.dismiss(NETWORK, "eni-00000001")
    heir = nic(2, NETWORK)
    heir = type(heir)(heir.interface_id, heir.mac, "172.31.0.4", NETWORK, "ip-172-31-0-4")
    networks.admit(heir)
    opened = networks.open_nic(heir, tmp_path, None)
    two = Guest(opened.fds[0], bytes.fromhex(heir.mac.replace(":", "")))
    two.lease()
    os.close(opened.fds[0])
    assert two.address == "172.31.0.4"


@pytest.mark.parametrize(("port", "is_heard"), [(67, False), (6767, True)])
def test_a_guest_cannot_play_dhcp_server_for_another(guest, port, is_heard):
    one, other = guest(1), guest(2)
    one.lease()
    shout = ipv4(one.address, "255.255.255.255", UDP, udp(port, 68, b"\x02" + bytes(300)))
    one.send(BROADCAST, IPV4, shout)
    source = IPv4Address(one.address).packed
    assert any(packet[12:16] == source for packet in other.hear(IPV4, 0.5)) == is_heard


def test_metadata_is_reached_and_the_caller_known(world, networks):
    one = world.guest(networks, nic(1, NETWORK))
    door = world.door.open["vpc-00000001"]
    door.settimeout(3)
    assert reaches(one, "169.254.169.254", 80)
    accepted, caller = door.accept()
    accepted.close()
    assert caller[0] == "172.31.0.4"


def test_names_of_guests_are_found(world, networks, guest):
    guest(1).lease()
    two = world.guest(networks, nic(2, NETWORK))

    def ask() -> bytes:
        labels = b"".join(bytes([len(p)]) + p for p in (b"ip-172-31-0-4", b"ec2", b"internal"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(3)
            asking.sendto(
                struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1",
                ("172.31.0.2", 53),
            )
            return asking.recv(512)

    assert netns.inside(two, ask).endswith(IPv4Address("172.31.0.4").packed)


def test_guests_of_one_vpc_and_the_host_reach_each_other(world, networks):
    one, two = (world.guest(networks, nic(number, NETWORK)) for number in (1, 2))
    with listening(two):
        assert reaches(one, "172.31.0.5")
        assert reaches(None, "172.31.0.5")


def test_guests_of_two_subnets_reach_each_other(world, networks):
    far = network(subnet=2)
    one, two = world.guest(networks, nic(1, NETWORK)), world.guest(networks, nic(2, far))
    with listening(two):
        assert reaches(one, nic(2, far).private_ip)


def test_guests_of_two_vpcs_do_not_reach_each_other(world, networks):
    other = network(2, second=30)
    one, two = world.guest(networks, nic(1, NETWORK)), world.guest(networks, nic(2, other))
    with listening(two):
        assert reaches(None, "172.30.0.5")
        assert never_reaches(one, "172.30.0.5")


def test_the_outside_is_reached_under_the_hosts_address(world, networks):
    one = world.guest(networks, nic(1, NETWORK))
    with listening(world.outside) as server:
        assert reaches(one, OUTSIDE)
        accepted, caller = server.accept()
        accepted.close()
    assert caller[0] == HOST


def test_the_outside_begins_no_conversation(world, networks):
    one = world.guest(networks, nic(1, NETWORK))
    with listening(one):
        assert reaches(None, "172.31.0.4")
        assert never_reaches(world.outside, "172.31.0.4")


def test_services_of_the_host_and_of_the_namespace_are_out_of_reach(world, networks):
    one = world.guest(networks, nic(1, NETWORK))
    link = next(
        str(address.ip)
        for device, addresses in netns_links.look().addresses.items()
        for address in addresses
        if device.startswith("ecn")
    )
    with listening(world.host), listening(names_of(networks).namespace):
        assert reaches(None, HOST)
        for address in (HOST, link, "172.31.0.1", "169.254.169.254"):
            assert never_reaches(one, address), address


def test_the_host_does_not_become_its_neighbours_router(world, networks):
    """The uplink forwards for VPCs only, and not at all once they are gone."""
    lan = f"{network_world.PREFIX}lan"
    netns.create(lan)
    netns_links.change(
        [
            f"link add lan type veth peer name lan netns {lan}",
            "address add 192.0.2.1/24 dev lan",
            "link set lan up",
        ]
    )
    netns.inside(
        lan,
        lambda: netns_links.change(
            [
                "address add 192.0.2.9/24 dev lan",
                "link set lan up",
                "route add default via 192.0.2.1",
            ]
        ),
    )
    netns.inside(world.outside, lambda: netns_links.change([f"route add 192.0.2.0/24 via {HOST}"]))
    netns_links.set_kernel("ipv4/conf/lan/forwarding", "1")
    assert netns_links.kernel("ipv4/conf/wan/forwarding") == "0"
    networks.ensure(NETWORK)
    assert netns_links.kernel("ipv4/conf/wan/forwarding") == "1"
    assert netns_links.kernel("ipv4/ip_forward") == "0"
    with listening(lan):
        assert never_reaches(world.outside, "192.0.2.9")
    networks.remove("vpc-00000001")
    assert netns_links.kernel("ipv4/conf/wan/forwarding") == "0"


def state_of_the_host(networks):
    """Names of namespaces are the whole machine's, also where others run tests."""
    ours = (network_world.PREFIX, f"econe-trial-{os.getpid()}", f"econe-{networks._tag}-")
    return (
        said("ip", "-o", "link"),
        said("ip", "-o", "address"),
        said("ip", "route", "show", "table", "all"),
        said("nft", "list", "ruleset"),
        sorted(name for prefix in ours for name in netns.names(prefix)),
    )


def test_remove_leaves_nothing(world, networks, guest):
    before = state_of_the_host(networks)
    networks.ensure(network(2, second=30))
    guest(1).lease()
    pids = [Dnsmasq(names_of(networks, vpc_id).runtime).pid for vpc_id in networks.look()]
    assert len(pids) == 2
    for vpc_id in sorted(networks.look()):
        networks.remove(vpc_id)
        networks.remove(vpc_id)
    assert networks.look() == set()
    assert state_of_the_host(networks) == before
    assert [path.name for path in vpc_names.RUNTIME.iterdir()] == ["lock"]
    for pid in pids:
        assert b"dnsmasq" not in command_line(pid)


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def hurt_dnsmasq(names):
    os.kill(Dnsmasq(names.runtime).pid, signal.SIGKILL)
    assert soon(lambda: Dnsmasq(names.runtime).pid is None)


def hurt_bridge(names):
    netns.inside(names.namespace, lambda: netns_links.change(["link delete sn-00000001"]))


def hurt_links(names):
    netns_links.change([f"link delete {names.host_link}"])


def hurt_rules(names):
    said("nft", "delete", "table", "inet", names.host_table)
    netns.inside(names.namespace, lambda: said("nft", "flush", "ruleset"))


def hurt_namespace(names):
    netns.delete(names.namespace)


def hurt_mount(names):
    netns.delete(names.namespace)
    netns.path_of(names.namespace).touch()


def hurt_runtime(names):
    (names.runtime / "vpc.json").write_text("{")
    (names.runtime / "dnsmasq.conf").unlink()


@pytest.mark.parametrize(
    "hurt",
    [
        hurt_dnsmasq,
        hurt_bridge,
        hurt_links,
        hurt_rules,
        hurt_namespace,
        hurt_mount,
        hurt_runtime,
    ],
)
def test_whatever_is_broken_the_next_server_mends_it(world, networks, tmp_path, hurt):
    networks.admit(nic(1, NETWORK))
    hurt(names_of(networks))
    again = world.networks(tmp_path)
    one = world.guest(again, nic(1, NETWORK))
    with listening(one):
        assert reaches(None, "172.31.0.4")
    with listening(world.outside):
        assert reaches(one, OUTSIDE)
    assert reaches(one, "169.254.169.254", 80)
    assert Dnsmasq(names_of(again).runtime).pid is not None


def test_a_dead_dnsmasq_is_noticed_by_the_same_server(networks, guest):
    networks.ensure(NETWORK)
    hurt_dnsmasq(names_of(networks))
    guest().lease()


def test_a_restart_of_the_server_touches_no_guest(world, networks, guest, tmp_path):
    one = guest()
    one.lease()
    router = one.arp("172.31.0.1")
    pid = Dnsmasq(names_of(networks).runtime).pid
    again = world.networks(tmp_path)
    again.admit(nic(1, NETWORK))
    assert one.ping(router, "172.31.0.1")
    assert Dnsmasq(names_of(networks).runtime).pid == pid
    assert "vpc-00000001" in world.door.open


def test_a_running_guest_is_put_on_its_bridge_again(world, networks, guest, tmp_path):
    one = guest()
    one.lease()
    hurt_bridge(names_of(networks))
    again = world.networks(tmp_path)
    again.admit(nic(1, NETWORK))
    assert one.ping(one.arp("172.31.0.1"), "172.31.0.1")


def test_a_tap_is_gone_with_the_process_that_held_it(networks, tmp_path):
    networks.admit(nic(1, NETWORK))
    opened = networks.open_nic(nic(1, NETWORK), tmp_path, None)
    with pytest.raises(EngineBusy):
        networks.open_nic(nic(1, NETWORK), tmp_path, None)
    os.close(opened.fds[0])

    def taps():
        return [name for name in netns_links.look().addresses if name.startswith("eni-")]

    assert soon(lambda: not netns.inside(names_of(networks).namespace, taps))
    os.close(networks.open_nic(nic(1, NETWORK), tmp_path, None).fds[0])


def test_addresses_that_the_host_uses_are_refused_by_name(networks):
    netns_links.change(["route add 172.31.4.0/24 via 203.0.113.1 dev wan"])
    before = state_of_the_host(networks)
    with pytest.raises(EngineRefused) as why:
        networks.ensure(NETWORK)
    assert "172.31.4.0/24 through wan" in why.value.said
    assert networks.look() == set()
    assert state_of_the_host(networks) == before


def test_two_servers_share_a_host_but_not_addresses(world, networks, tmp_path_factory):
    networks.ensure(NETWORK)
    other = world.networks(tmp_path_factory.mktemp("other"))
    with pytest.raises(EngineRefused) as why:
        other.ensure(NETWORK)
    assert "another econe server" in why.value.said
    other.ensure(network(1, second=29))
    assert networks.look() == other.look() == {"vpc-00000001"}
    other.remove("vpc-00000001")
    assert netns.exists(names_of(networks).namespace)


@pytest.mark.parametrize("hurt", [lambda names: None, hurt_namespace])
def test_what_a_vanished_server_has_left_is_taken_down(world, networks, tmp_path_factory, hurt):
    state = tmp_path_factory.mktemp("other")
    other = world.networks(state)
    other.ensure(NETWORK)
    world.door.drop("vpc-00000001")
    hurt(names_of(other))
    state.rmdir()
    networks.ensure(NETWORK)
    assert other.look() == set()
    assert not names_of(other).runtime.exists()


def test_this_host_is_found_able_by_a_trial_that_leaves_nothing(networks, monkeypatch):
    before = state_of_the_host(networks)
    assert network_check.vpc_obstacle() is None
    assert state_of_the_host(networks) == before
    monkeypatch.setattr(nft_rules, "vpc_rules", lambda _: "table bridge nonsense {")
    assert "trying one failed (nft:" in str(network_check.vpc_obstacle())
    assert state_of_the_host(networks) == before
    monkeypatch.setenv("PATH", "/nowhere")
    assert network_check.vpc_obstacle() == "the program ip is missing (package iproute2)"


def test_a_firewall_that_drops_what_is_passed_on_is_noted(world):
    rules = "table ip docker { chain F { type filter hook forward priority 0; policy drop; }; }"
    nft_rules.apply(rules)
    assert any("table ip docker, chain F" in note for note in network_check.notes())


def test_a_healthy_vpc_costs_next_to_nothing_and_a_new_one_little(networks):
    begun = time.perf_counter()
    networks.ensure(NETWORK)
    networks.admit(nic(1, NETWORK))
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(10):
        networks.ensure(NETWORK)
        networks.admit(nic(1, NETWORK))
    again = (time.perf_counter() - begun) / 10
    assert again < 0.002
    assert first < 1.0  # 0.1 s where nothing else runs
