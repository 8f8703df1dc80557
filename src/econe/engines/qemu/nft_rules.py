"""The packet filter's rules, as text for `nft -f -`: pure, and applied whole or not at all.

Each script replaces the tables it names in one transaction of the kernel, so no packet ever meets
half a ruleset, and applying one twice is applying it once.

Inside a VPC's namespace:
- table bridge: what comes out of a tap carries the MAC and the address that the tap was given, or
  is dropped; so no guest speaks for another, or as a DHCP server, and as a router only one whose
  source/destination check is off. IPv4 and ARP only.
- table inet: the namespace itself answers DHCP, names, metadata and pings, and nothing else. Guests
  reach each other and the outside; from the outside come answers, and what the host itself begins.

On the host, one table for each VPC: guests reach neither other VPCs nor services of the host;
what leaves the host carries the host's address; nobody outside can begin a conversation with a
guest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from econe.engines.qemu import vpc_names
from econe.engines.qemu.netns import run

METADATA_ADDRESS: Final = "169.254.169.254"


@dataclass(frozen=True, slots=True)
class Admitted:
    """One interface and what it may claim to be."""

    interface_id: str
    mac: str
    private_ip: str
    routes: bool = False
    """Whether its packets may carry addresses of others."""


@dataclass(frozen=True, slots=True)
class HostSide:
    """What the rules on the host need to know."""

    link: str
    """The host's end of the pair of links."""
    link_address: IPv4Address
    """Of the namespace's end: what guests' packets carry when they reach the host."""
    nameservers: tuple[IPv4Address, ...] = ()
    """Where the VPC's names come from; may be the host itself."""
    guarded: tuple[str, ...] = ()
    """Devices that forward only because of us: see host_rules."""


def apply(script: str) -> None:
    """In the namespace that the calling thread is in. Raises CommandFailed."""
    run(("nft", "-f", "-"), script)


def vpc_rules(admitted: Sequence[Admitted]) -> str:
    """All tables of a VPC's namespace."""
    return _replacing("bridge", "econe", _bridge_table(admitted)) + _replacing(
        "inet", "econe", _INET_TABLE
    )


def host_rules(table: str, host: HostSide) -> str:
    """The VPC's table on the host.

    Answers from outside come in through the host's uplink, and the kernel takes packets to be
    passed on only from devices that forward. Where the host was no router before, making its
    uplink forward must not make it one for its neighbours: `guarded` devices pass nothing on but
    to VPCs.
    """
    return _replacing("inet", table, _host_table(host))


def no_table(family: str, table: str) -> str:
    """Removes it; nothing happens if it is absent."""
    return f"table {family} {table}\ndelete table {family} {table}\n"


def _replacing(family: str, table: str, body: str) -> str:
    return f"{no_table(family, table)}table {family} {table} {{\n{body}}}\n"


def _bridge_table(admitted: Sequence[Admitted]) -> str:
    by_id = sorted(admitted, key=lambda nic: nic.interface_id)
    macs = [f'"{vpc_names.tap(nic.interface_id)}" . {nic.mac}' for nic in by_id]
    addresses = [f"{mac} . {nic.private_ip}" for mac, nic in zip(macs, by_id, strict=True)]
    routers = [mac for mac, nic in zip(macs, by_id, strict=True) if nic.routes]
    return f"""\
  set macs {{
    type ifname . ether_addr
{_elements(macs)}  }}
  set addresses {{
    type ifname . ether_addr . ipv4_addr
{_elements(addresses)}  }}
  set routers {{
    type ifname . ether_addr
{_elements(routers)}  }}
  chain from_guests {{
    type filter hook prerouting priority -300; policy drop;
    iifname != "{vpc_names.TAPS}*" accept
    iifname . ether saddr != @macs drop
    ether type arp iifname . arp saddr ether . arp saddr ip @addresses accept
    ether type arp iifname . arp saddr ether @macs arp saddr ip 0.0.0.0 accept
    ether type ip udp sport 67 drop
    ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    ether type ip iifname . ether saddr . ip saddr @addresses accept
    ether type ip iifname . ether saddr @routers accept
  }}
"""


def _elements(elements: Sequence[str]) -> str:
    if not elements:
        return ""
    return "    elements = {\n" + ",\n".join(f"      {line}" for line in elements) + "\n    }\n"


_INET_TABLE: Final = f"""\
  chain to_the_namespace {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    icmp type echo-request accept
    iifname != "{vpc_names.BRIDGES}*" drop
    udp dport {{ 53, 67 }} accept
    tcp dport 53 accept
    ip daddr {METADATA_ADDRESS} tcp dport 80 accept
  }}
  chain through {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "{vpc_names.BRIDGES}*" accept
    iifname "{vpc_names.UPLINK}" oifname "{vpc_names.BRIDGES}*" accept
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{vpc_names.UPLINK}" masquerade
  }}
"""


def _host_table(host: HostSide) -> str:
    link, others = f'"{host.link}"', f'"{vpc_names.HOST_LINKS}*"'
    names = ", ".join(str(address) for address in host.nameservers)
    asking = f"    ip daddr {{ {names} }} meta l4proto {{ tcp, udp }} th dport 53 accept\n"
    guards = "".join(
        f'    iifname "{device}" oifname != {others} drop\n' for device in host.guarded
    )
    return f"""\
  chain to_the_host {{
    type filter hook input priority filter; policy accept;
    iifname != {link} accept
    ct state established,related accept
    icmp type echo-request accept
{asking if names else ""}    drop
  }}
  chain through {{
    type filter hook forward priority filter; policy accept;
    iifname {link} oifname {others} drop
    oifname {link} iifname {others} drop
    iifname {link} tcp flags syn tcp option maxseg size set rt mtu
    oifname {link} tcp flags syn tcp option maxseg size set rt mtu
    iifname {link} accept
    oifname {link} ct state established,related accept
    oifname {link} drop
{guards}  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {host.link_address} oifname != {link} masquerade
  }}
"""
