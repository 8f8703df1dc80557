"""VPCs, subnets, security groups, interfaces: rows, so that what instances say is true."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Vpc:
    id: str
    account: str
    cidr: str
    is_default: bool
    created_at: datetime
    engine_ref: str = ""
    """The engine's own network that this stands for; empty where it is made by econe."""
    version: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Subnet:
    """As in EC2, the first four addresses and the last are not given out: network, router,
    names, kept back, broadcast."""

    id: str
    account: str
    vpc_id: str
    cidr: str
    zone: str
    is_default: bool
    created_at: datetime
    engine_ref: str = ""
    """The engine's own network that this stands for; empty where it is made by econe."""
    version: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    id: str
    account: str
    vpc_id: str
    name: str
    description: str
    created_at: datetime
    version: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """An interface and, while `instance_id` is set, its attachment."""

    id: str
    account: str
    vpc_id: str
    subnet_id: str
    mac: str
    """Lower case, colons; locally administered (02:…), derived from the id."""
    private_ip: str
    groups: tuple[tuple[str, str], ...]
    """(group id, group name), in order of id."""
    created_at: datetime
    instance_id: str | None = None
    attachment_id: str | None = None
    attached_at: datetime | None = None
    device_index: int = 0
    delete_on_termination: bool = True
    source_dest_check: bool = True
    """Off: it may send and receive what is not its own, as a router does."""
    version: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
