"""A host made of a namespace, with an outside, for tests that change a host's networks.

The thread that runs the test lives in the host's namespace meanwhile, so links, routes, rules and
forwarding of the machine that runs the tests stay as they are.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from econe.domain.engine_ports import NetworkSpec, NicSpec
from econe.engines.qemu import netns, netns_links, vpc_names
from econe.engines.qemu.vpc import VpcNetworks

OUTSIDE, HOST = "203.0.113.1", "203.0.113.2"
PREFIX = f"econe-test-{os.getpid()}-"


class Door:
    """Keeps what it is given, as the metadata server would."""

    def __init__(self) -> None:
        self.open: dict[str, socket.socket] = {}

    def serve(self, owner: str, listening: socket.socket) -> None:
        self.drop(owner)
        self.open[owner] = listening

    def drop(self, owner: str) -> None:
        if owner in self.open:
            self.open.pop(owner).close()


class World:
    def __init__(self) -> None:
        self.door = Door()
        self.host, self.outside = f"{PREFIX}host", f"{PREFIX}outside"

    def networks(self, state: Path) -> VpcNetworks:
        return VpcNetworks(state, domain="ec2.internal", door=self.door)

    def guest(self, networks: VpcNetworks, nic: NicSpec) -> str:
        """The name of a namespace that is the guest: its kernel speaks through a link that has the
        tap's name and place."""
        networks.admit(nic)
        name = f"{PREFIX}{nic.network.vpc_id}-{nic.interface_id}"
        netns.create(name)
        space = vpc_names.VpcNames(nic.network.vpc_id, networks._tag).namespace
        tap, bridge = nic.interface_id, vpc_names.bridge(nic.network.subnet_id)
        netns.inside(
            space,
            lambda: netns_links.change(
                [
                    f"link add {tap} type veth peer name eth0 netns {name}",
                    f"link set {tap} master {bridge} up",
                ]
            ),
        )
        router = nic.network.subnet_cidr.replace(".0/", ".1/").partition("/")[0]
        netns.inside(
            name,
            lambda: netns_links.change(
                [
                    "link set lo up",
                    f"link set eth0 address {nic.mac} up",
                    f"address add {nic.private_ip}/20 dev eth0",
                    f"route add default via {router}",
                ]
            ),
        )
        return name


def nic(number: int, network: NetworkSpec) -> NicSpec:
    address = network.subnet_cidr.partition("/")[0].removesuffix("0") + str(number + 3)
    return NicSpec(
        interface_id=f"eni-{number:08d}",
        mac=f"02:00:00:00:00:{number:02x}",
        private_ip=address,
        network=network,
        hostname="ip-" + address.replace(".", "-"),
    )


def network(number: int = 1, second: int = 31, subnet: int = 1) -> NetworkSpec:
    return NetworkSpec(
        vpc_id=f"vpc-{number:08d}",
        vpc_cidr=f"172.{second}.0.0/16",
        subnet_id=f"subnet-{number * 10 + subnet - 10:08d}",
        subnet_cidr=f"172.{second}.{(subnet - 1) * 16}.0/20",
        is_default=True,
    )


@contextlib.contextmanager
def listening(space: str, port: int = 7777) -> Iterator[socket.socket]:
    """A TCP server in that namespace; accept() on it tells who came."""
    with netns.inside(space, lambda: socket.create_server(("", port))) as server:
        server.settimeout(3)
        yield server


def reaches(space: str | None, address: str, port: int = 7777, seconds: float = 3.0) -> bool:
    """Whether a TCP connection is made, from a namespace or from where the thread is."""

    def connect() -> bool:
        try:
            socket.create_connection((address, port), seconds).close()
        except OSError:
            return False
        return True

    return connect() if space is None else netns.inside(space, connect)


def never_reaches(space: str | None, address: str, port: int = 7777) -> bool:
    return not reaches(space, address, port, 0.6)


@contextlib.contextmanager
def world(runtime: Path) -> Iterator[World]:
    made = World()
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        netns.create(made.host)
        netns.create(made.outside)
        _enter(os.open(netns.path_of(made.host), os.O_RDONLY))
        netns_links.change(
            [
                "link set lo up",
                f"link add wan type veth peer name wan netns {made.outside}",
                f"address add {HOST}/24 dev wan",
                "link set wan up",
                f"route add default via {OUTSIDE}",
            ]
        )
        netns.inside(
            made.outside,
            lambda: netns_links.change(
                [
                    "link set lo up",
                    f"address add {OUTSIDE}/24 dev wan",
                    "link set wan up",
                    f"route add 172.16.0.0/12 via {HOST}",
                ]
            ),
        )
        yield made
    finally:
        _enter(home)
        for owner in [*made.door.open]:
            made.door.drop(owner)
        _clean(runtime)


def _enter(descriptor: int) -> None:
    netns._check(netns._libc.setns(descriptor, netns._CLONE_NEWNET), "setns")
    os.close(descriptor)


def _clean(runtime: Path) -> None:
    """Whatever a failed test has left: dnsmasq by its pid file, namespaces by their names."""
    for note in runtime.glob("*/vpc-*/dnsmasq.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(note.read_text()), 9)
    for tag in runtime.glob("??????"):
        for name in netns.names(vpc_names.namespace_prefix(tag.name)):
            netns.delete(name)
    for name in netns.names(PREFIX):
        netns.delete(name)
    shutil.rmtree(runtime, ignore_errors=True)


def said(*command: str) -> str:
    """What a program says, in the namespace of this thread."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def soon(true, seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
