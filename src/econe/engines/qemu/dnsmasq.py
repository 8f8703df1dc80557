"""DHCP and names of a VPC: one dnsmasq inside its namespace.

It runs detached, as a user of its own, and outlives us; it is found again by its pid file. What it
is told lies in a directory below /run, made anew where it is missing:

    dnsmasq.conf  dnsmasq.pid  leases
    hosts/eni-00000001      one lease: read at once by dnsmasq when it appears (inotify)
    subnets/subnet-00000001 one range: read when dnsmasq starts

A guest has the address that its interface has in the database; dnsmasq chooses nothing.
"""

import contextlib
import os
import pwd
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from econe.durable import write_whole
from econe.engines.qemu import processes, vpc_names
from econe.engines.qemu.netns import CommandFailed, run

LEASE_S: Final = 3600
"""As EC2's."""
READABLE: Final = 0o644
"""Mode of what dnsmasq reads as a user of its own. It passes over drafts: their names begin with
a dot."""
_USERS: Final = ("dnsmasq", "nobody")
_STOP_LIMIT_S: Final = 5.0
_RESOLV_CONF: Final = Path("/etc/resolv.conf")
_RESOLVED_CONF: Final = Path("/run/systemd/resolve/resolv.conf")
_DHCP_COOKIE: Final = b"\x63\x82\x53\x63"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where names outside come from. dnsmasq watches the file itself."""

    path: Path
    nameservers: tuple[IPv4Address, ...]
    """Empty: names outside cannot be found from a VPC."""


def upstream(resolv_conf: Path = _RESOLV_CONF, resolved_conf: Path = _RESOLVED_CONF) -> Upstream:
    """The host's nameservers that a VPC can reach: those not on the host's loopback.

    Where /etc/resolv.conf names only systemd-resolved's loopback address, its own file names the
    real ones.
    """
    for path in (resolv_conf, resolved_conf):
        nameservers = tuple(_nameservers(path))
        if nameservers:
            return Upstream(path, nameservers)
    return Upstream(resolv_conf, ())


def configuration(directory: Path, domain: str, user: str, names_from: Upstream) -> str:
    """dnsmasq.conf. dnsmasq(8) has the words."""
    forwarding = f"resolv-file={names_from.path}" if names_from.nameservers else "no-resolv"
    return f"""\
user={user}
pid-file={directory / "dnsmasq.pid"}
bind-dynamic
interface={vpc_names.BRIDGES}*
except-interface=lo
no-hosts
{forwarding}
domain={domain}
local=/{domain}/
domain-needed
bogus-priv
dhcp-authoritative
dhcp-ignore=tag:!known
dhcp-leasefile={directory / "leases"}
dhcp-hostsdir={directory / "hosts"}
conf-dir={directory / "subnets"}
no-ping
quiet-dhcp
"""


def subnet_range(subnet_id: str, cidr: str) -> str:
    """Of the subnet's file. `static`: only known hosts get an address."""
    network = IPv4Network(cidr)
    return (
        f"dhcp-range=set:{subnet_id},{network[0]},static,{network.netmask},{LEASE_S}\n"
        f"dhcp-option=tag:{subnet_id},option:router,{network[1]}\n"
        f"dhcp-option=tag:{subnet_id},option:dns-server,{network[2]}\n"
    )


def host_line(mac: str, private_ip: str, hostname: str) -> str:
    """Of the interface's file."""
    return f"{mac},{private_ip},{hostname},{LEASE_S}\n"


@dataclass(frozen=True, slots=True)
class Leased:
    mac: str
    private_ip: str
    line: str


def read_leases(text: str) -> list[Leased]:
    """dnsmasq's own file: expiry, MAC, address, name, client id."""
    fields = ((line.split(), line) for line in text.splitlines())
    return [Leased(words[1], words[2], line) for words, line in fields if len(words) == 5]


@dataclass(frozen=True, slots=True)
class Dnsmasq:
    """The one of a VPC. Methods marked * must be called inside its namespace.

    Raises OSError and CommandFailed.
    """

    directory: Path

    def keep_running(self, domain: str, subnets: dict[str, str]) -> None:
        """* Start it if it is dead or knows another configuration. `subnets`: id -> CIDR."""
        if self._write_configuration(domain, subnets) or self.pid is None:
            self.stop()
            self._prune_leases()
            run(("dnsmasq", self._word))

    @property
    def pid(self) -> int | None:
        """None if it does not run."""
        pid = self._recorded_pid()
        return pid if pid is not None and processes.carries(pid, self._word) else None

    def stop(self) -> None:
        process = self._process()
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            process.signal(number)
            if process.ended_within(_STOP_LIMIT_S):
                return

    def _process(self) -> processes.Process | None:
        pid = self._recorded_pid()
        return None if pid is None else processes.hold(pid, self._word)

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.directory / "dnsmasq.pid").read_text("ascii"))
        except (OSError, ValueError):
            return None

    @property
    def _word(self) -> str:
        """What on its command line makes it this one: the kernel may give its pid to others."""
        return f"--conf-file={self.directory / 'dnsmasq.conf'}"

    def admit(self, name: str, mac: str, private_ip: str, hostname: str) -> None:
        """* Give `private_ip` to `mac` from now on, and to nobody who had it before."""
        path, line = self.directory / "hosts" / name, host_line(mac, private_ip, hostname)
        for stale in self._leases():
            if stale.private_ip == private_ip and stale.mac != mac:
                self._release(stale)
        if not _holds(path, line):
            write_whole(path, line, mode=READABLE)

    def dismiss(self, name: str) -> None:
        """dnsmasq learns of new hosts by itself, of removed ones by a signal."""
        path = self.directory / "hosts" / name
        if path.exists():
            path.unlink(missing_ok=True)
            process = self._process()
            if process is not None:
                process.signal(signal.SIGHUP)

    def _write_configuration(self, domain: str, subnets: dict[str, str]) -> bool:
        """Whether anything of it is new."""
        user = service_user()
        files = {
            self.directory / "dnsmasq.conf": configuration(
                self.directory, domain, user.pw_name, upstream()
            )
        }
        for subnet_id, cidr in subnets.items():
            files[self.directory / "subnets" / subnet_id] = subnet_range(subnet_id, cidr)
        for name in ("hosts", "subnets"):
            (self.directory / name).mkdir(mode=0o755, exist_ok=True)
        leases = self.directory / "leases"
        leases.touch(mode=0o644)
        os.chown(leases, user.pw_uid, -1)
        changed = {path: text for path, text in files.items() if not _holds(path, text)}
        for path, text in changed.items():
            write_whole(path, text, mode=READABLE)
        return bool(changed)

    def _leases(self) -> list[Leased]:
        try:
            return read_leases((self.directory / "leases").read_text("ascii", "replace"))
        except FileNotFoundError:
            return []

    def _prune_leases(self) -> None:
        """Forget leases of interfaces that are gone; only while it does not run."""
        known = "".join(path.read_text() for path in (self.directory / "hosts").iterdir())
        kept = [each.line for each in self._leases() if f"{each.mac},{each.private_ip}," in known]
        with (self.directory / "leases").open("w") as leases:
            leases.writelines(f"{line}\n" for line in kept)

    def _release(self, stale: Leased) -> None:
        """Say, in the name of a guest that is gone, that it needs its address no more.

        dnsmasq keeps an address from its new owner while the old one's lease lasts, and has no
        other way to be told (its dhcp_release tool does the same).
        """
        router = self._router_of(IPv4Address(stale.private_ip))
        if router is None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.sendto(release_message(stale, router), (str(router), 67))

    def _router_of(self, address: IPv4Address) -> IPv4Address | None:
        for path in (self.directory / "subnets").iterdir():
            words = path.read_text().split("\n", 1)[0].split(",")
            network = IPv4Network(f"{words[1]}/{words[3]}")
            if address in network:
                return network[1]
        return None


def release_message(stale: Leased, router: IPv4Address) -> bytes:
    """A DHCPRELEASE (RFC 2131, section 4.4.4)."""
    mac = bytes.fromhex(stale.mac.replace(":", ""))
    head = struct.pack(
        "!BBBBIHH4s4s4s4s16s192x",
        1, 1, len(mac), 0, int.from_bytes(mac[-4:], "big"), 0, 0,
        IPv4Address(stale.private_ip).packed, bytes(4), bytes(4), bytes(4), mac,
    )  # fmt: skip
    return head + _DHCP_COOKIE + b"\x35\x01\x07" + b"\x36\x04" + router.packed + b"\xff"


def service_user() -> pwd.struct_passwd:
    for name in _USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise CommandFailed("dnsmasq", f"none of the users {', '.join(_USERS)} exists")


def _nameservers(path: Path) -> Iterator[IPv4Address]:
    try:
        lines: Sequence[str] = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with contextlib.suppress(AddressValueError):
                address = IPv4Address(words[1])
                if not address.is_loopback:
                    yield address


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text
    except FileNotFoundError:
        return False
