"""What the host can hold."""

from dataclasses import replace

import pytest
from tests.support.desk import Desk

from econe.domain.capacity import Capacity
from econe.domain.faults import Fault, NoCapacity
from econe.domain.sizes import CATALOGUE, choose_sizes


@pytest.fixture
def small(helen: Desk) -> Desk:
    """A host for four m1.small."""
    cloud = replace(helen.cloud, capacity=Capacity(memory_mib=4 * 1740 + 100))
    return replace(helen, cloud=cloud)


def test_a_host_holds_what_its_memory_is_promised_to(small: Desk):
    small.launch(3)
    with pytest.raises(NoCapacity, match=r"m1\.small capacity.*us-east-1a"):
        small.launch(2)
    small.launch(1)
    with pytest.raises(NoCapacity):
        small.launch(1, InstanceType="t2.nano")


def test_as_many_as_fit_are_launched(small: Desk):
    made = small("RunInstances", ImageId=small.image(), MinCount=1, MaxCount=9)
    assert len(made["Instances"]) == 4


def test_a_type_that_no_host_here_could_hold_is_refused_at_once(small: Desk):
    with pytest.raises(NoCapacity):
        small.launch(1, InstanceType="m5.24xlarge")


def test_a_stopped_machine_holds_nothing_and_starts_only_where_it_fits(small: Desk):
    first, second = small.running(2)
    small("StopInstances", InstanceIds=[first, second])
    small.halted([first, second])
    small.launch(3)
    with pytest.raises(NoCapacity):
        small("StartInstances", InstanceIds=[first, second])
    small("StartInstances", InstanceIds=[first])
    assert small.row(second).state == "stopped"


def test_virtual_cpus_may_be_limited_too(helen: Desk):
    cloud = replace(helen.cloud, capacity=Capacity(vcpus=3))
    desk = replace(helen, cloud=cloud)
    desk.launch(1, InstanceType="m1.large")
    with pytest.raises(NoCapacity):
        desk.launch(1, InstanceType="m1.large")
    desk.launch(1)


def test_figures_that_are_not_known_and_factors_of_zero_limit_nothing():
    assert Capacity.of(0, 0, vcpu_overcommit=1, memory_overcommit=1) == Capacity()
    assert Capacity.of(2, 1000, vcpu_overcommit=0, memory_overcommit=0) == Capacity()
    assert Capacity.of(2, 1000, vcpu_overcommit=4, memory_overcommit=1.5) == Capacity(8, 1500)


# --- types -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_mib"),
    [
        ("t2.micro", 1, 1024),
        ("t3.micro", 2, 1024),
        ("m5.large", 2, 8192),
        ("m7i.48xlarge", 192, 786432),
        ("c5.9xlarge", 36, 73728),
        ("r6i.32xlarge", 128, 1048576),
        ("c4.8xlarge", 36, 61440),
    ],
)
def test_the_catalogue_has_amazons_figures(name: str, vcpus: int, memory_mib: int):
    size = CATALOGUE[name]
    assert (size.vcpus, size.memory_mib) == (vcpus, memory_mib)


def test_an_operator_offers_some_of_the_catalogue_and_more():
    sizes = choose_sizes(["t3.*", "m5.large"], ["big.one=4:8192", "t3.nano=1:256"])
    assert {"t3.micro", "m5.large", "big.one"} < set(sizes)
    assert "m5.xlarge" not in sizes
    assert sizes["t3.nano"].memory_mib == 256


@pytest.mark.parametrize("text", ["big", "big.one=4", "big.one=0:1", "Big.one=1:1", "a.b=1:0"])
def test_what_is_no_type_is_told(text: str):
    with pytest.raises(ValueError, match="no type"):
        choose_sizes(["*"], [text])


def test_types_are_offered_where_the_cloud_is(helen: Desk):
    def offered(**asked):
        return helen("DescribeInstanceTypeOfferings", **asked)["InstanceTypeOfferings"]

    assert {each["Location"] for each in offered()} == {"us-east-1"}
    only = [{"Name": "instance-type", "Values": ["t3.*"]}]
    here = offered(LocationType="availability-zone", Filters=only)
    assert {each["Location"] for each in here} == {"us-east-1a"}
    assert {each["InstanceType"].partition(".")[0] for each in here} == {"t3"}
    elsewhere = [{"Name": "location", "Values": ["us-west-2"]}]
    assert offered(Filters=elsewhere) == []
    assert offered(LocationType="outpost") == []
    first = helen("DescribeInstanceTypeOfferings", MaxResults=5)
    second = helen("DescribeInstanceTypeOfferings", MaxResults=5, NextToken=first["NextToken"])
    assert not {str(x) for x in first["InstanceTypeOfferings"]} & {
        str(x) for x in second["InstanceTypeOfferings"]
    }
    with pytest.raises(Fault):
        offered(MaxResults=4)
