"""Every parameter of every action, with whatever it must not be: the model says which there are.

Beside test_fuzz.py, which tries what nobody thought of, this walks all that can be named: each leaf
of each action's input, in a request that is good but for it, with values of a wrong type, range,
form, owner and state. None of them is our fault, so none is answered with 500 or above.
"""

import base64
from collections.abc import Iterator
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
