"""Times as EC2 tells them, in answers and in filters: whole seconds, with three noughts."""

import pytest
from tests.support.desk import Desk

from econe.actions.filters import moment_text
from econe.wire import model
from econe.wire.xml import write_answer


@pytest.fixture
def desk(helen: Desk) -> Desk:
    """At a time that is no whole second."""
    helen.now = helen.now.replace(microsecond=987654)
    return helen


def xml(desk: Desk, action: str) -> str:
    return write_answer(model.load().expect(action), desk(action), "r").decode()


def test_every_time_of_a_launch_is_the_same_text(desk: Desk):
    (id_,) = desk.running()
    (view,) = desk.instances(InstanceIds=[id_])
    times = [
        view["LaunchTime"],
        view["UsageOperationUpdateTime"],
        view["BlockDeviceMappings"][0]["Ebs"]["AttachTime"],
        view["NetworkInterfaces"][0]["Attachment"]["AttachTime"],
        *(each["CreateTime"] for each in desk("DescribeVolumes")["Volumes"]),
    ]
    assert {moment_text(each) for each in times} == {"2026-11-23T16:00:00.000Z"}


@pytest.mark.parametrize(
    "action", ["DescribeVolumes", "DescribeImages", "DescribeKeyPairs", "DescribeLaunchTemplates"]
)
def test_no_answer_has_parts_of_a_second(desk: Desk, action: str):
    desk.running()
    desk("CreateKeyPair", KeyName="mine", KeyType="ed25519")
    data = {"InstanceType": "t2.micro"}
    desk("CreateLaunchTemplate", LaunchTemplateName="mine", LaunchTemplateData=data)
    made = xml(desk, action)
    assert "2026-11-23T16:00:00.000Z" in made
    assert ".987" not in made


@pytest.mark.parametrize(
    ("value", "is_found"),
    [
        ("2026-11-23T16:00:00.000Z", True),
        ("2026-11-23T16:00:00.987Z", False),
        ("2026-11-23T16*", True),
        ("2026-11-2?T*", True),
        ("2026-11-24*", False),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "launch-time",
        "usage-operation-update-time",
        "block-device-mapping.attach-time",
        "network-interface.attachment.attach-time",
    ],
)
def test_filters_see_the_times_that_are_shown(desk: Desk, name: str, value: str, is_found: bool):
    ids = desk.running()
    found = desk.instances(Filters=[{"Name": name, "Values": [value]}])
    assert [view["InstanceId"] for view in found] == (ids if is_found else [])


def test_a_second_launch_has_a_time_of_its_own_and_changes_no_other(desk: Desk):
    (id_,) = desk.running()
    desk("StopInstances", InstanceIds=[id_])
    desk.halted([id_])
    desk.passes(3600)
    desk("StartInstances", InstanceIds=[id_])
    desk.started([id_])
    (view,) = desk.instances(InstanceIds=[id_])
    assert moment_text(view["LaunchTime"]) == "2026-11-23T17:00:00.000Z"
    for time in (
        view["UsageOperationUpdateTime"],
        view["BlockDeviceMappings"][0]["Ebs"]["AttachTime"],
        view["NetworkInterfaces"][0]["Attachment"]["AttachTime"],
    ):
        assert moment_text(time) == "2026-11-23T16:00:00.000Z"
    desk("TerminateInstances", InstanceIds=[id_])
    desk.terminated()
    (view,) = desk.instances(InstanceIds=[id_])
    assert moment_text(view["UsageOperationUpdateTime"]) == "2026-11-23T16:00:00.000Z"
