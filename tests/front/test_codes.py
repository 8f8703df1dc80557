"""The codes that clients act on, and the words that they look for in messages.

Codes: API reference, "Error codes for the Amazon EC2 API". Where EC2 was seen to answer otherwise
than that page says, a case says so.
"""

import base64

import pytest
from tests.front.conftest import Desk
from tests.support.cloud import Cloud
from tests.support.memory_vault import MemoryVault

from econe.actions.keymaker import OpenSshKeys
from econe.app import App, utc_now
from econe.domain import happenings
from econe.domain.engine_ports import Phase, Seen
from econe.front.faults import BY_NOUN

KEY = base64.b64encode(OpenSshKeys().make("ed25519").public_key.encode()).decode()
LONG = base64.b64encode(b"x" * 16385).decode()


@pytest.fixture(scope="module")
def desk(_app: App) -> Desk:
    """One account for all: each has a network of its own, and there are not so many of those."""
    return Desk(_app, MemoryVault())


@pytest.fixture(scope="module")
def ids(desk: Desk) -> dict[str, str]:
    """What cases name in braces."""
    image, gone = (Cloud(desk.app, "", desk.caller).image() for _ in range(2))
    desk.ask("DeregisterImage", ImageId=gone)
    desk.ask("ImportKeyPair", KeyName="mykey", PublicKeyMaterial=KEY)
    desk.ask(
        "CreateLaunchTemplate",
        LaunchTemplateName="web",
        **{"LaunchTemplateData.InstanceType": "t2.micro"},
    )
    asked = {"ImageId": image, "MinCount": "1", "MaxCount": "1"}
    running = desk.ask("RunInstances", **asked).all("instanceId")[0]
    protects = {"DisableApiTermination": "true", "DisableApiStop": "true"}
    protected = desk.ask("RunInstances", **asked, **protects).all("instanceId")[0]
    stopped = desk.ask("RunInstances", **asked).all("instanceId")[0]
    with desk.app.store.writing() as tx:
        for instance_id in (running, protected, stopped):
            row = tx.instances.get(instance_id)
            assert row is not None
            happenings.started(tx, row.id, row.generation, utc_now(), Seen(Phase.RUNNING, "ref"))
    desk.ask("StopInstances", **{"InstanceId.1": stopped})
    with desk.app.store.writing() as tx:
        row = tx.instances.get(stopped)
        assert row is not None
        happenings.halted(tx, row.id, row.generation, utc_now())
    return {
        "image": image, "gone": gone, "running": running, "protected": protected,
        "stopped": stopped,
    }  # fmt: skip


RUN = {"ImageId": "{image}", "MinCount": "1", "MaxCount": "1"}
CASES: list[tuple[str, dict[str, str], str, str]] = [
    # what is not there, and what cannot be
    ("DescribeInstances", {"InstanceId.1": "i-99999999"}, "InvalidInstanceID.NotFound",
     "The instance ID 'i-99999999' does not exist"),
    ("DescribeInstances", {"InstanceId.1": "i-99999999", "InstanceId.2": "i-99999998"},
     "InvalidInstanceID.NotFound", "The instance IDs 'i-99999999, i-99999998' do not exist"),
    ("StartInstances", {"InstanceId.1": "nonsense"}, "InvalidInstanceID.Malformed",
     'Invalid id: "nonsense"'),
    ("RunInstances", {**RUN, "ImageId": "ami-99999999"}, "InvalidAMIID.NotFound",
     "The image id '[ami-99999999]' does not exist"),
    ("RunInstances", {**RUN, "ImageId": "debian"}, "InvalidAMIID.Malformed",
     'Invalid id: "debian"'),
    ("RunInstances", {**RUN, "ImageId": "{gone}"}, "InvalidAMIID.Unavailable",
     "no longer available"),
    ("RunInstances", {**RUN, "KeyName": "nokey"}, "InvalidKeyPair.NotFound",
     "The key pair 'nokey' does not exist"),
    ("RunInstances", {**RUN, "SecurityGroupId.1": "sg-99999999"}, "InvalidGroup.NotFound",
     "The security group 'sg-99999999' does not exist"),
    ("RunInstances", {**RUN, "SecurityGroupId.1": "web"}, "InvalidGroupId.Malformed", "web"),
    ("RunInstances", {**RUN, "SubnetId": "subnet-99999999"}, "InvalidSubnetID.NotFound",
     "The subnet ID 'subnet-99999999' does not exist"),
    ("RunInstances", {**RUN, "InstanceType": "x9.huge"}, "InvalidParameterValue",
     "Invalid value 'x9.huge' for InstanceType."),
    ("RunInstances", {**RUN, "Placement.AvailabilityZone": "us-east-1z"}, "InvalidParameterValue",
     "Invalid availability zone: [us-east-1z]"),
    ("RunInstances", {**RUN, "LaunchTemplate.LaunchTemplateId": "lt-99999999"},
     "InvalidLaunchTemplateId.NotFound", "lt-99999999, does not exist"),
    ("RunInstances", {**RUN, "LaunchTemplate.LaunchTemplateId": "web"},
     "InvalidLaunchTemplateId.Malformed", "web"),
    ("RunInstances", {**RUN, "LaunchTemplate.LaunchTemplateName": "none"},
     "InvalidLaunchTemplateName.NotFoundException", "none, does not exist"),
    ("RunInstances", {**RUN, "LaunchTemplate.LaunchTemplateName": "web",
     "LaunchTemplate.Version": "7"}, "InvalidLaunchTemplateId.VersionNotFound", "7"),
    ("DescribeVolumes", {"VolumeId.1": "vol-99999999"}, "InvalidVolume.NotFound",
     "The volume 'vol-99999999' does not exist"),
    ("DescribeNetworkInterfaces", {"NetworkInterfaceId.1": "eni-99999999"},
     "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-99999999' does not exist"),
    ("DescribeVpcs", {"VpcId.1": "vpc-99999999"}, "InvalidVpcID.NotFound",
     "The vpc ID 'vpc-99999999' does not exist"),
    ("DescribeKeyPairs", {"KeyName.1": "nokey"}, "InvalidKeyPair.NotFound",
     "The key pair 'nokey' does not exist"),
    # launches
    ("RunInstances", {**RUN, "UserData": "%%%"}, "InvalidParameterValue",
     "Invalid BASE64 encoding of user data"),
    ("RunInstances", {**RUN, "UserData": LONG}, "InvalidParameterValue",
     "User data is limited to 16384 bytes"),  # seen, in many tools' bug reports
    ("RunInstances", {**RUN, "TagSpecification.1.ResourceType": "image",
     "TagSpecification.1.Tag.1.Key": "a"}, "InvalidParameterValue",
     "'image' is not a valid taggable resource type for this operation."),
    ("RunInstances", {**RUN, "TagSpecification.1.ResourceType": "instance",
     "TagSpecification.1.Tag.1.Key": "a/b", "MetadataOptions.InstanceMetadataTags": "enabled"},
     "InvalidParameterValue",
     "'a/b' is not a valid tag key. Tag keys must match pattern"),  # seen, in Karpenter's issues
    ("RunInstances", {**RUN, "TagSpecification.1.ResourceType": "instance",
     "TagSpecification.1.Tag.1.Key": "a", "TagSpecification.1.Tag.2.Key": "a"},
     "InvalidParameterValue", "Duplicate tag key 'a' specified."),
    ("RunInstances", {**RUN, "TagSpecification.1.ResourceType": "instance"},
     "InvalidParameterValue", "Tag specification must have at least one tag"),
    ("RunInstances", {**RUN, "MinCount": "2"}, "InvalidParameterValue", "maxCount"),
    ("RunInstances", {"ImageId": "{image}", "MinCount": "1"}, "MissingParameter",
     "The request must contain the parameter MaxCount"),
    ("RunInstances", {**RUN, "Colour": "red"}, "UnknownParameter",
     "The parameter Colour is not recognized"),
    ("RunInstances", {**RUN, "BlockDeviceMapping.1.DeviceName": "/dev/sda1",
     "BlockDeviceMapping.2.DeviceName": "/dev/sda1"}, "InvalidBlockDeviceMapping", "/dev/sda1"),
    # states and protection
    ("TerminateInstances", {"InstanceId.1": "{protected}"}, "OperationNotPermitted",
     "The instance '{protected}' may not be terminated. Modify its 'disableApiTermination' "
     "instance attribute and try again."),
    ("StopInstances", {"InstanceId.1": "{protected}"}, "OperationNotPermitted",
     "The instance '{protected}' may not be stopped. Modify its 'disableApiStop' instance "
     "attribute and try again."),
    ("StopInstances", {"InstanceId": ""}, "MissingParameter",
     "The request must contain the parameter InstanceId"),
    ("ModifyInstanceAttribute", {"InstanceId": "{running}", "InstanceType.Value": "t2.small"},
     "IncorrectInstanceState", "The instance '{running}' is not in the 'stopped' state"),
    ("ModifyInstanceAttribute", {"InstanceId": "{stopped}", "InstanceType.Value": "x9.huge"},
     "InvalidInstanceAttributeValue", "x9.huge"),
    ("ModifyInstanceAttribute", {"InstanceId": "{stopped}", "UserData.Value": LONG},
     "InvalidParameterValue", "User data is limited to 16384 bytes"),
    ("ModifyInstanceAttribute", {"InstanceId": "{stopped}"}, "InvalidParameterCombination",
     "No attributes specified"),
    ("ModifyInstanceAttribute", {"InstanceId": "{stopped}", "InstanceType.Value": "t2.small",
     "DisableApiStop.Value": "true"}, "InvalidParameterCombination",
     "Fields for multiple attribute types specified"),
    ("RebootInstances", {"InstanceId.1": "{stopped}"}, "IncorrectInstanceState", "{stopped}"),
    # images
    ("DeregisterImage", {"ImageId": "{gone}"}, "InvalidAMIID.Unavailable", "no longer available"),
    ("ModifyImageAttribute", {"ImageId": "{image}", "LaunchPermission.Add.1.UserId": "123"},
     "InvalidAMIAttributeItemValue", "123"),
    # key pairs
    ("CreateKeyPair", {"KeyName": "mykey"}, "InvalidKeyPair.Duplicate",
     "The keypair 'mykey' already exists"),
    ("ImportKeyPair", {"KeyName": "mykey", "PublicKeyMaterial": KEY}, "InvalidKeyPair.Duplicate",
     "mykey"),
    ("ImportKeyPair", {"KeyName": "k", "PublicKeyMaterial": "aGVsbG8="}, "InvalidKey.Format",
     "Key is not in valid OpenSSH public key format"),
    # launch templates
    ("CreateLaunchTemplate", {"LaunchTemplateName": "web", "LaunchTemplateData.InstanceType":
     "t2.micro"}, "InvalidLaunchTemplateName.AlreadyExistsException", "already in use"),
    ("CreateLaunchTemplate", {"LaunchTemplateName": "a b", "LaunchTemplateData.InstanceType":
     "t2.micro"}, "InvalidLaunchTemplateName.MalformedException", "between 3 and 128"),
    ("CreateLaunchTemplate", {"LaunchTemplateName": "new", "LaunchTemplateData.UserData": LONG},
     "InvalidUserData.Malformed", "User data is limited to 16384 bytes"),
    # tags
    ("CreateTags", {"ResourceId.1": "elephant", "Tag.1.Key": "a", "Tag.1.Value": "b"},
     "InvalidID", "The ID 'elephant' is not valid"),
    ("CreateTags", {"ResourceId.1": "{running}", "Tag.1.Key": "aws:a", "Tag.1.Value": "b"},
     "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use"),
    ("CreateTags", {"ResourceId.1": "{running}"}, "InvalidParameterValue",
     "You must specify one or more tags to create"),  # seen, where the model says required
    ("CreateTags", {"ResourceId.1": "{running}", "Tag.1.Key": "a"}, "InvalidParameterValue",
     "Tag value cannot be null. Use empty string instead."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "asked", "code", "says"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES]
)
def test_what_is_wrong_is_told_in_ec2s_words(
    desk: Desk, ids: dict[str, str], action: str, asked: dict[str, str], code: str, says: str
) -> None:
    told = {name: value.format(**ids) for name, value in asked.items()}
    refused = desk.ask(action, **told)
    assert (refused.status, refused.code) == (400, code)
    assert says.format(**ids) in refused.message


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("DeregisterImage", {}),
        ("DescribeImageAttribute", {"Attribute": "description"}),
        ("ModifyImageAttribute", {"Description.Value": "mine now"}),
        ("DisableImage", {}),
    ],
)
def test_images_of_others_that_are_seen_are_not_the_callers_to_change(
    desk: Desk, action: str, asked: dict[str, str]
) -> None:
    """AuthFailure, and 403, is what EC2 was seen to answer."""
    other = Desk(desk.app, desk.vault)
    theirs = Cloud(desk.app, "", other.caller).image()
    assert desk.ask(action, ImageId=theirs, **asked).code == "InvalidAMIID.NotFound"
    share = {"LaunchPermission.Add.1.UserId": desk.caller.number}
    assert other.ask("ModifyImageAttribute", ImageId=theirs, **share).status == 200
    refused = desk.ask(action, ImageId=theirs, **asked)
    assert (refused.status, refused.code) == (403, "AuthFailure")
    assert refused.message == f"Not authorized for image:{theirs}"


def test_the_limits_of_launch_templates_have_codes_of_their_own() -> None:
    """Too many of them to make in a test; who raises it, test_launch_templates tries."""
    codes = {noun.value: words.code for (kind, noun), words in BY_NOUN.items() if kind == "limit"}
    assert codes["launch-template"] == "MaxTemplateLimitExceeded"
    assert codes["launch-template-version"] == "MaxTemplateVersionLimitExceeded"
