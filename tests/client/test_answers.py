"""EC2's XML without the model."""

import pytest

from econe.client.answers import DEEPEST, listed, read_xml, text_at
from econe.client.errors import BadAnswer


def test_items_make_a_list_and_other_children_a_dict():
    root, value = read_xml(
        b"<DescribeXResponse xmlns='http://ec2.amazonaws.com/doc/2016-11-15/'>"
        b"<requestId>1</requestId><xSet><item><id>a</id></item><item><id>b</id></item></xSet>"
        b"</DescribeXResponse>"
    )
    assert root == "DescribeXResponse"
    assert value == {"requestId": "1", "xSet": [{"id": "a"}, {"id": "b"}]}


def test_one_item_is_a_list_of_one():
    assert read_xml(b"<r><xSet><item>a</item></xSet></r>")[1] == {"xSet": ["a"]}


def test_an_empty_list_is_a_list_and_an_empty_text_a_text():
    _, value = read_xml(b"<r><tagSet/><blockDeviceMapping></blockDeviceMapping><value/></r>")
    assert value == {"tagSet": [], "blockDeviceMapping": [], "value": ""}


def test_text_keeps_its_blanks_and_ends_of_lines_and_structures_lose_theirs():
    _, value = read_xml(b"<r>\n  <keyMaterial>a\n b\n</keyMaterial>\n</r>")
    assert value == {"keyMaterial": "a\n b\n"}


def test_escapes_cdata_and_any_unicode_are_read():
    document = "<r><v>a&amp;b&lt;&#10;<![CDATA[<x>]]>é漢😀</v></r>".encode()
    assert read_xml(document)[1] == {"v": "a&b<\n<x>é漢😀"}


def test_an_element_that_is_repeated_without_being_an_item_is_a_list():
    assert read_xml(b"<r><Error>a</Error><Error>b</Error><Error>c</Error></r>")[1] == {
        "Error": ["a", "b", "c"]
    }


def test_prefixes_of_namespaces_are_no_part_of_names():
    assert read_xml(b"<e:r xmlns:e='urn:x'><e:id>1</e:id></e:r>") == ("r", {"id": "1"})


BOMB = (
    b"<!DOCTYPE r [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]><r>&b;</r>"
)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"not xml",
        b"<r>",
        b"<r></x>",
        b"<r>\xff\xfe</r>",
        b"\x00" * 100,
        b"<?xml version='1.0' encoding='no-such'?><r/>",
        b"<r/><r/>",
        BOMB,
        b"<!DOCTYPE r SYSTEM 'file:///etc/passwd'><r/>",
        b"<r>&undefined;</r>",
        b"<a>" * (DEEPEST + 1) + b"</a>" * (DEEPEST + 1),
    ],
)
def test_what_is_not_an_answer_of_ec2_is_refused(document):
    with pytest.raises(BadAnswer):
        read_xml(document)


def test_the_deepest_answer_that_is_allowed_is_read():
    read_xml(b"<a>" * DEEPEST + b"</a>" * DEEPEST)


def test_listed_and_text_at_take_what_ec2_leaves_out_as_empty():
    answer = {"a": {"bSet": ["x"]}, "empty": "", "text": "t"}
    assert listed(answer, "a", "bSet") == ["x"]
    assert listed(answer, "a", "none") == []
    assert listed(answer, "empty") == []
    assert listed(answer, "text", "below") == []
    assert text_at(answer, "text") == "t"
    assert text_at(answer, "a") == ""
    assert text_at(answer, "no", "such") == ""
    with pytest.raises(BadAnswer):
        listed(answer, "text")
