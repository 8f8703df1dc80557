"""One small cloud, and for every filter of every Describe what the one thing in it has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.desk import Desk, items_of

from econe.actions.filters import moment_text, text_of

Value = str | Callable[["World"], Any]

IMAGE = "x86 image"
TAGS = [{"Key": "Colour", "Value": "red"}]


@dataclass
class World:
    """One of everything, as it is shown; `others` of some of them beside it."""

    desk: Desk
    instance: dict[str, Any]
    image: dict[str, Any]
    key: dict[str, Any]
    template: dict[str, Any]
    interface: dict[str, Any]
    volume: dict[str, Any]
    subnet: dict[str, Any]
    group: dict[str, Any]
    vpc: dict[str, Any]
    region: dict[str, Any]
    zone: dict[str, Any]


def furnish(desk: Desk) -> World:
    def tagged(kind: str) -> dict[str, Any]:
        return {"ResourceType": kind, "Tags": TAGS}

    key = desk("CreateKeyPair", KeyName="red", KeyType="ed25519", TagSpecifications=[
        tagged("key-pair")])  # fmt: skip
    desk("CreateKeyPair", KeyName="blue", KeyType="ed25519")
    image_id, other_image = desk.image(), desk.image(gib=3)
    desk("RegisterImage", ImageLocation=image_id, Name=IMAGE, Description="of tests",
         BootMode="legacy-bios",
         TagSpecifications=[tagged("image")])  # fmt: skip
    desk.passes(1.5)
    (instance_id,) = desk.running(
        ImageId=image_id,
        InstanceType="t3.micro",
        KeyName="red",
        ClientToken="once",
        TagSpecifications=[tagged(k) for k in ("instance", "volume", "network-interface")],
    )
    desk.examined([instance_id])
    desk.passes(60)
    (other,) = desk.launch(ImageId=other_image)
    template = desk("CreateLaunchTemplate", LaunchTemplateName="red", TagSpecifications=[
        tagged("launch-template")], LaunchTemplateData={
            "EbsOptimized": False, "ImageId": image_id, "InstanceType": "t3.micro",
            "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required"},
            "NetworkInterfaces": [{"DeviceIndex": 0, "NetworkCardIndex": 0}]})  # fmt: skip
    desk("CreateLaunchTemplate", LaunchTemplateName="blue",
         LaunchTemplateData={"ImageId": other_image})  # fmt: skip
    desk("CreateLaunchTemplateVersion", LaunchTemplateName="red", LaunchTemplateData={
        "ImageId": other_image})  # fmt: skip
    (instance,) = desk.instances(InstanceIds=[instance_id])
    nic, disk = instance["NetworkInterfaces"][0], instance["BlockDeviceMappings"][0]["Ebs"]
    for row_id in (nic["SubnetId"], nic["VpcId"], nic["Groups"][0]["GroupId"]):
        desk("CreateTags", Resources=[row_id], Tags=TAGS)
    assert other != instance_id

    def one(action: str, member: str, **asked: Any) -> Any:
        (found,) = desk(action, **asked)[member]
        return found

    return World(
        desk,
        instance,
        one("DescribeImages", "Images", ImageIds=[image_id]),
        one("DescribeKeyPairs", "KeyPairs", KeyPairIds=[key["KeyPairId"]]),
        template["LaunchTemplate"],
        one("DescribeNetworkInterfaces", "NetworkInterfaces",
            NetworkInterfaceIds=[nic["NetworkInterfaceId"]]),
        one("DescribeVolumes", "Volumes", VolumeIds=[disk["VolumeId"]]),
        one("DescribeSubnets", "Subnets"),
        one("DescribeSecurityGroups", "SecurityGroups"),
        one("DescribeVpcs", "Vpcs"),
        one("DescribeRegions", "Regions"),
        one("DescribeAvailabilityZones", "AvailabilityZones"),
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where the one that is to be found stands in an answer, and how it is known."""

    member: str
    known_by: str
    of: str
    """The field of the world that has it."""


PLACES = {
    "DescribeInstanceCreditSpecifications": Place(
        "InstanceCreditSpecifications", "InstanceId", "instance"
    ),
    "DescribeAvailabilityZones": Place("AvailabilityZones", "ZoneName", "zone"),
    "DescribeImages": Place("Images", "ImageId", "image"),
    "DescribeInstanceStatus": Place("InstanceStatuses", "InstanceId", "instance"),
    "DescribeInstanceTypeOfferings": Place("InstanceTypeOfferings", "InstanceType", "instance"),
    "DescribeInstanceTypes": Place("InstanceTypes", "InstanceType", "instance"),
    "DescribeInstances": Place("Reservations", "InstanceId", "instance"),
    "DescribeKeyPairs": Place("KeyPairs", "KeyPairId", "key"),
    "DescribeLaunchTemplateVersions": Place(
        "LaunchTemplateVersions", "LaunchTemplateId", "template"
    ),
    "DescribeLaunchTemplates": Place("LaunchTemplates", "LaunchTemplateId", "template"),
    "DescribeNetworkInterfaces": Place("NetworkInterfaces", "NetworkInterfaceId", "interface"),
    "DescribeRegions": Place("Regions", "RegionName", "region"),
    "DescribeSecurityGroups": Place("SecurityGroups", "GroupId", "group"),
    "DescribeSubnets": Place("Subnets", "SubnetId", "subnet"),
    "DescribeTags": Place("Tags", "ResourceId", "instance"),
    "DescribeVolumes": Place("Volumes", "VolumeId", "volume"),
    "DescribeVpcs": Place("Vpcs", "VpcId", "vpc"),
}


def found(world: World, action: str, name: str, *values: str) -> bool:
    """Whether the one is found by this filter alone. Without it, it is."""
    place = PLACES[action]
    asked: dict[str, Any] = {"Filters": [{"Name": name, "Values": list(values)}]}
    if action == "DescribeLaunchTemplateVersions":
        asked |= {"LaunchTemplateName": "red", "Versions": ["1"]}
    answer = world.desk(action, **asked)
    items = items_of(answer, place.member)
    known_by = place.known_by
    wanted = getattr(world, place.of)["InstanceId" if action == "DescribeTags" else known_by]
    return wanted in [each[known_by] for each in items]


def _of(field: str, *path: str | int) -> Callable[[World], Any]:
    def look(world: World) -> Any:
        value = getattr(world, field)
        for step in path:
            value = value[step]
        return value

    return look


OWNER, ZONE, AZ_ID = "111122223333", "us-east-1a", _of("zone", "ZoneId")
NIC = ("NetworkInterfaces", 0)
NOW = "2026-11-23T16:00:01.000Z"
TAGGED: dict[str, Value] = {"tag:Colour": "red", "tag-key": "Colour", "tag-value": "red"}
OPTIONS = "metadata-options."
BDM = "block-device-mapping."

CASES: dict[str, dict[str, Value]] = {
    "DescribeAvailabilityZones": {
        "group-long-name": "us-east-1 1",
        "group-name": "us-east-1-zg-1",
        "opt-in-status": "opt-in-not-required",
        "region-name": "us-east-1",
        "state": "available",
        "zone-id": AZ_ID,
        "zone-name": ZONE,
        "zone-type": "availability-zone",
    },
    "DescribeImages": {
        "architecture": "x86_64",
        BDM + "delete-on-termination": "true",
        BDM + "device-name": "/dev/sda1",
        BDM + "encrypted": "false",
        BDM + "volume-size": "1",
        BDM + "volume-type": "gp3",
        "boot-mode": "legacy-bios",
        "creation-date": "2026-11-23T16:00:00.000Z",
        "description": "of tests",
        "ena-support": "false",
        "free-tier-eligible": "false",
        "hypervisor": "xen",
        "image-id": _of("image", "ImageId"),
        "image-type": "machine",
        "is-public": "false",
        "manifest-location": "19ead5de585f43282acab4060bfb7a07",
        "name": IMAGE,
        "owner-alias": "helen",
        "owner-id": OWNER,
        "registered": "true",
        "root-device-name": "/dev/sda1",
        "root-device-type": "ebs",
        "state": "available",
        "state-reason-code": "",
        "state-reason-message": "",
        "virtualization-type": "hvm",
        **TAGGED,
    },
    "DescribeInstanceCreditSpecifications": {"instance-id": _of("instance", "InstanceId")},
    "DescribeInstanceStatus": {
        "availability-zone": ZONE,
        "availability-zone-id": AZ_ID,
        "instance-state-code": "16",
        "instance-state-name": "running",
        "instance-status.reachability": "passed",
        "instance-status.status": "ok",
        "operator.managed": "false",
        "system-status.reachability": "passed",
        "system-status.status": "ok",
    },
    "DescribeInstanceTypeOfferings": {"instance-type": "t3.micro", "location": "us-east-1"},
    "DescribeInstanceTypes": {
        "auto-recovery-supported": "false",
        "bare-metal": "false",
        "burstable-performance-supported": "true",
        "current-generation": "true",
        "dedicated-hosts-supported": "false",
        "ebs-info.ebs-optimized-support": "unsupported",
        "ebs-info.encryption-support": "unsupported",
        "ebs-info.nvme-support": "unsupported",
        "free-tier-eligible": "false",
        "hibernation-supported": "false",
        "instance-storage-supported": "false",
        "instance-type": "t3.micro",
        "memory-info.size-in-mib": "1024",
        "network-info.efa-supported": "false",
        "network-info.ena-support": "unsupported",
        "network-info.encryption-in-transit-supported": "false",
        "network-info.flexible-ena-queues-support": "unsupported",
        "network-info.ipv4-addresses-per-interface": "1",
        "network-info.ipv6-addresses-per-interface": "0",
        "network-info.ipv6-supported": "false",
        "network-info.maximum-network-cards": "1",
        "network-info.maximum-network-interfaces": "1",
        "nitro-enclaves-support": "unsupported",
        "nitro-tpm-support": "unsupported",
        "processor-info.supported-architecture": "x86_64",
        "reboot-migration-support": "unsupported",
        "supported-boot-mode": "legacy-bios",
        "supported-root-device-type": "ebs",
        "supported-usage-class": "on-demand",
        "supported-virtualization-type": "hvm",
        "vcpu-info.default-cores": "1",
        "vcpu-info.default-threads-per-core": "2",
        "vcpu-info.default-vcpus": "2",
        "vcpu-info.valid-cores": "1",
        "vcpu-info.valid-threads-per-core": "2",
    },
    "DescribeInstances": {
        "architecture": "x86_64",
        "availability-zone": ZONE,
        "availability-zone-id": AZ_ID,
        BDM + "attach-time": NOW,
        BDM + "delete-on-termination": "true",
        BDM + "device-name": "/dev/sda1",
        BDM + "status": "attached",
        BDM + "volume-id": _of("volume", "VolumeId"),
        "boot-mode": "legacy-bios",
        "capacity-reservation-specification.capacity-reservation-preference": "open",
        "client-token": "once",
        "current-instance-boot-mode": "legacy-bios",
        "dns-name": "",
        "ebs-optimized": "false",
        "ena-support": "false",
        "enclave-options.enabled": "false",
        "hibernation-options.configured": "false",
        "hypervisor": "xen",
        "image-id": _of("image", "ImageId"),
        "instance-id": _of("instance", "InstanceId"),
        "instance-state-code": "16",
        "instance-state-name": "running",
        "instance-type": "t3.micro",
        "instance.group-id": _of("group", "GroupId"),
        "instance.group-name": "default",
        "key-name": "red",
        "launch-index": "0",
        "maintenance-options.auto-recovery": "default",
        "launch-time": NOW,
        "usage-operation-update-time": NOW,
        OPTIONS + "http-endpoint": "enabled",
        OPTIONS + "http-protocol-ipv4": "enabled",
        OPTIONS + "http-protocol-ipv6": "disabled",
        OPTIONS + "http-put-response-hop-limit": "1",
        OPTIONS + "http-tokens": "optional",
        OPTIONS + "instance-metadata-tags": "disabled",
        OPTIONS + "state": "applied",
        "monitoring-state": "disabled",
        "operator.managed": "false",
        "owner-id": OWNER,
        "platform-details": "Linux/UNIX",
        "private-dns-name": _of("interface", "PrivateDnsName"),
        "private-dns-name-options.enable-resource-name-dns-a-record": "false",
        "private-dns-name-options.enable-resource-name-dns-aaaa-record": "false",
        "private-dns-name-options.hostname-type": "ip-name",
        "private-ip-address": _of("interface", "PrivateIpAddress"),
        "reason": "",
        "reservation-id": "r-00000001",
        "root-device-name": "/dev/sda1",
        "root-device-type": "ebs",
        "source-dest-check": "true",
        "state-reason-code": "",
        "state-reason-message": "",
        "subnet-id": _of("subnet", "SubnetId"),
        "tenancy": "default",
        "usage-operation": "RunInstances",
        "virtualization-type": "hvm",
        "vpc-id": _of("vpc", "VpcId"),
        **TAGGED,
        **{
            f"network-interface.{name}": value
            for name, value in {
                "addresses.primary": "true",
                "addresses.private-dns-name": _of("interface", "PrivateDnsName"),
                "addresses.private-ip-address": _of("interface", "PrivateIpAddress"),
                "attachment.attach-time": NOW,
                "attachment.attachment-id": _of("interface", "Attachment", "AttachmentId"),
                "attachment.delete-on-termination": "true",
                "attachment.device-index": "0",
                "attachment.instance-id": _of("instance", "InstanceId"),
                "attachment.instance-owner-id": OWNER,
                "attachment.network-card-index": "0",
                "attachment.status": "attached",
                "availability-zone": ZONE,
                "deny-all-igw-traffic": "false",
                "description": "",
                "group-id": _of("group", "GroupId"),
                "group-name": "default",
                "ipv6-native": "false",
                "mac-address": _of("interface", "MacAddress"),
                "network-interface-id": _of("interface", "NetworkInterfaceId"),
                "operator.managed": "false",
                "owner-id": OWNER,
                "private-dns-name": _of("interface", "PrivateDnsName"),
                "private-ip-address": _of("interface", "PrivateIpAddress"),
                "requester-managed": "false",
                "source-dest-check": "true",
                "status": "in-use",
                "subnet-id": _of("subnet", "SubnetId"),
                "tag-key": "Colour",
                "tag-value": "red",
                "vpc-id": _of("vpc", "VpcId"),
            }.items()
        },
    },
    "DescribeKeyPairs": {
        "fingerprint": _of("key", "KeyFingerprint"),
        "key-name": "red",
        "key-pair-id": _of("key", "KeyPairId"),
        **TAGGED,
    },
    "DescribeLaunchTemplateVersions": {
        "create-time": _of("template", "CreateTime"),
        "ebs-optimized": "false",
        "http-endpoint": "enabled",
        "http-protocol-ipv4": "enabled",
        "http-tokens": "required",
        "image-id": _of("image", "ImageId"),
        "instance-type": "t3.micro",
        "is-default-version": "true",
        "network-card-index": "0",
    },
    "DescribeLaunchTemplates": {
        "create-time": _of("template", "CreateTime"),
        "launch-template-name": "red",
        **TAGGED,
    },
    "DescribeNetworkInterfaces": {
        "addresses.primary": "true",
        "addresses.private-ip-address": _of("instance", "PrivateIpAddress"),
        "attachment.attach-time": NOW,
        "attachment.attachment-id": _of("instance", *NIC, "Attachment", "AttachmentId"),
        "attachment.delete-on-termination": "true",
        "attachment.device-index": "0",
        "attachment.instance-id": _of("instance", "InstanceId"),
        "attachment.instance-owner-id": OWNER,
        "attachment.status": "attached",
        "availability-zone": ZONE,
        "availability-zone-id": AZ_ID,
        "description": "",
        "group-id": _of("group", "GroupId"),
        "interface-type": "interface",
        "mac-address": _of("instance", *NIC, "MacAddress"),
        "network-interface-id": _of("instance", *NIC, "NetworkInterfaceId"),
        "operator.managed": "false",
        "owner-id": OWNER,
        "private-dns-name": _of("instance", "PrivateDnsName"),
        "private-ip-address": _of("instance", "PrivateIpAddress"),
        "requester-managed": "false",
        "source-dest-check": "true",
        "status": "in-use",
        "subnet-id": _of("subnet", "SubnetId"),
        "vpc-id": _of("vpc", "VpcId"),
        **TAGGED,
    },
    "DescribeRegions": {
        "endpoint": "127.0.0.1:4567",
        "opt-in-status": "opt-in-not-required",
        "region-name": "us-east-1",
    },
    "DescribeSecurityGroups": {
        "description": _of("group", "Description"),
        "group-id": _of("instance", "SecurityGroups", 0, "GroupId"),
        "group-name": "default",
        "owner-id": OWNER,
        "vpc-id": _of("vpc", "VpcId"),
        "ip-permission.cidr": "0.0.0.0/0",
        "ip-permission.protocol": "-1",
        "egress.ip-permission.cidr": "0.0.0.0/0",
        "egress.ip-permission.protocol": "-1",
        **TAGGED,
    },
    "DescribeSubnets": {
        **dict.fromkeys(("availability-zone", "availabilityZone"), ZONE),
        **dict.fromkeys(("availability-zone-id", "availabilityZoneId"), AZ_ID),
        "available-ip-address-count": "4089",
        **dict.fromkeys(("cidr", "cidr-block", "cidrBlock"), "172.31.0.0/20"),
        **dict.fromkeys(("default-for-az", "defaultForAz"), "true"),
        "enable-dns64": "false",
        "ipv6-native": "false",
        "map-customer-owned-ip-on-launch": "false",
        "map-public-ip-on-launch": "false",
        "owner-id": OWNER,
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": "false",
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": "false",
        "private-dns-name-options-on-launch.hostname-type": "ip-name",
        "state": "available",
        "subnet-arn": _of("subnet", "SubnetArn"),
        "subnet-id": _of("instance", "SubnetId"),
        "vpc-id": _of("vpc", "VpcId"),
        **TAGGED,
    },
    "DescribeTags": {
        "key": "Colour",
        "resource-id": _of("instance", "InstanceId"),
        "resource-type": "instance",
        "value": "red",
        **TAGGED,
    },
    "DescribeVolumes": {
        "attachment.attach-time": NOW,
        "attachment.delete-on-termination": "true",
        "attachment.device": "/dev/sda1",
        "attachment.instance-id": _of("instance", "InstanceId"),
        "attachment.status": "attached",
        "availability-zone": ZONE,
        "availability-zone-id": AZ_ID,
        "create-time": NOW,
        "encrypted": "false",
        "fast-restored": "false",
        "multi-attach-enabled": "false",
        "operator.managed": "false",
        "size": "1",
        "snapshot-id": "",
        "status": "in-use",
        "volume-id": _of("instance", "BlockDeviceMappings", 0, "Ebs", "VolumeId"),
        "volume-type": "gp3",
        **TAGGED,
    },
    "DescribeVpcs": {
        "cidr": "172.31.0.0/16",
        "cidr-block-association.association-id": _of(
            "vpc", "CidrBlockAssociationSet", 0, "AssociationId"
        ),
        "cidr-block-association.cidr-block": "172.31.0.0/16",
        "cidr-block-association.state": "associated",
        **dict.fromkeys(("is-default", "isDefault"), "true"),
        "owner-id": OWNER,
        "state": "available",
        "vpc-id": _of("instance", "VpcId"),
        **TAGGED,
    },
}
"""Action -> filter -> what the one of the world has. What is not here, nothing has."""


def value_of(world: World, action: str, name: str) -> str:
    value = CASES[action][name]
    plain = value(world) if callable(value) else value
    return moment_text(plain) if isinstance(plain, datetime) else text_of(plain)
