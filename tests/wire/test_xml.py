import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from econe.wire import model, xml
from econe.wire.fragments import FragmentKeeper, Rendered

SERVICE = model.load()
DESCRIBE = SERVICE.operation("DescribeInstances")


@dataclass
class Fresh:
    fragment_key: Any
    structure: dict[str, Any]
    xml: bytes | None = None


def written(answer, operation=DESCRIBE, version="2016-11-15", keeper=None):
    return xml.write_answer(operation, answer, "an-id", version, keeper)


def parsed(body, operation=DESCRIBE):
    response = {"body": body, "headers": {}, "status_code": 200}
    return create_parser("ec2").parse(response, operation.output_shape)


def reservations(*instances):
    return {"Reservations": [{"ReservationId": "r-1", "Instances": list(instances)}]}


def test_the_namespace_is_that_of_the_requested_version_and_the_request_id_comes_first():
    body = written({"NextToken": "t"}, version="2010-08-31")
    root = ET.fromstring(body)
    assert root.tag == "{http://ec2.amazonaws.com/doc/2010-08-31/}DescribeInstancesResponse"
    assert root[0].tag == "{http://ec2.amazonaws.com/doc/2010-08-31/}requestId"
    assert root[0].text == "an-id"


def test_empty_lists_are_there_and_absent_members_are_not():
    body = written({"Reservations": [], "NextToken": None})
    assert b"<reservationSet></reservationSet>" in body
    assert b"nextToken" not in body


def test_an_upload_is_answered_as_the_old_server_did():
    body = written({"ImageId": "ami-00000001"}, SERVICE.operation("UploadImage"), "2008-12-01")
    root = ET.fromstring(body)
    assert root.tag.endswith("}RegisterImageResponse")
    assert root[1].tag == "{http://ec2.amazonaws.com/doc/2008-12-01/}imageId"


def test_an_action_without_output_answers_true():
    body = written({}, SERVICE.operation("DeleteVolume"))
    assert b"<return>true</return>" in body
    with pytest.raises(ValueError, match="answers nothing"):
        written({"Return": True}, SERVICE.operation("DeleteVolume"))


def test_sts_answers_in_its_own_form():
    body = written({"Account": "123456789012"}, SERVICE.operation("GetCallerIdentity"))
    space = "{https://sts.amazonaws.com/doc/2011-06-15/}"
    root = ET.fromstring(body)
    assert root.tag == f"{space}GetCallerIdentityResponse"
    assert root.find(f"{space}GetCallerIdentityResult/{space}Account").text == "123456789012"
    assert root.find(f"{space}ResponseMetadata/{space}RequestId").text == "an-id"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 23, 16, 0, tzinfo=UTC), b"2026-11-23T16:00:00.000Z"),
        (datetime(2026, 11, 23, 16, 0, 0, 123456, tzinfo=UTC), b"2026-11-23T16:00:00.000Z"),
        (
            datetime(2026, 11, 23, 18, 0, tzinfo=timezone(timedelta(hours=2))),
            b"2026-11-23T16:00:00.000Z",
        ),
    ],
)
def test_times_are_written_in_utc_to_the_second(moment, text):
    assert b"<launchTime>" + text + b"</launchTime>" in written(
        reservations({"LaunchTime": moment})
    )


class Colour(StrEnum):
    RED = "red"


def test_enumerations_are_written_by_their_value_and_booleans_in_lower_case():
    body = written(reservations({"ImageId": Colour.RED, "EbsOptimized": True}))
    assert b"<imageId>red</imageId>" in body
    assert b"<ebsOptimized>true</ebsOptimized>" in body


@pytest.mark.parametrize(
    "wrong",
    [
        {"Typo": 1},
        reservations({"LaunchTime": datetime(2026, 1, 1)}),
        reservations({"LaunchTime": "yesterday"}),
        reservations({"EbsOptimized": "yes"}),
    ],
)
def test_an_answer_that_does_not_fit_the_model_is_our_mistake_and_is_found(wrong):
    with pytest.raises(ValueError, match=r"no |has"):
        written(wrong)


@given(st.text())
def test_any_text_comes_back_with_forbidden_characters_replaced(text):
    body = written(reservations({"ImageId": text}))
    back = parsed(body)["Reservations"][0]["Instances"][0]["ImageId"]
    allowed = [
        c
        if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else "�"
        for c in text
    ]
    assert back == "".join(allowed)


@given(st.text(), st.text(), st.text())
def test_an_error_document_can_always_be_read(code, message, request_id):
    root = ET.fromstring(xml.write_error(code, message, request_id))
    assert [child.tag for child in root] == ["Errors", "RequestID"]
    assert [child.tag for child in root[0][0]] == ["Code", "Message"]


@pytest.mark.parametrize(("protocol", "version"), [("ec2", "2016-11-15"), ("query", "2011-06-15")])
def test_the_official_client_reads_our_errors(protocol, version):
    body = xml.write_error("InvalidInstanceID.NotFound", "The <id> & so", "an-id", version)
    response = {"body": body, "headers": {}, "status_code": 400}
    read = create_parser(protocol).parse(response, None)
    assert read["Error"]["Code"] == "InvalidInstanceID.NotFound"
    assert read["Error"]["Message"] == "The <id> & so"
    assert read["ResponseMetadata"]["RequestId"] == "an-id"


# --- fragments ---------------------------------------------------------------------------


def test_a_fragment_is_written_as_its_structure_would_be():
    plain = {"InstanceId": "i-1", "Tags": [{"Key": "é<", "Value": ""}]}
    assert written(reservations(Fresh("k", plain), {"InstanceId": "i-2"})) == written(
        reservations(plain, {"InstanceId": "i-2"})
    )


def test_a_rendered_fragment_is_kept_and_its_bytes_are_used_the_next_time():
    keeper = FragmentKeeper()
    first = written(reservations(Fresh(("i-1", 7), {"InstanceId": "i-1"})), keeper=keeper)
    known = keeper.known([("i-1", 7), ("i-2", 1)])
    assert list(known) == [("i-1", 7)]
    assert written(reservations(known["i-1", 7]), keeper=keeper) == first
    assert written(reservations(Rendered("k", b"<anything/>"))).count(b"<item><anything/></item>")


def test_without_a_keeper_nothing_is_kept():
    keeper = FragmentKeeper()
    written(reservations(Fresh("k", {"InstanceId": "i-1"})))
    assert len(keeper) == 0


def test_fragments_may_stand_inside_fragments():
    keeper = FragmentKeeper()
    outer = Fresh("r", {"ReservationId": "r-1", "Instances": [Fresh("i", {"InstanceId": "i-1"})]})
    body = written({"Reservations": [outer]}, keeper=keeper)
    assert body == written(reservations({"InstanceId": "i-1"}))
    assert set(keeper.known(["r", "i"])) == {"r", "i"}


def test_a_keeper_forgets_the_least_recently_used_when_it_is_full():
    keeper = FragmentKeeper(most_bytes=3 * (1000 + 400))
    for key in "abc":
        keeper.keep(key, b"x" * 1000)
    keeper.known("a")
    keeper.keep("d", b"x" * 1000)
    assert set(keeper.known("abcd")) == {"a", "c", "d"}
    keeper.keep("d", b"y")
    assert keeper.known("d")["d"].xml == b"y"
    keeper.keep("e", b"x" * 5000)
    assert len(keeper) == 0
