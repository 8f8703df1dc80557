"""ClientToken: asked again is answered again, and done once."""

import threading
from typing import Any

import pytest
from tests.front.conftest import Desk, Reply
from tests.support.cloud import Cloud as CloudHelp

from econe.app import utc_now
from econe.domain import happenings
from econe.front import repeats


def image(desk: Desk) -> str:
    return CloudHelp(desk.app, "", desk.caller).image()


def run(desk: Desk, token: str, how: str = "v4", **more: str) -> Reply:
    asked = {"MinCount": "1", "MaxCount": "1", "ClientToken": token, **more}
    return desk.ask("RunInstances", how, **asked)


def count(desk: Desk) -> int:
    return len(desk.ask("DescribeInstances").all("instanceId"))


def test_the_same_token_again_is_the_same_answer_under_its_own_request_id(desk: Desk) -> None:
    ami = image(desk)
    first = run(desk, "t", ImageId=ami)
    second = run(desk, "t", ImageId=ami)
    assert first.status == second.status == 200
    assert first.request_id != second.request_id
    assert first.text.replace(first.request_id, "") == second.text.replace(second.request_id, "")
    assert repeats.KEPT_ID not in first.text + second.text
    assert count(desk) == 1


def test_the_second_telling_is_in_the_version_that_it_asks_for(desk: Desk) -> None:
    ami = image(desk)
    run(desk, "t", ImageId=ami)
    again = run(desk, "t", ImageId=ami, Version="2012-12-01")
    assert 'xmlns="http://ec2.amazonaws.com/doc/2012-12-01/"' in again.text


def test_the_spelling_of_a_request_does_not_matter(desk: Desk) -> None:
    ami = image(desk)
    from_one = {f"TagSpecification.1.{k}": v for k, v in _TAGS.items()}
    from_nought = {f"TagSpecification.0.{k}": v for k, v in reversed(_TAGS.items())}
    assert run(desk, "t", ImageId=ami, **from_one).status == 200
    assert run(desk, "t", "v2-get", ImageId=ami, **from_nought).status == 200
    assert count(desk) == 1


_TAGS = {"ResourceType": "instance", "Tag.1.Key": "a", "Tag.1.Value": "1"}


def test_a_token_used_again_for_another_request_is_refused(desk: Desk) -> None:
    ami = image(desk)
    run(desk, "t", ImageId=ami)
    refused = run(desk, "t", ImageId=ami, InstanceType="t2.micro")
    assert (refused.status, refused.code) == (400, "IdempotentParameterMismatch")
    assert count(desk) == 1


def gone(desk: Desk, instance_id: str) -> None:
    with desk.app.store.writing() as tx:
        happenings.gone(tx, instance_id, utc_now())


def test_the_token_of_terminated_instances_tells_of_nothing_any_more(desk: Desk) -> None:
    """API reference, "Error codes": IdempotentInstanceTerminated."""
    ami = image(desk)
    one, two = run(desk, "t", ImageId=ami, MinCount="2", MaxCount="2").all("instanceId")
    desk.ask("TerminateInstances", **{"InstanceId.1": one})
    again = run(desk, "t", ImageId=ami, MinCount="2", MaxCount="2")
    assert again.all("instanceId") == [one, two]  # the other one lives
    desk.ask("TerminateInstances", **{"InstanceId.1": two})
    refused = run(desk, "t", ImageId=ami, MinCount="2", MaxCount="2")
    assert (refused.status, refused.code) == (400, "IdempotentInstanceTerminated")
    for instance_id in (one, two):
        gone(desk, instance_id)
    refused = run(desk, "t", ImageId=ami, MinCount="2", MaxCount="2")
    assert refused.code == "IdempotentInstanceTerminated"
    mismatch = run(desk, "t", ImageId=ami)
    assert mismatch.code == "IdempotentParameterMismatch"
    assert run(desk, "another", ImageId=ami).status == 200


def test_a_token_belongs_to_one_account(desk: Desk) -> None:
    other = Desk(desk.app, desk.vault)
    assert run(desk, "t", ImageId=image(desk)).status == 200
    assert run(other, "t", ImageId=image(other)).status == 200
    assert count(desk) == count(other) == 1


def test_a_refused_request_does_not_use_its_token_up(desk: Desk) -> None:
    assert run(desk, "t", ImageId="ami-99999999").code == "InvalidAMIID.NotFound"
    assert run(desk, "t", ImageId=image(desk)).status == 200


def test_a_dry_run_neither_uses_a_token_nor_is_answered_by_one(desk: Desk) -> None:
    ami = image(desk)
    assert run(desk, "t", ImageId=ami, DryRun="true").status == 412
    assert run(desk, "t", ImageId=ami).status == 200
    assert run(desk, "t", ImageId=ami, DryRun="true").status == 412


@pytest.mark.parametrize("token", ["x" * 65, "naïve"])
def test_a_token_that_ec2_would_not_take_is_refused(desk: Desk, token: str) -> None:
    assert run(desk, token, ImageId=image(desk)).code == "InvalidParameterValue"


def test_some_actions_take_longer_tokens(desk: Desk) -> None:
    """API reference, CreateLaunchTemplate: "Maximum 128 ASCII characters"."""
    asked = {"LaunchTemplateName": "web", "LaunchTemplateData.InstanceType": "m1.small"}
    refused = desk.ask("CreateLaunchTemplate", ClientToken="x" * 129, **asked)
    assert (refused.code, "128" in refused.message) == ("InvalidParameterValue", True)
    for _ in range(2):
        made = desk.ask("CreateLaunchTemplate", ClientToken="x" * 128, **asked)
        assert made.all("launchTemplateName") == ["web"]


def test_two_requests_with_one_token_at_once_make_one_set(desk: Desk) -> None:
    ami = image(desk)
    start, replies = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        replies.append(run(desk, "t", ImageId=ami))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.status for each in replies} == {200}
    assert len({each.all("instanceId")[0] for each in replies}) == 1
    assert count(desk) == 1


def test_the_stand_ins_of_users_are_left_alone() -> None:
    """Only the first place is ours: what a user wrote stands further down."""
    document = (
        f'<A xmlns="{repeats.KEPT_VERSION}"><requestId>{repeats.KEPT_ID}</requestId>'.encode()
    )
    users = f"<t>{repeats.KEPT_ID} {repeats.KEPT_VERSION}</t>".encode()
    told = repeats.told(document + users, "new", "2016-11-15")
    assert told == b'<A xmlns="2016-11-15"><requestId>new</requestId>' + users


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"A": 1, "B": [1, 2]}, {"B": [1, 2], "A": 1}, True),
        ({"A": 1, "ClientToken": "x", "DryRun": False}, {"A": 1, "ClientToken": "y"}, True),
        ({"A": [1, 2]}, {"A": [2, 1]}, False),
        ({"A": "1"}, {"A": 1}, False),
        ({"A": b"\xff"}, {"A": b"\xfe"}, False),
    ],
)
def test_the_digest_is_of_what_was_asked(one: Any, other: Any, same: bool) -> None:
    assert (repeats.digest(one) == repeats.digest(other)) is same
