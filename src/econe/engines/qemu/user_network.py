"""QEMU's user-mode network: what a server without CAP_NET_ADMIN gives its guests.

Each guest is alone on a network that its own QEMU plays (libslirp): DHCP gives it the address that
its interface has in the database, a port of 127.0.0.1 leads to its ssh, and 169.254.169.254:80
leads to the metadata server. libslirp has limits that show:

- It forwards only addresses inside the guest's network. So that network is the smallest that holds
  both the guest's address and 169.254.169.254: 168.0.0.0/5 for 172.16.0.0/12, and nothing for other
  private ranges, as libslirp takes no prefix shorter than 4 bits. The guest cannot reach hosts of
  the Internet in that range.
- A forward to a chardev is one stream for all connections of the guest. A forward to a command has
  a process for each connection; see user_network_relay. QEMU must be allowed to start it, by
  `-sandbox …,spawn=allow,elevateprivileges=allow`: libslirp calls setsid() in the child, which
  both other values of elevateprivileges answer with SIGSYS. Nothing is lost by that, as the filter
  comes with no_new_privs.
- What a guest sends to its router's address comes out on the host's 127.0.0.1, and libslirp can
  forbid that only together with the way out. `econe-server check` says so.
"""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final, Literal, TypeVar

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused, NetworkSpec, NicSpec
from econe.domain.health import Pulse
from econe.durable import write_whole
from econe.engines.qemu import user_network_relay
from econe.engines.qemu.knocking import knock
from econe.engines.qemu.netns import in_own_thread
from econe.engines.qemu.network_door import MetadataDoor
from econe.engines.qemu.nic import Nic, Traffic

T = TypeVar("T")

_libc = ctypes.CDLL(None)

METADATA: Final = IPv4Address("169.254.169.254")
SOCKET: Final = "metadata.sock"
RELAY: Final = "metadata-relay.py"
RELAY_TO_RUN: Final = f"/proc/self/cwd/{RELAY}"
"""Python makes a program's path absolute, and QEMU's user may not come through the directories
above its own: this way leads past them."""
FIRST_PORT: Final = 22000
PORTS: Final = 8000
"""Below those that Linux gives to outgoing connections (32768 on)."""
_SHORTEST_PREFIX: Final = 4
_BACKLOG: Final = 16
HEAR_S: Final = 2.0
"""How long a guest is given to answer at its ssh port."""


@dataclass(frozen=True, slots=True)
class Forward:
    """What is kept of an interface, so that it is the same after a restart."""

    port: int
    instance_dir: str = ""
    """Where its metadata socket is; empty while the machine is off."""


class UserNetworks:
    """Implements nic.Wiring. Every method may be called from any thread."""

    def __init__(
        self, state: Path, *, domain: str, door: MetadataDoor, reasons: Mapping[str, str]
    ) -> None:
        """`domain` ends the guests' names; `reasons` say why there are no VPC networks."""
        self._directory = state.resolve() / "networks"
        self._domain, self._door, self._reasons = domain, door, reasons
        self._lock = threading.RLock()
        self._served: set[str] = set()
        """Instances that have a socket of this process."""

    @property
    def mode(self) -> Literal["user"]:
        return "user"

    @property
    def reasons(self) -> Mapping[str, str]:
        return self._reasons

    def ensure(self, network: NetworkSpec) -> None:
        if guest_network(IPv4Network(network.subnet_cidr)) is None:
            raise EngineRefused(
                f"The user-mode network cannot give a guest both an address of "
                f"{network.subnet_cidr} and the metadata service; it can for 172.16.0.0/12 "
                "(setting cloud.default_vpc_cidrs)."
            )
        with _engine_words(network.vpc_id):
            (self._directory / network.vpc_id).mkdir(mode=0o700, parents=True, exist_ok=True)

    def admit(self, nic: NicSpec) -> None:
        """Also listens again for a guest that runs since before this server."""
        self.ensure(nic.network)
        with self._lock, _engine_words(nic.interface_id):
            path = self._path(nic.network, nic.interface_id)
            forward = _read(path)
            if forward is None:
                _write(path, Forward(self._free_port(nic)))
            elif forward.instance_dir:
                self._listen_again(Path(forward.instance_dir))

    def dismiss(self, network: NetworkSpec, interface_id: str) -> None:
        with self._lock, _engine_words(interface_id):
            self._close(self._path(network, interface_id))
            self._path(network, interface_id).unlink(missing_ok=True)

    def remove(self, vpc_id: str) -> None:
        with self._lock, _engine_words(vpc_id):
            for path in sorted(self._directory.glob(f"{vpc_id}/eni-*.json")):
                self._close(path)
            shutil.rmtree(self._directory / vpc_id, ignore_errors=True)

    def look(self) -> set[str]:
        return {path.name for path in self._directory.glob("vpc-*")}

    def open_nic(self, nic: NicSpec, instance_dir: Path, owner: int | None) -> Nic:
        self.admit(nic)
        with self._lock, _engine_words(nic.interface_id):
            path = self._path(nic.network, nic.interface_id)
            forward = _read(path)
            if forward is None or not _is_free(forward.port):
                forward = Forward(self._free_port(nic))
            _write(path, replace(forward, instance_dir=str(instance_dir)))
            (instance_dir / RELAY).unlink(missing_ok=True)
            copy_relay(instance_dir)
            self._listen(instance_dir)
            return Nic(
                netdev(nic, self._domain, forward.port, interpreter(owner)),
                spawns=True,
                address=f"127.0.0.1:{forward.port}",
            )

    def hear(self, nics: Sequence[NicSpec]) -> Mapping[str, Pulse]:
        """Silence proves nothing: the guest may have no sshd and drop what is not asked for."""
        ports: dict[str, int] = {}
        for nic in nics:
            forward = _read(self._path(nic.network, nic.interface_id))
            if forward is not None and forward.instance_dir:
                ports[nic.interface_id] = forward.port
        answered = knock(set(ports.values()), HEAR_S)
        return {
            nic.interface_id: Pulse.BEATS
            if ports.get(nic.interface_id) in answered
            else Pulse.UNHEARD
            for nic in nics
        }

    def count(self, nics: Sequence[NicSpec]) -> Mapping[str, Traffic]:  # noqa: ARG002
        """libslirp counts nothing."""
        return {}

    def close_nic(self, nic: NicSpec) -> None:
        with self._lock, _engine_words(nic.interface_id):
            self._close(self._path(nic.network, nic.interface_id))

    def _close(self, path: Path) -> None:
        forward = _read(path)
        if forward is None or not forward.instance_dir:
            return
        directory = Path(forward.instance_dir)
        self._door.drop(directory.name)
        self._served.discard(directory.name)
        (directory / SOCKET).unlink(missing_ok=True)
        _write(path, replace(forward, instance_dir=""))

    def _listen(self, instance_dir: Path) -> None:
        """The socket's place in the file system says which instance asks: only its QEMU, and we,
        can come there, as the directory is its own."""
        self._door.drop(instance_dir.name)
        self._door.serve(instance_dir.name, listen_in(instance_dir))
        self._served.add(instance_dir.name)

    def _listen_again(self, instance_dir: Path) -> None:
        if instance_dir.name not in self._served and instance_dir.exists():
            self._listen(instance_dir)

    def _path(self, network: NetworkSpec, interface_id: str) -> Path:
        return self._directory / network.vpc_id / f"{interface_id}.json"

    def _free_port(self, nic: NicSpec) -> int:
        given = {
            forward.port
            for path in self._directory.glob("vpc-*/eni-*.json")
            if (forward := _read(path)) is not None
        }
        start = int.from_bytes(nic.interface_id.encode()[-4:], "big")
        for step in range(PORTS):
            port = FIRST_PORT + (start + step) % PORTS
            if port not in given and _is_free(port):
                return port
        raise EngineBusy("no port of 127.0.0.1 is free for another guest")


def guest_network(guests: IPv4Network) -> IPv4Network | None:
    """The smallest network that holds both `guests` and the metadata address, if libslirp can."""
    for prefix in range(guests.prefixlen, _SHORTEST_PREFIX - 1, -1):
        network = guests.supernet(new_prefix=prefix)
        if METADATA in network:
            return network
    return None


def netdev(nic: NicSpec, domain: str, port: int, python: str) -> str:
    """The value of -netdev. Raises EngineRefused where there is no network that fits.

    QEMU's option parser takes a doubled comma for one; none of these texts has one.
    """
    subnet = IPv4Network(nic.network.subnet_cidr)
    network = guest_network(subnet)
    if network is None:
        raise EngineRefused(f"The user-mode network cannot hold {nic.private_ip}.")
    return ",".join(
        (
            "user",
            f"id={nic.interface_id}",
            "ipv6=off",
            f"net={network}",
            f"host={subnet[1]}",
            f"dns={subnet[2]}",
            f"dhcpstart={nic.private_ip}",
            f"hostname={nic.hostname}",
            f"domainname={domain}",
            f"hostfwd=tcp:127.0.0.1:{port}-{nic.private_ip}:22",
            f"guestfwd=tcp:{METADATA}:80-cmd:{python} -I -S {RELAY_TO_RUN} {SOCKET}",
        )
    )


def interpreter(owner: int | None) -> str:
    """A Python that the user `owner` can run: ours may lie in somebody's home directory.

    Raises EngineRefused.
    """
    own = Path(sys.executable).resolve()
    for path in (own, Path("/usr/bin/python3")):
        if os.access(path, os.X_OK) and (owner is None or _is_open_to_all(path.resolve())):
            return str(path)
    raise EngineRefused(
        "The user-mode network needs a Python that QEMU's user can run: there is no "
        f"/usr/bin/python3, and {own} is closed to it."
    )


def listen_in(directory: Path) -> socket.socket:
    """A unix socket `metadata.sock` there, in place of one that a server before has left.

    Addresses of unix sockets have at most 107 bytes; the way through a descriptor is short
    however deep the directory is. Raises OSError.
    """

    def listen(descriptor: int) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET, dir_fd=descriptor)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listening.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening

    return _as_its_owner(directory, listen)


def copy_relay(directory: Path) -> None:
    """Raises OSError, also if something of that name is there."""
    program = Path(user_network_relay.__file__).read_bytes()

    def copy(descriptor: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(RELAY, flags, 0o600, dir_fd=descriptor), "wb") as file:  # noqa: PTH123
            file.write(program)

    _as_its_owner(directory, copy)


def _as_its_owner(directory: Path, work: Callable[[int], T]) -> T:
    """Do `work`, given a descriptor of the directory, with no more rights than its owner has.

    A QEMU that a guest has taken over may plant links in its own directory: they must not lead
    root anywhere.
    """

    def do() -> T:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.geteuid() == 0:
                found = os.fstat(descriptor)
                _libc.setfsgid(found.st_gid)
                _libc.setfsuid(found.st_uid)
            return work(descriptor)
        finally:
            os.close(descriptor)

    return in_own_thread(do)


def _is_open_to_all(path: Path) -> bool:
    return path.stat().st_mode & 0o5 == 0o5 and all(
        parent.stat().st_mode & 0o1 for parent in path.parents
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _read(path: Path) -> Forward | None:
    try:
        held = json.loads(path.read_text())
        return Forward(int(held["port"]), str(held["instance_dir"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, forward: Forward) -> None:
    write_whole(path, json.dumps(asdict(forward)))


@contextmanager
def _engine_words(subject: str) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise EngineLost(f"{subject}: {failure}") from failure
