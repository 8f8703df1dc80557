"""RunInstances: an order, and what is checked of it before the first row is written.

What the request plane then writes (domain/launch_rows.py) is the whole launch; the work plane finds
the rows and makes machines of them.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from econe.domain.default_network import find_default_network
from econe.domain.engine_networks import AccountNetwork, find_subnets_network
from econe.domain.engine_ports import Capabilities
from econe.domain.faults import (
    Conflict,
    Duplicate,
    Invalid,
    Missing,
    NotFound,
    Noun,
    Unavailable,
    Unsupported,
    all_missing,
)
from econe.domain.hidden import Hidden
from econe.domain.ids import read_id
from econe.domain.images import Image, ImageState
from econe.domain.instances import MetadataOptions
from econe.domain.keypairs import KeyPair
from econe.domain.keyring import key_pair_named
from econe.domain.ports import Transaction
from econe.domain.tagging import check_tags, check_tellable
from econe.domain.topology import CpuOptions

GIB: Final = 1 << 30
MOST_USER_DATA: Final = 16384
LARGEST_VOLUME_GIB: Final = 65536
SHUTDOWN_BEHAVIORS: Final = frozenset({"stop", "terminate"})
VOLUME_TYPES: Final = frozenset({"gp2", "gp3", "standard"})
"""Those that promise nothing that a plain file does not keep."""
LAUNCH_TAGGED: Final = ("instance", "volume", "network-interface")
WITH_TOKENS: Final[Mapping[str, object]] = {"http_tokens": "required", "hop_limit": 2}
"""Of instances whose image says ImdsSupport v2.0 (API reference, Image)."""
NO_METADATA: Final = MetadataOptions(http_endpoint="disabled")
"""Of instances whose engine does not lead guests to the metadata service."""


@dataclass(frozen=True, slots=True)
class DiskOrder:
    """One entry of the block device mapping."""

    device: str
    size_gib: int | None = None
    volume_type: str = "gp3"
    delete_on_termination: bool = True


@dataclass(frozen=True, slots=True)
class NetworkOrder:
    """What was said of the network. Where econe makes networks only the account's default one
    exists, so anything named must be of it. `groups` are ids, `group_names` names; a group may be
    given by either."""

    zone: str | None = None
    subnet: str | None = None
    groups: Sequence[str] = ()
    group_names: Sequence[str] = ()
    address: str | None = None
    """The private IPv4 address that the one instance shall have."""


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What RunInstances asks, in the caller's words; nothing is checked yet."""

    image: str
    at_least: int
    at_most: int
    size: str | None = None
    key_pair: str | None = None
    user_data: Hidden[str] | None = None
    """Base64, as it came."""
    client_token: str = ""
    shutdown_behavior: str = "stop"
    disable_api_termination: bool = False
    disable_api_stop: bool = False
    monitored: bool = False
    cpu: CpuOptions | None = None
    credits: str | None = None
    """`unlimited`, for burstable types."""
    hibernation: bool = False
    metadata_options: MetadataOptions = field(default_factory=MetadataOptions)
    metadata_open: frozenset[str] = frozenset()
    """Its fields of which neither the launch nor the account said anything."""
    disks: Sequence[DiskOrder] = ()
    interface_delete_on_termination: bool = True
    network: NetworkOrder = NetworkOrder()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By resource type."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Tags of the cloud's own for the instances; no rule for users' tags holds for these."""


def marked(order: LaunchOrder) -> LaunchOrder:
    """With the cloud's own tags among the instances'."""
    if not order.marks:
        return order
    instance = {**order.tags.get("instance", {}), **order.marks}
    return replace(order, tags={**order.tags, "instance": instance})


def check_counts(order: LaunchOrder) -> None:
    if order.at_least < 1:
        raise Invalid(
            Noun.PARAMETER,
            "MinCount",
            f"Invalid value '{order.at_least}' for minCount. It must be at least 1.",
        )
    if order.at_most < order.at_least:
        raise Invalid(
            Noun.PARAMETER,
            "MaxCount",
            f"Invalid value '{order.at_most}' for maxCount. It must not be less than minCount.",
        )


def find_image(tx: Transaction, account: str, asked: str) -> Image:
    """The image, if the account may run it now."""
    image = tx.images.get(read_id(Noun.IMAGE, asked))
    if image is None or not _may_run(tx, account, image):
        raise NotFound(Noun.IMAGE, asked)
    if image.state is not ImageState.AVAILABLE or not image.registered:
        why = _WHY_NOT.get(image.state, "is not available")
        raise Unavailable(Noun.IMAGE, asked, f"The image id '[{asked}]' {why}.")
    return image


_WHY_NOT: Final = {
    ImageState.AVAILABLE: "is not registered yet",
    ImageState.PENDING: "is not available yet",
    ImageState.DISABLED: "is disabled",
    ImageState.FAILED: "has failed",
    ImageState.DEREGISTERED: "is no longer available",
}


def _may_run(tx: Transaction, account: str, image: Image) -> bool:
    if image.account == account or image.public:
        return True
    holder = tx.accounts.get(account) if image.shares else None
    return holder is not None and not {account, *holder.viewer_groups}.isdisjoint(image.shares)


def find_key(tx: Transaction, account: str, name: str | None) -> KeyPair | None:
    if name is None:
        return None
    found = key_pair_named(tx, account, name)
    if found is None:
        raise NotFound(Noun.KEY_PAIR, name)
    return found


def decode_user_data(text: Hidden[str] | None) -> Hidden[bytes] | None:
    """The bytes that the guest shall see; None for none. Raises Invalid."""
    if text is None or not text:
        return None
    try:
        compact = "".join(text.reveal().split()).encode("ascii")
        data = base64.b64decode(compact, validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Invalid(Noun.USER_DATA, said="Invalid BASE64 encoding of user data.") from error
    if len(data) > MOST_USER_DATA:
        raise Invalid(Noun.USER_DATA, said=f"User data is limited to {MOST_USER_DATA} bytes")
    return Hidden(data) if data else None


def check_disks(disks: Sequence[DiskOrder]) -> None:
    """What can be said of them before the image is known."""
    seen: set[str] = set()
    for disk in disks:
        if disk.device in seen:
            raise Duplicate(
                Noun.BLOCK_DEVICE, disk.device, f"The device '{disk.device}' is used twice."
            )
        seen.add(disk.device)
        if disk.volume_type not in VOLUME_TYPES:
            raise Unsupported(
                Noun.BLOCK_DEVICE,
                disk.volume_type,
                f"The volume type '{disk.volume_type}' cannot be had here; "
                f"use one of {', '.join(sorted(VOLUME_TYPES))}.",
            )


def choose_root(order: LaunchOrder, image: Image) -> DiskOrder:
    """The order for the root disk. Other disks cannot be had at launch yet."""
    for disk in order.disks:
        if disk.device != image.root_device:
            raise Unsupported(
                Noun.BLOCK_DEVICE,
                disk.device,
                f"Only the root device '{image.root_device}' can be mapped at launch, "
                f"not '{disk.device}'.",
            )
    return order.disks[0] if order.disks else DiskOrder(image.root_device)


def size_root(disk: DiskOrder, image: Image, usual_gib: int) -> int:
    """Whole GiB: what was asked, which must hold the image, or the usual size."""
    least = max(1, -(-image.size_bytes // GIB))
    if disk.size_gib is None:
        return max(least, usual_gib)
    if disk.size_gib < least:
        raise Invalid(
            Noun.BLOCK_DEVICE,
            str(disk.size_gib),
            f"Volume of size {disk.size_gib}GB is smaller than the image '{image.id}', "
            f"expect size >= {least}GB",
        )
    if disk.size_gib > LARGEST_VOLUME_GIB:
        raise Invalid(
            Noun.BLOCK_DEVICE,
            str(disk.size_gib),
            f"Volume of size {disk.size_gib}GB is too large; at most {LARGEST_VOLUME_GIB}GB.",
        )
    return disk.size_gib


def choose_network(tx: Transaction, account: str, order: NetworkOrder) -> AccountNetwork:
    """Where the engine has the networks: the one of the subnet that is asked for, or the
    account's default one."""
    if order.subnet is None:
        found = find_default_network(tx, account)
        if found is None:
            raise Missing(Noun.VPC, said="No default VPC for this user; name a subnet.")
        return found
    found = find_subnets_network(tx, account, read_id(Noun.SUBNET, order.subnet))
    if found is None:
        raise NotFound(Noun.SUBNET, order.subnet)
    return found


def check_network(order: NetworkOrder, network: AccountNetwork, zone: str) -> None:
    """What is named must be what the instance gets."""
    if order.groups and order.group_names:
        raise Conflict(
            Noun.PARAMETER,
            "SecurityGroup",
            "The parameter groupId cannot be used with the parameter groupName",
        )
    if order.zone is not None and order.zone != zone:
        raise Invalid(Noun.ZONE, order.zone, f"Invalid availability zone: [{order.zone}]")
    if order.subnet is not None and read_id(Noun.SUBNET, order.subnet) != network.subnet.id:
        raise NotFound(Noun.SUBNET, order.subnet)
    here = (network.group.name, network.group.id)
    missing = [each for each in order.groups if read_id(Noun.SECURITY_GROUP, each) != here[1]]
    missing += [name for name in order.group_names if name not in here]
    if missing:
        raise all_missing(Noun.SECURITY_GROUP, missing)


def with_wishes_of(image: Image, order: LaunchOrder) -> LaunchOrder:
    """What the image says of the metadata service holds where nobody else said anything (User
    Guide, "Order of precedence for instance metadata options")."""
    if not image.imds_v2:
        return order
    wished = {name: WITH_TOKENS[name] for name in order.metadata_open & WITH_TOKENS.keys()}
    options: MetadataOptions = replace(order.metadata_options, **wished)  # type: ignore[arg-type]
    return replace(order, metadata_options=options)


def check_hop_limit(limit: int) -> None:
    if not 1 <= limit <= 64:
        raise Invalid(
            Noun.PARAMETER,
            str(limit),
            f"Invalid value '{limit}' for HttpPutResponseHopLimit: 1 to 64.",
        )


def check_options(order: LaunchOrder) -> None:
    if order.shutdown_behavior not in SHUTDOWN_BEHAVIORS:
        raise Invalid(
            Noun.PARAMETER,
            order.shutdown_behavior,
            f"Invalid value '{order.shutdown_behavior}' for InstanceInitiatedShutdownBehavior.",
        )
    check_hop_limit(order.metadata_options.hop_limit)
    for kind, tags in order.tags.items():
        if kind not in LAUNCH_TAGGED:
            raise Invalid(
                Noun.PARAMETER,
                kind,
                f"'{kind}' is not a valid taggable resource type for this operation.",
            )
        check_tags(tags)
    check_disks(order.disks)


def check_told_tags(order: LaunchOrder) -> None:
    """The keys of what guests may read."""
    if order.metadata_options.tells_tags:
        check_tellable(order.tags.get("instance", ()))


def check_engine(order: LaunchOrder, can: Capabilities) -> None:
    """What other engines do and this one cannot is refused by name."""
    if not can.metadata and order.metadata_options not in (MetadataOptions(), NO_METADATA):
        raise Unsupported(
            Noun.PARAMETER,
            "MetadataOptions",
            "Instances of this cloud do not reach an instance metadata service; "
            "MetadataOptions cannot be chosen.",
        )
    if order.hibernation and not can.hibernation:
        raise Unsupported(
            Noun.HIBERNATION,
            said="This cloud cannot hibernate instances; HibernationOptions.Configured must be "
            "false.",
        )
    if order.monitored and not can.meters:
        raise Unsupported(
            Noun.PARAMETER,
            "Monitoring.Enabled",
            "This cloud cannot measure what its instances use; Monitoring.Enabled must be false.",
        )
    if not can.keeps_disks and not all(disk.delete_on_termination for disk in order.disks):
        raise Unsupported(
            Noun.PARAMETER,
            "DeleteOnTermination",
            "Disks of this cloud end with their instance; DeleteOnTermination must be true.",
        )
    if not can.gives_addresses:
        return
    if not order.interface_delete_on_termination:
        raise Unsupported(
            Noun.PARAMETER,
            "DeleteOnTermination",
            "Network interfaces of this cloud end with their instance; DeleteOnTermination must "
            "be true.",
        )
    if order.tags.get("network-interface"):
        raise Unsupported(
            Noun.PARAMETER,
            "TagSpecifications",
            "Network interfaces of this cloud come after the launch and can be tagged then.",
        )
