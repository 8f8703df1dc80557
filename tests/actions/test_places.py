"""Regions, zones, types, the account."""

from dataclasses import replace

import pytest
from tests.support.desk import refused

from econe.actions.types import view_of
from econe.domain.accounts import Limits
from econe.domain.engine_ports import ANY_ENGINE
from econe.domain.faults import Invalid, NotFound, Noun
from econe.domain.sizes import CATALOGUE


def only(name, *values):
    return {"Filters": [{"Name": name, "Values": list(values)}]}


def test_there_is_one_region(helen):
    (region,) = helen("DescribeRegions", AllRegions=True)["Regions"]
    assert (region["RegionName"], region["Endpoint"]) == ("us-east-1", "127.0.0.1:4567")
    assert helen("DescribeRegions", RegionNames=["us-east-1"])["Regions"] == [region]
    with refused(NotFound, Noun.REGION, "mars-1"):
        helen("DescribeRegions", RegionNames=["us-east-1", "mars-1"])


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("region-name", "us-*", 1),
        ("region-name", "eu-*", 0),
        ("endpoint", "127.0.0.1*", 1),
        ("opt-in-status", "opt-in-not-required", 1),
        ("opt-in-status", "opted-in", 0),
    ],
)
def test_region_filters(helen, name, value, count):
    assert len(helen("DescribeRegions", **only(name, value))["Regions"]) == count


def test_there_is_one_zone(helen):
    (zone,) = helen("DescribeAvailabilityZones", AllAvailabilityZones=True)["AvailabilityZones"]
    assert (zone["ZoneName"], zone["ZoneId"]) == ("us-east-1a", "use1-az1")
    assert zone["State"] == "available"
    asked = {"ZoneNames": ["us-east-1a"], "ZoneIds": ["use1-az1"]}
    assert helen("DescribeAvailabilityZones", **asked)["AvailabilityZones"] == [zone]
    for wrong in ({"ZoneNames": ["us-east-1b"]}, {"ZoneIds": ["us-east-1a"]}):
        with refused(NotFound, Noun.ZONE):
            helen("DescribeAvailabilityZones", **wrong)


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("zone-name", "us-east-1a", 1),
        ("zone-id", "use1-az2", 0),
        ("zone-type", "availability-zone", 1),
        ("zone-type", "local-zone", 0),
        ("state", "available", 1),
        ("region-name", "us-east-1", 1),
        ("parent-zone-id", "*", 0),
        ("message", "*", 0),
    ],
)
def test_zone_filters(helen, name, value, count):
    found = helen("DescribeAvailabilityZones", **only(name, value))["AvailabilityZones"]
    assert len(found) == count


def types(desk, **asked):
    made = desk("DescribeInstanceTypes", **asked)["InstanceTypes"]
    return [each["InstanceType"] for each in made]


def test_every_type_of_the_catalogue_is_described(helen):
    assert types(helen) == sorted(CATALOGUE)
    assert types(helen, InstanceTypes=["t3.micro", "m1.small"]) == ["m1.small", "t3.micro"]
    with refused(NotFound, Noun.INSTANCE_TYPE, "x1.32xlarge"):
        helen("DescribeInstanceTypes", InstanceTypes=["m1.small", "x1.32xlarge"])


def test_a_type_says_what_a_machine_gets():
    view = view_of(CATALOGUE["t3.medium"], ANY_ENGINE)
    assert view["VCpuInfo"]["DefaultVCpus"] == 2
    assert view["MemoryInfo"]["SizeInMiB"] == 4096


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("instance-type", ["t2.n*", "m1.sm?ll"], ["m1.small", "t2.nano"]),
        ("memory-info.size-in-mib", ["627"], ["t1.micro"]),
        ("vcpu-info.default-vcpus", ["7"], []),
        ("vcpu-info.default-vcpus", ["72"], ["c5.18xlarge"]),
        ("processor-info.supported-architecture", ["arm64"], []),
        ("bare-metal", ["true"], []),
        ("free-tier-eligible", ["true"], []),
        ("hypervisor", ["*"], []),
    ],
)
def test_type_filters(helen, name, values, wanted):
    assert types(helen, **only(name, *values)) == wanted


def test_older_families_are_of_the_previous_generation(helen):
    old = types(helen, **only("current-generation", "false"))
    assert {"m1.small", "t1.micro", "c4.large"} - set(old) == {"c4.large"}


def attributes(desk, **asked):
    return {
        each["AttributeName"]: [value["AttributeValue"] for value in each["AttributeValues"]]
        for each in desk("DescribeAccountAttributes", **asked)["AccountAttributes"]
    }


def test_the_accounts_attributes(helen):
    said = attributes(helen)
    assert said["supported-platforms"] == ["VPC"]
    assert said["default-vpc"] == ["vpc-00000001"]
    assert said["max-instances"] == ["1000"]
    assert said["max-vcpus"] == said["max-images"] == ["unlimited"]
    helen.cloud = replace(helen.cloud, limits=Limits(vcpus=8, memory_mib=0, storage_gib=5))
    said = attributes(helen, AttributeNames=["max-vcpus", "max-memory-mib", "max-storage-gib"])
    assert said == {"max-vcpus": ["8"], "max-memory-mib": ["0"], "max-storage-gib": ["5"]}
    assert attributes(helen, AttributeNames=["default-vpc"]) == {"default-vpc": ["vpc-00000001"]}
    with refused(Invalid, Noun.PARAMETER, "colour"):
        helen("DescribeAccountAttributes", AttributeNames=["colour"])


def test_the_caller_is_the_account(helen):
    assert helen("GetCallerIdentity") == {
        "Account": "111122223333",
        "Arn": "arn:aws:iam::111122223333:root",
        "UserId": "111122223333",
    }
