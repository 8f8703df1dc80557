"""RunInstances with a LaunchTemplate, and the template's data of an instance. How parameters are
laid over each other has its own tests: tests/domain/test_launch_templates.py."""

import base64
from dataclasses import replace

import pytest
from tests.support.desk import refused

from econe.domain.engine_ports import Capabilities
from econe.domain.faults import (
    Conflict,
    Duplicate,
    Invalid,
    LimitExceeded,
    Malformed,
    Missing,
    NotFound,
    Noun,
    Unsupported,
)

ID, VERSION = "aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version"


def create(desk, name="web", **data):
    asked = {"LaunchTemplateName": name, "LaunchTemplateData": data}
    return desk("CreateLaunchTemplate", **asked)["LaunchTemplate"]["LaunchTemplateId"]


def add(desk, name="web", **data):
    desk("CreateLaunchTemplateVersion", LaunchTemplateName=name, LaunchTemplateData=data)


def run(desk, version=None, count=1, name="web", **asked):
    named = {"LaunchTemplateName": name} | ({"Version": version} if version else {})
    made = desk("RunInstances", LaunchTemplate=named, MinCount=count, MaxCount=count, **asked)
    return [desk.row(each["InstanceId"]) for each in made["Instances"]]


def tags(kind, **given):
    return {
        "ResourceType": kind,
        "Tags": [{"Key": key, "Value": value} for key, value in given.items()],
    }


def shown(desk, instance_id):
    (view,) = desk.instances(InstanceIds=[instance_id])
    return {tag["Key"]: tag["Value"] for tag in view["Tags"]}


# --- which version -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "size", "number"),
    [
        (None, "m1.medium", "2"),
        ("$Default", "m1.medium", "2"),
        ("$Latest", "m1.large", "3"),
        ("1", "m1.small", "1"),
    ],
)
def test_the_default_version_is_used_unless_another_is_named(helen, version, size, number):
    image = helen.image()
    template = create(helen, ImageId=image, InstanceType="m1.small")
    add(helen, ImageId=image, InstanceType="m1.medium")
    add(helen, ImageId=image, InstanceType="m1.large")
    helen("ModifyLaunchTemplate", LaunchTemplateName="web", DefaultVersion="2")
    for row in run(helen, version, count=2):
        assert row.instance_type == size
        assert shown(helen, row.id) == {ID: template, VERSION: number}


def test_a_template_is_named_by_its_id_as_well(helen):
    template = create(helen, ImageId=helen.image())
    made = helen(
        "RunInstances", LaunchTemplate={"LaunchTemplateId": "lt-1"}, MinCount=1, MaxCount=1
    )
    assert {"Key": ID, "Value": template} in made["Instances"][0]["Tags"]


@pytest.mark.parametrize(
    ("named", "kind", "noun"),
    [
        ({"LaunchTemplateId": "lt-00000002"}, NotFound, Noun.LAUNCH_TEMPLATE),
        ({"LaunchTemplateId": "web"}, Malformed, Noun.LAUNCH_TEMPLATE),
        ({"LaunchTemplateName": "other"}, NotFound, Noun.LAUNCH_TEMPLATE_NAME),
        ({"LaunchTemplateName": "x"}, Malformed, Noun.LAUNCH_TEMPLATE_NAME),
        ({"LaunchTemplateName": "web", "Version": "2"}, NotFound, Noun.LAUNCH_TEMPLATE_VERSION),
        ({"LaunchTemplateName": "web", "Version": "x"}, Invalid, Noun.LAUNCH_TEMPLATE_VERSION),
        ({"LaunchTemplateName": "web", "LaunchTemplateId": "lt-1"}, Conflict, Noun.PARAMETER),
        ({"Version": "1"}, Missing, Noun.PARAMETER),
        ({}, Missing, Noun.PARAMETER),
    ],
)
def test_a_template_that_is_not_there_launches_nothing(helen, paris, named, kind, noun):
    create(helen, ImageId=helen.image())
    create(paris, "other")
    with refused(kind, noun):
        helen("RunInstances", LaunchTemplate=named, MinCount=1, MaxCount=1)
    assert helen.shown() == []


# --- what the launch gets ----------------------------------------------------------------


def test_all_that_a_template_may_hold_reaches_the_instance(helen):
    helen("CreateKeyPair", KeyName="mykey", KeyType="ed25519")
    user_data = base64.b64encode(b"#!/bin/sh").decode()
    create(
        helen,
        ImageId=helen.image(),
        InstanceType="m1.medium",
        KeyName="mykey",
        UserData=user_data,
        InstanceInitiatedShutdownBehavior="terminate",
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 3},
        BlockDeviceMappings=[
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {"VolumeSize": 9, "VolumeType": "gp2", "DeleteOnTermination": False},
            }
        ],
        NetworkInterfaces=[{"DeviceIndex": 0, "DeleteOnTermination": False}],
        Placement={"AvailabilityZone": "us-east-1a"},
        TagSpecifications=[tags("instance", a="1"), tags("volume", b="2")],
    )
    (row,) = run(helen)
    (disk,), (nic,) = row.volumes, row.interfaces
    assert row.instance_type == "m1.medium"
    assert row.key_name == "mykey"
    assert row.user_data.reveal() == b"#!/bin/sh"
    assert row.shutdown_behavior == "terminate"
    assert (row.metadata_options.http_tokens, row.metadata_options.hop_limit) == ("required", 3)
    assert (disk.size_gib, disk.volume_type, disk.delete_on_termination) == (9, "gp2", False)
    assert (nic.delete_on_termination, dict(nic.tags)) == (False, {})
    assert (row.tags["a"], dict(disk.tags)) == ("1", {"b": "2"})


def test_the_request_wins_and_adds(helen):
    create(
        helen,
        ImageId=helen.image(),
        InstanceType="m1.medium",
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 3},
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 9, "VolumeType": "gp2"}}
        ],
        TagSpecifications=[tags("instance", Owner="nobody", a="1")],
    )
    other = helen.image(gib=2)
    (row,) = run(
        helen,
        ImageId=other,
        InstanceType="m1.large",
        MetadataOptions={"HttpPutResponseHopLimit": 4},
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20}}],
        TagSpecifications=[tags("instance", Owner="TeamA"), tags("volume", v="2")],
    )
    assert (row.image_id, row.instance_type) == (other, "m1.large")
    assert (row.metadata_options.http_tokens, row.metadata_options.hop_limit) == ("required", 4)
    assert (row.volumes[0].size_gib, row.volumes[0].volume_type) == (20, "gp2")
    assert {"Owner": "TeamA", "a": "1"}.items() <= row.tags.items()
    assert dict(row.volumes[0].tags) == {"v": "2"}


def test_what_neither_says_is_missing_or_usual(helen):
    create(helen, InstanceType="m1.medium")
    with refused(Missing, Noun.PARAMETER, "ImageId"):
        run(helen)
    add(helen, ImageId=helen.image())
    (row,) = run(helen, "2")
    assert row.instance_type == helen.cloud.default_type


@pytest.mark.parametrize(
    ("template", "request_", "text"),
    [
        ({"SecurityGroups": ["default"]}, {"NetworkInterfaces": [{"DeviceIndex": 0}]}, "security"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}]}, {"SecurityGroups": ["default"]}, "security"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}]}, {"SubnetId": "subnet-1"}, "subnet ID"),
    ],
)
def test_interfaces_exclude_what_tells_of_the_network_besides(helen, template, request_, text):
    """EC2 is seen to refuse this across template and request, too
    (github.com/ansible-collections/amazon.aws/issues/157)."""
    create(helen, ImageId=helen.image(), **template)
    said = f"Network interfaces and an instance-level {text}"
    with refused(Conflict, Noun.PARAMETER, said):
        run(helen, **request_)


def test_the_template_gives_the_interface_and_the_request_its_subnet(helen):
    group = helen("DescribeSecurityGroups")["SecurityGroups"][0]["GroupId"]
    subnet = helen("DescribeSubnets")["Subnets"][0]["SubnetId"]
    create(helen, ImageId=helen.image(), NetworkInterfaces=[{"DeviceIndex": 0, "Groups": [group]}])
    (row,) = run(helen, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet}])
    assert (row.subnet_id, row.interfaces[0].groups[0][0]) == (subnet, group)
    with refused(NotFound, Noun.SUBNET):
        run(helen, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": "subnet-00000099"}])
    with refused(Unsupported, Noun.PARAMETER, "DeviceIndex"):
        run(helen, NetworkInterfaces=[{"DeviceIndex": 1}])


def test_what_was_doubtful_fails_at_the_launch(helen):
    create(helen, ImageId="ami-00000099", KeyName="gone")
    with refused(NotFound, Noun.IMAGE):
        run(helen)
    with refused(NotFound, Noun.KEY_PAIR, "gone"):
        run(helen, ImageId=helen.image())
    helen("CreateKeyPair", KeyName="gone", KeyType="ed25519")
    assert run(helen, ImageId=helen.image())[0].key_name == "gone"


def test_what_a_template_says_twice_fails_at_the_launch(helen):
    create(helen, ImageId=helen.image(), BlockDeviceMappings=[{"DeviceName": "/dev/sda1"}])
    with refused(Duplicate, Noun.BLOCK_DEVICE):
        run(helen, BlockDeviceMappings=[{"DeviceName": "/dev/sda1"}] * 2)


def test_instances_keep_what_they_have_when_the_template_is_gone(helen):
    template = create(helen, ImageId=helen.image())
    (row,) = run(helen)
    helen("DeleteLaunchTemplate", LaunchTemplateName="web")
    assert shown(helen, row.id) == {ID: template, VERSION: "1"}


# --- the tags that tell of it ------------------------------------------------------------


@pytest.fixture
def launched(helen):
    create(helen, ImageId=helen.image())
    (row,) = run(helen, TagSpecifications=[tags("instance", Name="web")])
    return helen, row.id


def test_terraform_finds_the_template_of_an_instance(launched):
    """aws_instance reads DescribeTags with the filters resource-id and key."""
    desk, instance = launched
    by = [{"Name": "resource-id", "Values": [instance]}]
    for key, value in ((ID, "lt-00000001"), (VERSION, "1")):
        found = desk("DescribeTags", Filters=[*by, {"Name": "key", "Values": [key]}])["Tags"]
        assert [each["Value"] for each in found] == [value]
    assert desk.shown(Filters=[{"Name": f"tag:{ID}", "Values": ["lt-00000001"]}]) == [instance]


def test_disks_and_interfaces_are_not_marked(launched):
    desk, instance = launched
    row = desk.row(instance)
    assert (dict(row.volumes[0].tags), dict(row.interfaces[0].tags)) == ({}, {})


def test_users_neither_set_nor_remove_the_marks(launched):
    desk, instance = launched
    before = shown(desk, instance)
    for deed in ("CreateTags", "DeleteTags"):
        with refused(Invalid, Noun.TAG, "reserved"):
            desk(deed, Resources=[instance], Tags=[{"Key": ID, "Value": "lt-00000009"}])
    with refused(Invalid, Noun.TAG, "reserved"):
        run(desk, TagSpecifications=[tags("instance", **{VERSION: "7"})])
    assert shown(desk, instance) == before
    desk("DeleteTags", Resources=[instance])
    assert shown(desk, instance) == {ID: "lt-00000001", VERSION: "1"}


def test_marks_do_not_count_among_the_50(launched):
    desk, instance = launched
    more = {f"k{number}": "" for number in range(49)}
    desk("CreateTags", Resources=[instance], Tags=tags("instance", **more)["Tags"])
    assert len(shown(desk, instance)) == 52
    with refused(LimitExceeded, Noun.TAG):
        desk("CreateTags", Resources=[instance], Tags=[{"Key": "one too many", "Value": ""}])
    fifty = {f"k{number}": "" for number in range(50)}
    (row,) = run(desk, TagSpecifications=[tags("instance", **fifty)])
    assert len(shown(desk, row.id)) == 52


def test_what_the_launch_answers_is_what_a_describe_shows(launched):
    desk, _ = launched
    named = {"LaunchTemplateName": "web"}
    made = desk("RunInstances", LaunchTemplate=named, MinCount=1, MaxCount=1)["Instances"][0]
    (view,) = desk.instances(InstanceIds=[made["InstanceId"]])
    assert view == made


# --- the template's data of an instance --------------------------------------------------


def data_of(desk, instance):
    return desk("GetLaunchTemplateData", InstanceId=instance)["LaunchTemplateData"]


def test_an_instances_data_is_what_made_it(helen):
    helen("CreateKeyPair", KeyName="mykey", KeyType="ed25519")
    image = helen.image()
    user_data = base64.b64encode(b"\x00\xffhello").decode()
    (instance,) = helen.running(
        1,
        ImageId=image,
        InstanceType="m1.large",
        KeyName="mykey",
        UserData=user_data,
        InstanceInitiatedShutdownBehavior="terminate",
        MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        TagSpecifications=[tags("instance", Name="web"), tags("volume", of="web")],
    )
    row = helen.row(instance)
    helen("CreateTags", Resources=[row.interfaces[0].id], Tags=[{"Key": "a", "Value": "b"}])
    assert data_of(helen, instance) == {
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {
                    "DeleteOnTermination": True,
                    "Encrypted": False,
                    "VolumeSize": 1,
                    "VolumeType": "gp3",
                },
            }
        ],
        "DisableApiStop": False,
        "DisableApiTermination": False,
        "EbsOptimized": False,
        "EnclaveOptions": {"Enabled": False},
        "HibernationOptions": {"Configured": False},
        "ImageId": image,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "InstanceType": "m1.large",
        "KeyName": "mykey",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpProtocolIpv6": "disabled",
            "HttpPutResponseHopLimit": 1,
            "HttpTokens": "required",
            "InstanceMetadataTags": "enabled",
        },
        "Monitoring": {"Enabled": False},
        "NetworkInterfaces": [
            {
                "DeleteOnTermination": True,
                "Description": "",
                "DeviceIndex": 0,
                "Groups": [row.interfaces[0].groups[0][0]],
                "InterfaceType": "interface",
                "NetworkCardIndex": 0,
                "SubnetId": row.subnet_id,
            }
        ],
        "Placement": {"AvailabilityZone": "us-east-1a", "GroupName": "", "Tenancy": "default"},
        "TagSpecifications": [
            tags("instance", Name="web"),
            tags("volume", of="web"),
            tags("network-interface", a="b"),
        ],
        "UserData": user_data,
    }


def test_a_template_of_an_instances_data_makes_such_instances(launched):
    """User Guide, "Create a launch template from an existing instance"."""
    desk, instance = launched
    first = data_of(desk, instance)
    made = desk("CreateLaunchTemplate", LaunchTemplateName="copy", LaunchTemplateData=first)
    assert "Warning" not in made
    (row,) = run(desk, name="copy")
    assert data_of(desk, row.id) == first
    assert shown(desk, row.id) == {"Name": "web", ID: "lt-00000002", VERSION: "1"}


def test_interfaces_that_the_engine_makes_are_not_tagged_by_a_launch(helen):
    (instance,) = helen.running()
    nic = helen.row(instance).interfaces[0].id
    helen("CreateTags", Resources=[nic], Tags=[{"Key": "a", "Value": "b"}])
    can = Capabilities("one", "none", shared=True, gives_addresses=True)
    helen.cloud = replace(helen.cloud, can=can)
    data = data_of(helen, instance)
    assert data["TagSpecifications"] == []
    create(helen, **data)


def test_what_the_engine_cannot_is_refused_when_the_template_is_made(helen):
    can = Capabilities("one", "none", shared=True, gives_addresses=True, metadata=False)
    helen.cloud = replace(helen.cloud, can=can)
    for data in (
        {"MetadataOptions": {"HttpTokens": "required"}},
        {"NetworkInterfaces": [{"DeviceIndex": 0, "DeleteOnTermination": False}]},
    ):
        with pytest.raises(Unsupported):
            create(helen, **data)


def test_a_terminated_instance_still_tells_what_it_was(helen):
    (instance,) = helen.terminated()
    data = data_of(helen, instance)
    assert (data["BlockDeviceMappings"], data["NetworkInterfaces"]) == ([], [])
    assert data["InstanceType"] == helen.cloud.default_type
    assert "KeyName" not in data
    assert "UserData" not in data


def test_data_is_of_ones_own_instances_only(helen, paris):
    (instance,) = paris.launch()
    with refused(NotFound, Noun.INSTANCE):
        data_of(helen, instance)
    with refused(Malformed, Noun.INSTANCE):
        data_of(helen, "web")
