"""RunInstances: the parameters, as an order."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from econe.actions import views
from econe.actions.context import Context
from econe.actions.only import So, insist
from econe.actions.registry import action
from econe.actions.tagspecs import read_specifications
from econe.domain.accounts import MetadataDefaults
from econe.domain.faults import Conflict, Missing, Noun, Unsupported, WrongState
from econe.domain.hidden import Hidden
from econe.domain.instances import INTENT_OF, Intent, MetadataOptions
from econe.domain.launch import (
    LAUNCH_TAGGED,
    VOLUME_TYPES,
    DiskOrder,
    LaunchOrder,
    NetworkOrder,
)
from econe.domain.launch_templates import DEFAULT, marks_of, overlay
from econe.domain.queries import Criterion, Query, literally
from econe.domain.template_book import find_template, find_version
from econe.domain.topology import read_options

NO_DEFAULTS: Final = MetadataDefaults()

SO: Final[So] = {
    "BlockDeviceMappings.Ebs.Encrypted": (False,),
    "BlockDeviceMappings.Ebs.VolumeType": sorted(VOLUME_TYPES),
    "CapacityReservationSpecification.CapacityReservationPreference": (views.RESERVATION,),
    "CpuOptions.AmdSevSnp": ("disabled",),
    # Machines are not throttled, which is what `unlimited` means for burstable types.
    "CreditSpecification.CpuCredits": ("unlimited",),
    "EbsOptimized": (False,),
    "EnclaveOptions.Enabled": (False,),
    "MaintenanceOptions.AutoRecovery": (views.RECOVERY,),
    "MetadataOptions.HttpProtocolIpv6": ("disabled",),
    "NetworkInterfaces.AssociatePublicIpAddress": (False,),
    "NetworkInterfaces.Description": ("",),
    "NetworkInterfaces.DeviceIndex": (0,),
    "NetworkInterfaces.InterfaceType": ("interface",),
    "NetworkInterfaces.NetworkCardIndex": (0,),
    "Placement.GroupName": ("",),
    "Placement.Tenancy": ("default",),
    "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord": (False,),
    "PrivateDnsNameOptions.EnableResourceNameDnsARecord": (False,),
    "PrivateDnsNameOptions.HostnameType": ("ip-name",),
}
"""What launches may say of these: mostly what every one here is like."""

TAKES: Final = """
    ImageId MinCount MaxCount InstanceType KeyName UserData InstanceInitiatedShutdownBehavior
    DisableApiStop DisableApiTermination Monitoring.Enabled
    CpuOptions.CoreCount CpuOptions.ThreadsPerCore
    HibernationOptions.Configured
    BlockDeviceMappings.DeviceName BlockDeviceMappings.Ebs.VolumeSize
    BlockDeviceMappings.Ebs.DeleteOnTermination
    MetadataOptions.HttpTokens MetadataOptions.HttpPutResponseHopLimit
    MetadataOptions.HttpEndpoint MetadataOptions.InstanceMetadataTags
    NetworkInterfaces.SubnetId NetworkInterfaces.Groups NetworkInterfaces.DeleteOnTermination
    NetworkInterfaces.PrivateIpAddress
    Placement.AvailabilityZone PrivateIpAddress SecurityGroupIds SecurityGroups SubnetId
    TagSpecifications
"""


LIVING: Final = tuple(
    state.value for state, intent in INTENT_OF.items() if intent is not Intent.TERMINATE
)


def _still_run(ctx: Context, asked: dict[str, Any]) -> None:
    """EC2 tells of no instances that are all gone (error codes: IdempotentInstanceTerminated)."""
    token = asked["ClientToken"]
    there = (Criterion("client_token", (literally(token),)), Criterion("state", LIVING))
    query = Query(account=ctx.account.number, criteria=there, limit=1)
    if not ctx.tx.instances.keys(query).items:
        raise WrongState(Noun.REQUEST, token)


@action(
    "RunInstances",
    writes=True,
    takes=f"{TAKES} LaunchTemplate",
    only=SO,
    again=_still_run,
)
def run_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    whole, marks = _from_template(ctx, asked)
    order = replace(read_order(whole, ctx.account.metadata_defaults), marks=marks)
    launched = ctx.cloud.instances.launch(ctx.tx, ctx.account.number, order, ctx.now)
    return views.reservation(
        launched[0].reservation_id,
        ctx.account.number,
        ctx.account.name,
        [views.instance(row, ctx.cloud) for row in launched],
    )


def _from_template(
    ctx: Context, asked: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """What is asked over what the launch template says, and the tags that tell of that."""
    named = asked.get("LaunchTemplate")
    if named is None:
        return asked, {}
    template = find_template(
        ctx.tx,
        ctx.account.number,
        named.get("LaunchTemplateId"),
        named.get("LaunchTemplateName"),
    )
    version = find_version(ctx.tx, template, named.get("Version") or DEFAULT)
    return overlay(version.parameters, asked), marks_of(version)


def read_order(asked: Mapping[str, Any], defaults: MetadataDefaults = NO_DEFAULTS) -> LaunchOrder:
    check_interfaces(asked)
    insist(asked, SO)
    if not asked.get("ImageId"):
        raise Missing(Noun.PARAMETER, "ImageId")
    return assemble(asked, defaults)


def assemble(asked: Mapping[str, Any], defaults: MetadataDefaults = NO_DEFAULTS) -> LaunchOrder:
    """The order, as far as it was said: a launch template may leave the image to the launch."""
    interface = (asked.get("NetworkInterfaces") or [{}])[0]
    user_data = asked.get("UserData")
    return LaunchOrder(
        image=asked.get("ImageId") or "",
        at_least=asked["MinCount"],
        at_most=asked["MaxCount"],
        size=asked.get("InstanceType"),
        key_pair=asked.get("KeyName"),
        user_data=Hidden(user_data) if user_data else None,
        client_token=asked.get("ClientToken", ""),
        shutdown_behavior=asked.get("InstanceInitiatedShutdownBehavior", "stop"),
        disable_api_termination=asked.get("DisableApiTermination", False),
        disable_api_stop=asked.get("DisableApiStop", False),
        hibernation=asked.get("HibernationOptions", {}).get("Configured", False),
        monitored=asked.get("Monitoring", {}).get("Enabled", False),
        credits=asked.get("CreditSpecification", {}).get("CpuCredits"),
        cpu=read_options(
            asked.get("CpuOptions", {}).get("CoreCount"),
            asked.get("CpuOptions", {}).get("ThreadsPerCore"),
        ),
        metadata_options=_read_options(asked.get("MetadataOptions", {}), defaults),
        metadata_open=_left_open(asked.get("MetadataOptions", {}), defaults),
        disks=[_read_disk(each) for each in asked.get("BlockDeviceMappings", ())],
        interface_delete_on_termination=interface.get("DeleteOnTermination", True),
        network=_read_network(asked, interface),
        tags=read_specifications(asked, LAUNCH_TAGGED),
    )


def _read_options(given: Mapping[str, Any], defaults: MetadataDefaults) -> MetadataOptions:
    """What the launch says, else what the account does, else what EC2 does."""
    usual = MetadataOptions()
    usual = MetadataOptions(
        http_tokens=defaults.http_tokens or usual.http_tokens,
        hop_limit=defaults.hop_limit or usual.hop_limit,
        http_endpoint=defaults.http_endpoint or usual.http_endpoint,
        instance_tags=defaults.instance_tags or usual.instance_tags,
    )
    return MetadataOptions(
        http_tokens=given.get("HttpTokens", usual.http_tokens),
        hop_limit=given.get("HttpPutResponseHopLimit", usual.hop_limit),
        http_endpoint=given.get("HttpEndpoint", usual.http_endpoint),
        instance_tags=given.get("InstanceMetadataTags", usual.instance_tags),
    )


def _left_open(given: Mapping[str, Any], defaults: MetadataDefaults) -> frozenset[str]:
    """Of what an image may have a wish: which fields were not said."""
    members = {"http_tokens": "HttpTokens", "hop_limit": "HttpPutResponseHopLimit"}
    return frozenset(
        name
        for name, member in members.items()
        if member not in given and not getattr(defaults, name)
    )


def _read_disk(given: Mapping[str, Any]) -> DiskOrder:
    device = given.get("DeviceName")
    if not device:
        raise Missing(Noun.PARAMETER, "BlockDeviceMapping.DeviceName")
    ebs = given.get("Ebs", {})
    usual = DiskOrder(device)
    return DiskOrder(
        device,
        size_gib=ebs.get("VolumeSize"),
        volume_type=ebs.get("VolumeType", usual.volume_type),
        delete_on_termination=ebs.get("DeleteOnTermination", usual.delete_on_termination),
    )


def check_interfaces(asked: Mapping[str, Any]) -> None:
    """One interface block at most, and then it alone tells of the network. Terraform and Ansible
    send one."""
    blocks = asked.get("NetworkInterfaces") or []
    if not blocks:
        return
    if len(blocks) > 1:
        raise Unsupported(
            Noun.NETWORK_INTERFACE, said="Instances have one network interface in this cloud."
        )
    if "DeviceIndex" not in blocks[0]:
        raise Missing(Noun.PARAMETER, "NetworkInterface.1.DeviceIndex")
    for member, said in (
        ("PrivateIpAddress", "private IP address"),
        ("SubnetId", "subnet ID"),
        ("SecurityGroupIds", "security groups"),
        ("SecurityGroups", "security groups"),
    ):
        if asked.get(member):
            raise Conflict(
                Noun.PARAMETER,
                member,
                f"Network interfaces and an instance-level {said} may not be specified on the "
                "same request",
            )


def _read_network(asked: Mapping[str, Any], interface: Mapping[str, Any]) -> NetworkOrder:
    return NetworkOrder(
        zone=asked.get("Placement", {}).get("AvailabilityZone") or None,
        subnet=asked.get("SubnetId") or interface.get("SubnetId") or None,
        groups=asked.get("SecurityGroupIds") or interface.get("Groups") or (),
        group_names=asked.get("SecurityGroups") or (),
        address=asked.get("PrivateIpAddress") or interface.get("PrivateIpAddress") or None,
    )
