"""Regions, zones, and what the account and its caller are."""

from collections.abc import Sequence
from typing import Any, Final

from econe.actions.context import Context
from econe.actions.filters import NOTHING, Table, read_filters
from econe.actions.registry import action
from econe.domain.accounts import root_arn
from econe.domain.default_network import find_default_network
from econe.domain.faults import Invalid, NotFound, Noun
from econe.domain.limits import limits_of
from econe.domain.places import zone_id

NO_OPT_IN: Final = "opt-in-not-required"

# These tables have no rows in the store: every filter looks into the view.
REGION_FILTERS: Final = Table(
    pushed={},
    shown={
        "endpoint": "Endpoint",
        "opt-in-status": "OptInStatus",
        "region-name": "RegionName",
    },
    tagged=False,
)
ZONE_FILTERS: Final = Table(
    pushed={},
    shown={
        "group-long-name": "GroupLongName",
        "group-name": "GroupName",
        "message": "Messages.Message",
        "opt-in-status": "OptInStatus",
        "parent-zone-id": NOTHING,
        "parent-zone-name": NOTHING,
        "region-name": "RegionName",
        "state": "State",
        "zone-id": "ZoneId",
        "zone-name": "ZoneName",
        "zone-type": "ZoneType",
    },
    tagged=False,
)


@action(
    "DescribeRegions",
    takes="RegionNames Filters",
    moot={"AllRegions": "there are no regions that need opting in"},
)
def describe_regions(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """The one region."""
    cloud = ctx.cloud
    for name in asked.get("RegionNames") or ():
        if name != cloud.region:
            raise NotFound(Noun.REGION, name)
    view = {
        "Endpoint": cloud.endpoint,
        "OptInStatus": NO_OPT_IN,
        "RegionName": cloud.region,
    }
    kept = read_filters(asked, REGION_FILTERS).keeps(view)
    return {"Regions": [view] if kept else []}


@action(
    "DescribeAvailabilityZones",
    takes="ZoneNames ZoneIds Filters",
    moot={"AllAvailabilityZones": "there are no zones that need opting in"},
)
def describe_availability_zones(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    cloud = ctx.cloud
    here = zone_id(cloud.region, cloud.zone)
    _check_zones(asked.get("ZoneNames") or (), cloud.zone)
    _check_zones(asked.get("ZoneIds") or (), here)
    view = {
        "GroupLongName": f"{cloud.region} 1",
        "GroupName": f"{cloud.region}-zg-1",
        "Messages": [],
        "NetworkBorderGroup": cloud.region,
        "OptInStatus": NO_OPT_IN,
        "RegionName": cloud.region,
        "State": "available",
        "ZoneId": here,
        "ZoneName": cloud.zone,
        "ZoneType": "availability-zone",
    }
    kept = read_filters(asked, ZONE_FILTERS).keeps(view)
    return {"AvailabilityZones": [view] if kept else []}


def _check_zones(asked: Sequence[str], here: str) -> None:
    for name in asked:
        if name != here:
            raise NotFound(Noun.ZONE, name)


@action("DescribeAccountAttributes", takes="AttributeNames")
def describe_account_attributes(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    network = find_default_network(ctx.tx, ctx.account.number)
    values = {
        "default-vpc": network.vpc.id if network else "none",
        "max-elastic-ips": "0",
        "supported-platforms": "VPC",
        "vpc-max-elastic-ips": "0",
        "vpc-max-security-groups-per-interface": "1",
        **_limits(ctx),
    }
    names = asked.get("AttributeNames") or sorted(values)
    for name in names:
        if name not in values:
            raise Invalid(
                Noun.PARAMETER, name, f"Value ({name}) for parameter attributeName is invalid."
            )
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": values[name]}]}
            for name in names
        ]
    }


def _limits(ctx: Context) -> dict[str, str]:
    """`max-instances` is EC2's, the others are ours (decision 44)."""
    limits = limits_of(ctx.account, ctx.cloud.limits)
    return {
        "max-instances": _said(limits.instances),
        "max-vcpus": _said(limits.vcpus),
        "max-memory-mib": _said(limits.memory_mib),
        "max-images": _said(limits.images),
        "max-storage-gib": _said(limits.storage_gib),
    }


def _said(limit: int | None) -> str:
    return "unlimited" if limit is None else str(limit)


@action("GetCallerIdentity")
def get_caller_identity(ctx: Context, _asked: dict[str, Any]) -> dict[str, Any]:
    """STS. Whoever has a key of the account is the account: there are no users inside it."""
    number = ctx.account.number
    return {"Account": number, "Arn": root_arn(number), "UserId": number}
