"""Which kind of network this host can give, and why not the other."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineRefused
from econe.engines.qemu import dnsmasq, netns, netns_links, nft_rules, vpc_names
from econe.engines.qemu.netns import CommandFailed
from econe.engines.qemu.network_door import MetadataDoor
from econe.engines.qemu.user_network import UserNetworks
from econe.engines.qemu.vpc import VpcNetworks

_PROGRAMS: Final = {"ip": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base"}
"""Program -> Debian's package of it."""
_CAPABILITIES: Final = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""linux/capability.h. The second is for namespaces."""
_TRIALS: Final = "econe-trial-"
"""Namespaces of trials: with the process id of whoever tries."""


@dataclass(frozen=True, slots=True)
class Choice:
    mode: str
    """`vpc` or `user`."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """{"vpc": why there are none}."""


def choose(asked: str, obstacle: Callable[[], str | None] | None = None) -> Choice:
    """By the setting qemu.network: auto, vpc or user. Costs about 50 ms for auto and vpc.

    `obstacle` says what is in the way of VPC networks. Raises EngineRefused if vpc is asked for
    and cannot be had.
    """
    if asked == "user":
        return Choice("user", {"vpc": "the setting qemu.network is user"})
    why_not = (obstacle or vpc_obstacle)()
    if why_not is None:
        return Choice("vpc")
    if asked == "vpc":
        raise EngineRefused(f"This host can give no VPC networks: {why_not}.")
    return Choice("user", {"vpc": why_not})


def build(
    choice: Choice, state: Path, domain: str, door: MetadataDoor
) -> VpcNetworks | UserNetworks:
    """`domain` ends the guests' names (domain.places.private_domain)."""
    if choice.mode == "vpc":
        return VpcNetworks(state, domain=domain, door=door)
    return UserNetworks(state, domain=domain, door=door, reasons=choice.reasons)


def vpc_obstacle() -> str | None:
    """What is in the way of VPC networks, or None: looked at first, then tried."""
    if os.geteuid() != 0:
        return "the server does not run as root"
    lacking = missing_capabilities(Path("/proc/self/status").read_text("ascii"))
    if lacking:
        return f"the server lacks {' and '.join(lacking)}"
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            return f"the program {program} is missing (package {package})"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    return _trial()


def notes() -> Iterator[str]:
    """What an operator of VPC networks on this host should know, one sentence each."""
    if not dnsmasq.upstream().nameservers:
        yield "The host names no nameserver that guests can reach: they find no names outside."
    for table, chain in _forward_droppers():
        yield (
            f"The host's firewall drops what it is not told to pass on (table {table}, chain "
            f"{chain}): guests reach the outside only if it accepts {vpc_names.HOST_LINKS}*."
        )


def missing_capabilities(status: str) -> list[str]:
    """Of /proc/self/status."""
    effective = next(
        (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0
    )
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def _trial() -> str | None:
    """Make a namespace with a bridge and the rules, and remove it again."""
    name = f"{_TRIALS}{os.getpid()}"
    try:
        _sweep_trials()
        try:
            netns.create(name)
            netns.inside(name, _try_inside)
        finally:
            netns.delete(name)
    except (OSError, CommandFailed) as failure:
        return f"trying one failed ({failure})"
    return None


def _sweep_trials() -> None:
    """Remove what servers have left that were killed in the middle of theirs."""
    for name in netns.names(_TRIALS):
        if not Path("/proc", name.removeprefix(_TRIALS)).exists():
            netns.delete(name)


def _try_inside() -> None:
    netns_links.change(["link add sn-trial type bridge forward_delay 0"])
    netns_links.set_kernel("ipv4/ip_forward", "1")
    nft_rules.apply(nft_rules.vpc_rules([]))


def _forward_droppers() -> Iterator[tuple[str, str]]:
    try:
        listed = json.loads(netns.run(("nft", "-j", "list", "chains")))
    except (CommandFailed, ValueError):
        return
    for entry in listed.get("nftables", ()):
        chain = entry.get("chain", {})
        if chain.get("hook") == "forward" and chain.get("policy") == "drop":
            yield f"{chain['family']} {chain['table']}", chain["name"]
