"""What instances have: volumes and network interfaces. Reading only."""

from typing import Any, Final

from econe.actions import part_views
from econe.actions.context import Context
from econe.actions.filters import NO, NOTHING, Table
from econe.actions.listing import MANAGED, Listing, answer, describe
from econe.actions.registry import action
from econe.domain.faults import Noun
from econe.domain.networks import NetworkInterface
from econe.domain.places import address_named
from econe.domain.volumes import Volume

VOLUMES: Final[Listing[Volume]] = Listing(
    noun=Noun.VOLUME,
    action="DescribeVolumes",
    ids="VolumeIds",
    rows=lambda tx: tx.volumes,
    table=Table(
        pushed={
            "attachment.device": "device",
            "attachment.instance-id": "instance_id",
            "availability-zone": "zone",
            "create-time": "created_at",
            "size": "size_gib",
            "status": "state",
            "volume-id": "id",
            "volume-type": "volume_type",
        },
        shown={
            # Of the attachment: a volume that has none has no such time.
            "attachment.attach-time": "Attachments.AttachTime",
            "attachment.delete-on-termination": "Attachments.DeleteOnTermination",
            "attachment.status": "Attachments.State",
            "availability-zone-id": "AvailabilityZoneId",
            "encrypted": "Encrypted",
            "fast-restored": "FastRestored",
            "multi-attach-enabled": "MultiAttachEnabled",
            "operator.managed": NO,
            "operator.principal": NOTHING,
            "snapshot-id": "SnapshotId",
        },
    ),
)

INTERFACES: Final[Listing[NetworkInterface]] = Listing(
    noun=Noun.NETWORK_INTERFACE,
    action="DescribeNetworkInterfaces",
    ids="NetworkInterfaceIds",
    ids_alone=True,
    rows=lambda tx: tx.interfaces,
    table=Table(
        pushed={
            "addresses.private-ip-address": "private_ip",
            "attachment.attachment-id": "attachment_id",
            "attachment.instance-id": "instance_id",
            "group-id": "groups.id",
            "mac-address": "mac",
            "network-interface-id": "id",
            "owner-id": "account",
            "private-ip-address": "private_ip",
            "subnet-id": "subnet_id",
            "vpc-id": "vpc_id",
        },
        shown={
            "addresses.association.owner-id": NOTHING,
            "addresses.association.public-ip": NOTHING,
            "addresses.primary": "PrivateIpAddresses.Primary",
            "association.allocation-id": NOTHING,
            "association.association-id": NOTHING,
            "association.ip-owner-id": NOTHING,
            "association.public-dns-name": NOTHING,
            "association.public-ip": NOTHING,
            "attachment.attach-time": "Attachment.AttachTime",
            "attachment.delete-on-termination": "Attachment.DeleteOnTermination",
            "attachment.device-index": "Attachment.DeviceIndex",
            "attachment.instance-owner-id": "Attachment.InstanceOwnerId",
            "attachment.status": "Attachment.Status",
            "availability-zone": "AvailabilityZone",
            "availability-zone-id": "AvailabilityZoneId",
            "description": "Description",
            "interface-type": "InterfaceType",
            "ipv6-addresses.ipv6-address": NOTHING,
            "operator.managed": NO,
            "operator.principal": NOTHING,
            "private-dns-name": "PrivateDnsName",
            "requester-id": NOTHING,
            "requester-managed": "RequesterManaged",
            "source-dest-check": "SourceDestCheck",
            "status": "Status",
        },
        narrowed={"private-dns-name": ("private_ip", address_named)},
    ),
)


@action("DescribeVolumes", takes="VolumeIds Filters MaxResults NextToken", moot=MANAGED)
def describe_volumes(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    def show(row: Volume) -> dict[str, Any]:
        return part_views.volume(row, ctx.cloud)

    return answer("Volumes", *describe(ctx, asked, VOLUMES, show))


@action(
    "DescribeNetworkInterfaces",
    takes="NetworkInterfaceIds Filters MaxResults NextToken",
    moot=MANAGED,
)
def describe_network_interfaces(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    def show(row: NetworkInterface) -> dict[str, Any]:
        return part_views.interface(row, ctx.cloud)

    return answer("NetworkInterfaces", *describe(ctx, asked, INTERFACES, show))
