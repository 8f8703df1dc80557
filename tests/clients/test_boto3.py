"""Stock boto3: its resources and its paginators; its waiters have their own file."""

from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from tests.clients.conftest import account_of
from tests.clients.stories.boto import QUICK, named, play
from tests.support.cloud import Cloud, session

import econe.actions  # noqa: F401 - registers every action
from econe.actions.registry import HANDLERS

# --- resources ---------------------------------------------------------------------------


def test_resources_play_the_story(cloud: Cloud) -> None:
    """What they do and what they insist on stands in stories/boto.py."""
    play(cloud.resource(), cloud.image())


def test_cores_and_threads_are_chosen_and_changed(cloud: Cloud, ec2: Any) -> None:
    (info,) = ec2.describe_instance_types(InstanceTypes=["m5.xlarge"])["InstanceTypes"]
    assert info["VCpuInfo"]["ValidCores"] == [1, 2]
    (instance,) = cloud.resource().create_instances(
        ImageId=cloud.image(),
        MinCount=1,
        MaxCount=1,
        InstanceType="m5.xlarge",
        CpuOptions={"CoreCount": 2, "ThreadsPerCore": 1},
    )
    instance.wait_until_running(WaiterConfig=QUICK)
    instance.reload()
    assert instance.cpu_options == {"CoreCount": 2, "ThreadsPerCore": 1}
    with pytest.raises(ClientError) as caught:
        ec2.modify_instance_cpu_options(InstanceId=instance.id, CoreCount=1, ThreadsPerCore=2)
    assert caught.value.response["Error"]["Code"] == "IncorrectInstanceState"
    instance.stop()
    instance.wait_until_stopped(WaiterConfig=QUICK)
    made = ec2.modify_instance_cpu_options(InstanceId=instance.id, CoreCount=1, ThreadsPerCore=2)
    assert (made["CoreCount"], made["ThreadsPerCore"]) == (1, 2)
    with pytest.raises(ClientError) as caught:
        ec2.modify_instance_cpu_options(InstanceId=instance.id, CoreCount=3, ThreadsPerCore=1)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
    instance.terminate()


def test_burstable_instances_are_unlimited(cloud: Cloud, ec2: Any) -> None:
    """As Terraform asks of each instance whose type is burstable (facts/clients.md)."""
    ids = [
        ec2.run_instances(ImageId=cloud.image(), MinCount=1, MaxCount=1, InstanceType=name)[
            "Instances"
        ][0]["InstanceId"]
        for name in ("t3.micro", "m5.large")
    ]
    (info,) = ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"]
    assert info["BurstablePerformanceSupported"]
    told = ec2.describe_instance_credit_specifications(InstanceIds=ids[:1])
    wanted = [{"InstanceId": ids[0], "CpuCredits": "unlimited"}]
    assert told["InstanceCreditSpecifications"] == wanted
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=QUICK)
    made = ec2.modify_instance_credit_specification(
        InstanceCreditSpecifications=[{"InstanceId": id_, "CpuCredits": "unlimited"} for id_ in ids]
    )
    assert made["SuccessfulInstanceCreditSpecifications"] == [{"InstanceId": ids[0]}]
    (undone,) = made["UnsuccessfulInstanceCreditSpecifications"]
    assert undone["Error"]["Code"] == "InstanceCreditSpecification.NotSupported"
    with pytest.raises(ClientError) as caught:
        ec2.run_instances(
            ImageId=cloud.image(),
            MinCount=1,
            MaxCount=1,
            InstanceType="m5.large",
            CreditSpecification={"CpuCredits": "unlimited"},
        )
    assert caught.value.response["Error"]["Code"] == "InstanceCreditSpecification.NotSupported"
    ec2.terminate_instances(InstanceIds=ids)


def test_collections_act_on_all_that_they_find(cloud: Cloud) -> None:
    ids = cloud.running(3)
    ec2 = cloud.resource()
    found = ec2.instances.filter(InstanceIds=ids)
    found.stop()
    cloud.client().get_waiter("instance_stopped").wait(InstanceIds=ids, WaiterConfig=QUICK)
    found.create_tags(Tags=[{"Key": "all", "Value": ""}])
    assert all(each.tags == [{"Key": "all", "Value": ""}] for each in found.all())
    found.terminate()
    cloud.client().get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=QUICK)


def test_images_are_resources(cloud: Cloud) -> None:
    other = cloud.as_other()
    image = cloud.resource().Image(cloud.image())
    image.create_tags(Tags=[{"Key": "Name", "Value": "golden"}])
    image.modify_attribute(LaunchPermission={"Add": [{"UserId": other.caller.number}]})
    assert [each.id for each in other.resource().images.filter(Owners=[cloud.caller.number])] == [
        image.id
    ]
    image.reset_attribute(Attribute="launchPermission")
    assert list(other.resource().images.filter(Owners=[cloud.caller.number])) == []
    image.deregister()
    assert list(cloud.resource().images.filter(Owners=["self"])) == []


# --- paginators --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowded(_server: Any) -> Cloud:
    """An account with more than one page of all that can be made."""
    app, url = _server
    cloud = Cloud(app, url, account_of(app))
    ec2 = cloud.client()
    images = [cloud.image() for _ in range(7)]
    for number in range(7):
        ec2.create_key_pair(KeyName=f"key{number}", KeyType="ed25519")
        asked = {"LaunchTemplateName": f"template{number}"}
        ec2.create_launch_template(**asked, LaunchTemplateData={"InstanceType": "t2.micro"})
        asked["LaunchTemplateName"] = "template0"
        ec2.create_launch_template_version(**asked, LaunchTemplateData={"KeyName": "key0"})
        ec2.run_instances(
            ImageId=images[number],
            MinCount=1,
            MaxCount=1,
            InstanceType="t2.micro",
            TagSpecifications=named("instance", f"name{number}", team="a"),
        )
    ids = [
        i["InstanceId"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]
    ]
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=QUICK)
    return cloud


REQUIRED = {"DescribeLaunchTemplateVersions": {"LaunchTemplateName": "template0"}}
"""What some Describe has to be told."""
FEW = {
    "DescribeAddressesAttribute", "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs",
}  # fmt: skip
"""Of these an account has less than a page: none or one."""


def paginated() -> list[str]:
    """Implemented actions that boto3 has a paginator for, with a page size."""
    client = session.client("ec2", aws_access_key_id="x", aws_secret_access_key="x")
    names = [name for name in sorted(HANDLERS) if hasattr(client, xform_name(name))]
    return [
        name
        for name in names
        if client.can_paginate(xform_name(name))
        and client.get_paginator(xform_name(name))._limit_key is not None
    ]


def test_the_paginators_are_found() -> None:
    assert {"DescribeInstances", "DescribeImages", "DescribeTags"} <= set(paginated())


@pytest.mark.parametrize("name", paginated())
def test_pages_of_five_give_what_one_call_gives(crowded: Cloud, name: str) -> None:
    client = crowded.client()
    asked = REQUIRED.get(name, {})
    whole = getattr(client, xform_name(name))(**asked)
    assert "NextToken" not in whole
    paginator = client.get_paginator(xform_name(name))
    keys = [key.expression for key in paginator.result_keys]
    pages = []
    for page in paginator.paginate(**asked, PaginationConfig={"PageSize": 5}):
        assert all(len(page[key]) <= 5 for key in keys)
        pages.append(page)
        assert len(pages) <= 500, "it does not end"
    for key in keys:
        assert [item for page in pages for item in page[key]] == whole[key]
    assert (len(pages) == 1) is (name in FEW)
