"""Which filters each Describe has."""

from econe.actions.addresses import FILTERS as ADDRESS_FILTERS
from econe.actions.attachments import INTERFACES, VOLUMES
from econe.actions.cpu_credits import CREDIT_FILTERS
from econe.actions.filters import Table
from econe.actions.images import IMAGE_FILTERS
from econe.actions.instance_filters import INSTANCE_FILTERS, STATUS_FILTERS
from econe.actions.keypairs import KEY_FILTERS
from econe.actions.launch_templates import TEMPLATE_FILTERS
from econe.actions.networks import GROUPS, SUBNETS, VPCS
from econe.actions.places import REGION_FILTERS, ZONE_FILTERS
from econe.actions.tags import TAG_FILTERS
from econe.actions.template_versions import VERSION_FILTERS
from econe.actions.types import OFFERING_FILTERS, TYPE_FILTERS

TABLES: dict[str, Table] = {
    "DescribeAddresses": ADDRESS_FILTERS,
    "DescribeAvailabilityZones": ZONE_FILTERS,
    "DescribeImages": IMAGE_FILTERS,
    "DescribeInstanceCreditSpecifications": CREDIT_FILTERS,
    "DescribeInstanceStatus": STATUS_FILTERS,
    "DescribeInstanceTypeOfferings": OFFERING_FILTERS,
    "DescribeInstanceTypes": TYPE_FILTERS,
    "DescribeInstances": INSTANCE_FILTERS,
    "DescribeKeyPairs": KEY_FILTERS,
    "DescribeLaunchTemplateVersions": VERSION_FILTERS,
    "DescribeLaunchTemplates": TEMPLATE_FILTERS,
    "DescribeNetworkInterfaces": INTERFACES.table,
    "DescribeRegions": REGION_FILTERS,
    "DescribeSecurityGroups": GROUPS.table,
    "DescribeSubnets": SUBNETS.table,
    "DescribeTags": TAG_FILTERS,
    "DescribeVolumes": VOLUMES.table,
    "DescribeVpcs": VPCS.table,
}
EXTRA: dict[str, set[str]] = {
    "DescribeAddresses": {"domain"},
    "DescribeImages": {"registered"},
    "DescribeSubnets": {
        "availabilityZone",
        "availabilityZoneId",
        "cidr",
        "cidrBlock",
        "defaultForAz",
    },
    "DescribeVpcs": {"isDefault"},
}
"""Filters that are ours alone, or that the reference names only in passing."""
