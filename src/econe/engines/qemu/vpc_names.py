"""What the host calls the parts of a VPC.

Several econe servers may live on one host, each with a state directory of its own: `tag` is made
of that directory's path and stands in every name that the host as a whole sees. Inside a VPC's
namespace names are ids, because nothing else is there.

Linux allows 15 characters in the name of a network device.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineRefused

HOST_LINKS: Final = "ecn"
"""How the host's end of every VPC of every econe server begins."""
UPLINK: Final = "uplink"
"""The namespace's end of the pair of links to the host."""
BRIDGES: Final = "sn-"
TAPS: Final = "eni-"
RUNTIME: Final = Path("/run/econe")
"""What ends with the namespaces when the host halts. dnsmasq reads it as a user of its own, which
state directories need not let in."""

_LONGEST: Final = 15


@dataclass(frozen=True, slots=True)
class VpcNames:
    vpc_id: str
    tag: str

    @property
    def namespace(self) -> str:
        return f"{namespace_prefix(self.tag)}{self.vpc_id}"

    @property
    def host_link(self) -> str:
        return _device(f"{HOST_LINKS}{self.tag}{_number(self.vpc_id):x}", self.vpc_id)

    @property
    def host_table(self) -> str:
        """Of nftables, on the host."""
        return self.namespace

    @property
    def runtime(self) -> Path:
        return RUNTIME / self.tag / self.vpc_id


def tag_of(state: Path) -> str:
    return hashlib.blake2b(str(state.resolve()).encode(), digest_size=3).hexdigest()


def namespace_prefix(tag: str) -> str:
    return f"econe-{tag}-"


def bridge(subnet_id: str) -> str:
    """`sn-00000001`"""
    return _device(f"{BRIDGES}{subnet_id.rpartition('-')[2]}", subnet_id)


def bridge_mac(subnet_id: str) -> str:
    """Fixed, so that a bridge made anew keeps its place in the guests' address tables."""
    digest = hashlib.blake2b(subnet_id.encode(), digest_size=4).hexdigest()
    return "06:ec:" + ":".join(digest[at : at + 2] for at in range(0, 8, 2))


def tap(interface_id: str) -> str:
    """The interface's own id."""
    return _device(interface_id, interface_id)


def _device(name: str, subject: str) -> str:
    if len(name) > _LONGEST:
        raise EngineRefused(f"The number in {subject} is too large for a device name on this host.")
    return name


def _number(vpc_id: str) -> int:
    try:
        return int(vpc_id.rpartition("-")[2])
    except ValueError:
        raise EngineRefused(f"{vpc_id} is not an id that this cloud gives to VPCs.") from None
