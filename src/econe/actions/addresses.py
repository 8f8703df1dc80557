"""Elastic IP addresses: this cloud has none, and says so.

Clients ask for them beside instances (Libcloud's list_nodes, Terraform, fog), so an empty set is
the true answer where a refusal would break them. Whoever asks for a certain address is told that it
is not there.
"""

from ipaddress import IPv4Address
from typing import Any, Final

from econe.actions.context import Context
from econe.actions.filters import NOTHING, Table, read_filters
from econe.actions.listing import read_ids
from econe.actions.pages import read_page
from econe.actions.registry import action
from econe.domain.faults import Malformed, NotFound, Noun, all_missing

FILTERS: Final = Table(
    pushed={},
    shown=dict.fromkeys(
        (
            "allocation-id",
            "association-id",
            # Not in the API reference any more; boto3's `classic_addresses` and `vpc_addresses`
            # ask by it.
            "domain",
            "instance-id",
            "network-border-group",
            "network-interface-id",
            "network-interface-owner-id",
            "private-ip-address",
            "public-ip",
        ),
        NOTHING,
    ),
)


@action("DescribeAddresses", takes="PublicIps AllocationIds Filters")
def describe_addresses(_ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """No addresses; a filter that there is not is refused all the same."""
    read_filters(asked, FILTERS)
    _refuse_allocations(asked)
    for text in asked.get("PublicIps") or ():
        _check_address(text)
        raise NotFound(Noun.ADDRESS, text)
    return {"Addresses": []}


@action("DescribeAddressesAttribute", takes="AllocationIds Attribute MaxResults NextToken")
def describe_addresses_attribute(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """The reverse names of addresses (`domain-name` is the one attribute there is): of none."""
    read_page(ctx, asked, "DescribeAddressesAttribute", least=1)
    _refuse_allocations(asked)
    return {"Addresses": []}


def _refuse_allocations(asked: dict[str, Any]) -> None:
    if ids := read_ids(Noun.ALLOCATION, asked.get("AllocationIds")):
        raise all_missing(Noun.ALLOCATION, ids)


def _check_address(text: str) -> None:
    try:
        IPv4Address(text)
    except ValueError as fault:
        raise Malformed(Noun.ADDRESS, text) from fault
