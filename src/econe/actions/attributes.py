"""Attributes of instances, and of what launches that say nothing get: read, change, reset."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from econe.actions import views
from econe.actions.context import Context
from econe.actions.only import So, insist
from econe.actions.registry import action
from econe.domain.accounts import MetadataDefaults
from econe.domain.attributes import check_one_attribute
from econe.domain.faults import Invalid, Missing, Noun, Unsupported
from econe.domain.instances import Instance
from econe.domain.launch import check_hop_limit
from econe.domain.topology import read_options

View = dict[str, Any]


def _user_data(row: Instance) -> View:
    if row.user_data is None:
        return {}
    return {"Value": base64.b64encode(row.user_data.reveal()).decode("ascii")}


def _source_dest_check(row: Instance) -> View:
    return {"Value": views.source_dest_check(row)}


READERS: Final[Mapping[str, tuple[str, Callable[[Instance], Any]]]] = {
    "blockDeviceMapping": (
        "BlockDeviceMappings",
        lambda row: [views.mapping(volume) for volume in row.volumes],
    ),
    "disableApiStop": ("DisableApiStop", lambda row: {"Value": row.disable_api_stop}),
    "disableApiTermination": (
        "DisableApiTermination",
        lambda row: {"Value": row.disable_api_termination},
    ),
    "ebsOptimized": ("EbsOptimized", lambda _: {"Value": False}),
    "enaSupport": ("EnaSupport", lambda _: {"Value": False}),
    "enclaveOptions": ("EnclaveOptions", lambda _: {"Enabled": False}),
    "groupSet": ("Groups", views.security_groups),
    "instanceInitiatedShutdownBehavior": (
        "InstanceInitiatedShutdownBehavior",
        lambda row: {"Value": row.shutdown_behavior},
    ),
    "instanceType": ("InstanceType", lambda row: {"Value": row.instance_type}),
    "kernel": ("KernelId", lambda _: {}),
    "productCodes": ("ProductCodes", lambda _: []),
    "ramdisk": ("RamdiskId", lambda _: {}),
    "rootDeviceName": ("RootDeviceName", lambda row: {"Value": row.root_device}),
    "sourceDestCheck": ("SourceDestCheck", _source_dest_check),
    "sriovNetSupport": ("SriovNetSupport", lambda _: {}),
    "userData": ("UserData", _user_data),
}
"""Attribute -> the member that tells it. kernel and ramdisk are null: guests boot from their disks
(API reference, DescribeInstanceAttribute)."""


@action("DescribeInstanceAttribute", takes="InstanceId Attribute")
def describe_instance_attribute(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    row = ctx.cloud.attributes.read(ctx.tx, ctx.account.number, asked["InstanceId"])
    member, read = READERS[asked["Attribute"]]
    return {"InstanceId": row.id, member: read(row)}


MEMBERS: Final[tuple[str, ...]] = (
    "BlockDeviceMappings",
    "DisableApiStop",
    "DisableApiTermination",
    "EbsOptimized",
    "EnaSupport",
    "EnclaveOptions",
    "Groups",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "SourceDestCheck",
    "UserData",
)
SO: Final[So] = {
    "EbsOptimized.Value": (False,),
    "EnaSupport.Value": (False,),
    "EnclaveOptions.Enabled": (False,),
}
"""What every instance here is like."""
CHANGEABLE: Final = sorted(
    attribute
    for attribute, (member, _) in READERS.items()
    if member in MEMBERS and member != "EnclaveOptions"
)
"""Attributes that the older form may name; enclaves it cannot say anything of."""
TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}


@action(
    "ModifyInstanceAttribute",
    writes=True,
    takes="InstanceId Value BlockDeviceMappings.DeviceName "
    "BlockDeviceMappings.Ebs.DeleteOnTermination DisableApiStop.Value DisableApiTermination.Value "
    "Groups InstanceInitiatedShutdownBehavior.Value InstanceType.Value SourceDestCheck.Value "
    "UserData.Value",
    only={**SO, "Attribute": CHANGEABLE},
)
def modify_instance_attribute(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """One attribute: as a member of its own, or by the older Attribute and Value."""
    given = {name: asked[name] for name in MEMBERS if name in asked}
    if "Attribute" in asked:
        given |= _older_form(asked)
    name = check_one_attribute(given)
    value = given[name]
    if isinstance(value, Mapping) and not value:
        raise Missing(Noun.PARAMETER, f"{name}.Value")
    CHANGES[name](ctx, asked["InstanceId"], value)
    return {}


def _older_form(asked: Mapping[str, Any]) -> dict[str, Any]:
    attribute, value = asked["Attribute"], asked.get("Value")
    if attribute == "blockDeviceMapping":
        return {}  # its values stand in BlockDeviceMappings
    member = next((name for name in MEMBERS if READERS[attribute][0] == name), None)
    assert member is not None  # CHANGEABLE is declared
    if value is None:
        raise Missing(Noun.PARAMETER, "Value")
    if member == "Groups":
        return {member: [value]}
    if member in ("InstanceInitiatedShutdownBehavior", "InstanceType"):
        return {member: {"Value": value}}
    if member == "UserData":
        try:
            return {member: {"Value": base64.b64decode(value, validate=True)}}
        except (binascii.Error, ValueError) as error:
            raise Invalid(
                Noun.PARAMETER, "Value", "Invalid BASE64 encoding of user data."
            ) from error
    if value.lower() not in TRUTH:
        raise Invalid(Noun.PARAMETER, value, f"Invalid value '{value}' for {attribute}.")
    made: dict[str, Any] = {member: {"Value": TRUTH[value.lower()]}}
    insist(made, SO)
    return made


def _set_devices(ctx: Context, instance_id: str, given: list[Mapping[str, Any]]) -> None:
    """Where nothing is said of it, a disk is deleted (API reference, ModifyInstanceAttribute)."""
    devices: dict[str, bool] = {}
    for each in given:
        if not each.get("DeviceName"):
            raise Missing(Noun.PARAMETER, "BlockDeviceMapping.DeviceName")
        devices[each["DeviceName"]] = each.get("Ebs", {}).get("DeleteOnTermination", True)
    ctx.cloud.attributes.set_delete_on_termination(ctx.tx, ctx.account.number, instance_id, devices)


def _nothing(ctx: Context, instance_id: str, _value: Any) -> None:
    """It is so already: no other value is taken."""
    ctx.cloud.attributes.read(ctx.tx, ctx.account.number, instance_id)


CHANGES: Final[Mapping[str, Callable[[Context, str, Any], None]]] = {
    "BlockDeviceMappings": _set_devices,
    "DisableApiStop": lambda ctx, row_id, given: ctx.cloud.attributes.set_stop_protection(
        ctx.tx, ctx.account.number, row_id, on=given["Value"]
    ),
    "DisableApiTermination": lambda ctx, row_id, given: (
        ctx.cloud.attributes.set_termination_protection(
            ctx.tx, ctx.account.number, row_id, on=given["Value"]
        )
    ),
    "EbsOptimized": _nothing,
    "EnaSupport": _nothing,
    "EnclaveOptions": _nothing,
    "Groups": lambda ctx, row_id, given: ctx.cloud.attributes.set_groups(
        ctx.tx, ctx.account.number, row_id, given
    ),
    "InstanceInitiatedShutdownBehavior": lambda ctx, row_id, given: (
        ctx.cloud.attributes.set_shutdown_behavior(
            ctx.tx, ctx.account.number, row_id, given["Value"]
        )
    ),
    "InstanceType": lambda ctx, row_id, given: ctx.cloud.attributes.set_type(
        ctx.tx, ctx.account.number, row_id, given["Value"]
    ),
    "SourceDestCheck": lambda ctx, row_id, given: ctx.cloud.attributes.set_source_dest_check(
        ctx.tx, ctx.account.number, row_id, on=given["Value"]
    ),
    "UserData": lambda ctx, row_id, given: ctx.cloud.attributes.set_user_data(
        ctx.tx, ctx.account.number, row_id, given["Value"]
    ),
}


@action("ModifyInstanceCpuOptions", writes=True, takes="InstanceId CoreCount ThreadsPerCore")
def modify_instance_cpu_options(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    options = read_options(asked.get("CoreCount"), asked.get("ThreadsPerCore"))
    if options is None:
        raise Missing(
            Noun.PARAMETER, "CoreCount", "CoreCount and ThreadsPerCore must be specified."
        )
    row = ctx.cloud.attributes.set_cpu_options(
        ctx.tx, ctx.account.number, asked["InstanceId"], options
    )
    return {"InstanceId": row.id, **views.cpu_options(row.vcpus, row.threads_per_core)}


@action(
    "ResetInstanceAttribute",
    writes=True,
    takes="InstanceId",
    only={"Attribute": ("sourceDestCheck",)},
)
def reset_instance_attribute(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """A kernel and a RAM disk, which EC2 resets too, no instance here has."""
    ctx.cloud.attributes.set_source_dest_check(
        ctx.tx, ctx.account.number, asked["InstanceId"], on=True
    )
    return {}


# --- the metadata service ----------------------------------------------------------------

OPTION_OF: Final = {
    "HttpTokens": "http_tokens",
    "HttpPutResponseHopLimit": "hop_limit",
    "HttpEndpoint": "http_endpoint",
    "InstanceMetadataTags": "instance_tags",
}
"""The API's names -> fields of MetadataOptions and MetadataDefaults."""
OPTIONS: Final = " ".join(OPTION_OF)
NO_PREFERENCE: Final = "no-preference"


@action(
    "ModifyInstanceMetadataOptions",
    writes=True,
    takes=f"InstanceId {OPTIONS}",
    only={"HttpProtocolIpv6": ("disabled",)},
)
def modify_instance_metadata_options(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    changes = {field: asked[name] for name, field in OPTION_OF.items() if name in asked}
    if not changes and "HttpProtocolIpv6" not in asked:
        raise Missing(Noun.PARAMETER, said="At least one metadata option must be given.")
    row = ctx.cloud.attributes.set_metadata_options(
        ctx.tx, ctx.account.number, asked["InstanceId"], changes
    )
    return {
        "InstanceId": row.id,
        "InstanceMetadataOptions": views.metadata_options(row.metadata_options),
    }


@action("GetInstanceMetadataDefaults")
def get_instance_metadata_defaults(ctx: Context, _asked: dict[str, Any]) -> dict[str, Any]:
    defaults = ctx.account.metadata_defaults
    told = {name: getattr(defaults, field) for name, field in OPTION_OF.items()}
    set_ones = {name: value for name, value in told.items() if value}
    return {"AccountLevel": {**set_ones, "ManagedBy": "account"}}


@action("ModifyInstanceMetadataDefaults", writes=True, takes=OPTIONS)
def modify_instance_metadata_defaults(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """`no-preference`, and -1 for the limit, take a default back (API reference)."""
    if not ctx.cloud.can.metadata:
        raise Unsupported(
            Noun.PARAMETER, said="This cloud's instances have no metadata service of its own."
        )
    unset = {each.name: each.default for each in fields(MetadataDefaults)}
    changes: dict[str, Any] = {}
    for name, field in OPTION_OF.items():
        if name in asked:
            value = asked[name]
            taken_back = value in (NO_PREFERENCE, -1)
            if field == "hop_limit" and not taken_back:
                check_hop_limit(value)
            changes[field] = unset[field] if taken_back else value
    account = replace(
        ctx.account, metadata_defaults=replace(ctx.account.metadata_defaults, **changes)
    )
    ctx.tx.accounts.save(account)
    return {"Return": True}
