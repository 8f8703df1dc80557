"""What is told to nft, dnsmasq, ip and QEMU, without any of them."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.network_world import network, nic

from econe.domain.engine_ports import EngineRefused
from econe.engines.qemu import (
    dnsmasq,
    network_check,
    nft_rules,
    user_network,
    vpc,
    vpc_host,
    vpc_names,
)
from econe.engines.qemu.netns_links import Links, Route
from econe.engines.qemu.nft_rules import Admitted, HostSide
from econe.engines.qemu.vpc_names import VpcNames

NAMES = VpcNames("vpc-00000001", "abc123")
HOST = HostSide("ecnabc1231", IPv4Address("198.19.0.2"))


def test_each_table_is_replaced_whole():
    rules = nft_rules.vpc_rules([])
    for family in ("bridge", "inet"):
        assert (
            f"table {family} econe\ndelete table {family} econe\ntable {family} econe {{" in rules
        )


def test_an_interface_may_speak_as_its_mac_and_address_only():
    rules = nft_rules.vpc_rules([Admitted("eni-00000002", "02:00:00:00:00:02", "172.31.0.5")])
    assert 'elements = {\n      "eni-00000002" . 02:00:00:00:00:02\n    }' in rules
    assert '"eni-00000002" . 02:00:00:00:00:02 . 172.31.0.5\n' in rules


def test_rules_do_not_depend_on_the_order_of_admission():
    nics = [Admitted(f"eni-{n:08d}", f"02:00:00:00:00:{n:02x}", f"172.31.0.{n}") for n in (4, 5, 6)]
    assert nft_rules.vpc_rules(nics) == nft_rules.vpc_rules(nics[::-1])


def test_only_devices_that_forward_for_us_are_guarded():
    assert "wan" not in nft_rules.host_rules("t", HOST)
    guarded = HostSide(HOST.link, HOST.link_address, guarded=("wan",))
    assert 'iifname "wan" oifname != "ecn*" drop' in nft_rules.host_rules("t", guarded)


def test_the_hosts_own_nameserver_stays_reachable_and_nothing_else():
    assert "dport 53" not in nft_rules.host_rules("t", HOST)
    asking = HostSide(HOST.link, HOST.link_address, (IPv4Address("192.0.2.53"),))
    assert "ip daddr { 192.0.2.53 }" in nft_rules.host_rules("t", asking)


def test_dnsmasq_gives_router_and_names_of_the_subnet():
    assert dnsmasq.subnet_range("subnet-00000001", "172.31.16.0/20") == (
        "dhcp-range=set:subnet-00000001,172.31.16.0,static,255.255.240.0,3600\n"
        "dhcp-option=tag:subnet-00000001,option:router,172.31.16.1\n"
        "dhcp-option=tag:subnet-00000001,option:dns-server,172.31.16.2\n"
    )


def test_dnsmasq_runs_as_a_user_of_its_own_and_asks_the_hosts_nameservers(tmp_path):
    reachable = dnsmasq.Upstream(Path("/etc/resolv.conf"), (IPv4Address("192.0.2.53"),))
    text = dnsmasq.configuration(tmp_path, "ec2.internal", "nobody", reachable).split("\n")
    for line in (
        "user=nobody",
        "resolv-file=/etc/resolv.conf",
        "domain=ec2.internal",
        "dhcp-ignore=tag:!known",
        f"dhcp-hostsdir={tmp_path}/hosts",
    ):
        assert line in text
    alone = dnsmasq.configuration(
        tmp_path, "ec2.internal", "nobody", dnsmasq.Upstream(Path("/etc/resolv.conf"), ())
    )
    assert "no-resolv" in alone


@pytest.mark.parametrize(
    ("resolv_conf", "resolved", "expected"),
    [
        ("nameserver 192.0.2.53\n", "", ["192.0.2.53"]),
        ("nameserver 127.0.0.53\n", "nameserver 192.0.2.1\nnameserver ::1\n", ["192.0.2.1"]),
        ("# nameserver 192.0.2.9\nnameserver\nnameserver x\n", "", []),
    ],
)
def test_nameservers_on_the_hosts_loopback_are_no_use(tmp_path, resolv_conf, resolved, expected):
    (tmp_path / "a").write_text(resolv_conf)
    (tmp_path / "b").write_text(resolved)
    found = dnsmasq.upstream(tmp_path / "a", tmp_path / "b")
    assert [str(address) for address in found.nameservers] == expected


def test_leases_are_read_and_damaged_lines_passed_over():
    text = "1700 02:00:00:00:00:01 172.31.0.4 ip-172-31-0-4 01:02\nnonsense\n\n"
    (lease,) = dnsmasq.read_leases(text)
    assert (lease.mac, lease.private_ip) == ("02:00:00:00:00:01", "172.31.0.4")


def test_a_release_is_a_bootp_request_in_the_old_owners_name():
    old = dnsmasq.Leased("02:00:00:00:00:01", "172.31.0.4", "")
    message = dnsmasq.release_message(old, IPv4Address("172.31.0.1"))
    assert message[0] == 1
    assert message[12:16] == IPv4Address("172.31.0.4").packed
    assert message[28:34] == bytes.fromhex("020000000001")
    assert message[236:240] == b"\x63\x82\x53\x63"
    assert b"\x35\x01\x07" in message[240:]


def test_names_are_short_enough_for_devices_or_refused():
    assert NAMES.host_link == "ecnabc1231"
    assert len(VpcNames("vpc-16777215", "abc123").host_link) == 15
    with pytest.raises(EngineRefused):
        _ = VpcNames("vpc-16777216", "abc123").host_link
    with pytest.raises(EngineRefused):
        _ = VpcNames("vpc-0123456789abcdef0", "abc123").host_link
    assert vpc_names.bridge("subnet-00000001") == "sn-00000001"
    assert vpc_names.tap("eni-00000001") == "eni-00000001"


def test_different_state_directories_have_different_names(tmp_path):
    assert vpc_names.tag_of(tmp_path) != vpc_names.tag_of(tmp_path / "a")
    assert vpc_names.tag_of(tmp_path) == vpc_names.tag_of(tmp_path / "a" / "..")


RECORD = vpc.Record("172.31.0.0/16", True, {"subnet-00000001": "172.31.0.0/20"})
PAIR = vpc_host.Pair(IPv4Network("198.19.0.0/30"))


def test_only_what_is_missing_is_added():
    new = list(vpc.namespace_commands(["lo", "uplink"], RECORD, PAIR, {}))
    again = list(vpc.namespace_commands(["lo", "uplink", "sn-00000001"], RECORD, PAIR, {}))
    assert [line for line in new if line not in again] == [
        "link add sn-00000001 address 06:ec:24:44:76:ff type bridge forward_delay 0 "
        "mcast_snooping 0"
    ]
    assert "address replace 172.31.0.1/20 dev sn-00000001" in again


def test_taps_go_on_the_bridge_of_their_subnet():
    taps = {"eni-00000001": "172.31.0.4", "eni-00000002": "172.31.0.5", "eni-00000003": "10.0.0.1"}
    present = ["eni-00000001", "eni-00000003"]
    lines = list(vpc.namespace_commands(present, RECORD, PAIR, taps))
    assert [line for line in lines if "master" in line] == [
        "link set eni-00000001 master sn-00000001 up"
    ]


def test_a_record_reads_what_it_wrote_and_nothing_else():
    assert vpc.Record.read(RECORD.write()) == RECORD
    for text in ("", "{}", "[]", '{"vpc_cidr": 1}'):
        with pytest.raises(ValueError, match=r".*"):
            vpc.Record.read(text)


def links(*routes, **addresses):
    return Links(
        {device: tuple(IPv4Interface(a) for a in given) for device, given in addresses.items()},
        tuple(Route(IPv4Network(to), device) for to, device in routes),
    )


@pytest.mark.parametrize("there", ["172.31.0.0/16", "172.16.0.0/12", "172.31.200.0/24"])
def test_a_route_to_some_of_the_addresses_is_refused(there):
    held = links((there, "tun0"))
    with pytest.raises(EngineRefused, match=f"{there} through tun0"):
        vpc_host.check_overlap(held, IPv4Network("172.31.0.0/16"), NAMES.host_link)


def test_our_own_route_and_the_default_route_are_no_obstacle():
    held = links(("0.0.0.0/0", "eth0"), ("172.31.0.0/16", NAMES.host_link), ("10.0.0.0/8", "tun0"))
    vpc_host.check_overlap(held, IPv4Network("172.31.0.0/16"), NAMES.host_link)


def test_a_pair_keeps_its_addresses_and_a_new_one_avoids_those_in_use():
    first = vpc_host.pair_of(links(), NAMES)
    assert first.network.subnet_of(vpc_host.LINK_POOL)
    used = links(eth0=[f"{first.host}/30"])
    assert not vpc_host.pair_of(used, NAMES).network.overlaps(first.network)
    routed = links((str(first.network), "tun0"))
    assert vpc_host.pair_of(routed, NAMES) != first
    assert vpc_host.pair_of(links(**{NAMES.host_link: ["198.19.7.1/30"]}), NAMES) == vpc_host.Pair(
        IPv4Network("198.19.7.0/30")
    )


@given(st.integers(0, 2**20 - 1), st.integers(16, 28))
def test_the_user_mode_network_holds_all_of_a_private_range_and_the_metadata(offset, prefix):
    address = IPv4Address("172.16.0.0") + offset
    guests = IPv4Network((int(address) >> (32 - prefix) << (32 - prefix), prefix))
    assert user_network.guest_network(guests) == IPv4Network("168.0.0.0/5")


@pytest.mark.parametrize("cidr", ["10.128.0.0/20", "192.168.0.0/20", "100.64.0.0/20"])
def test_other_ranges_have_no_user_mode_network(cidr):
    assert user_network.guest_network(IPv4Network(cidr)) is None


def test_the_user_mode_network_is_all_in_one_option():
    assert user_network.netdev(nic(1, network()), "ec2.internal", 22001, "/usr/bin/python3") == (
        "user,id=eni-00000001,ipv6=off,net=168.0.0.0/5,host=172.31.0.1,dns=172.31.0.2,"
        "dhcpstart=172.31.0.4,hostname=ip-172-31-0-4,domainname=ec2.internal,"
        "hostfwd=tcp:127.0.0.1:22001-172.31.0.4:22,"
        "guestfwd=tcp:169.254.169.254:80-cmd:/usr/bin/python3 -I -S "
        "/proc/self/cwd/metadata-relay.py metadata.sock"
    )


@pytest.mark.parametrize(
    ("status", "lacking"),
    [
        ("CapEff:\t000001ffffffffff\n", []),
        ("CapEff:\t0000000000001000\n", ["CAP_SYS_ADMIN"]),
        ("CapEff:\t0000000000000000\n", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
        ("", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
    ],
)
def test_missing_capabilities_are_named(status, lacking):
    assert network_check.missing_capabilities(status) == lacking


def test_the_network_is_chosen_by_what_is_in_the_way():
    assert network_check.choose("auto", lambda: None).mode == "vpc"
    assert network_check.choose("vpc", lambda: None).mode == "vpc"
    without = network_check.choose("auto", lambda: "no rights")
    assert (without.mode, dict(without.reasons)) == ("user", {"vpc": "no rights"})
    assert network_check.choose("user", lambda: None).mode == "user"
    with pytest.raises(EngineRefused, match="no rights"):
        network_check.choose("vpc", lambda: "no rights")
