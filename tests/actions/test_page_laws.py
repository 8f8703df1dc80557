"""What holds of the pages of every Describe that has them; the model says which these are."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.support import reference
from tests.support.desk import Desk, items_of, make_account, make_cloud, refused
from tests.support.filter_tables import TABLES

from econe.actions.registry import HANDLERS
from econe.domain.faults import Conflict, Invalid, Noun
from econe.domain.queries import Query
from econe.store import open_store
from econe.wire import model

MANY = 11


@dataclass(frozen=True)
class Listed:
    """How an action is paged: what the model does not say of it, the reference's older text does
    (5-1000 of instances, their statuses, tags and volumes; 1-1000 of images; 1-200 of versions)."""

    member: str
    known_by: tuple[str, ...]
    bounds: tuple[int, int] | None = None
    ids: str = ""
    """The member of ids that may not be given together with MaxResults."""
    asked: tuple[tuple[str, Any], ...] = ()


LISTED = {
    "DescribeAddressesAttribute": Listed("Addresses", ("AllocationId",)),
    "DescribeImages": Listed("Images", ("ImageId",), (1, 1000)),
    "DescribeInstanceCreditSpecifications": Listed(
        "InstanceCreditSpecifications", ("InstanceId",), ids="InstanceIds"
    ),
    "DescribeInstanceStatus": Listed(
        "InstanceStatuses",
        ("InstanceId",),
        (5, 1000),
        ids="InstanceIds",
        asked=(("IncludeAllInstances", True),),
    ),
    "DescribeInstanceTypeOfferings": Listed("InstanceTypeOfferings", ("InstanceType",)),
    "DescribeInstanceTypes": Listed("InstanceTypes", ("InstanceType",)),
    "DescribeInstances": Listed("Reservations", ("InstanceId",), (5, 1000), ids="InstanceIds"),
    "DescribeLaunchTemplateVersions": Listed(
        "LaunchTemplateVersions",
        ("LaunchTemplateId", "VersionNumber"),
        (1, 200),
        asked=(("Versions", ["$Latest", "$Default"]),),
    ),
    "DescribeLaunchTemplates": Listed("LaunchTemplates", ("LaunchTemplateId",)),
    "DescribeNetworkInterfaces": Listed(
        "NetworkInterfaces", ("NetworkInterfaceId",), ids="NetworkInterfaceIds"
    ),
    "DescribeSecurityGroups": Listed("SecurityGroups", ("GroupId",)),
    "DescribeSubnets": Listed("Subnets", ("SubnetId",)),
    "DescribeTags": Listed("Tags", ("ResourceId", "Key"), (5, 1000)),
    "DescribeVolumes": Listed("Volumes", ("VolumeId",), (5, 1000)),
    "DescribeVpcs": Listed("Vpcs", ("VpcId",)),
}
EACH = pytest.mark.parametrize("action", LISTED)
WITH_ROWS = pytest.mark.parametrize("action", sorted(set(LISTED) - {"DescribeAddressesAttribute"}))


def bounds(action: str) -> tuple[int, int]:
    found = reference.bounds(action, "MaxResults") or LISTED[action].bounds
    assert found is not None
    return found


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Desk]]:
    """Two accounts; the first has more than two pages of everything."""
    store, cloud = open_store(tmp_path_factory.mktemp("pages")), make_cloud()
    helen = make_account(store, cloud, "111122223333", "helen")
    paris = make_account(store, cloud, "444455556666", "paris")
    for number in range(MANY):
        helen.image()
        data = {"LaunchTemplateName": f"lt-{number}", "LaunchTemplateData": {"KeyName": "x"}}
        helen("CreateLaunchTemplate", **data)
        helen("CreateLaunchTemplateVersion", **data)
    for id_ in helen.launch(MANY, InstanceType="t2.micro"):
        helen("CreateTags", Resources=[id_], Tags=[{"Key": key, "Value": ""} for key in "ab"])
    _widen(helen)
    yield helen, paris
    store.close()


def _widen(desk: Desk) -> None:
    """More networks than an account of this cloud can have yet."""
    with desk.store.writing() as tx:
        (vpc,), (subnet,), (group,) = (
            [row for row in rows.find(Query()).items if row.account == desk.account.number]
            for rows in (tx.vpcs, tx.subnets, tx.security_groups)
        )
        for number in range(MANY):
            (vpc_id,), (subnet_id,) = tx.next_ids("vpc"), tx.next_ids("subnet")
            (group_id,) = tx.next_ids("sg")
            cidr = f"10.{number}.0.0/16"
            tx.vpcs.add(replace(vpc, id=vpc_id, cidr=cidr, is_default=False, tags={}))
            tx.subnets.add(
                replace(subnet, id=subnet_id, vpc_id=vpc_id, cidr=cidr, is_default=False, tags={})
            )
            tx.security_groups.add(replace(group, id=group_id, vpc_id=vpc_id, tags={}))


def page(desk: Desk, action: str, **asked: Any) -> tuple[list[Any], str | None]:
    """What names each item, and the token."""
    how = LISTED[action]
    answer = desk(action, **dict(how.asked), **asked)
    items = items_of(answer, how.member)
    return [tuple(item[name] for name in how.known_by) for item in items], answer.get("NextToken")


def damaged(token: str) -> Iterator[str]:
    raw = base64.urlsafe_b64decode(token)
    for place in (0, len(raw) // 2, len(raw) - 1):
        changed = bytearray(raw)
        changed[place] ^= 4
        yield base64.urlsafe_b64encode(changed).decode()
    yield from (token[:-4], token + "AAAA", "elephant", "=", "\u00fc")


def test_every_action_with_pages_in_the_model_has_them_here() -> None:
    service = model.load()
    paged = {
        name
        for name in HANDLERS
        if (shape := service.expect(name).input_shape) is not None and "MaxResults" in shape.members
    }
    assert paged == set(LISTED)
    assert all({"MaxResults", "NextToken"} <= HANDLERS[name].takes for name in paged)


@EACH
def test_a_page_may_be_as_long_as_ec2_says(desks: tuple[Desk, Desk], action: str) -> None:
    helen, _ = desks
    least, most = bounds(action)
    for limit in (least, most):
        page(helen, action, MaxResults=limit)
    for limit in (-1, 0, least - 1, most + 1):
        with refused(Invalid, Noun.PARAMETER, "maxResults"):
            page(helen, action, MaxResults=limit)


@WITH_ROWS
def test_pages_bring_everything_once_and_in_order(desks: tuple[Desk, Desk], action: str) -> None:
    helen, _ = desks
    whole, none = page(helen, action)
    assert len(whole) >= MANY
    assert none is None
    least, _ = bounds(action)
    seen, tokens, asked = [], set(), {}
    for _ in range(len(whole) // least + 1):
        items, token = page(helen, action, MaxResults=least, **asked)
        assert len(items) <= least
        seen += items
        if token is None:
            break
        assert len(items) == least
        assert token not in tokens
        tokens.add(token)
        asked = {"NextToken": token}
    assert seen == whole
    assert len(tokens) >= 2


@WITH_ROWS
def test_a_token_is_of_one_list_of_one_account(desks: tuple[Desk, Desk], action: str) -> None:
    helen, paris = desks
    least, most = bounds(action)
    _, token = page(helen, action, MaxResults=least)
    assert token is not None
    rest, none = page(helen, action, NextToken=token)
    assert none is None
    assert page(helen, action, NextToken=token, MaxResults=most)[0] == rest[:most]
    assert page(helen, action, NextToken=token, DryRun=False) == (rest, None)
    with refused(Invalid, Noun.PARAMETER, "token"):
        page(paris, action, NextToken=token)
    another = "DescribeTags" if action != "DescribeTags" else "DescribeVolumes"
    with refused(Invalid, Noun.PARAMETER, "token"):
        page(helen, another, NextToken=token)
    (name, *_) = sorted(TABLES[action].names())
    with refused(Invalid, Noun.PARAMETER, "token"):
        page(helen, action, NextToken=token, Filters=[{"Name": name, "Values": ["*"]}])
    for wrong in damaged(token):
        with refused(Invalid, Noun.PARAMETER, "token"):
            page(helen, action, NextToken=wrong)


@pytest.mark.parametrize("action", sorted(name for name, how in LISTED.items() if how.ids))
def test_a_limit_and_ids_exclude_each_other_where_ec2_says_so(
    desks: tuple[Desk, Desk], action: str
) -> None:
    helen, _ = desks
    member = LISTED[action].ids
    (first, *_), _ = page(helen, action)
    assert page(helen, action, **{member: [first[0]]}) == ([first], None)
    with refused(Conflict, Noun.PARAMETER, member):
        page(helen, action, MaxResults=5, **{member: [first[0]]})
    said = reference.members(action)["MaxResults"]["documentation"]
    assert "IDs parameter in the same " in said


@EACH
def test_no_other_may_not_be_asked_for_by_id_with_a_limit(action: str) -> None:
    said = reference.members(action)["MaxResults"]["documentation"]
    assert ("IDs parameter in the same " in said) is bool(LISTED[action].ids)
