"""Elastic IP addresses, of which there are none: asked for as a set, and each by name."""

import pytest
from tests.support.desk import refused

from econe.actions.addresses import FILTERS
from econe.domain.faults import Invalid, Malformed, NotFound, Noun


def test_there_are_none(helen):
    helen.running()
    assert helen("DescribeAddresses") == {"Addresses": []}
    assert helen("DescribeAddressesAttribute") == {"Addresses": []}


@pytest.mark.parametrize("name", [*sorted(FILTERS.names()), "tag:Name", "tag-key"])
def test_every_filter_finds_none_of_them(helen, name):
    asked = [{"Name": name, "Values": ["*"]}]
    assert helen("DescribeAddresses", Filters=asked) == {"Addresses": []}


def test_a_filter_that_addresses_have_not_is_refused(helen):
    with refused(Invalid, Noun.PARAMETER, "The filter 'image-id' is invalid"):
        helen("DescribeAddresses", Filters=[{"Name": "image-id", "Values": ["x"]}])


@pytest.mark.parametrize("action", ["DescribeAddresses", "DescribeAddressesAttribute"])
@pytest.mark.parametrize("text", ["eipalloc-00000001", "eipalloc-0123456789abcdef0"])
def test_one_that_is_asked_for_by_id_is_not_found(helen, action, text):
    with refused(NotFound, Noun.ALLOCATION, text):
        helen(action, AllocationIds=[text])


@pytest.mark.parametrize("action", ["DescribeAddresses", "DescribeAddressesAttribute"])
def test_nor_is_what_cannot_be_an_id(helen, action):
    with refused(Malformed, Noun.ALLOCATION):
        helen(action, AllocationIds=["vol-00000001"])


def test_one_that_is_asked_for_by_its_address_is_not_found(helen):
    with refused(NotFound, Noun.ADDRESS):
        helen("DescribeAddresses", PublicIps=["203.0.113.7"])


@pytest.mark.parametrize("text", ["203.0.113", "x", "::1", ""])
def test_what_is_no_address_is_malformed(helen, text):
    with refused(Malformed, Noun.ADDRESS):
        helen("DescribeAddresses", PublicIps=[text])


def test_a_page_of_names_has_between_1_and_1000(helen):
    helen("DescribeAddressesAttribute", Attribute="domain-name", MaxResults=1)
    for wrong in (0, 1001):
        with refused(Invalid, Noun.PARAMETER):
            helen("DescribeAddressesAttribute", MaxResults=wrong)
