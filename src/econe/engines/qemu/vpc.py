"""VPCs as Linux network namespaces: what a server with CAP_NET_ADMIN gives its guests.

A VPC is a namespace, a subnet a bridge in it with the router's address, an interface a tap on that
bridge. Inside answer dnsmasq (DHCP, names) and, on 169.254.169.254, a socket of the metadata
server; nft_rules says who may speak to whom; vpc_host makes the way to the host and out.

Everything but the guests' taps is made and mended by one procedure, `_mend`, from a record below
/run: there is no difference between a new VPC, a half-made one and one that a crash has hurt. What
this process has mended it takes for healthy while the namespace exists and dnsmasq lives.
"""

import contextlib
import json
import logging
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final, Literal

from econe.domain.engine_ports import EngineLost, EngineRefused, NetworkSpec, NicSpec
from econe.domain.health import Pulse
from econe.durable import write_whole
from econe.engines.qemu import arp, netns, netns_links, nft_rules, vpc_host, vpc_names
from econe.engines.qemu.dnsmasq import Dnsmasq
from econe.engines.qemu.netns import CommandFailed
from econe.engines.qemu.network_door import MetadataDoor
from econe.engines.qemu.nic import Nic, Traffic
from econe.engines.qemu.vpc_host import Pair
from econe.engines.qemu.vpc_names import UPLINK, VpcNames
from econe.engines.qemu.vpc_taps import open_tap

_log = logging.getLogger(__name__)

_BACKLOG: Final = 64
HEAR_S: Final = 1.2
"""How long guests are given to answer, all together."""
ROUTERS: Final = "routers"
"""Directory with a file for each interface whose source/destination check is off."""


@dataclass(frozen=True, slots=True)
class Record:
    """What must be known of a VPC to mend it without being asked."""

    vpc_cidr: str
    reachable: bool
    """Whether the host has a route to it: default VPCs only, as others may overlap."""
    subnets: Mapping[str, str]
    """Id -> CIDR."""

    def joined_by(self, network: NetworkSpec) -> "Record":
        subnets = {**self.subnets, network.subnet_id: network.subnet_cidr}
        return Record(network.vpc_cidr, network.is_default, subnets)

    def write(self) -> str:
        return json.dumps(
            {"vpc_cidr": self.vpc_cidr, "reachable": self.reachable, "subnets": dict(self.subnets)}
        )

    @classmethod
    def read(cls, text: str) -> "Record":
        """Raises ValueError."""
        try:
            held = json.loads(text)
            return cls(str(held["vpc_cidr"]), bool(held["reachable"]), dict(held["subnets"]))
        except (KeyError, TypeError) as failure:
            raise ValueError(f"not a record of a VPC: {failure}") from failure


class VpcNetworks:
    """Implements nic.Wiring. Every method may be called from any thread."""

    def __init__(self, state: Path, *, domain: str, door: MetadataDoor) -> None:
        """`domain` ends the guests' names: `ec2.internal`."""
        self._state, self._domain, self._door = state.resolve(), domain, door
        self._tag = vpc_names.tag_of(state)
        self._lock = threading.RLock()
        self._healthy: dict[str, set[NetworkSpec]] = {}
        self._admitted: set[NicSpec] = set()

    @property
    def mode(self) -> Literal["vpc"]:
        return "vpc"

    @property
    def reasons(self) -> Mapping[str, str]:
        return {}

    def ensure(self, network: NetworkSpec) -> None:
        if self._is_healthy(network):
            return
        with self._lock, _engine_words(network.vpc_id):
            if self._is_healthy(network):
                return
            if not self._healthy:
                _sweep_orphans()
            names = self._names(network.vpc_id)
            before = self._record(names) or Record("", False, {})
            self._mend(names, before.joined_by(network))
            self._healthy[network.vpc_id].add(network)

    def admit(self, nic: NicSpec) -> None:
        self.ensure(nic.network)
        with self._lock, _engine_words(nic.interface_id):
            if nic in self._admitted:
                return
            names = self._names(nic.network.vpc_id)
            dnsmasq = Dnsmasq(names.runtime)
            vpc_names.tap(nic.interface_id)

            _note_router(names, nic)

            def admit() -> None:
                dnsmasq.admit(nic.interface_id, nic.mac, nic.private_ip, nic.hostname)
                nft_rules.apply(nft_rules.vpc_rules(_admitted(names)))

            netns.inside(names.namespace, admit)
            self._admitted = {e for e in self._admitted if e.interface_id != nic.interface_id}
            self._admitted.add(nic)

    def dismiss(self, network: NetworkSpec, interface_id: str) -> None:
        with self._lock, _engine_words(interface_id):
            names = self._names(network.vpc_id)
            self._admitted = {nic for nic in self._admitted if nic.interface_id != interface_id}
            if not (names.runtime / "hosts" / interface_id).exists():
                return
            Dnsmasq(names.runtime).dismiss(interface_id)
            (names.runtime / ROUTERS / interface_id).unlink(missing_ok=True)
            if netns.exists(names.namespace):
                rules = nft_rules.vpc_rules(_admitted(names))
                netns.inside(names.namespace, lambda: nft_rules.apply(rules))

    def remove(self, vpc_id: str) -> None:
        with self._lock, _engine_words(vpc_id):
            names = self._names(vpc_id)
            self._forget(vpc_id)
            self._door.drop(vpc_id)
            _take_down(names)

    def look(self) -> set[str]:
        prefix = vpc_names.namespace_prefix(self._tag)
        return {name.removeprefix(prefix) for name in netns.names(prefix)}

    def open_nic(self, nic: NicSpec, instance_dir: Path, owner: int | None) -> Nic:  # noqa: ARG002
        """A tap belongs to whoever holds its descriptor: neither directory nor owner matter."""
        names = self._names(nic.network.vpc_id)
        tap, bridge = vpc_names.tap(nic.interface_id), vpc_names.bridge(nic.network.subnet_id)
        with _engine_words(nic.interface_id):
            descriptor = netns.inside(names.namespace, lambda: open_tap(tap, bridge))
        return Nic(f"tap,id={nic.interface_id},fd={descriptor}", fds=(descriptor,))

    def hear(self, nics: Sequence[NicSpec]) -> Mapping[str, Pulse]:
        """ARP: a guest that has its address answers, whatever it filters."""
        subnets: dict[NetworkSpec, list[NicSpec]] = {}
        for nic in nics:
            subnets.setdefault(nic.network, []).append(nic)
        with ExitStack() as held:
            askers = [a for one in subnets.items() if (a := self._asker(*one, held)) is not None]
            arp.ask_all(askers, HEAR_S)
            there = {w for asker in askers for w in asker.asked if w not in asker.silent}
        return {
            nic.interface_id: Pulse.BEATS if _whom(nic) in there else Pulse.STILL for nic in nics
        }

    def count(self, nics: Sequence[NicSpec]) -> Mapping[str, Traffic]:
        """As the taps do it: what a tap receives its guest has sent."""
        counted: dict[str, Traffic] = {}
        for vpc_id in sorted({nic.network.vpc_id for nic in nics}):
            with suppress(OSError):  # the network is lost, and the taps with it
                space = self._names(vpc_id).namespace
                counted |= netns_links.read_counters(netns.inside(space, netns_links.counters))
        wanted = {nic.interface_id for nic in nics}
        return {device: traffic for device, traffic in counted.items() if device in wanted}

    def _asker(
        self, network: NetworkSpec, nics: Sequence[NicSpec], held: ExitStack
    ) -> arp.Asker | None:
        """None where the network is lost: nobody can be heard there."""
        router = str(IPv4Network(network.subnet_cidr)[1])
        own = arp.Whom(vpc_names.bridge_mac(network.subnet_id), router)
        bridge, asked = vpc_names.bridge(network.subnet_id), [_whom(nic) for nic in nics]
        try:
            asker = netns.inside(
                self._names(network.vpc_id).namespace, lambda: arp.open_asker(bridge, own, asked)
            )
        except OSError as failure:
            _log.warning("Nobody can be asked in this VPC vpc=%s why=%s", network.vpc_id, failure)
            return None
        held.callback(asker.socket.close)
        return asker

    def close_nic(self, nic: NicSpec) -> None:
        """The tap is gone with QEMU."""

    # --- mending -------------------------------------------------------------------------

    def _mend(self, names: VpcNames, record: Record) -> None:
        """Rules stand before links, links before services; what is refused leaves nothing."""
        self._forget(names.vpc_id)
        cidr = IPv4Network(record.vpc_cidr)
        if record.reachable:
            vpc_host.check_overlap(netns_links.look(), cidr, names.host_link)
        if not netns.exists(names.namespace):
            self._door.drop(names.vpc_id)
        netns.create(names.namespace)
        self._write(names, record)
        rules = nft_rules.vpc_rules(_admitted(names))
        netns.inside(names.namespace, lambda: _settle(rules))
        pair = vpc_host.join(names, cidr, reachable=record.reachable)
        listening = netns.inside(names.namespace, lambda: self._serve(names, record, pair))
        self._door.serve(names.vpc_id, listening)
        self._healthy[names.vpc_id] = set()

    def _serve(self, names: VpcNames, record: Record, pair: Pair) -> socket.socket:
        links = netns_links.look()
        taps = {nic.interface_id: nic.private_ip for nic in _admitted(names)}
        netns_links.change(list(namespace_commands(links.addresses, record, pair, taps)))
        Dnsmasq(names.runtime).keep_running(self._domain, dict(record.subnets))
        self._door.drop(names.vpc_id)
        return _listen_for_metadata()

    def _is_healthy(self, network: NetworkSpec) -> bool:
        """Takes a few reads of /proc and /run, well below a millisecond."""
        names = self._names(network.vpc_id)
        return (
            network in self._healthy.get(network.vpc_id, ())
            and netns.exists(names.namespace)
            and Dnsmasq(names.runtime).pid is not None
        )

    def _forget(self, vpc_id: str) -> None:
        self._healthy.pop(vpc_id, None)
        self._admitted = {nic for nic in self._admitted if nic.network.vpc_id != vpc_id}

    # --- records -------------------------------------------------------------------------

    def _names(self, vpc_id: str) -> VpcNames:
        return VpcNames(vpc_id, self._tag)

    def _record(self, names: VpcNames) -> Record | None:
        """None where there is none, or a damaged one: ensure() writes it anew."""
        try:
            return Record.read((names.runtime / "vpc.json").read_text())
        except (OSError, ValueError):
            return None

    def _write(self, names: VpcNames, record: Record) -> None:
        names.runtime.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(names.runtime.parent / "state", str(self._state))
        write_whole(names.runtime / "vpc.json", record.write())


def _whom(nic: NicSpec) -> arp.Whom:
    return arp.Whom(nic.mac, nic.private_ip)


def namespace_commands(
    present: Iterable[str], record: Record, pair: Pair, taps: Mapping[str, str]
) -> Iterator[str]:
    """What `ip` must do inside the namespace; all but `link add` may be done again.

    `taps` have their guests' addresses: those that are present are put on their bridges, for a
    bridge that was lost has let go of them.
    """
    have = set(present)
    yield "link set lo up"
    yield f"address replace {nft_rules.METADATA_ADDRESS}/32 dev lo"
    yield f"link set {UPLINK} up"
    yield f"address replace {pair.namespace}/30 dev {UPLINK}"
    yield f"route replace default via {pair.host} dev {UPLINK}"
    for subnet_id, cidr in record.subnets.items():
        bridge, network = vpc_names.bridge(subnet_id), IPv4Network(cidr)
        if bridge not in have:
            mac = vpc_names.bridge_mac(subnet_id)
            yield f"link add {bridge} address {mac} type bridge forward_delay 0 mcast_snooping 0"
        yield f"link set {bridge} up"
        for number in (1, 2):  # the router, and where names are asked
            yield f"address replace {network[number]}/{network.prefixlen} dev {bridge}"
        for tap, private_ip in taps.items():
            if tap in have and IPv4Address(private_ip) in network:
                yield f"link set {tap} master {bridge} up"


def _settle(rules: str) -> None:
    netns_links.set_kernel("ipv4/ip_forward", "1")
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        netns_links.set_kernel("ipv6/conf/all/disable_ipv6", "1")
        netns_links.set_kernel("ipv6/conf/default/disable_ipv6", "1")
    nft_rules.apply(rules)


def _listen_for_metadata() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((nft_rules.METADATA_ADDRESS, 80))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _note_router(names: VpcNames, nic: NicSpec) -> None:
    """Beside dnsmasq's record of the interface, so that mending finds it."""
    note = names.runtime / ROUTERS / nic.interface_id
    if nic.source_dest_check:
        note.unlink(missing_ok=True)
    else:
        note.parent.mkdir(mode=0o755, exist_ok=True)
        note.touch()


def _admitted(names: VpcNames) -> list[nft_rules.Admitted]:
    """What dnsmasq knows is what the rules let pass."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in sorted((names.runtime / "hosts").iterdir()):
            if path.name.startswith(vpc_names.TAPS):
                mac, private_ip, *_ = path.read_text().split(",")
                routes = (names.runtime / ROUTERS / path.name).exists()
                found.append(nft_rules.Admitted(path.name, mac, private_ip, routes=routes))
    return found


def _take_down(names: VpcNames) -> None:
    """The namespace's name goes last: as long as look() shows it, remove() comes again."""
    Dnsmasq(names.runtime).stop()
    vpc_host.part(names)
    shutil.rmtree(names.runtime, ignore_errors=True)
    netns.delete(names.namespace)
    if not netns.names(vpc_names.namespace_prefix(names.tag)):
        shutil.rmtree(names.runtime.parent, ignore_errors=True)


def _sweep_orphans() -> None:
    """Take down the VPCs of servers whose state directory is gone."""
    for note in vpc_names.RUNTIME.glob("*/state"):
        if Path(note.read_text()).exists():
            continue
        tag = note.parent.name
        prefix = vpc_names.namespace_prefix(tag)
        up = {name.removeprefix(prefix) for name in netns.names(prefix)}
        for vpc_id in up | {path.name for path in note.parent.glob("vpc-*")}:
            _log.warning("Taking down a VPC of a server that is gone tag=%s vpc=%s", tag, vpc_id)
            with contextlib.suppress(OSError, CommandFailed, EngineRefused):
                _take_down(VpcNames(vpc_id, tag))


@contextmanager
def _engine_words(subject: str) -> Iterator[None]:
    """Turn what the system says into what engine ports may raise."""
    try:
        yield
    except PermissionError as failure:
        raise EngineRefused(
            "The server may not change this host's networks.", f"{subject}: {failure}"
        ) from failure
    except (OSError, CommandFailed) as failure:
        raise EngineLost(f"{subject}: {failure}") from failure
