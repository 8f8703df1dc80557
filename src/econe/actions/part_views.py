"""Networks, interfaces and volumes as EC2 structures. See views.py for the rules."""

from typing import Any, Final

from econe.actions.views import attachment_status, interface_facts, tags
from econe.domain.cloud import Cloud
from econe.domain.networks import NetworkInterface, SecurityGroup, Subnet, Vpc
from econe.domain.places import zone_id
from econe.domain.volumes import Volume

View = dict[str, Any]

# No security group is enforced yet, and this is what the network lets through: everything.
_EVERYTHING: Final = [
    {
        "IpProtocol": "-1",
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        "Ipv6Ranges": [],
        "PrefixListIds": [],
        "UserIdGroupPairs": [],
    }
]


def vpc(row: Vpc) -> View:
    """Old boto takes the end of the first `item` that it does not know for the end of the VPC, so
    what it does not know comes last."""
    return {
        "CidrBlock": row.cidr,
        "InstanceTenancy": "default",
        "IsDefault": row.is_default,
        "OwnerId": row.account,
        "State": "available",
        "Tags": tags(row.tags),
        "VpcId": row.id,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": row.id.replace("vpc-", "vpc-cidr-assoc-"),
                "CidrBlock": row.cidr,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "Ipv6CidrBlockAssociationSet": [],
    }


def subnet(row: Subnet, cloud: Cloud, free: int) -> View:
    return {
        "AssignIpv6AddressOnCreation": False,
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": zone_id(cloud.region, row.zone),
        "AvailableIpAddressCount": free,
        "CidrBlock": row.cidr,
        "DefaultForAz": row.is_default,
        "EnableDns64": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "MapCustomerOwnedIpOnLaunch": False,
        "MapPublicIpOnLaunch": False,
        "OwnerId": row.account,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "State": "available",
        "SubnetArn": _arn(cloud, row.account, f"subnet/{row.id}"),
        "SubnetId": row.id,
        "Tags": tags(row.tags),
        "VpcId": row.vpc_id,
    }


def security_group(row: SecurityGroup, cloud: Cloud) -> View:
    return {
        "Description": row.description,
        "GroupId": row.id,
        "GroupName": row.name,
        "IpPermissions": _EVERYTHING,
        "IpPermissionsEgress": _EVERYTHING,
        "OwnerId": row.account,
        "SecurityGroupArn": _arn(cloud, row.account, f"security-group/{row.id}"),
        "Tags": tags(row.tags),
        "VpcId": row.vpc_id,
    }


def volume(row: Volume, cloud: Cloud) -> View:
    attachments = []
    if row.instance_id is not None:
        attachments.append(
            {
                "AttachTime": row.attached_at,
                "DeleteOnTermination": row.delete_on_termination,
                "Device": row.device,
                "InstanceId": row.instance_id,
                "State": attachment_status(row),
                "VolumeId": row.id,
            }
        )
    return {
        "Attachments": attachments,
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": zone_id(cloud.region, row.zone),
        "CreateTime": row.created_at,
        "Encrypted": False,
        "FastRestored": False,
        "MultiAttachEnabled": False,
        "OwnerId": row.account,
        "Size": row.size_gib,
        "SnapshotId": "",
        "State": row.state.value,
        "Tags": tags(row.tags),
        "VolumeId": row.id,
        "VolumeType": row.volume_type,
    }


def interface(row: NetworkInterface, cloud: Cloud) -> View:
    made: View = {
        "AvailabilityZone": cloud.zone,
        "AvailabilityZoneId": zone_id(cloud.region, cloud.zone),
        **interface_facts(row, cloud),
        "RequesterManaged": False,
        "Status": "in-use" if row.instance_id else "available",
        "TagSet": tags(row.tags),
    }
    if row.instance_id is not None:
        made["Attachment"] = {
            "AttachTime": row.attached_at,
            "AttachmentId": row.attachment_id,
            "DeleteOnTermination": row.delete_on_termination,
            "DeviceIndex": row.device_index,
            "InstanceId": row.instance_id,
            "InstanceOwnerId": row.account,
            "NetworkCardIndex": 0,
            "Status": "attached",
        }
    return made


def _arn(cloud: Cloud, account: str, resource: str) -> str:
    return f"arn:aws:ec2:{cloud.region}:{account}:{resource}"
