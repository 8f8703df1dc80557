"""Every answer against the model: names, kinds and enums. An unknown member is an error."""

from dataclasses import replace
from datetime import datetime

import pytest
from tests.support.uefi_data import Firmware, started, with_firmware

import econe.actions  # noqa: F401 - registers the handlers
from econe.actions.registry import HANDLERS
from econe.domain.images import Content, DiskFormat
from econe.wire import model

SERVICE = model.load()
KINDS = {
    "boolean": bool,
    "double": float,
    "integer": int,
    "long": int,
    "string": str,
    "timestamp": datetime,
}
RELAXED = {"InstanceType"}
"""Enums that are longer at Amazon than in any one release of botocore."""


def misfits(value, shape, path=""):
    """What in the answer the model does not describe."""
    value = getattr(value, "structure", value)
    if shape.type_name == "structure":
        for name, inner in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown member"
            else:
                yield from misfits(inner, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        if not isinstance(value, list):
            yield f"{path}: not a list"
        for each in value:
            yield from misfits(each, shape.member, f"{path}[]")
    elif type(value) is not KINDS[shape.type_name]:
        yield f"{path}: {value!r} is no {shape.type_name}"
    elif shape.type_name == "string" and value not in (enum_of(shape) or [value]):
        yield f"{path}: {value!r} is not in the enum"


def enum_of(shape):
    return [] if shape.name in RELAXED else shape.enum


FULL = {"ImageId": "ami-99", "UserData": "QQ==", "NetworkInterfaces": [{"DeviceIndex": 0}]}
"""What a launch template may hold, with a warning."""


def _measured(desk):
    return desk.on(replace(desk.cloud.can, meters=True))


def _with_threads(desk):
    return desk.on(replace(desk.cloud.can, topology=True))


def _stopped(desk):
    ids = desk.running(InstanceType="t3.micro")
    desk("StopInstances", InstanceIds=ids)
    desk.halted(ids)
    return ids[0]


def _uefi(desk):
    return with_firmware(desk, Firmware())


ANSWERS = {
    "CreateLaunchTemplate": lambda d: d(
        "CreateLaunchTemplate", LaunchTemplateName="other", LaunchTemplateData=FULL
    ),
    "CreateLaunchTemplateVersion": lambda d: d(
        "CreateLaunchTemplateVersion",
        LaunchTemplateName="web",
        VersionDescription="full",
        LaunchTemplateData=FULL,
    ),
    "DeleteLaunchTemplate": lambda d: d("DeleteLaunchTemplate", LaunchTemplateName="web"),
    "DeleteLaunchTemplateVersions": lambda d: d(
        "DeleteLaunchTemplateVersions", LaunchTemplateName="web", Versions=["2", "9"]
    ),
    "DescribeLaunchTemplateVersions": lambda d: d(
        "DescribeLaunchTemplateVersions", Versions=["$Latest", "$Default"]
    ),
    "GetLaunchTemplateData": lambda d: d("GetLaunchTemplateData", InstanceId=d.launch()[0]),
    "ModifyLaunchTemplate": lambda d: d(
        "ModifyLaunchTemplate", LaunchTemplateName="web", DefaultVersion="2"
    ),
    "CreateKeyPair": lambda d: d("CreateKeyPair", KeyName="k", KeyType="ed25519"),
    "CreateTags": lambda d: d("CreateTags", Resources=d.launch(), Tags=[{"Key": "a", "Value": ""}]),
    "DeleteKeyPair": lambda d: d("DeleteKeyPair", KeyName="mykey"),
    "DeleteTags": lambda d: d("DeleteTags", Resources=d.launch()),
    "DeregisterImage": lambda d: d("DeregisterImage", ImageId=d.image()),
    "ImportKeyPair": lambda d: d(
        "ImportKeyPair",
        KeyName="k",
        PublicKeyMaterial=d.cloud.key_maker.make("ed25519").public_key.encode(),
        TagSpecifications=[{"ResourceType": "key-pair", "Tags": [{"Key": "a"}]}],
    ),
    "GetConsoleOutput": lambda d: d("GetConsoleOutput", InstanceId=d.launch()[0]),
    "RebootInstances": lambda d: d("RebootInstances", InstanceIds=d.running()),
    "RegisterImage": lambda d: d("RegisterImage", ImageLocation=d.image()),
    "RunInstances": lambda d: d("RunInstances", ImageId=d.image(), MinCount=1, MaxCount=2),
    "StartInstances": lambda d: d("StartInstances", InstanceIds=d.launch()),
    "StopInstances": lambda d: d("StopInstances", InstanceIds=d.running()),
    "TerminateInstances": lambda d: d("TerminateInstances", InstanceIds=d.launch()),
    "UploadImage": lambda d: d("UploadImage", content=Content("0" * 32, DiskFormat.RAW, 1, 1)),
    "DescribeInstanceTypeOfferings": lambda d: d("DescribeInstanceTypeOfferings"),
    "DescribeImageAttribute": lambda d: d(
        "DescribeImageAttribute", ImageId=d.image(), Attribute="blockDeviceMapping"
    ),
    "DisableImage": lambda d: d("DisableImage", ImageId=d.image()),
    "DisableImageDeprecation": lambda d: d("DisableImageDeprecation", ImageId=d.image()),
    "DisableImageDeregistrationProtection": lambda d: d(
        "DisableImageDeregistrationProtection", ImageId=d.image()
    ),
    "EnableImage": lambda d: d("EnableImage", ImageId=d.image()),
    "EnableImageDeprecation": lambda d: d(
        "EnableImageDeprecation", ImageId=d.image(), DeprecateAt=d.now
    ),
    "EnableImageDeregistrationProtection": lambda d: d(
        "EnableImageDeregistrationProtection", ImageId=d.image()
    ),
    "ModifyImageAttribute": lambda d: d(
        "ModifyImageAttribute", ImageId=d.image(), Description={"Value": "x"}
    ),
    "ResetImageAttribute": lambda d: d(
        "ResetImageAttribute", ImageId=d.image(), Attribute="launchPermission"
    ),
    "DescribeInstanceAttribute": lambda d: d(
        "DescribeInstanceAttribute", InstanceId=d.launch()[0], Attribute="blockDeviceMapping"
    ),
    "ModifyInstanceAttribute": lambda d: d(
        "ModifyInstanceAttribute", InstanceId=d.launch()[0], DisableApiStop={"Value": True}
    ),
    "ModifyInstanceCpuOptions": lambda d: _with_threads(d)(
        "ModifyInstanceCpuOptions", InstanceId=_stopped(d), CoreCount=1, ThreadsPerCore=1
    ),
    "ModifyInstanceCreditSpecification": lambda d: d(
        "ModifyInstanceCreditSpecification",
        InstanceCreditSpecifications=[
            {"InstanceId": id_, "CpuCredits": "unlimited"}
            for id_ in (d.running(InstanceType="t2.micro")[0], "i-00000099")
        ],
    ),
    "GetDefaultCreditSpecification": lambda d: d(
        "GetDefaultCreditSpecification", InstanceFamily="t2"
    ),
    "ModifyDefaultCreditSpecification": lambda d: d(
        "ModifyDefaultCreditSpecification", InstanceFamily="t2", CpuCredits="unlimited"
    ),
    "ModifyInstanceMetadataOptions": lambda d: d(
        "ModifyInstanceMetadataOptions", InstanceId=d.launch()[0], HttpTokens="required"
    ),
    "ResetInstanceAttribute": lambda d: d(
        "ResetInstanceAttribute", InstanceId=d.launch()[0], Attribute="sourceDestCheck"
    ),
    "MonitorInstances": lambda d: _measured(d)("MonitorInstances", InstanceIds=d.running()),
    "UnmonitorInstances": lambda d: _measured(d)("UnmonitorInstances", InstanceIds=d.running()),
    "GetPasswordData": lambda d: d("GetPasswordData", InstanceId=d.running()[0]),
    "GetInstanceUefiData": lambda d: _uefi(d)("GetInstanceUefiData", InstanceId=started(_uefi(d))),
    "GetConsoleScreenshot": lambda d: d("GetConsoleScreenshot", InstanceId=d.running()[0]),
    "DescribeInstanceStatus": lambda d: d("DescribeInstanceStatus", IncludeAllInstances=True),
    "DescribeKeyPairs": lambda d: d("DescribeKeyPairs", IncludePublicKey=True),
}


@pytest.fixture
def busy(helen):
    """Something of everything, in every state."""
    helen("CreateKeyPair", KeyName="mykey", KeyType="ed25519")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}]
    helen.launch(KeyName="mykey", TagSpecifications=tags)
    helen.running(2)
    ids = helen.running(3)
    helen("StopInstances", InstanceIds=ids)
    helen.halted(ids[1:])
    helen("TerminateInstances", InstanceIds=ids[2:])
    helen.terminated()
    data = {"InstanceType": "m1.small", "TagSpecifications": tags}
    helen("CreateLaunchTemplate", LaunchTemplateName="web", LaunchTemplateData=data)
    helen("CreateLaunchTemplateVersion", LaunchTemplateName="web", LaunchTemplateData=data)
    (written,) = helen.running()
    helen.consoles.written[written] = (b"login:", helen.now)
    return helen


@pytest.mark.parametrize("action", sorted(HANDLERS))
def test_an_answer_has_the_models_members_only(busy, action):
    answer = ANSWERS.get(action, lambda desk: desk(action))(busy)
    output = SERVICE.operation(action).output_shape
    if output is None:
        assert answer == {}
    else:
        assert list(misfits(answer, output)) == []


@pytest.mark.parametrize("action", sorted(HANDLERS))
def test_what_a_handler_takes_is_in_the_model(action):
    unknown = []
    for path in HANDLERS[action].takes:
        shape = SERVICE.operation(action).input_shape
        for name in path.split("."):
            while shape.type_name == "list":
                shape = shape.member
            if shape.type_name != "structure" or name not in shape.members:
                unknown.append(path)
                break
            shape = shape.members[name]
    assert unknown == []


def test_all_actions_that_change_things_say_so():
    reading = {name for name, handler in HANDLERS.items() if not handler.writes}
    assert all(name.startswith(("Describe", "Get")) for name in reading)
    assert not any(name.startswith(("Describe", "Get")) for name in HANDLERS.keys() - reading)


def test_the_misfit_finder_finds_misfits():
    output = SERVICE.operation("DescribeInstances").output_shape
    view = {"Reservations": [{"Elephant": 1, "OwnerId": 5, "Instances": {}}]}
    assert list(misfits(view, output)) == [
        ".Reservations[].Elephant: unknown member",
        ".Reservations[].OwnerId: 5 is no string",
        ".Reservations[].Instances: not a list",
    ]
