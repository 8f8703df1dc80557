"""Launch templates by unmodified boto3 against the whole running app."""

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.cloud import Cloud, codes
from tests.support.eventually import eventually

ID, VERSION = "aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version"


def code(call: Any, **asked: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    return codes(refused)


def tags_of(ec2: Any, instance: str) -> dict[str, str]:
    by = [{"Name": "resource-id", "Values": [instance]}]
    pages = ec2.get_paginator("describe_tags").paginate(Filters=by)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def test_terraforms_life_of_a_template(cloud: Cloud, ec2: Any) -> None:
    """aws_launch_template and an aws_instance of it: what the provider calls, in its order."""
    image = cloud.image()
    made = ec2.create_launch_template(
        ClientToken="terraform-20261123160000000000000001",
        LaunchTemplateName="web",
        VersionDescription="first",
        LaunchTemplateData={
            "ImageId": image,
            "InstanceType": "t3.micro",
            "CreditSpecification": {"CpuCredits": "unlimited"},
            "UserData": base64.b64encode(b"#!/bin/sh").decode(),
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}
            ],
        },
        TagSpecifications=[
            {"ResourceType": "launch-template", "Tags": [{"Key": "Env", "Value": "prod"}]}
        ],
    )
    assert "Warning" not in made
    template = made["LaunchTemplate"]["LaunchTemplateId"]
    (row,) = ec2.describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"]
    assert row == made["LaunchTemplate"]
    latest = str(row["LatestVersionNumber"])
    (version,) = ec2.describe_launch_template_versions(
        LaunchTemplateId=template, Versions=[latest]
    )["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["InstanceType"] == "t3.micro"

    launched = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Default"},
        ClientToken="terraform-20261123160000000000000002",
        MinCount=1,
        MaxCount=1,
    )
    instance = launched["Instances"][0]["InstanceId"]
    assert launched["Instances"][0]["InstanceType"] == "t3.micro"
    eventually(lambda: cloud.states([instance]) == ["running"], within_s=10)
    assert tags_of(ec2, instance) == {"Name": "web", ID: template, VERSION: "1"}

    ec2.create_launch_template_version(
        LaunchTemplateId=template, LaunchTemplateData={"ImageId": image, "InstanceType": "m1.small"}
    )
    ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="2")
    (row,) = ec2.describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"]
    assert (row["DefaultVersionNumber"], row["LatestVersionNumber"]) == (2, 2)
    ec2.create_tags(Resources=[template], Tags=[{"Key": "Env", "Value": "test"}])
    by_tag = [{"Name": "tag:Env", "Values": ["test"]}]
    assert len(ec2.describe_launch_templates(Filters=by_tag)["LaunchTemplates"]) == 1

    ec2.delete_launch_template(LaunchTemplateId=template)
    assert code(ec2.describe_launch_templates, LaunchTemplateIds=[template]) == (
        "InvalidLaunchTemplateId.NotFound",
        400,
    )
    assert tags_of(ec2, instance)[ID] == template


def test_the_codes_that_clients_look_for(cloud: Cloud, ec2: Any) -> None:
    data = {"InstanceType": "m1.small"}
    name = {"LaunchTemplateName": "web"}
    ec2.create_launch_template(**name, LaunchTemplateData=data)
    for call, asked, expected in (
        (
            ec2.create_launch_template,
            {**name, "LaunchTemplateData": data},
            "InvalidLaunchTemplateName.AlreadyExistsException",
        ),
        (
            ec2.create_launch_template,
            {"LaunchTemplateName": "a b", "LaunchTemplateData": data},
            "InvalidLaunchTemplateName.MalformedException",
        ),
        (
            ec2.create_launch_template,
            {"LaunchTemplateName": "empty", "LaunchTemplateData": {}},
            "MissingParameter",
        ),
        (
            ec2.create_launch_template,
            {"LaunchTemplateName": "gpu", "LaunchTemplateData": {"KernelId": "aki-1"}},
            "UnsupportedOperation",
        ),
        (
            ec2.create_launch_template,
            {"LaunchTemplateName": "fleet", "LaunchTemplateData": REQUIREMENTS},
            "UnsupportedOperation",
        ),
        (
            ec2.describe_launch_templates,
            {"LaunchTemplateNames": ["other"]},
            "InvalidLaunchTemplateName.NotFoundException",
        ),
        (
            ec2.describe_launch_templates,
            {"LaunchTemplateIds": ["lt-x"]},
            "InvalidLaunchTemplateId.Malformed",
        ),
        (
            ec2.delete_launch_template,
            {"LaunchTemplateId": "lt-0123456789abcdef0"},
            "InvalidLaunchTemplateId.NotFound",
        ),
        (
            ec2.modify_launch_template,
            {**name, "DefaultVersion": "7"},
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (
            ec2.describe_launch_template_versions,
            {**name, "Versions": ["7"]},
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (
            ec2.describe_launch_template_versions,
            {"LaunchTemplateName": "a b"},
            "InvalidLaunchTemplateName.MalformedException",
        ),
        (
            ec2.delete_launch_template_versions,
            {**name, "Versions": ["1"]},
            "InvalidParameterValue",
        ),
        (ec2.delete_launch_template, {}, "MissingParameter"),
        (
            ec2.delete_launch_template,
            {**name, "LaunchTemplateId": "lt-00000001"},
            "InvalidParameterCombination",
        ),
        (
            ec2.run_instances,
            {"LaunchTemplate": {"LaunchTemplateName": "other"}, "MinCount": 1, "MaxCount": 1},
            "InvalidLaunchTemplateName.NotFoundException",
        ),
    ):
        assert code(call, **asked) == (expected, 400), asked


REQUIREMENTS = {"InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}}


def test_a_template_that_cannot_be_run_yet_comes_with_a_warning(ec2: Any) -> None:
    made = ec2.create_launch_template(
        LaunchTemplateName="later", LaunchTemplateData={"ImageId": "ami-00000099", "KeyName": "k"}
    )
    assert [each["Code"] for each in made["Warning"]["Errors"]] == [
        "InvalidKeyPair.NotFound",
        "InvalidAMIID.NotFound",
    ]
    assert all(each["Message"] for each in made["Warning"]["Errors"])


def test_dry_runs_change_nothing(cloud: Cloud, ec2: Any) -> None:
    data = {"ImageId": cloud.image()}
    asked = {"LaunchTemplateName": "web", "LaunchTemplateData": data}
    dry = ("DryRunOperation", 412)
    assert code(ec2.create_launch_template, **asked, DryRun=True) == dry
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    ec2.create_launch_template(**asked)
    launch = {"LaunchTemplate": {"LaunchTemplateName": "web"}, "MinCount": 1, "MaxCount": 1}
    assert code(ec2.run_instances, **launch, DryRun=True) == dry
    assert code(ec2.create_launch_template_version, **asked, DryRun=True) == dry
    for call in (
        ec2.delete_launch_template,
        ec2.describe_launch_template_versions,
    ):
        assert code(call, LaunchTemplateName="web", DryRun=True) == dry
    (row,) = ec2.describe_launch_templates()["LaunchTemplates"]
    assert row["LatestVersionNumber"] == 1
    assert ec2.describe_instances()["Reservations"] == []


def test_a_token_makes_a_retry_safe(ec2: Any) -> None:
    data = {"InstanceType": "m1.small"}
    asked = {"LaunchTemplateName": "web", "LaunchTemplateData": data, "ClientToken": "once"}
    first = ec2.create_launch_template(**asked)["LaunchTemplate"]
    assert ec2.create_launch_template(**asked)["LaunchTemplate"] == first
    other = {**asked, "LaunchTemplateData": {"InstanceType": "m1.large"}}
    assert code(ec2.create_launch_template, **other) == ("IdempotentParameterMismatch", 400)
    numbers = [
        ec2.create_launch_template_version(**asked)["LaunchTemplateVersion"]["VersionNumber"]
        for _ in range(2)
    ]
    assert numbers == [2, 2]


def test_the_paginators_come_to_an_end(ec2: Any) -> None:
    data = {"InstanceType": "m1.small"}
    for number in range(3):
        ec2.create_launch_template(LaunchTemplateName=f"web-{number}", LaunchTemplateData=data)
        for _ in range(3):
            ec2.create_launch_template_version(
                LaunchTemplateName=f"web-{number}", LaunchTemplateData=data
            )
    paging = {"PageSize": 2}
    pages = ec2.get_paginator("describe_launch_templates").paginate(PaginationConfig=paging)
    names = [row["LaunchTemplateName"] for page in pages for row in page["LaunchTemplates"]]
    assert names == ["web-0", "web-1", "web-2"]
    versions = ec2.get_paginator("describe_launch_template_versions")
    for asked, count in (
        ({"LaunchTemplateName": "web-1"}, 4),
        ({"Versions": ["$Latest", "$Default"]}, 6),
    ):
        pages = versions.paginate(**asked, PaginationConfig=paging)
        assert sum(len(page["LaunchTemplateVersions"]) for page in pages) == count


def test_an_instances_data_makes_a_template(cloud: Cloud, ec2: Any) -> None:
    """User Guide: get-launch-template-data, then create-launch-template with its answer."""
    (instance,) = cloud.running(1, InstanceType="m1.medium")
    data = ec2.get_launch_template_data(InstanceId=instance)["LaunchTemplateData"]
    made = ec2.create_launch_template(LaunchTemplateName="copy", LaunchTemplateData=data)
    assert "Warning" not in made
    ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "copy"}, MinCount=2, MaxCount=2)
    rows = [each for one in ec2.describe_instances()["Reservations"] for each in one["Instances"]]
    assert [row["InstanceType"] for row in rows] == ["m1.medium"] * 3


def test_templates_are_of_one_account(cloud: Cloud, ec2: Any) -> None:
    made = ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "m1.small"}
    )
    other = cloud.as_other().client()
    asked = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"]}
    missing = ("InvalidLaunchTemplateId.NotFound", 400)
    assert code(other.delete_launch_template, **asked) == missing
    assert code(other.describe_launch_template_versions, **asked) == missing
    assert other.describe_launch_templates()["LaunchTemplates"] == []
    other.close()
