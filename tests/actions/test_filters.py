"""Wildcards, paths, and that every filter of the API reference is known."""

import fnmatch
import gzip
import json
import re
import sqlite3
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.desk import refused

from econe.actions.addresses import FILTERS as ADDRESS_FILTERS
from econe.actions.attachments import INTERFACES, VOLUMES
from econe.actions.filters import (
    LONGEST_PATTERN,
    _read_pattern,
    matches,
    read_filters,
    texts_at,
)
from econe.actions.images import IMAGE_FILTERS
from econe.actions.instance_filters import INSTANCE_FILTERS, STATUS_FILTERS
from econe.actions.keypairs import KEY_FILTERS
from econe.actions.networks import GROUPS, SUBNETS, VPCS
from econe.actions.places import REGION_FILTERS, ZONE_FILTERS
from econe.actions.tags import TAG_FILTERS
from econe.actions.types import TYPE_FILTERS
from econe.domain.faults import Invalid, LimitExceeded, Noun
from econe.domain.queries import literally
from econe.store.dialect import Sqlite

TEXTS = st.text(alphabet="ab*?\\[]", max_size=12)


@given(st.text(alphabet="ab*?", max_size=12), st.text(alphabet="ab", max_size=12))
def test_without_backslashes_patterns_are_the_shells(pattern, text):
    assert matches([pattern], text) is fnmatch.fnmatchcase(text, pattern)


@given(TEXTS)
def test_a_text_taken_literally_matches_itself(text):
    assert matches([literally(text)], text)


@given(TEXTS, TEXTS)
def test_and_nothing_else(text, other):
    assert matches([literally(text)], other) is (text == other)


@given(TEXTS, TEXTS, TEXTS)
def test_a_star_is_any_run(before, between, after):
    assert matches([f"{literally(before)}*{literally(after)}"], before + between + after)


@given(TEXTS, TEXTS)
def test_the_store_compares_as_we_do(pattern, text):
    globbed = json.loads(Sqlite().patterns([pattern]))[0]
    (found,) = sqlite3.connect(":memory:").execute("SELECT ? GLOB ?", (text, globbed)).fetchone()
    assert bool(found) is matches([pattern], text)


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("\\*amazon\\?\\\\", "*amazon?\\", True),  # the example of the EC2 User Guide
        ("t?.micro", "t2.micro", True),
        ("t?.micro", "t.micro", False),
        ("M1.small", "m1.small", False),
        ("", "", True),
        ("", "x", False),
        ("a\\", "a\\", True),
        ("*", "", True),
    ],
)
def test_patterns(pattern, text, wanted):
    assert matches([pattern], text) is wanted


def test_a_hostile_pattern_takes_no_time():
    assert not matches(["*a" * 100 + "b"], "a" * 2000)


VIEW = {
    "Name": "x",
    "On": True,
    "At": datetime(2026, 11, 23, 16, 0, 0, 5000, tzinfo=UTC),
    "Disks": [{"Ebs": {"Id": "vol-1"}}, {"Ebs": {"Id": "vol-2"}}, {}],
    "Nothing": None,
}


def test_a_pattern_longer_than_any_text_matches_nothing_and_is_not_kept():
    before = _read_pattern.cache_info().currsize
    assert not matches(["*" + "x" * LONGEST_PATTERN], "x" * (LONGEST_PATTERN + 1))
    assert _read_pattern.cache_info().currsize == before


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("Name", ["x"]),
        ("On", ["true"]),
        ("At", ["2026-11-23T16:00:00.005Z"]),
        ("Disks.Ebs.Id", ["vol-1", "vol-2"]),
        ("Nothing", []),
        ("Absent.Below", []),
        ("", []),
        ("=false", ["false"]),
    ],
)
def test_a_path_leads_to_what_ec2_would_write(path, texts):
    assert list(texts_at(VIEW, path)) == texts


@pytest.mark.parametrize(
    "filters",
    [
        [{"Name": "elephant", "Values": ["x"]}],
        [{"Name": "tag:", "Values": ["x"]}],
        [{"Name": "", "Values": ["x"]}],
        [{"Values": ["x"]}],
        [{"Name": "image-id", "Values": []}],
        [{"Name": "image-id"}],
        [{"Name": "Image-Id", "Values": ["x"]}],
    ],
)
def test_a_filter_that_there_is_not_is_invalid(filters):
    with refused(Invalid, Noun.PARAMETER, "The filter '"):
        read_filters({"Filters": filters}, INSTANCE_FILTERS)


def test_there_is_a_limit_to_filters_and_values():
    one = {"Name": "image-id", "Values": ["x"]}
    read_filters({"Filters": [one] * 50}, INSTANCE_FILTERS)
    with refused(LimitExceeded, Noun.PARAMETER):
        read_filters({"Filters": [one] * 51}, INSTANCE_FILTERS)
    with refused(LimitExceeded, Noun.PARAMETER):
        read_filters({"Filters": [{"Name": "image-id", "Values": ["x"] * 201}]}, INSTANCE_FILTERS)


# --- the API reference, as botocore carries it -------------------------------------------

TABLES = {
    "DescribeAddresses": ADDRESS_FILTERS,
    "DescribeAvailabilityZones": ZONE_FILTERS,
    "DescribeImages": IMAGE_FILTERS,
    "DescribeInstanceStatus": STATUS_FILTERS,
    "DescribeInstanceTypes": TYPE_FILTERS,
    "DescribeInstances": INSTANCE_FILTERS,
    "DescribeKeyPairs": KEY_FILTERS,
    "DescribeNetworkInterfaces": INTERFACES.table,
    "DescribeRegions": REGION_FILTERS,
    "DescribeSecurityGroups": GROUPS.table,
    "DescribeSubnets": SUBNETS.table,
    "DescribeTags": TAG_FILTERS,
    "DescribeVolumes": VOLUMES.table,
    "DescribeVpcs": VPCS.table,
}
EXTRA = {
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


@pytest.fixture(scope="session")
def model():
    path = Path(botocore.__file__).parent / "data/ec2/2016-11-15/service-2.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def documented(model, action):
    shape = model["shapes"][model["operations"][action]["input"]["shape"]]
    items = re.findall(r"<li>(.*?)</li>", shape["members"]["Filters"]["documentation"], re.S)
    texts = [unescape(re.sub(r"<[^>]+>", "", item)).strip() for item in items]
    # Nested lists explain values; a filter's name is followed by a dash.
    names = {re.split(r"\s+[-–]\s+", text)[0] for text in texts if re.match(r"\S+\s+[-–]", text)}
    return {name for name in names if not name.startswith("tag") and "CVSS" not in name}


@pytest.mark.parametrize("action", TABLES)
def test_every_documented_filter_is_known_and_no_other(model, action):
    severities = {"low", "medium", "high", "critical"}
    assert (
        TABLES[action].names() - EXTRA.get(action, set()) == documented(model, action) - severities
    )
