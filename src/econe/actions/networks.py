"""VPCs, subnets and security groups: every account has its default ones. Reading only."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any, Final

from econe.actions import part_views
from econe.actions.context import Context
from econe.actions.filters import NOTHING, Table
from econe.actions.listing import Listing, answer, describe
from econe.actions.registry import action
from econe.domain.default_network import KEPT_FROM_START
from econe.domain.faults import Noun, all_missing
from econe.domain.networks import SecurityGroup, Subnet, Vpc
from econe.domain.queries import Criterion, Query, literally

VPCS: Final[Listing[Vpc]] = Listing(
    noun=Noun.VPC,
    action="DescribeVpcs",
    ids="VpcIds",
    rows=lambda tx: tx.vpcs,
    table=Table(
        pushed={
            "cidr": "cidr",
            "cidr-block-association.cidr-block": "cidr",
            "is-default": "is_default",
            "isDefault": "is_default",  # not in the API reference any more, and widely used
            "owner-id": "account",
            "vpc-id": "id",
        },
        shown={
            "cidr-block-association.association-id": "CidrBlockAssociationSet.AssociationId",
            "cidr-block-association.state": "CidrBlockAssociationSet.CidrBlockState.State",
            "dhcp-options-id": NOTHING,
            "ipv6-cidr-block-association.association-id": NOTHING,
            "ipv6-cidr-block-association.ipv6-cidr-block": NOTHING,
            "ipv6-cidr-block-association.ipv6-pool": NOTHING,
            "ipv6-cidr-block-association.state": NOTHING,
            "state": "State",
        },
    ),
)

SUBNETS: Final[Listing[Subnet]] = Listing(
    noun=Noun.SUBNET,
    action="DescribeSubnets",
    ids="SubnetIds",
    rows=lambda tx: tx.subnets,
    table=Table(
        pushed={
            "availability-zone": "zone",
            "availabilityZone": "zone",
            "cidr": "cidr",
            "cidr-block": "cidr",
            "cidrBlock": "cidr",
            "default-for-az": "is_default",
            "defaultForAz": "is_default",
            "owner-id": "account",
            "subnet-id": "id",
            "vpc-id": "vpc_id",
        },
        shown={
            "availability-zone-id": "AvailabilityZoneId",
            "availabilityZoneId": "AvailabilityZoneId",
            "available-ip-address-count": "AvailableIpAddressCount",
            "customer-owned-ipv4-pool": NOTHING,
            "enable-dns64": "EnableDns64",
            "enable-lni-at-device-index": NOTHING,
            "ipv6-cidr-block-association.association-id": NOTHING,
            "ipv6-cidr-block-association.ipv6-cidr-block": NOTHING,
            "ipv6-cidr-block-association.state": NOTHING,
            "ipv6-native": "Ipv6Native",
            "map-customer-owned-ip-on-launch": "MapCustomerOwnedIpOnLaunch",
            "map-public-ip-on-launch": "MapPublicIpOnLaunch",
            "outpost-arn": NOTHING,
            "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": (
                "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord"
            ),
            "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": (
                "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord"
            ),
            "private-dns-name-options-on-launch.hostname-type": (
                "PrivateDnsNameOptionsOnLaunch.HostnameType"
            ),
            "state": "State",
            "subnet-arn": "SubnetArn",
        },
    ),
)

GROUPS: Final[Listing[SecurityGroup]] = Listing(
    noun=Noun.SECURITY_GROUP,
    action="DescribeSecurityGroups",
    ids="GroupIds",
    rows=lambda tx: tx.security_groups,
    table=Table(
        pushed={
            "description": "description",
            "group-id": "id",
            "group-name": "name",
            "owner-id": "account",
            "vpc-id": "vpc_id",
        },
        shown={
            f"{way}ip-permission.{name}": path and f"{member}.{path}"
            for way, member in (("", "IpPermissions"), ("egress.", "IpPermissionsEgress"))
            for name, path in {
                "cidr": "IpRanges.CidrIp",
                "from-port": "FromPort",
                "group-id": NOTHING,
                "group-name": NOTHING,
                "ipv6-cidr": NOTHING,
                "prefix-list-id": NOTHING,
                "protocol": "IpProtocol",
                "to-port": "ToPort",
                "user-id": NOTHING,
            }.items()
        },
    ),
)


@action("DescribeVpcs", takes="VpcIds Filters MaxResults NextToken")
def describe_vpcs(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    return answer("Vpcs", *describe(ctx, asked, VPCS, part_views.vpc))


@action("DescribeSubnets", takes="SubnetIds Filters MaxResults NextToken")
def describe_subnets(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Where the engine gives addresses, what others took of a subnet is not known here: free are
    those that no interface of the account has."""

    def show(row: Subnet) -> dict[str, Any]:
        here = Criterion("subnet_id", (row.id,))
        taken = len(ctx.tx.interfaces.keys(Query(criteria=(here,))).items)
        free = IPv4Network(row.cidr).num_addresses - KEPT_FROM_START - 1 - taken
        return part_views.subnet(row, ctx.cloud, max(0, free))

    return answer("Subnets", *describe(ctx, asked, SUBNETS, show))


@action("DescribeSecurityGroups", takes="GroupIds GroupNames Filters MaxResults NextToken")
def describe_security_groups(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """`GroupNames` are of the default VPC, and it is the only one (API reference)."""
    extra: tuple[Criterion, ...] = ()
    if names := asked.get("GroupNames"):
        extra = (Criterion("name", tuple(literally(name) for name in names)),)
        query = Query(account=ctx.account.number, criteria=extra)
        known = {row.name for row in ctx.tx.security_groups.find(query).items}
        if missing := [name for name in names if name not in known]:
            raise all_missing(Noun.SECURITY_GROUP, missing)

    def show(row: SecurityGroup) -> dict[str, Any]:
        return part_views.security_group(row, ctx.cloud)

    listing = replace(GROUPS, extra=extra)
    return answer("SecurityGroups", *describe(ctx, asked, listing, show))
