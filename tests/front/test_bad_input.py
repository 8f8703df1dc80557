"""Every parameter of every action, with whatever it must not be: the model says which there are.

Beside test_fuzz.py, which tries what nobody thought of, this walks all that can be named: each leaf
of each action's input, in a request that is good but for it, with values of a wrong type, range,
form, owner and state. None of them is our fault, so none is answered with 500 or above.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.front.conftest import Desk
from tests.support.cloud import Cloud

from econe.actions.keymaker import OpenSshKeys
from econe.actions.registry import HANDLERS
from econe.app import utc_now
from econe.domain import happenings
from econe.domain.engine_ports import Phase, Seen
from econe.wire import model

SERVICE = model.load()

BAD: dict[str, tuple[str, ...]] = {
    "boolean": ("maybe", "2", "", "TRUE "),
    "integer": ("many", "-1", "0", "99999999999999999999", "1.5", "", "1e3"),
    "long": ("many", "-1", "99999999999999999999", ""),
    "double": ("many", "nan", "inf", ""),
    "timestamp": ("yesterday", "2026-13-45T00:00:00Z", "0", "9999-12-31T23:59:59Z", ""),
    "blob": ("%%%", "A", "=", "A" * 30000, ""),
    "string": ("", " ", "*", "\\", "'\"<&>", "\x00", "\ud7ff", "x" * 5000, "ümlaut", "i-1", "1"),
}
"""By the model's type."""
IDS = (
    "i-", "i-x", "i-0123456789abcdef0", "i-99999999", "ami-99999999", "vol-99999999",
    "eni-99999999", "subnet-99999999", "sg-99999999", "vpc-99999999", "key-99999999",
    "lt-99999999", "snap-99999999", "-1", "i-00000001 ", "I-00000001",
)  # fmt: skip
"""Wrong form, wrong kind, and nobody's."""
GENERAL = {"DryRun", "ClientToken"}
PUBLIC_KEY = base64.b64encode(OpenSshKeys().make("ed25519").public_key.encode()).decode()


def leaves(shape: Any, prefix: str = "", depth: int = 5) -> Iterator[tuple[str, Any]]:
    """(name on the wire, shape) of every scalar below, lists with their first item."""
    if shape.type_name == "list":
        yield from leaves(shape.member, f"{prefix}.1", depth)
    elif shape.type_name == "structure":
        if depth == 0:
            return
        for name, member in shape.members.items():
            wire = member.serialization.get("queryName") or member.serialization.get("name", name)
            wire = wire[:1].upper() + wire[1:]
            yield from leaves(member, f"{prefix}.{wire}" if prefix else wire, depth - 1)
    else:
        yield prefix, shape


def required(shape: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, member in shape.members.items():
        if name in shape.required_members:
            wire = member.serialization.get("queryName") or member.serialization.get("name", name)
            wire = wire[:1].upper() + wire[1:]
            yield from leaves(member, f"{prefix}{wire}", 1)


@pytest.fixture(scope="module")
def good() -> dict[str, str]:
    """Values that let a request get far, by the last word of the parameter's name."""
    return {
        "Attribute": "description",
        "DeprecateAt": "2030-01-01T00:00:00Z",
        "InstanceType": "t2.micro",
        "Key": "Name",
        "KeyName": "mykey",
        "MaxCount": "1",
        "MinCount": "1",
        "Name": "instance-id",
        "Value": "x",
    }


def base(action: str, good: dict[str, str], ids: dict[str, str]) -> dict[str, str]:
    """The required parameters, and an image where one can be named."""
    shape = SERVICE.operation(action).input_shape
    asked = {}
    for name, member in required(shape):
        last = name.rstrip(".0123456789").rpartition(".")[2]
        enum = getattr(member, "enum", None) or []
        asked[name] = ids.get(last) or (enum[0] if enum else good.get(last, "1"))
    if action == "RunInstances":
        asked["ImageId"] = ids["ImageId"]
    return asked


@pytest.fixture
def ids(desk: Desk) -> dict[str, str]:
    return own_ids(desk)


def own_ids(desk: Desk) -> dict[str, str]:
    """One of everything, of the caller's own: by the last word of the parameter's name."""
    cloud = Cloud(desk.app, "", desk.caller)
    image_id = cloud.image()
    desk.ask("ImportKeyPair", KeyName="mykey", PublicKeyMaterial=PUBLIC_KEY)
    instance_id = desk.ask(
        "RunInstances", ImageId=image_id, MinCount="1", MaxCount="1", KeyName="mykey"
    ).all("instanceId")[0]
    with desk.app.store.writing() as tx:
        row = tx.instances.get(instance_id)
        assert row is not None
        happenings.started(tx, row.id, row.generation, utc_now(), Seen(Phase.RUNNING, "ref"))
    return {
        "ImageId": image_id,
        "InstanceId": instance_id,
        "ResourceId": instance_id,
        "SubnetId": row.subnet_id,
        "VolumeId": row.volumes[0].id,
        "NetworkInterfaceId": row.interfaces[0].id,
        "GroupId": row.interfaces[0].groups[0][0],
        "VpcId": row.vpc_id,
        "KeyPairId": desk.ask("DescribeKeyPairs").all("keyPairId")[0],
        "LaunchTemplateId": desk.ask(
            "CreateLaunchTemplate",
            **{"LaunchTemplateName": "mine", "LaunchTemplateData.KeyName": "mykey"},
        ).all("launchTemplateId")[0],
    }


@pytest.mark.parametrize("action", sorted(set(HANDLERS) - {"UploadImage"}))
def test_no_wrong_value_is_our_fault(
    desk: Desk, good: dict[str, str], ids: dict[str, str], action: str
) -> None:
    shape = SERVICE.operation(action).input_shape
    if shape is None:
        return
    asked = base(action, good, ids)
    ours = []
    for name, leaf in leaves(shape):
        values = BAD[leaf.type_name]
        if leaf.type_name == "string" and name.rpartition(".")[2].rstrip(".1").endswith("Id"):
            values += IDS
        if name.split(".")[0] in GENERAL:
            values = values[:3]
        for value in values:
            answer = desk.ask(action, **(asked | {name: value}))
            if answer.status >= 500:
                ours.append((name, value[:40], answer.status, answer.code))
    assert ours == []


# --- several at once -----------------------------------------------------------------------


@dataclass(frozen=True)
class Several:
    """A parameter that names things, and what is said of those that there are not."""

    missing: tuple[str, str]
    code: str
    sentence: str
    """With `{}` for both of the missing ones."""
    good: str = ""
    """One that there is; else by the parameter's name in `ids`."""
    malformed: str = ""
    """The code for what cannot be one; empty where any text can."""


def _ids(prefix: str, code: str, sentence: str, malformed: str) -> Several:
    missing = (f"{prefix}-99999997", f"{prefix}-99999998")
    return Several(missing, code, sentence, malformed=malformed)


INSTANCES = _ids(
    "i", "InvalidInstanceID.NotFound", "The instance IDs '{}' do not exist",
    "InvalidInstanceID.Malformed",
)  # fmt: skip
TEMPLATES = "At least one of the launch templates specified in the request does not exist."
GROUPS = "The security groups '{}' do not exist"
SEVERAL = {
    "DescribeImages.ImageId": _ids(
        "ami", "InvalidAMIID.NotFound", "The image ids '[{}]' do not exist",
        "InvalidAMIID.Malformed",
    ),
    "DescribeInstanceCreditSpecifications.InstanceId": INSTANCES,
    "DescribeInstanceStatus.InstanceId": INSTANCES,
    "DescribeInstanceTypes.InstanceType": Several(
        ("x9.tiny", "x9.huge"),
        "InvalidInstanceType",
        "The following supplied instance types do not exist: [{}]",
        good="t3.micro",
    ),
    "DescribeInstances.InstanceId": INSTANCES,
    "DescribeKeyPairs.KeyName": Several(
        ("one", "two"), "InvalidKeyPair.NotFound", "The key pairs '{}' do not exist", good="mykey"
    ),
    "DescribeKeyPairs.KeyPairId": _ids(
        "key", "InvalidKeyPair.NotFound", "The key pairs '{}' do not exist", "InvalidParameterValue"
    ),
    "DescribeLaunchTemplates.LaunchTemplateId": _ids(
        "lt", "InvalidLaunchTemplateId.NotFound", TEMPLATES, "InvalidLaunchTemplateId.Malformed"
    ),
    "DescribeLaunchTemplates.LaunchTemplateName": Several(
        ("one", "two"), "InvalidLaunchTemplateName.NotFoundException", TEMPLATES, good="mine"
    ),
    "DescribeNetworkInterfaces.NetworkInterfaceId": _ids(
        "eni", "InvalidNetworkInterfaceID.NotFound",
        "The networkInterface IDs '{}' do not exist", "InvalidNetworkInterfaceId.Malformed",
    ),
    "DescribeSecurityGroups.GroupId": _ids(
        "sg", "InvalidGroup.NotFound", GROUPS, "InvalidGroupId.Malformed"
    ),
    "DescribeSecurityGroups.GroupName": Several(
        ("one", "two"), "InvalidGroup.NotFound", GROUPS, good="default"
    ),
    "DescribeSubnets.SubnetId": _ids(
        "subnet", "InvalidSubnetID.NotFound", "The subnet IDs '{}' do not exist",
        "InvalidSubnetID.Malformed",
    ),
    "DescribeVolumes.VolumeId": _ids(
        "vol", "InvalidVolume.NotFound", "The volumes '{}' do not exist",
        "InvalidVolumeID.Malformed",
    ),
    "DescribeVpcs.VpcId": _ids(
        "vpc", "InvalidVpcID.NotFound", "The vpc IDs '{}' do not exist", "InvalidVpcID.Malformed"
    ),
    "MonitorInstances.InstanceId": INSTANCES,
    "RebootInstances.InstanceId": INSTANCES,
    "StartInstances.InstanceId": INSTANCES,
    "StopInstances.InstanceId": INSTANCES,
    "TerminateInstances.InstanceId": INSTANCES,
    "UnmonitorInstances.InstanceId": INSTANCES,
}  # fmt: skip
NOT_THINGS = {
    # Kinds and people, not things.
    "DescribeAccountAttributes.AttributeName",
    "DescribeImages.ExecutableBy",
    "DescribeImages.Owner",
    "ModifyImageAttribute.UserGroup",
    "ModifyImageAttribute.UserId",
    # There are none of them, or one: each of these is refused by itself, below or in its own test.
    "DescribeAddresses.AllocationId",
    "DescribeAddresses.PublicIp",
    "DescribeAddressesAttribute.AllocationId",
    "DescribeAvailabilityZones.ZoneId",
    "DescribeAvailabilityZones.ZoneName",
    "DescribeRegions.RegionName",
    # Of one instance, of whose network there is one group.
    "ModifyInstanceAttribute.GroupId",
    "RunInstances.SecurityGroup",
    "RunInstances.SecurityGroupId",
    # Of any kind: the first that is missing is named by its kind's code.
    "CreateTags.ResourceId",
    "DeleteTags.ResourceId",
    # Those that are missing are told beside those that are gone.
    "DeleteLaunchTemplateVersions.LaunchTemplateVersion",
    "DescribeLaunchTemplateVersions.LaunchTemplateVersion",
}
EACH = pytest.mark.parametrize("where", SEVERAL)


def named_lists() -> Iterator[str]:
    """Every parameter that is taken and is a list of texts: as it is called on the wire."""
    for action, handler in HANDLERS.items():
        shape = SERVICE.expect(action).input_shape
        for name, member in shape.members.items() if shape is not None else ():
            is_list = member.type_name == "list" and member.member.type_name == "string"
            if is_list and name in handler.takes:
                yield f"{action}.{name_of(shape, name)}"


def name_of(shape: Any, name: str) -> str:
    member = shape.members[name]
    wire = member.serialization.get("queryName") or member.serialization.get("name", name)
    return str(wire[:1].upper() + wire[1:])


def asked_for(where: str, ids: dict[str, str], *values: str) -> tuple[str, dict[str, str]]:
    action, _, name = where.partition(".")
    good = SEVERAL[where].good or ids[name]
    return action, {f"{name}.{number}": value for number, value in enumerate((good, *values), 1)}


def test_every_list_of_names_is_here() -> None:
    """A new action: say in SEVERAL what is answered of those that there are not."""
    assert set(named_lists()) == set(SEVERAL) | NOT_THINGS


@EACH
def test_all_that_are_missing_are_told_and_nothing_is_done(
    desk: Desk, ids: dict[str, str], where: str
) -> None:
    several = SEVERAL[where]
    before = desk.ask("DescribeInstances").text.partition("</requestId>")[2]
    action, asked = asked_for(where, ids, *several.missing)
    answer = desk.ask(action, **asked)
    assert (answer.code, answer.status) == (several.code, 400)
    assert answer.message == several.sentence.replace("{}", ", ".join(several.missing))
    assert desk.ask("DescribeInstances").text.partition("</requestId>")[2] == before


@EACH
def test_one_that_is_malformed_is_told_before_any_is_looked_for(
    desk: Desk, ids: dict[str, str], where: str
) -> None:
    several = SEVERAL[where]
    if not several.malformed:
        return
    action, asked = asked_for(where, ids, several.missing[0], "elephant")
    answer = desk.ask(action, **asked)
    assert (answer.code, answer.status) == (several.malformed, 400)
    assert "elephant" in answer.message


@EACH
def test_others_things_are_as_if_they_were_not_there(
    desk: Desk, ids: dict[str, str], where: str
) -> None:
    """And those that are there are found, so that the refusals above mean something."""
    action, asked = asked_for(where, ids)
    assert desk.ask(action, **asked, DryRun="true").code == "DryRunOperation"
    stranger = Desk(desk.app, desk.vault)
    answer = stranger.ask(action, **asked)
    shared = {"DescribeInstanceTypes.InstanceType", "DescribeSecurityGroups.GroupName"}
    if where not in shared:
        assert answer.code == SEVERAL[where].code


# --- the wrong state -----------------------------------------------------------------------

INSTANCE, IMAGE = "IncorrectInstanceState", "InvalidAMIID.Unavailable"
GONE = {
    "GetConsoleScreenshot": INSTANCE,
    "ModifyInstanceAttribute": INSTANCE,
    "ModifyInstanceMetadataOptions": INSTANCE,
    "MonitorInstances": INSTANCE,
    "StartInstances": INSTANCE,
    "StopInstances": INSTANCE,
}
"""What cannot be done with a terminated instance."""
RETIRED = {
    "DeregisterImage": IMAGE,
    "DisableImage": IMAGE,
    "EnableImage": IMAGE,
    "EnableImageDeprecation": IMAGE,
    "ModifyImageAttribute": IMAGE,
    "RunInstances": IMAGE,
}
"""What cannot be done with an image that was deregistered."""


@pytest.mark.parametrize("action", GONE)
def test_what_needs_a_living_instance_says_so(desk: Desk, ids: dict[str, str], action: str) -> None:
    id_ = ids["InstanceId"]
    desk.ask("TerminateInstances", **{"InstanceId.1": id_})
    with desk.app.store.writing() as tx:
        happenings.gone(tx, id_, utc_now())
    name = "InstanceId.1" if action.endswith("Instances") else "InstanceId"
    more = {
        "ModifyInstanceAttribute": {"DisableApiStop.Value": "true"},
        "ModifyInstanceMetadataOptions": {"HttpTokens": "required"},
    }.get(action, {})
    answer = desk.ask(action, **{name: id_}, **more)
    assert (answer.code, answer.status) == (GONE[action], 400), answer.message
    assert id_ in answer.message


@pytest.mark.parametrize("action", RETIRED)
def test_what_needs_an_image_that_is_there_says_so(
    desk: Desk, ids: dict[str, str], action: str
) -> None:
    id_ = ids["ImageId"]
    assert desk.ask("DeregisterImage", ImageId=id_).status == 200
    more = {
        "EnableImageDeprecation": {"DeprecateAt": "2099-01-01T00:00:00Z"},
        "ModifyImageAttribute": {"Description.Value": "x"},
        "RunInstances": {"MinCount": "1", "MaxCount": "1"},
    }.get(action, {})
    answer = desk.ask(action, ImageId=id_, **more)
    assert (answer.code, answer.status) == (RETIRED[action], 400), answer.message
    assert id_ in answer.message
