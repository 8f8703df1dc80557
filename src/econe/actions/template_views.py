"""Launch templates and their versions as EC2 structures."""

import base64
from typing import Any, Final

from econe.actions import views
from econe.domain.accounts import root_arn
from econe.domain.cloud import Cloud
from econe.domain.cpu_credits import credits_of, is_burstable
from econe.domain.ids import in_full
from econe.domain.instances import Instance
from econe.domain.launch_templates import LaunchTemplate, TemplateVersion
from econe.domain.networks import NetworkInterface
from econe.domain.tags import of_users
from econe.domain.topology import may_choose
from econe.domain.volumes import Volume

View = dict[str, Any]

_OPERATOR: Final = {"Managed": False}


def launch_template(row: LaunchTemplate) -> View:
    return {
        "CreateTime": row.created_at,
        "CreatedBy": root_arn(row.account),
        "DefaultVersionNumber": row.default_number,
        "LatestVersionNumber": row.latest_number,
        "LaunchTemplateId": row.id,
        "LaunchTemplateName": row.name,
        "Operator": _OPERATOR,
        "Tags": views.tags(row.tags),
    }


def template_version(template: LaunchTemplate, row: TemplateVersion) -> View:
    """The parameters as they were given, but for the image's id, which filters ask for in full."""
    parameters = row.parameters
    if "ImageId" in parameters:
        parameters["ImageId"] = in_full(parameters["ImageId"])
    made: View = {
        "CreateTime": row.created_at,
        "CreatedBy": root_arn(template.account),
        "DefaultVersion": row.number == template.default_number,
        "LaunchTemplateData": parameters,
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Operator": _OPERATOR,
        "VersionNumber": row.number,
    }
    if row.description:
        made["VersionDescription"] = row.description
    return made


def named_version(template: LaunchTemplate, number: int) -> View:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": number,
    }


def launch_parameters(row: Instance, cloud: Cloud) -> View:
    """The parameters that make an instance like this one. What only it can have (its addresses,
    the ids of its interfaces) is left out, so a template can be made of them as they are."""
    made: View = {
        "BlockDeviceMappings": [_mapping(volume) for volume in row.volumes],
        "DisableApiStop": row.disable_api_stop,
        "DisableApiTermination": row.disable_api_termination,
        "EbsOptimized": False,
        "EnclaveOptions": {"Enabled": False},
        "HibernationOptions": {"Configured": row.hibernation},
        "ImageId": row.image_id,
        "InstanceInitiatedShutdownBehavior": row.shutdown_behavior,
        "InstanceType": row.instance_type,
        "MetadataOptions": {
            "HttpEndpoint": row.metadata_options.http_endpoint,
            "HttpProtocolIpv6": "disabled",
            "HttpPutResponseHopLimit": row.metadata_options.hop_limit,
            "HttpTokens": row.metadata_options.http_tokens,
            "InstanceMetadataTags": row.metadata_options.instance_tags,
        },
        "Monitoring": {"Enabled": row.monitored},
        "NetworkInterfaces": [_interface(each) for each in row.interfaces],
        "Placement": {"AvailabilityZone": row.zone, "GroupName": "", "Tenancy": "default"},
        "TagSpecifications": _tag_specifications(row, cloud),
    }
    if is_burstable(row.instance_type):
        made["CreditSpecification"] = {"CpuCredits": credits_of(row)}
    size = cloud.sizes.get(row.instance_type)
    if size is not None and may_choose(size):
        made["CpuOptions"] = views.cpu_options(row.vcpus or size.vcpus, row.threads_per_core)
    if row.key_name is not None:
        made["KeyName"] = row.key_name
    if row.user_data:
        made["UserData"] = base64.b64encode(row.user_data.reveal()).decode("ascii")
    return made


def _mapping(volume: Volume) -> View:
    return {
        "DeviceName": volume.device,
        "Ebs": {
            "DeleteOnTermination": volume.delete_on_termination,
            "Encrypted": False,
            "VolumeSize": volume.size_gib,
            "VolumeType": volume.volume_type,
        },
    }


def _interface(row: NetworkInterface) -> View:
    return {
        "DeleteOnTermination": row.delete_on_termination,
        "Description": "",
        "DeviceIndex": row.device_index,
        "Groups": [group_id for group_id, _ in row.groups],
        "InterfaceType": "interface",
        "NetworkCardIndex": 0,
        "SubnetId": row.subnet_id,
    }


def _tag_specifications(row: Instance, cloud: Cloud) -> list[View]:
    """Of what a launch makes: the instance, its disk, and its interface where that is not the
    engine's affair."""
    bearers = {"instance": row.tags}
    if row.volumes:
        bearers["volume"] = row.volumes[0].tags
    if row.interfaces and not cloud.can.gives_addresses:
        bearers["network-interface"] = row.interfaces[0].tags
    return [
        {"ResourceType": kind, "Tags": views.tags(of_users(tags))}
        for kind, tags in bearers.items()
        if of_users(tags)
    ]
