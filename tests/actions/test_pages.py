import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.desk import refused

from econe.domain.faults import Conflict, Invalid, Noun
from econe.domain.hidden import Hidden


def walk(desk, action, member, **asked):
    """All items, page by page; no token comes twice."""
    token, seen, items = None, set(), []
    while True:
        answer = desk(action, **asked, **({"NextToken": token} if token else {}))
        items.append(answer[member])
        token = answer.get("NextToken")
        if token is None:
            return items
        assert token not in seen
        seen.add(token)


def ids(pages):
    return [
        [each.structure["InstanceId"] for r in page for each in r["Instances"]] for page in pages
    ]


def test_pages_bring_every_instance_once_and_in_order(helen):
    made = helen.launch(12)
    pages = ids(walk(helen, "DescribeInstances", "Reservations", MaxResults=5))
    assert pages == [made[:5], made[5:10], made[10:]]


def test_a_last_page_that_is_full_has_no_token(helen):
    helen.launch(10)
    assert len(walk(helen, "DescribeInstances", "Reservations", MaxResults=5)) == 2


def test_pages_are_full_also_where_filters_look_into_views(helen):
    image = helen.image()
    stopping = []
    for _ in range(13):
        stopping += helen.running(ImageId=image)
        helen.launch(ImageId=image)
    helen("StopInstances", InstanceIds=stopping)
    pages = ids(
        walk(
            helen,
            "DescribeInstances",
            "Reservations",
            MaxResults=5,
            Filters=[{"Name": "instance-state-code", "Values": ["64"]}],
        )
    )
    assert pages == [stopping[:5], stopping[5:10], stopping[10:]]


def test_what_is_removed_meanwhile_does_not_lose_the_place(helen):
    made = helen.launch(10)
    first = helen("DescribeInstances", MaxResults=5)
    with helen.store.writing() as tx:
        row = tx.instances.get(made[4])
        tx.interfaces.remove(row.interfaces[0].id)
        tx.volumes.remove(row.volumes[0].id)
        tx.instances.remove(made[4])
    second = helen("DescribeInstances", MaxResults=5, NextToken=first["NextToken"])
    assert ids([second["Reservations"]]) == [made[5:]]


@pytest.mark.parametrize("limit", [-1, 0, 4, 1001])
def test_limits_are_5_to_1000(helen, limit):
    with refused(Invalid, Noun.PARAMETER, "maxResults"):
        helen("DescribeInstances", MaxResults=limit)


@pytest.mark.parametrize(
    ("action", "member", "some"),
    [
        ("DescribeInstances", "InstanceIds", "i-1"),
        ("DescribeInstanceStatus", "InstanceIds", "i-1"),
        ("DescribeNetworkInterfaces", "NetworkInterfaceIds", "eni-1"),
    ],
)
def test_where_the_reference_says_so_a_limit_and_ids_exclude_each_other(
    helen, action, member, some
):
    helen.launch()
    with refused(Conflict, Noun.PARAMETER, member):
        helen(action, MaxResults=5, **{member: [some]})


@pytest.mark.parametrize(
    ("action", "member", "some"),
    [
        ("DescribeVolumes", "VolumeIds", "vol-1"),
        ("DescribeVpcs", "VpcIds", "vpc-1"),
        ("DescribeSubnets", "SubnetIds", "subnet-1"),
        ("DescribeSecurityGroups", "GroupIds", "sg-1"),
        ("DescribeInstanceTypes", "InstanceTypes", "m1.small"),
    ],
)
def test_elsewhere_they_go_together(helen, action, member, some):
    helen.launch()
    assert "NextToken" not in helen(action, MaxResults=5, **{member: [some]})


def test_types_and_tags_have_pages_too(helen):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_], Tags=[{"Key": f"k{n:02}", "Value": ""} for n in range(12)])
    pages = walk(helen, "DescribeTags", "Tags", MaxResults=5)
    assert [[tag["Key"] for tag in page] for page in pages] == [
        [f"k{n:02}" for n in part] for part in (range(5), range(5, 10), range(10, 12))
    ]
    types = walk(helen, "DescribeInstanceTypes", "InstanceTypes", MaxResults=10)
    names = [each["InstanceType"] for page in types for each in page]
    assert names == sorted(helen.cloud.sizes)


@pytest.fixture
def token(helen):
    helen.launch(6)
    return helen("DescribeInstances", MaxResults=5)["NextToken"]


def test_a_token_is_bound_to_its_account(paris, token):
    with refused(Invalid, Noun.PARAMETER, "token"):
        paris("DescribeInstances", MaxResults=5, NextToken=token)


def test_and_to_its_action(helen, token):
    with refused(Invalid, Noun.PARAMETER, "token"):
        helen("DescribeInstanceStatus", MaxResults=5, NextToken=token)


def test_and_to_this_servers_key(helen, token):
    helen.cloud = replace(helen.cloud, page_key=Hidden(b"another"))
    with refused(Invalid, Noun.PARAMETER, "token"):
        helen("DescribeInstances", MaxResults=5, NextToken=token)


def test_every_changed_bit_is_noticed(helen, token):
    raw = bytearray(base64.urlsafe_b64decode(token))
    for place in range(len(raw)):
        raw[place] ^= 1
        with refused(Invalid, Noun.PARAMETER, "token"):
            helen("DescribeInstances", NextToken=base64.urlsafe_b64encode(raw).decode())
        raw[place] ^= 1


def test_no_text_makes_a_token_reader_fail_otherwise(helen):
    @given(st.text(min_size=1))
    def invented(text):
        with refused(Invalid, Noun.PARAMETER, "token"):
            helen("DescribeTags", NextToken=text)

    invented()
