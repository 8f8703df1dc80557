"""Command lines are read as getopt reads them."""

import pytest

from econe.cli.instances import DESCRIBE_INSTANCES, RUN_INSTANCES, read_count
from econe.cli.tool import UsageError, any_arguments, numbered, read_command_line


def read(*words, tool=RUN_INSTANCES):
    asked = read_command_line(tool, words)
    return asked.values, asked.arguments


@pytest.mark.parametrize(
    "words",
    [
        ("-t", "m1.large", "ami-1"),
        ("-tm1.large", "ami-1"),
        ("--type", "m1.large", "ami-1"),
        ("--type=m1.large", "ami-1"),
        ("ami-1", "-t", "m1.large"),
        ("-t", "m1.small", "--type=m1.large", "ami-1"),
        ("-t", "m1.large", "--", "ami-1"),
    ],
)
def test_the_same_is_said_in_many_ways(words):
    assert read(*words) == ({"type": "m1.large"}, ["ami-1"])


def test_switches_stand_together_and_the_last_letter_may_take_a_value():
    assert read("-Hn3", "ami-1") == ({"headers": "yes", "instance-count": "3"}, ["ami-1"])
    assert read("-Hn", "3") == ({"headers": "yes", "instance-count": "3"}, [])


def test_values_may_be_empty_or_look_like_options():
    assert read("-d", "", "-k", "-H")[0] == {"user-data": "", "keypair": "-H"}
    assert read("--type=", "--keypair=a=b")[0] == {"type": "", "keypair": "a=b"}


def test_a_dash_alone_and_all_after_two_dashes_are_arguments():
    assert read("-", "--", "-H", "--", "x") == ({}, ["-", "-H", "--", "x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-x"], "unknown option -x"),
        (["-Hx"], "unknown option -x"),
        (["--none"], "unknown option --none"),
        (["--none=1"], "unknown option --none"),
        (["---type"], "unknown option ---type"),
        (["--typ", "x"], "unknown option --typ"),
        (["-t"], r"option -t needs a value \(TYPE\)"),
        (["--type"], r"option --type needs a value \(TYPE\)"),
        (["--headers=yes"], "option --headers takes no value"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        read(*words)


def test_ids_are_divided_by_blanks_and_commas():
    asked = read_command_line(DESCRIBE_INSTANCES, ["i-1,i-2", " i-3 ", "i-4, i-5", ","])
    assert any_arguments(asked) == ["i-1", "i-2", "i-3", "i-4", "i-5"]


def test_lists_are_numbered_from_one():
    assert numbered("InstanceId", ["a", "b"]) == [("InstanceId.1", "a"), ("InstanceId.2", "b")]


@pytest.mark.parametrize(
    ("text", "counts"), [("1", ("1", "1")), ("07", ("7", "7")), ("2-5", ("2", "5"))]
)
def test_counts_are_a_number_or_a_range(text, counts):
    assert read_count(text) == counts


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "a", "1-", "-", "1-2-3", "3-2", "1.5", "²", "9" * 30]
)
def test_other_counts_are_refused(text):
    with pytest.raises(UsageError):
        read_count(text)
