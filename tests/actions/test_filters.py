"""Wildcards, paths, and that every filter of the API reference is known."""

import fnmatch
import json
import sqlite3
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.desk import refused

from econe.actions.filters import (
    LONGEST_PATTERN,
    Sieve,
    _read_pattern,
    matches,
    read_filters,
    texts_at,
)
from econe.actions.instance_filters import INSTANCE_FILTERS
from econe.actions.listing import gather
from econe.actions.pages import PageAsked
from econe.domain.faults import Invalid, LimitExceeded, Noun
from econe.domain.queries import Criterion, Page, Query, literally
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
        ("At", ["2026-11-23T16:00:00.000Z"]),
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


def test_there_is_a_limit_to_filters_and_to_the_values_of_each():
    one = {"Name": "image-id", "Values": ["x"] * 200}
    read_filters({"Filters": [one] * 50}, INSTANCE_FILTERS)
    with refused(LimitExceeded, Noun.FILTER):
        read_filters({"Filters": [one] * 51}, INSTANCE_FILTERS)
    with refused(LimitExceeded, Noun.FILTER, "image-id"):
        read_filters({"Filters": [{"Name": "image-id", "Values": ["x"] * 201}]}, INSTANCE_FILTERS)


@pytest.mark.parametrize(
    ("name", "value", "never"),
    [
        ("instance-lifecycle", "spot", True),
        ("tenancy", "dedicated", True),
        ("tenancy", "def*", False),
        ("instance-state-code", "17", True),
        ("instance-state-code", "1?", False),
    ],
)
def test_what_is_the_same_of_all_is_compared_before_any_row_is_read(name, value, never):
    sieve = read_filters({"Filters": [{"Name": name, "Values": [value]}]}, INSTANCE_FILTERS)
    assert (sieve.never, sieve.paths) == (never, ())
    assert sieve.keeps({}) is not never


def test_states_by_their_codes_are_the_stores_to_find():
    asked = {"Filters": [{"Name": "instance-state-code", "Values": ["?6", "48"]}]}
    assert read_filters(asked, INSTANCE_FILTERS).criteria == (
        Criterion("state", ("running", "terminated")),
    )


def test_rows_whose_views_are_looked_into_are_read_in_parts():
    """So that a filter that finds nothing does not fill the memory with all that it was not."""
    asked_for = []

    class Rows:
        def find(self, query):
            asked_for.append(query.limit)
            return Page((), more=False)

    def gathered(sieve, limit=None):
        page = PageAsked("DescribeInstances", None, limit)
        return gather(None, Rows(), Query(), sieve=sieve, page=page, show=dict)

    looking = Sieve(paths=(Criterion("State", ("x",)),))
    for sieve, limit in ((looking, None), (looking, 20), (Sieve(), None), (Sieve(), 20)):
        assert gathered(sieve, limit) == ([], None)
    assert asked_for == [250, 250, None, 20]
    assert gathered(Sieve(never=True)) == ([], None)
    assert len(asked_for) == 4


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("ip-172-31-0-4.ec2.internal", ("172.31.0.4",)),
        ("ip-172-31-0-4", ("172.31.0.4",)),
        ("elephant", ()),
        ("ip-172-31-0-?.ec2.internal", None),
        ("", None),
    ],
)
def test_a_name_leads_to_its_address(value, kept):
    """So that a node that looks for itself by its name is found without looking at all of them."""
    asked = {"Filters": [{"Name": "private-dns-name", "Values": [value]}]}
    sieve = read_filters(asked, INSTANCE_FILTERS)
    assert sieve.criteria == (() if kept is None else (Criterion("private_ip", kept),))
    assert [path.field for path in sieve.paths] == ["PrivateDnsName"]


def test_and_it_is_the_whole_name_that_counts(helen):
    (id_,) = helen.running()
    for name, found in (
        ("ip-172-31-0-4.ec2.internal", [id_]),
        ("ip-172-31-0-4.ec2.elsewhere", []),
        ("ip-172-31-0-4", []),
    ):
        asked = [{"Name": "private-dns-name", "Values": [name, "elephant"]}]
        assert helen.shown(Filters=asked) == found
