"""The host's side of a VPC: a pair of links, a route, and the way out.

The pair has two addresses of a /30 out of LINK_POOL that nothing on the host uses; the host
reaches the VPC by a route through the namespace's end.

The way out needs forwarding. It is switched on for single devices, never for the host as a whole:
our end of the pair, and the devices of the default routes, because the kernel judges answers by the
device they come in on. Devices that did not forward before are noted (forwarding_notes) and guarded
(nft_rules.host_rules); with the last VPC of the host they are switched back.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.engines.qemu import dnsmasq, netns, netns_links, nft_rules, vpc_names
from econe.engines.qemu.netns_links import Links
from econe.engines.qemu.vpc_names import VpcNames

LINK_POOL: Final = IPv4Network("198.19.0.0/16")
"""Half of the range for tests of network devices (RFC 2544): neither private networks nor the
Internet use it, nor do guests, as they would 169.254.0.0/16."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two ends of a VPC's way out."""

    network: IPv4Network

    @property
    def host(self) -> IPv4Address:
        return self.network[1]

    @property
    def namespace(self) -> IPv4Address:
        return self.network[2]


def join(names: VpcNames, cidr: IPv4Network, *, reachable: bool) -> Pair:
    """Make or mend the host's side; the namespace exists. Idempotent.

    `reachable`: whether the host has a route to the VPC. Raises EngineRefused if something else
    uses its addresses; OSError, CommandFailed.
    """
    with _alone_on_this_host():
        links = netns_links.look()
        if reachable:
            check_overlap(links, cidr, names.host_link)
        pair = pair_of(links, names)
        _let_out(links, names, pair)
        netns_links.change(list(_host_commands(links, names, pair, cidr, reachable=reachable)))
        netns_links.set_kernel(f"ipv4/conf/{names.host_link}/forwarding", "1")
    return pair


def part(names: VpcNames) -> None:
    """Undo join. Nothing happens if there is nothing. Raises OSError, CommandFailed."""
    with _alone_on_this_host():
        nft_rules.apply(nft_rules.no_table("inet", names.host_table))
        links = netns_links.look()
        if names.host_link in links.addresses:
            netns_links.change([f"link delete {names.host_link}"])
        others = [
            device
            for device in links.addresses
            if device.startswith(vpc_names.HOST_LINKS) and device != names.host_link
        ]
        if not others:
            _stop_forwarding()


def forwarding_notes() -> Path:
    """A directory with one empty file for each device that forwards only because of us."""
    return vpc_names.RUNTIME / "forwarding"


def check_overlap(links: Links, cidr: IPv4Network, host_link: str) -> None:
    """Raises EngineRefused if the host already sends some of `cidr` elsewhere."""
    for route in links.routes:
        if route.device != host_link and not route.is_default and route.to.overlaps(cidr):
            owner = (
                " of another econe server" if route.device.startswith(vpc_names.HOST_LINKS) else ""
            )
            raise EngineRefused(
                f"The addresses {cidr} of this VPC are in use on the host: there is a route to "
                f"{route.to} through {route.device or 'no device'}{owner}. Give the cloud other "
                "addresses (setting cloud.default_vpc_cidrs)."
            )


def pair_of(links: Links, names: VpcNames) -> Pair:
    """The pair it has, or the first free one from a place that its name gives."""
    for address in links.addresses.get(names.host_link, ()):
        if address.ip in LINK_POOL:
            return Pair(address.network)
    taken = [address.network for all_of in links.addresses.values() for address in all_of]
    taken += [route.to for route in links.routes if not route.is_default]
    count = LINK_POOL.num_addresses // 4
    start = int.from_bytes(hashlib.blake2b(names.namespace.encode(), digest_size=4).digest(), "big")
    for step in range(count):
        first = LINK_POOL[(start + step) % count * 4]
        network = IPv4Network((int(first), 30))
        if not any(network.overlaps(other) for other in taken):
            return Pair(network)
    raise EngineBusy(f"all of {LINK_POOL} is in use on this host")


def _host_commands(
    links: Links, names: VpcNames, pair: Pair, cidr: IPv4Network, *, reachable: bool
) -> Iterator[str]:
    link = names.host_link
    if link in links.addresses and not _has_uplink(names):
        yield f"link delete {link}"
    if link not in links.addresses or not _has_uplink(names):
        yield f"link add {link} type veth peer name {vpc_names.UPLINK} netns {names.namespace}"
    yield f"link set {link} up"
    yield f"address replace {pair.host}/30 dev {link}"
    if reachable:
        # The way through the namespace's end is there as soon as this end has its address.
        yield f"route replace {cidr} via {pair.namespace} dev {link} onlink"


def _has_uplink(names: VpcNames) -> bool:
    """A namespace that was made anew lacks it, while a running guest may hold the old one."""
    return netns.inside(names.namespace, lambda: vpc_names.UPLINK in netns_links.look().addresses)


def _let_out(links: Links, names: VpcNames, pair: Pair) -> None:
    host_is_router = netns_links.kernel("ipv4/ip_forward") == "1"
    for device in {route.device for route in links.routes if route.is_default and route.device}:
        if netns_links.kernel(f"ipv4/conf/{device}/forwarding") != "1":
            forwarding_notes().mkdir(mode=0o755, parents=True, exist_ok=True)
            (forwarding_notes() / device).touch()
            # The guard stands before the door opens.
            _apply_host_rules(names, pair, guarded=_forwarding_for_us())
            netns_links.set_kernel(f"ipv4/conf/{device}/forwarding", "1")
    _apply_host_rules(names, pair, guarded=() if host_is_router else _forwarding_for_us())


def _apply_host_rules(names: VpcNames, pair: Pair, guarded: tuple[str, ...]) -> None:
    host = nft_rules.HostSide(
        link=names.host_link,
        link_address=pair.namespace,
        nameservers=dnsmasq.upstream().nameservers,
        guarded=guarded,
    )
    nft_rules.apply(nft_rules.host_rules(names.host_table, host))


def _forwarding_for_us() -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in forwarding_notes().iterdir()))
    except FileNotFoundError:
        return ()


def _stop_forwarding() -> None:
    host_is_router = netns_links.kernel("ipv4/ip_forward") == "1"
    for device in _forwarding_for_us():
        with contextlib.suppress(FileNotFoundError):  # the device is gone
            if not host_is_router:
                netns_links.set_kernel(f"ipv4/conf/{device}/forwarding", "0")
        (forwarding_notes() / device).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        forwarding_notes().rmdir()


@contextmanager
def _alone_on_this_host() -> Iterator[None]:
    """Servers with different state directories choose from one pool of addresses."""
    vpc_names.RUNTIME.mkdir(mode=0o755, parents=True, exist_ok=True)
    lock = os.open(vpc_names.RUNTIME / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(lock, 0o600)  # whoever may read it may lock it, and keep us out
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
