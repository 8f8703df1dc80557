"""Cores and threads by type; the figures are those of EC2's DescribeInstanceTypes."""

from dataclasses import replace

import pytest
from tests.support.desk import refused

from econe.domain.engine_ports import ANY_ENGINE
from econe.domain.faults import Invalid, Missing, Noun, Unsupported
from econe.domain.sizes import CATALOGUE, Size
from econe.domain.topology import (
    CpuOptions,
    choose_options,
    read_options,
    usual_options,
    valid_cores,
    valid_threads,
)

ABLE = replace(ANY_ENGINE, topology=True)


@pytest.mark.parametrize(
    ("name", "cores", "threads"),
    [
        ("t2.medium", 2, 1),
        ("t3.micro", 1, 2),
        ("m1.large", 2, 1),
        ("m2.4xlarge", 8, 1),
        ("m3.medium", 1, 1),
        ("m3.large", 1, 2),
        ("m5.24xlarge", 48, 2),
        ("c4.8xlarge", 18, 2),
        ("m7i.48xlarge", 96, 2),
    ],
)
def test_a_type_has_amazons_topology(name, cores, threads):
    assert usual_options(CATALOGUE[name], ABLE) == CpuOptions(cores, threads)


def test_every_type_has_all_of_its_vcpus():
    for size in CATALOGUE.values():
        assert usual_options(size, ABLE).vcpus == size.vcpus
        assert usual_options(size, ANY_ENGINE) == CpuOptions(size.vcpus)


@pytest.mark.parametrize("name", ["big.one", "m5.odd"])
def test_an_operators_own_type_has_cores_where_threads_would_be_a_guess(name):
    assert usual_options(Size(name, 3, 1024), ABLE) == CpuOptions(3)


def test_every_number_up_to_the_types_is_valid():
    size = CATALOGUE["m5.2xlarge"]
    assert (valid_cores(size, ABLE), valid_threads(size, ABLE)) == ([1, 2, 3, 4], [1, 2])
    assert choose_options(size, ABLE, CpuOptions(3, 1)).vcpus == 3
    assert valid_threads(Size("big.one", 4, 1024), ABLE) == [1]


@pytest.mark.parametrize("asked", [(0, 1), (5, 2), (-1, 2), (4, 0), (4, 3)])
def test_other_numbers_are_not(asked):
    with refused(Invalid, Noun.PARAMETER, "not valid for the m5.2xlarge instance type"):
        choose_options(CATALOGUE["m5.2xlarge"], ABLE, CpuOptions(*asked))


@pytest.mark.parametrize("name", ["t2.micro", "m1.small", "m3.medium"])
def test_of_some_types_nothing_can_be_chosen(name):
    """EC2's sentence, as in issues of its clients; its table has no valid numbers for these."""
    size = CATALOGUE[name]
    assert valid_cores(size, ABLE) == valid_threads(size, ABLE) == []
    with refused(Unsupported, Noun.PARAMETER, f"The {name} instance type does not support"):
        choose_options(size, ABLE, CpuOptions(1, 1))


def test_cores_alone_can_be_chosen_where_the_engine_shows_no_threads():
    size = CATALOGUE["m5.large"]
    assert (valid_cores(size, ANY_ENGINE), valid_threads(size, ANY_ENGINE)) == ([1, 2], [1])
    assert choose_options(size, ANY_ENGINE, CpuOptions(1, 1)).vcpus == 1
    with refused(Invalid, Noun.PARAMETER, "ThreadsPerCore value 2"):
        choose_options(size, ANY_ENGINE, CpuOptions(1, 2))


def test_nothing_can_be_chosen_of_a_template_of_the_engines_own():
    size = Size("one.big", 4, 1024, engine_ref="7")
    assert usual_options(size, ANY_ENGINE) == CpuOptions(4)
    with refused(Unsupported, Noun.PARAMETER, "one.big instance type does not support"):
        choose_options(size, ANY_ENGINE, CpuOptions(2, 1))


def test_both_numbers_are_said_or_neither():
    assert read_options(None, None) is None
    assert read_options(2, 1) == CpuOptions(2, 1)
    for asked in ((2, None), (None, 1)):
        with refused(Missing, Noun.PARAMETER, "both CoreCount and ThreadsPerCore"):
            read_options(*asked)
