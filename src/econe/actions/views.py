"""Domain objects as EC2 structures, in the model's output member names.

The one place where internal values become Amazon's. What a view shows depends on its row and on
constants of the cloud only, so `(id, version)` names it. A member that would not be true here is
left out; empty lists stay, because clients read them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from econe.actions.filters import moment_text
from econe.domain.cloud import Cloud
from econe.domain.fleet import Moved
from econe.domain.health import Check, Outcome
from econe.domain.images import Image
from econe.domain.instances import Instance, InstanceState, MetadataOptions
from econe.domain.keypairs import KeyPair
from econe.domain.launch import GIB
from econe.domain.networks import NetworkInterface
from econe.domain.places import private_dns_name, zone_id
from econe.domain.reasons import Reason
from econe.domain.tags import Tag
from econe.domain.volumes import Volume, VolumeState

View = dict[str, Any]

HYPERVISOR: Final = "xen"
"""API reference, Instance: "The value xen is used for both Xen and Nitro hypervisors"; EC2's word
for KVM machines, too."""
PLATFORM: Final = "Linux/UNIX"
RESERVATION: Final = "open"
"""What an instance runs in where one matches; nobody has reserved any capacity here."""
RECOVERY: Final = "default"
"""Of EC2's two words the one for what types do by themselves, which here is nothing
(AutoRecoverySupported is false); `disabled` would be somebody's choice."""
USAGE: Final = "RunInstances"
IMDS_V2: Final = "v2.0"
"""The one value of ImdsSupport."""


def tags(given: Mapping[str, str]) -> list[View]:
    return [{"Key": key, "Value": value} for key, value in sorted(given.items())]


def tag(row: Tag) -> View:
    return {
        "ResourceId": row.resource_id,
        "ResourceType": row.resource_type,
        "Key": row.key,
        "Value": row.value,
    }


def state(given: InstanceState) -> View:
    return {"Code": given.code, "Name": given.value}


def reason(given: Reason) -> View:
    return {"Code": given.code, "Message": given.message}


def moved(changes: Iterable[Moved]) -> list[View]:
    return [
        {
            "InstanceId": change.id,
            "CurrentState": state(change.after),
            "PreviousState": state(change.before),
        }
        for change in changes
    ]


def reservation(reservation_id: str, owner: str, owner_name: str, instances: Sequence[Any]) -> View:
    """`instances` are views or fragments. OwnerAlias is our own addition: the guide's tools print
    account names."""
    return {
        "ReservationId": reservation_id,
        "OwnerId": owner,
        "OwnerAlias": owner_name,
        "Groups": [],
        "Instances": list(instances),
    }


def metadata_options(options: MetadataOptions) -> View:
    return {
        "State": "applied",
        "HttpTokens": options.http_tokens,
        "HttpPutResponseHopLimit": options.hop_limit,
        "HttpEndpoint": options.http_endpoint,
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": options.instance_tags,
    }


def instance(row: Instance, cloud: Cloud) -> View:
    """API reference, Instance. A terminated one is in no network any more."""
    made: View = {
        "AmiLaunchIndex": row.launch_index,
        "Architecture": row.architecture,
        "BlockDeviceMappings": [mapping(volume) for volume in row.volumes],
        "CapacityReservationSpecification": {"CapacityReservationPreference": RESERVATION},
        "ClientToken": row.client_token,
        "CurrentInstanceBootMode": row.firmware.value,
        "EbsOptimized": False,
        "EnaSupport": False,
        "EnclaveOptions": {"Enabled": False},
        "HibernationOptions": {"Configured": row.hibernation},
        "Hypervisor": HYPERVISOR,
        "ImageId": row.image_id,
        "InstanceId": row.id,
        "InstanceType": row.instance_type,
        "LaunchTime": row.launched_at,
        "MaintenanceOptions": {"AutoRecovery": RECOVERY},
        "MetadataOptions": metadata_options(row.metadata_options),
        "Monitoring": {"State": row.monitoring.value},
        "NetworkInterfaces": [_interface_of_instance(each, cloud) for each in row.interfaces],
        "Placement": {
            "AvailabilityZone": row.zone,
            "AvailabilityZoneId": zone_id(cloud.region, row.zone),
            "GroupName": "",
            "Tenancy": "default",
        },
        "PlatformDetails": PLATFORM,
        "PrivateDnsName": "",
        "ProductCodes": [],
        "PublicDnsName": "",
        "RootDeviceName": row.root_device,
        "RootDeviceType": "ebs",
        "SecurityGroups": security_groups(row),
        "State": state(row.state),
        "StateTransitionReason": row.transition_reason,
        "Tags": tags(row.tags),
        "UsageOperation": USAGE,
        "UsageOperationUpdateTime": row.first_launched_at or row.launched_at,
        "VirtualizationType": "hvm",
    }
    if vcpus := _vcpus(row, cloud):
        made["CpuOptions"] = cpu_options(vcpus, row.threads_per_core)
    if row.boot_mode is not None:
        made["BootMode"] = row.boot_mode.value
    if row.key_name is not None:
        made["KeyName"] = row.key_name
    if row.state_reason.code:
        made["StateReason"] = reason(row.state_reason)
    if row.reach:
        made["SshAddress"] = row.reach
    if row.interfaces:
        made |= _network_of_instance(row.interfaces[0], cloud)
    return made


def _vcpus(row: Instance, cloud: Cloud) -> int:
    """Rows of old databases do not say it, and their type may be gone."""
    size = cloud.sizes.get(row.instance_type)
    return row.vcpus or (size.vcpus if size else 0)


def cpu_options(vcpus: int, threads_per_core: int) -> View:
    return {"CoreCount": vcpus // threads_per_core, "ThreadsPerCore": threads_per_core}


def _network_of_instance(first: NetworkInterface, cloud: Cloud) -> View:
    return {
        "PrivateDnsName": private_dns_name(first.private_ip, cloud.region),
        "PrivateDnsNameOptions": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "PrivateIpAddress": first.private_ip,
        "SourceDestCheck": first.source_dest_check,
        "SubnetId": first.subnet_id,
        "VpcId": first.vpc_id,
    }


def mapping(volume: Volume) -> View:
    return {
        "DeviceName": volume.device,
        "Ebs": {
            "AttachTime": volume.attached_at,
            "DeleteOnTermination": volume.delete_on_termination,
            "Status": attachment_status(volume),
            "VolumeId": volume.id,
        },
    }


def attachment_status(volume: Volume) -> str:
    """A root disk that is not made yet is on its way to its instance."""
    return "attaching" if volume.state is VolumeState.CREATING else "attached"


def security_groups(row: Instance) -> list[View]:
    return groups(row.interfaces[0]) if row.interfaces else []


def source_dest_check(row: Instance) -> bool:
    return row.interfaces[0].source_dest_check if row.interfaces else True


def groups(row: NetworkInterface) -> list[View]:
    return [{"GroupId": group_id, "GroupName": name} for group_id, name in row.groups]


def interface_facts(row: NetworkInterface, cloud: Cloud) -> View:
    """What an instance and DescribeNetworkInterfaces tell of it alike."""
    name = private_dns_name(row.private_ip, cloud.region)
    return {
        "Description": "",
        "Groups": groups(row),
        "InterfaceType": "interface",
        "Ipv6Addresses": [],
        "MacAddress": row.mac,
        "NetworkInterfaceId": row.id,
        "OwnerId": row.account,
        "PrivateDnsName": name,
        "PrivateIpAddress": row.private_ip,
        "PrivateIpAddresses": [
            {"Primary": True, "PrivateDnsName": name, "PrivateIpAddress": row.private_ip}
        ],
        "SourceDestCheck": row.source_dest_check,
        "SubnetId": row.subnet_id,
        "VpcId": row.vpc_id,
    }


def _interface_of_instance(row: NetworkInterface, cloud: Cloud) -> View:
    return {
        "Attachment": {
            "AttachTime": row.attached_at,
            "AttachmentId": row.attachment_id,
            "DeleteOnTermination": row.delete_on_termination,
            "DeviceIndex": row.device_index,
            "NetworkCardIndex": 0,
            "Status": "attached",
        },
        **interface_facts(row, cloud),
        "Status": "in-use",
    }


def instance_status(row: Instance, cloud: Cloud) -> View:
    """API reference, InstanceStatus. The checks are made while it runs (domain/health.py)."""
    runs = row.state is InstanceState.RUNNING
    return {
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": zone_id(cloud.region, row.zone),
        "Events": [],
        "InstanceId": row.id,
        "InstanceState": state(row.state),
        "InstanceStatus": _health(row.guest_status) if runs else _NOT_CHECKED,
        "SystemStatus": _health(row.system_status) if runs else _NOT_CHECKED,
    }


_SUMMARIES: Final = {
    Check.INITIALIZING: "initializing",
    Check.PASSED: "ok",
    Check.FAILED: "impaired",
    Check.UNKNOWN: "insufficient-data",
}
_NOT_CHECKED: Final = {"Status": "not-applicable", "Details": []}


def _health(outcome: Outcome) -> View:
    details = {"Name": "reachability", "Status": outcome.check.value}
    since = {"ImpairedSince": outcome.failed_at} if outcome.failed_at else {}
    return {"Status": _SUMMARIES[outcome.check], "Details": [details | since]}


def image_mappings(row: Image) -> list[View]:
    return [
        {
            "DeviceName": row.root_device,
            "Ebs": {
                "DeleteOnTermination": True,
                "Encrypted": False,
                "VolumeSize": max(1, -(-row.size_bytes // GIB)),
                "VolumeType": "gp3",
            },
        }
    ]


def image(row: Image, owner_name: str) -> View:
    """API reference, Image. The location is the name under which the content is kept."""
    made: View = {
        "Architecture": row.architecture,
        "BlockDeviceMappings": image_mappings(row),
        "CreationDate": moment_text(row.created_at),
        "DeregistrationProtection": protection(row),
        "Description": row.description,
        "EnaSupport": False,
        "FreeTierEligible": False,
        "Hypervisor": HYPERVISOR,
        "ImageId": row.id,
        "ImageLocation": row.location,
        "ImageOwnerAlias": owner_name,
        "ImageType": "machine",
        "Name": row.name,
        "OwnerId": row.account,
        "PlatformDetails": PLATFORM,
        "ProductCodes": [],
        "Public": row.public,
        "Registered": row.registered,
        "RootDeviceName": row.root_device,
        "RootDeviceType": "ebs",
        "State": row.state.value,
        "Tags": tags(row.tags),
        "UsageOperation": USAGE,
        "VirtualizationType": "hvm",
    }
    if row.boot_mode is not None:
        made["BootMode"] = row.boot_mode.value
    if row.imds_v2:
        made["ImdsSupport"] = IMDS_V2
    if row.state_reason.code:
        made["StateReason"] = reason(row.state_reason)
    if row.deprecates_at is not None:
        made["DeprecationTime"] = moment_text(row.deprecates_at)
    return made


def protection(row: Image) -> str:
    """One that was taken away and still lasts says until when (API reference,
    DisableImageDeregistrationProtection)."""
    if row.protected_until is not None:
        return f"disabled-in-cooldown until {moment_text(row.protected_until)}"
    return row.protection.value


def key_pair(row: KeyPair, *, with_public_key: bool = False) -> View:
    made: View = {
        "CreateTime": row.created_at,
        "KeyFingerprint": row.fingerprint,
        "KeyName": row.name,
        "KeyPairId": row.id,
        "KeyType": row.type,
        "Tags": tags(row.tags),
    }
    if with_public_key:
        made["PublicKey"] = row.public_key
    return made
