"""Attributes of instances. Codes and rules: API reference, ModifyInstanceAttribute."""

import base64
from typing import Any

import pytest
from tests.support.desk import Desk

from econe.domain.faults import (
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    Missing,
    NotFound,
    Unsupported,
    WrongState,
)
from econe.domain.hidden import Hidden
from econe.domain.instances import InstanceState


def read(helen: Desk, id_: str, attribute: str, member: str):
    return helen("DescribeInstanceAttribute", InstanceId=id_, Attribute=attribute)[member]


def stopped(helen: Desk) -> str:
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_])
    helen.halted([id_])
    return id_


def test_every_attribute_of_the_api_can_be_read(helen: Desk):
    from econe.wire import model

    names = model.load().operation("DescribeInstanceAttribute").input_shape.members
    (id_,) = helen.running()
    for attribute in names["Attribute"].enum:
        told = helen("DescribeInstanceAttribute", InstanceId=id_, Attribute=attribute)
        assert told.pop("InstanceId") == id_
        assert len(told) == 1


def test_a_new_type_is_what_the_next_start_boots(helen: Desk):
    id_ = stopped(helen)
    helen("ModifyInstanceAttribute", InstanceId=id_, InstanceType={"Value": "m1.large"})
    assert read(helen, id_, "instanceType", "InstanceType") == {"Value": "m1.large"}
    row = helen.row(id_)
    assert (row.vcpus, row.memory_mib) == (2, 7680)


@pytest.mark.parametrize(
    "change", [{"InstanceType": {"Value": "m1.large"}}, {"UserData": {"Value": b"x"}}]
)
def test_what_is_built_in_changes_only_while_it_is_stopped(helen: Desk, change):
    (id_,) = helen.running()
    with pytest.raises(WrongState, match="stopped"):
        helen("ModifyInstanceAttribute", InstanceId=id_, **change)


def test_an_unknown_type_is_invalid(helen: Desk):
    id_ = stopped(helen)
    with pytest.raises(Invalid):
        helen("ModifyInstanceAttribute", InstanceId=id_, InstanceType={"Value": "x9.huge"})


def test_user_data_is_replaced_and_removed(helen: Desk):
    id_ = stopped(helen)
    helen("ModifyInstanceAttribute", InstanceId=id_, UserData={"Value": b"#!/bin/sh"})
    assert helen.row(id_).user_data == Hidden(b"#!/bin/sh")
    text = base64.b64encode(b"#!/bin/sh").decode()
    assert read(helen, id_, "userData", "UserData") == {"Value": text}
    helen("ModifyInstanceAttribute", InstanceId=id_, UserData={"Value": b""})
    assert read(helen, id_, "userData", "UserData") == {}
    with pytest.raises(Invalid, match="16384"):
        helen("ModifyInstanceAttribute", InstanceId=id_, UserData={"Value": b"x" * 16385})


def test_the_older_form_names_the_attribute_and_its_value(helen: Desk):
    id_ = stopped(helen)
    for attribute, value in (
        ("instanceType", "m1.medium"),
        ("userData", base64.b64encode(b"data").decode()),
        ("disableApiTermination", "true"),
        ("instanceInitiatedShutdownBehavior", "terminate"),
    ):
        helen("ModifyInstanceAttribute", InstanceId=id_, Attribute=attribute, Value=value)
    row = helen.row(id_)
    assert (row.instance_type, row.user_data) == ("m1.medium", Hidden(b"data"))
    assert (row.disable_api_termination, row.shutdown_behavior) == (True, "terminate")
    for attribute, value, fault in (
        ("disableApiStop", "perhaps", Invalid),
        ("userData", "%%%", Invalid),
        ("instanceType", None, Missing),
        ("kernel", "aki-1", Unsupported),
        ("ebsOptimized", "true", Unsupported),
    ):
        asked = {} if value is None else {"Value": value}
        with pytest.raises(fault):
            helen("ModifyInstanceAttribute", InstanceId=id_, Attribute=attribute, **asked)


def test_one_attribute_at_a_time(helen: Desk):
    id_ = stopped(helen)
    with pytest.raises(Conflict):
        helen(
            "ModifyInstanceAttribute",
            InstanceId=id_,
            InstanceType={"Value": "m1.large"},
            DisableApiStop={"Value": True},
        )
    with pytest.raises(Conflict):
        helen("ModifyInstanceAttribute", InstanceId=id_)


def test_a_protected_instance_is_not_terminated_nor_are_those_beside_it(helen: Desk):
    kept, other = helen.running(2)
    helen("ModifyInstanceAttribute", InstanceId=kept, DisableApiTermination={"Value": True})
    with pytest.raises(Forbidden, match="disableApiTermination"):
        helen("TerminateInstances", InstanceIds=[other, kept])
    assert helen.row(other).state is InstanceState.RUNNING
    helen("ModifyInstanceAttribute", InstanceId=kept, DisableApiTermination={"Value": False})
    helen("TerminateInstances", InstanceIds=[other, kept])


def test_a_protected_instance_is_not_stopped_but_its_guest_may_halt(helen: Desk):
    (id_,) = helen.running(DisableApiStop=True)
    with pytest.raises(Forbidden, match="disableApiStop"):
        helen("StopInstances", InstanceIds=[id_])
    helen.halted([id_], by_guest=True)
    assert helen.row(id_).state is InstanceState.STOPPED


def test_protection_can_be_had_from_the_launch_on(helen: Desk):
    (id_,) = helen.running(DisableApiTermination=True)
    with pytest.raises(Forbidden):
        helen("TerminateInstances", InstanceIds=[id_])


def test_the_source_destination_check_is_told_to_the_network(helen: Desk):
    (id_,) = helen.running()
    helen("ModifyInstanceAttribute", InstanceId=id_, SourceDestCheck={"Value": False})
    row = helen.row(id_)
    assert (row.interfaces[0].source_dest_check, row.settled) == (False, False)
    (reservation,) = helen("DescribeInstances", InstanceIds=[id_])["Reservations"]
    assert reservation["Instances"][0].structure["SourceDestCheck"] is False
    helen("ResetInstanceAttribute", InstanceId=id_, Attribute="sourceDestCheck")
    assert read(helen, id_, "sourceDestCheck", "SourceDestCheck") == {"Value": True}
    with pytest.raises(Unsupported):
        helen("ResetInstanceAttribute", InstanceId=id_, Attribute="kernel")


def test_a_disk_may_be_let_outlive_its_instance(helen: Desk):
    (id_,) = helen.running()
    change = {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}
    helen("ModifyInstanceAttribute", InstanceId=id_, BlockDeviceMappings=[change])
    (mapping,) = read(helen, id_, "blockDeviceMapping", "BlockDeviceMappings")
    assert mapping["Ebs"]["DeleteOnTermination"] is False
    with pytest.raises(NotFound):
        helen(
            "ModifyInstanceAttribute",
            InstanceId=id_,
            BlockDeviceMappings=[change | {"DeviceName": "/dev/sdx"}],
        )
    with pytest.raises(Missing):
        broken = {"Ebs": {"DeleteOnTermination": True}}
        helen("ModifyInstanceAttribute", InstanceId=id_, BlockDeviceMappings=[broken])
    usual = {"DeviceName": "/dev/sda1"}
    helen("ModifyInstanceAttribute", InstanceId=id_, BlockDeviceMappings=[usual])
    (mapping,) = read(helen, id_, "blockDeviceMapping", "BlockDeviceMappings")
    assert mapping["Ebs"]["DeleteOnTermination"] is True


def test_groups_are_those_that_there_are(helen: Desk):
    (id_,) = helen.running()
    (group,) = read(helen, id_, "groupSet", "Groups")
    helen("ModifyInstanceAttribute", InstanceId=id_, Groups=[group["GroupId"]])
    with pytest.raises(NotFound):
        helen("ModifyInstanceAttribute", InstanceId=id_, Groups=["sg-00000099"])


def test_nothing_of_a_terminated_instance_changes(helen: Desk):
    (id_,) = helen.terminated()
    with pytest.raises(WrongState):
        helen("ModifyInstanceAttribute", InstanceId=id_, DisableApiStop={"Value": True})


# --- the metadata service ----------------------------------------------------------------


def test_metadata_options_change_one_by_one(helen: Desk):
    (id_,) = helen.running()
    told = helen("ModifyInstanceMetadataOptions", InstanceId=id_, HttpTokens="required")
    assert told["InstanceMetadataOptions"]["HttpTokens"] == "required"
    assert told["InstanceMetadataOptions"]["HttpPutResponseHopLimit"] == 1
    helen("ModifyInstanceMetadataOptions", InstanceId=id_, HttpPutResponseHopLimit=3)
    options = helen.row(id_).metadata_options
    assert (options.http_tokens, options.hop_limit) == ("required", 3)
    for asked in ({"HttpPutResponseHopLimit": 65}, {"HttpProtocolIpv6": "enabled"}, {}):
        with pytest.raises(Fault):
            helen("ModifyInstanceMetadataOptions", InstanceId=id_, **asked)


SECRET = {"Key": "a/b", "Value": "c"}
"""A tag with a key that the metadata service cannot tell."""


def tell_tags(desk: Desk, id_: str) -> dict[str, Any]:
    return desk("ModifyInstanceMetadataOptions", InstanceId=id_, InstanceMetadataTags="enabled")


def test_tags_that_guests_may_read_have_keys_that_guests_can_ask_for(helen: Desk):
    """User Guide, "View tags for your EC2 instances using instance metadata"."""
    (id_,) = helen.running()
    tell_tags(helen, id_)
    for key in ("a/b", "a b", ".", "..", "_index", "é"):
        with pytest.raises(Invalid, match="not a valid tag key"):
            helen("CreateTags", Resources=[id_], Tags=[{"Key": key, "Value": ""}])
    helen("CreateTags", Resources=[id_], Tags=[{"Key": "a-b_c=d,e.f@g:1", "Value": ""}])
    helen("CreateTags", Resources=[helen.row(id_).volumes[0].id], Tags=[SECRET])


def test_tags_are_not_told_while_one_has_another_key(helen: Desk):
    (id_,) = helen.running()
    helen("CreateTags", Resources=[id_], Tags=[SECRET])
    with pytest.raises(Invalid, match="not a valid tag key"):
        tell_tags(helen, id_)
    helen("ModifyInstanceMetadataOptions", InstanceId=id_, HttpTokens="required")
    helen("DeleteTags", Resources=[id_], Tags=[{"Key": "a/b"}])
    told = tell_tags(helen, id_)
    assert told["InstanceMetadataOptions"]["InstanceMetadataTags"] == "enabled"


def test_a_launch_with_another_key_fails_where_its_tags_are_told(helen: Desk):
    def asked(kind: str) -> dict[str, Any]:
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": [SECRET]}]}

    helen.launch(**asked("instance"))
    helen("ModifyInstanceMetadataDefaults", InstanceMetadataTags="enabled")
    desk = helen.again()
    desk.launch(**asked("volume"))
    with pytest.raises(Invalid, match="not a valid tag key"):
        desk.launch(**asked("instance"))


def test_an_accounts_defaults_are_what_launches_get_that_say_nothing(helen: Desk):
    helen("ModifyInstanceMetadataDefaults", HttpTokens="required", HttpPutResponseHopLimit=2)
    told = helen.again()("GetInstanceMetadataDefaults")["AccountLevel"]
    assert told == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "ManagedBy": "account"}
    desk = helen.again()
    (silent,) = desk.launch()
    (loud,) = desk.launch(MetadataOptions={"HttpTokens": "optional"})
    assert desk.row(silent).metadata_options.http_tokens == "required"
    assert desk.row(loud).metadata_options.http_tokens == "optional"
    assert desk.row(loud).metadata_options.hop_limit == 2
    desk("ModifyInstanceMetadataDefaults", HttpTokens="no-preference", HttpPutResponseHopLimit=-1)
    assert helen.again()("GetInstanceMetadataDefaults")["AccountLevel"] == {"ManagedBy": "account"}
