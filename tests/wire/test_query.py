import contextlib
import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from econe.wire import model, query
from econe.wire.refusal import Refusal

SERVICE = model.load()
RUN = SERVICE.operation("RunInstances")
DESCRIBE = SERVICE.operation("DescribeInstances")
TAG = SERVICE.operation("CreateTags")


def read(text: str, operation=DESCRIBE):
    return query.read_query(query.read_pairs(text.encode()), operation)


def refused(text: str, operation=DESCRIBE) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(text, operation)
    assert caught.value.status == 400
    return caught.value


def test_lists_may_begin_at_zero_or_one_and_have_gaps_and_any_order():
    for numbers in ((0, 1), (1, 2), (7, 900), ("01", "02")):
        first, second = numbers
        text = f"InstanceId.{second}=b&InstanceId.{first}=a"
        assert read(text) == {"InstanceIds": ["a", "b"]}


def test_numbers_are_sorted_as_numbers():
    assert read("InstanceId.10=j&InstanceId.9=i") == {"InstanceIds": ["i", "j"]}


def test_filters_follow_from_the_model():
    text = "Filter.1.Name=tag:Name&Filter.1.Value.1=a+b&Filter.1.Value.2=c%20d&Filter.2.Name=x"
    assert read(text) == {
        "Filters": [{"Name": "tag:Name", "Values": ["a b", "c d"]}, {"Name": "x"}]
    }


def test_a_sole_value_may_be_numbered():
    """As old boto asks GetConsoleOutput (boto 2.49 builds a list of one)."""
    console = SERVICE.operation("GetConsoleOutput")
    for number in (0, 1):
        assert read(f"InstanceId.{number}=i-1", console) == {"InstanceId": "i-1"}
    assert refused("InstanceId.1=a&InstanceId.2=b", console).code == "UnknownParameter"
    assert refused("InstanceId=a&InstanceId.1=b", console).code == "InvalidParameterCombination"
    assert refused("InstanceId.1.Name=a", console).code == "UnknownParameter"


def test_an_empty_value_is_a_value():
    assert read("Filter.1.Name=tag:x&Filter.1.Value.1=") == {
        "Filters": [{"Name": "tag:x", "Values": [""]}]
    }


def test_an_empty_list_may_be_said_by_an_empty_parameter():
    assert read("InstanceId=") == {"InstanceIds": []}


def test_a_list_of_scalars_may_be_a_repeated_parameter():
    assert read("InstanceId=i-1&InstanceId=i-2") == {"InstanceIds": ["i-1", "i-2"]}


def test_the_same_value_twice_is_taken_once_and_two_values_are_refused():
    assert read("MaxResults=5&MaxResults=5") == {"MaxResults": 5}
    assert refused("MaxResults=5&MaxResults=6").code == "InvalidParameterCombination"
    assert refused("InstanceId.1=a&InstanceId.01=b").code == "InvalidParameterCombination"


def test_libclouds_tags_are_read():
    text = "ResourceId.0=i-00000001&Tag.0.Key=Name&Tag.0.Value=web"
    assert read(text, TAG) == {
        "Resources": ["i-00000001"],
        "Tags": [{"Key": "Name", "Value": "web"}],
    }


@pytest.mark.parametrize("raw", ["true", "True", "TRUE", "1"])
def test_true_has_four_spellings(raw):
    assert read(f"DryRun={raw}") == {"DryRun": True}


def test_user_data_stays_base64_and_blobs_are_bytes():
    assert read("UserData=aGk%3D", RUN) == {"UserData": "aGk="}
    imported = SERVICE.operation("ImportKeyPair")
    assert read("PublicKeyMaterial=aGk%3D", imported) == {"PublicKeyMaterial": b"hi"}


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T16:00:00Z",
        "2026-11-23T16:00:00.000Z",
        "2026-11-23T16:00:00",
        "2026-11-23T17:00:00%2B01:00",
    ],
)
def test_times_are_read_with_their_zone(text):
    operation = SERVICE.operation("DescribeSpotPriceHistory")
    assert read(f"StartTime={text}", operation) == {
        "StartTime": datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    }


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("Foo=1", "UnknownParameter", "The parameter Foo is not recognized"),
        ("Foo.1.Bar=1", "UnknownParameter", "Foo.1.Bar"),
        ("Filter.1.Nmae=x", "UnknownParameter", "Filter.1.Nmae"),
        ("Filter.x.Name=x", "UnknownParameter", "Filter.x.Name"),
        ("Filter=x", "UnknownParameter", "Filter"),
        ("instanceId.1=x", "UnknownParameter", "instanceId.1"),
        ("InstanceId..1=x", "UnknownParameter", "InstanceId..1"),
        ("=x", "UnknownParameter", "The parameter"),
        ("InstanceId.1.2=x", "UnknownParameter", "InstanceId.1.2"),
        ("InstanceId.-1=x", "UnknownParameter", "InstanceId.-1"),
        ("InstanceId.1000001=x", "UnknownParameter", "InstanceId.1000001"),
        ("InstanceId.%D9%A3=x", "UnknownParameter", "InstanceId."),
        ("InstanceId=x&InstanceId.1=y", "InvalidParameterCombination", "InstanceId"),
        ("MaxResults=5&MaxResults.1=5", "InvalidParameterCombination", "MaxResults"),
        ("MaxResults=five", "InvalidParameterValue", "Value (five) for parameter MaxResults"),
        ("MaxResults=", "InvalidParameterValue", "an integer"),
        ("MaxResults=1_0", "InvalidParameterValue", "an integer"),
        ("MaxResults=%D9%A3", "InvalidParameterValue", "an integer"),
        ("MaxResults=2147483648", "InvalidParameterValue", "an integer"),
        (f"MaxResults={'9' * 9000}", "InvalidParameterValue", "an integer"),
        ("DryRun=", "InvalidParameterValue", "true or false"),
        ("DryRun=maybe", "InvalidParameterValue", "true or false"),
        ("NextToken=a%00b", "InvalidCharacter", "NUL"),
        ("NextToken=%FF", "MalformedQueryString", "UTF-8"),
        ("NextToken=%ED%A0%80", "MalformedQueryString", "UTF-8"),
        ("A." * 40 + "A=1", "UnknownParameter", "A.A"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name(text, code, words):
    refusal = refused(text)
    assert refusal.code == code
    assert words in refusal.message
    assert len(refusal.message) < 300


def test_key_material_is_not_repeated_in_the_refusal():
    refusal = refused("PublicKeyMaterial=s3cr%24t", SERVICE.operation("ImportKeyPair"))
    assert "s3cr" not in refusal.message


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(Refusal) as caught:
        query.read_query([("NextToken", "\ud800")], DESCRIBE)
    assert caught.value.code == "InvalidCharacter"


def test_more_than_the_limit_of_parameters_is_refused_in_both_places():
    pairs = [(f"InstanceId.{number}", "i") for number in range(10_001)]
    with pytest.raises(Refusal):
        query.read_query(pairs, DESCRIBE)
    with pytest.raises(Refusal):
        query.read_pairs(b"&".join(b"a=b" for _ in range(10_001)))
    assert len(query.read_query(pairs[1:], DESCRIBE)["InstanceIds"]) == 10_000


def test_hostile_requests_cost_no_more_than_their_length():
    began = time.process_time()
    read("&".join(f"InstanceId.{1_000_000 - number}=i" for number in range(10_000)))
    refused("&".join(f"Filter.{number}.{'A.' * 30}B=i" for number in range(10_000)))
    refused("A." * 500_000 + "=1")
    refused("&".join("InstanceId=" + "x" * 100 for _ in range(9_999)) + "&Foo=1")
    assert time.process_time() - began < 2


def test_split_takes_out_what_belongs_to_no_operation():
    pairs = query.read_pairs(
        b"Action=RunInstances&Version=2010-08-31&AWSAccessKeyId=helen&Signature=x&ImageId=ami-1"
        b"&SignatureVersion=2&SignatureMethod=HmacSHA1&Timestamp=t&x-amz-date=d&X-Amz-Signature=s"
    )
    asked = query.split(pairs)
    assert (asked.action, asked.version) == ("RunInstances", "2010-08-31")
    assert asked.own == [("ImageId", "ami-1")]
    assert asked.authentication["AWSAccessKeyId"] == "helen"
    assert "helen" not in repr(asked)


def test_a_request_without_version_is_answered_in_the_models():
    assert query.split([("Action", "X")]).version == model.EC2_VERSION


@pytest.mark.parametrize("version", ["latest", '2016-11-15"><x', "2016-11-155", "٢٠١٦-١١-١٥"])
def test_a_version_that_is_no_date_is_refused(version):
    with pytest.raises(Refusal) as caught:
        query.split([("Version", version)])
    assert caught.value.code == "NoSuchVersion"


def test_two_actions_in_one_request_are_refused():
    with pytest.raises(Refusal) as caught:
        query.split([("Action", "DescribeImages"), ("Action", "TerminateInstances")])
    assert caught.value.code == "InvalidParameterCombination"


def test_unknown_and_missing_actions_are_refused_in_ec2s_words():
    with pytest.raises(Refusal) as caught:
        SERVICE.expect("Frobnicate")
    assert caught.value.code == "InvalidAction"
    assert caught.value.message == "The action Frobnicate is not valid for this web service."
    with pytest.raises(Refusal) as caught:
        SERVICE.expect("")
    assert caught.value.code == "MissingAction"


names = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(
            [
                "Filter",
                "Name",
                "Value",
                "InstanceId",
                "DryRun",
                "MaxResults",
                "0",
                "1",
                "2",
                "",
                "x",
            ]
        ),
        max_size=6,
    ).map(".".join),
)


@given(st.lists(st.tuples(names, st.text(max_size=8)), max_size=12))
def test_the_reader_raises_nothing_but_refusals(pairs):
    try:
        query.read_query(query.split(pairs).own, DESCRIBE)
    except Refusal as refusal:
        refusal.message.encode("utf-8", "backslashreplace")


@given(st.binary(max_size=200))
def test_pairs_are_read_from_any_bytes_or_refused(raw):
    with contextlib.suppress(Refusal):
        query.read_query(query.read_pairs(raw), RUN)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=5)), max_size=9))
def test_pairs_come_through_url_encoding_unchanged(pairs):
    assert query.read_pairs(urlencode(pairs).encode()) == pairs
