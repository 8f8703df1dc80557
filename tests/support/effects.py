"""For every parameter that an action takes: two values that make a difference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.effect_world import ABSENT, HELEN, PARIS
from tests.support.uefi_data import BOOT_ORDER

from econe.domain.uefi_data import uefi_data

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """`one` and `other` of the same parameter, in a request that has `also` besides."""

    other: Any
    one: Any = ABSENT
    also: Given = field(default_factory=dict)


def between(one: Any, other: Any, **also: Any) -> Pair:
    return Pair(other, one, {name.replace("__", "."): value for name, value in also.items()})


def _tagged(kind: str, head: str = "TagSpecifications") -> dict[str, Pair]:
    whole = {f"{head}.ResourceType": kind, f"{head}.Tags.Key": "k", f"{head}.Tags.Value": "v"}
    others = {"ResourceType": "dedicated-host", "Tags.Key": "other", "Tags.Value": "other"}
    return {
        f"{head}.{path}": Pair(value, whole[f"{head}.{path}"], whole)
        for path, value in others.items()
    }


def _launch(image: str, head: str = "") -> dict[str, Pair]:
    """Of RunInstances and of a launch template's data alike."""
    disk, nic = (
        {"BlockDeviceMappings.DeviceName": "/dev/sda1"},
        {"NetworkInterfaces.DeviceIndex": 0},
    )
    cpu = {"InstanceType": "m5.2xlarge", "CpuOptions.CoreCount": 4, "CpuOptions.ThreadsPerCore": 2}
    pairs = {
        "BlockDeviceMappings.DeviceName": Pair("/dev/sdf", "/dev/sda1"),
        "BlockDeviceMappings.Ebs.DeleteOnTermination": Pair(False, True, disk),
        "BlockDeviceMappings.Ebs.VolumeSize": Pair(9, 8, disk),
        "BlockDeviceMappings.Ebs.VolumeType": Pair("gp2", "gp3", disk),
        "CpuOptions.CoreCount": Pair(2, 4, cpu),
        "CpuOptions.ThreadsPerCore": Pair(1, 2, cpu),
        "DisableApiStop": Pair(True),
        "DisableApiTermination": Pair(True),
        "HibernationOptions.Configured": Pair(True, False, {"InstanceType": "m5.large"}),
        "ImageId": Pair(image, "@image"),
        "InstanceInitiatedShutdownBehavior": Pair("terminate"),
        "InstanceType": Pair("t3.micro"),
        "KeyName": Pair("red", "blue"),
        "MetadataOptions.HttpEndpoint": Pair("disabled"),
        "MetadataOptions.HttpPutResponseHopLimit": Pair(7),
        "MetadataOptions.HttpTokens": Pair("required"),
        "MetadataOptions.InstanceMetadataTags": Pair("enabled"),
        "Monitoring.Enabled": Pair(True),
        "NetworkInterfaces.DeleteOnTermination": Pair(False, True, nic),
        "NetworkInterfaces.Groups": Pair(["sg-00000099"], ["@group"], nic),
        "NetworkInterfaces.PrivateIpAddress": Pair("172.31.0.99", "172.31.0.98", nic),
        "NetworkInterfaces.SubnetId": Pair("subnet-00000099", "@subnet", nic),
        "Placement.AvailabilityZone": Pair("us-east-1b", "us-east-1a"),
        "SecurityGroupIds": Pair(["sg-00000099"], ["@group"]),
        "SecurityGroups": Pair(["other"], ["default"]),
        "UserData": Pair("QQ=="),
        **_tagged("instance"),
    }
    if not head:
        return pairs
    return {
        f"{head}.{path}": Pair(
            pair.other, pair.one, {f"{head}.{name}": value for name, value in pair.also.items()}
        )
        for path, pair in pairs.items()
    }


TWO_INSTANCES = Pair(["@other"], ["@running"])
ONE_INSTANCE = Pair("@other", "@running")
WHICH_TEMPLATE = {
    "LaunchTemplateId": Pair("@lt-blue", "@lt-red"),
    "LaunchTemplateName": Pair("blue", "red"),
}
DISKS = "BlockDeviceMappings"
SOON = datetime(2031, 1, 1, tzinfo=UTC)

BASES: dict[str, Given] = {
    "CreateKeyPair": {"KeyName": "mine"},
    "CreateLaunchTemplate": {"LaunchTemplateName": "mine", "LaunchTemplateData.KeyName": "blue"},
    "CreateLaunchTemplateVersion": {"LaunchTemplateData.KeyName": "blue"},
    "CreateTags": {"Resources": ["@running"], "Tags.Key": "k", "Tags.Value": "v"},
    "DeleteTags": {"Resources": ["@running"]},
    "DescribeAddressesAttribute": {},
    "DeregisterImage": {"ImageId": "@image"},
    "DescribeImageAttribute": {"ImageId": "@image", "Attribute": "description"},
    "DescribeInstanceAttribute": {"InstanceId": "@running", "Attribute": "userData"},
    "EnableImageDeprecation": {"ImageId": "@image", "DeprecateAt": SOON},
    "EnableImageDeregistrationProtection": {"ImageId": "@image"},
    "GetConsoleScreenshot": {"InstanceId": "@running"},
    "ImportKeyPair": {"KeyName": "mine", "PublicKeyMaterial": b"key"},
    "ModifyImageAttribute": {"ImageId": "@shared"},
    "ModifyInstanceAttribute": {"InstanceId": "@running"},
    "ModifyInstanceCpuOptions": {
        "InstanceId": "@stopped", "CoreCount": 2, "ThreadsPerCore": 1,
    },
    "ModifyInstanceCreditSpecification": {
        "InstanceCreditSpecifications.InstanceId": "@other",
        "InstanceCreditSpecifications.CpuCredits": "unlimited",
    },
    "ModifyDefaultCreditSpecification": {"InstanceFamily": "t2", "CpuCredits": "unlimited"},
    "ModifyInstanceMetadataOptions": {"InstanceId": "@running", "HttpEndpoint": "enabled"},
    "ModifyLaunchTemplate": {"DefaultVersion": "2"},
    "DeleteLaunchTemplateVersions": {"Versions": ["2"]},
    "DescribeLaunchTemplateVersions": {},
    "RegisterImage": {"ImageLocation": "@upload"},
    "ResetImageAttribute": {"ImageId": "@shared", "Attribute": "launchPermission"},
    "ResetInstanceAttribute": {"InstanceId": "@running", "Attribute": "sourceDestCheck"},
    "RunInstances": {"ImageId": "@image", "MinCount": 1, "MaxCount": 1},
    "StopInstances": {"InstanceIds": ["@running"]},
    "TerminateInstances": {"InstanceIds": ["@running"]},
    "UploadImage": {"Name": "mine"},
}  # fmt: skip
"""What each request has besides; a pair may say it otherwise."""

PAIRS: dict[str, dict[str, Pair]] = {
    "CreateKeyPair": {
        "KeyFormat": Pair("ppk"),
        "KeyName": Pair("theirs", "mine"),
        "KeyType": Pair("ed25519", "rsa"),
        **_tagged("key-pair"),
    },
    "CreateLaunchTemplate": {
        "LaunchTemplateName": Pair("theirs", "mine"),
        "VersionDescription": Pair("first"),
        **_tagged("launch-template"),
        **_launch("@image2", "LaunchTemplateData"),
    },
    "CreateLaunchTemplateVersion": {
        **WHICH_TEMPLATE,
        "SourceVersion": Pair("1", also={"LaunchTemplateName": "red",
                                         "LaunchTemplateData.KeyName": ABSENT,
                                         "LaunchTemplateData.InstanceType": "t3.micro"}),
        "VersionDescription": Pair("second", also={"LaunchTemplateName": "red"}),
        **{
            path: Pair(pair.other, pair.one, {"LaunchTemplateName": "red", **pair.also})
            for path, pair in _launch("@image2", "LaunchTemplateData").items()
        },
    },
    "CreateTags": {
        "Resources": TWO_INSTANCES,
        "Tags.Key": Pair("other", "k"),
        "Tags.Value": Pair("other", "v"),
    },
    "DeleteKeyPair": {
        "KeyName": Pair("blue", "red"),
        "KeyPairId": Pair("@key-blue", "@key-red"),
    },
    "DeleteLaunchTemplate": WHICH_TEMPLATE,
    "DeleteLaunchTemplateVersions": {
        **WHICH_TEMPLATE,
        "Versions": Pair(["3"], ["2"], {"LaunchTemplateName": "red"}),
    },
    "DeleteTags": {
        "Resources": TWO_INSTANCES,
        "Tags.Key": Pair("Name", "other"),
        "Tags.Value": Pair("running", "other", {"Tags.Key": "Name"}),
    },
    "DeregisterImage": {"ImageId": Pair("@image2", "@image")},
    "DescribeAccountAttributes": {"AttributeNames": Pair(["max-instances"], ["default-vpc"])},
    "DescribeAddresses": {
        "AllocationIds": Pair(["eipalloc-00000001"]),
        "PublicIps": Pair(["198.51.100.1"]),
    },
    "DescribeAddressesAttribute": {"AllocationIds": Pair(["eipalloc-00000001"])},
    "DescribeAvailabilityZones": {
        "ZoneIds": Pair(["use1-az2"], ["use1-az1"]),
        "ZoneNames": Pair(["us-east-1b"], ["us-east-1a"]),
    },
    "DescribeImageAttribute": {
        "Attribute": Pair("bootMode", "description"),
        "ImageId": Pair("@image2", "@image"),
    },
    "DescribeImages": {
        "ExecutableUsers": Pair(["self"], ["all"]),
        "ImageIds": Pair(["@image2"], ["@image"]),
        "IncludeDeprecated": Pair(True, False),
        "IncludeDisabled": Pair(True, False),
        "Owners": Pair([PARIS], ["self"], {"IncludeDeprecated": True}),
    },
    "DescribeInstanceAttribute": {
        "Attribute": Pair("instanceType", "userData"),
        "InstanceId": ONE_INSTANCE,
    },
    "DescribeInstanceStatus": {
        "IncludeAllInstances": Pair(True, False),
        "InstanceIds": TWO_INSTANCES,
    },
    "DescribeInstanceTypeOfferings": {"LocationType": Pair("availability-zone", "region")},
    "DescribeInstanceTypes": {"InstanceTypes": Pair(["t3.micro"], ["m5.large"])},
    "DescribeInstances": {"InstanceIds": TWO_INSTANCES},
    "DescribeInstanceCreditSpecifications": {"InstanceIds": TWO_INSTANCES},
    "DescribeKeyPairs": {
        "IncludePublicKey": Pair(True, False),
        "KeyNames": Pair(["blue"], ["red"]),
        "KeyPairIds": Pair(["@key-blue"], ["@key-red"]),
    },
    "DescribeLaunchTemplateVersions": {
        **WHICH_TEMPLATE,
        "MaxVersion": Pair("1", "2", {"LaunchTemplateName": "red"}),
        "MinVersion": Pair("2", "1", {"LaunchTemplateName": "red"}),
        "Versions": Pair(["2"], ["1"], {"LaunchTemplateName": "red"}),
    },
    "DescribeLaunchTemplates": {
        "LaunchTemplateIds": Pair(["@lt-blue"], ["@lt-red"]),
        "LaunchTemplateNames": Pair(["blue"], ["red"]),
    },
    "DescribeNetworkInterfaces": {"NetworkInterfaceIds": Pair(["@nic"])},
    "DescribeRegions": {"RegionNames": Pair(["eu-west-1"], ["us-east-1"])},
    "DescribeSecurityGroups": {
        "GroupIds": Pair(["sg-00000099"], ["@group"]),
        "GroupNames": Pair(["other"], ["default"]),
    },
    "DescribeSubnets": {"SubnetIds": Pair(["subnet-00000099"], ["@subnet"])},
    "DescribeTags": {},
    "DescribeVolumes": {"VolumeIds": Pair(["@disk"])},
    "DescribeVpcs": {"VpcIds": Pair(["vpc-00000099"], ["@vpc"])},
    "DisableImage": {"ImageId": Pair("@image2", "@image")},
    "DisableImageDeprecation": {"ImageId": Pair("@guarded", "@image")},
    "DisableImageDeregistrationProtection": {"ImageId": Pair("@guarded", "@image")},
    "EnableImage": {"ImageId": Pair("@disabled", "@image")},
    "EnableImageDeprecation": {
        "DeprecateAt": Pair(SOON.replace(year=2032), SOON),
        "ImageId": Pair("@image2", "@image"),
    },
    "EnableImageDeregistrationProtection": {
        "ImageId": Pair("@image2", "@image"),
        "WithCooldown": Pair(True, False),
    },
    "GetCallerIdentity": {},
    "GetConsoleOutput": {"InstanceId": ONE_INSTANCE},
    "GetConsoleScreenshot": {"InstanceId": ONE_INSTANCE, "WakeUp": Pair(True, False)},
    "GetDefaultCreditSpecification": {"InstanceFamily": Pair("t3", "t2")},
    "GetInstanceMetadataDefaults": {},
    "GetInstanceUefiData": {"InstanceId": Pair("@running", "@uefi")},
    "GetLaunchTemplateData": {"InstanceId": ONE_INSTANCE},
    "GetPasswordData": {"InstanceId": ONE_INSTANCE},
    "ImportKeyPair": {
        "KeyName": Pair("theirs", "mine"),
        "PublicKeyMaterial": Pair(b"another", b"key"),
        **_tagged("key-pair"),
    },
    "ModifyImageAttribute": {
        "Attribute": between(
            "description", "launchPermission", Value="new", UserIds=[HELEN], OperationType="add"
        ),
        "Description.Value": Pair("new", "old"),
        "ImageId": between("@image", "@image2", Description__Value="new"),
        "ImdsSupport.Value": between(ABSENT, "v2.0", ImageId="@image"),
        "LaunchPermission.Add.Group": between(ABSENT, "all", ImageId="@image"),
        "LaunchPermission.Add.UserId": between(ABSENT, PARIS, ImageId="@image"),
        "LaunchPermission.Remove.Group": Pair("all"),
        "LaunchPermission.Remove.UserId": Pair(PARIS),
        "OperationType": between("add", "remove", Attribute="launchPermission", UserIds=[PARIS]),
        "UserGroups": between(ABSENT, ["all"], Attribute="launchPermission",
                              OperationType="remove"),
        "UserIds": between(ABSENT, [PARIS], Attribute="launchPermission", OperationType="remove"),
        "Value": between("old", "new", Attribute="description"),
    },
    "ModifyInstanceAttribute": {
        "Attribute": between("disableApiStop", "disableApiTermination", Value="true"),
        f"{DISKS}.DeviceName": Pair("/dev/sdf", "/dev/sda1",
                                    {f"{DISKS}.Ebs.DeleteOnTermination": False}),
        f"{DISKS}.Ebs.DeleteOnTermination": Pair(False, True, {f"{DISKS}.DeviceName": "/dev/sda1"}),
        "DisableApiStop.Value": Pair(True, False),
        "DisableApiTermination.Value": Pair(True, False),
        "Groups": Pair(["sg-00000099"], ["@group"]),
        "InstanceId": between("@running", "@other", DisableApiStop__Value=True),
        "InstanceInitiatedShutdownBehavior.Value": Pair("terminate", "stop"),
        "InstanceType.Value": between("m1.small", "t3.micro", InstanceId="@stopped"),
        "SourceDestCheck.Value": Pair(False, True),
        "UserData.Value": between(b"a", b"b", InstanceId="@stopped"),
        "Value": between("false", "true", Attribute="disableApiStop"),
    },
    "ModifyInstanceCpuOptions": {
        "CoreCount": Pair(1, 2), "InstanceId": Pair("@running", "@stopped"),
        "ThreadsPerCore": Pair(2, 1),
    },
    "ModifyInstanceCreditSpecification": {
        "InstanceCreditSpecifications.InstanceId": ONE_INSTANCE,
    },
    "ModifyDefaultCreditSpecification": {"InstanceFamily": Pair("t3", "t2")},
    "ModifyInstanceMetadataDefaults": {
        "HttpEndpoint": Pair("disabled"),
        "HttpPutResponseHopLimit": Pair(5),
        "HttpTokens": Pair("required"),
        "InstanceMetadataTags": Pair("enabled"),
    },
    "ModifyInstanceMetadataOptions": {
        "HttpEndpoint": Pair("disabled", "enabled"),
        "HttpPutResponseHopLimit": Pair(5),
        "HttpTokens": Pair("required"),
        "InstanceId": ONE_INSTANCE,
        "InstanceMetadataTags": Pair("enabled"),
    },
    "ModifyLaunchTemplate": {
        **WHICH_TEMPLATE,
        "DefaultVersion": Pair("2", "1", {"LaunchTemplateName": "red"}),
    },
    "MonitorInstances": {"InstanceIds": TWO_INSTANCES},
    "RebootInstances": {"InstanceIds": TWO_INSTANCES},
    "RegisterImage": {
        "Architecture": Pair("arm64", "x86_64"),
        "BootMode": Pair("uefi", "legacy-bios"),
        "Description": Pair("new"),
        "ImageLocation": Pair("@upload2", "@upload"),
        "ImdsSupport": Pair("v2.0"),
        "Name": Pair("another name"),
        "RootDeviceName": Pair("/dev/xvda"),
        "UefiData": Pair(uefi_data([BOOT_ORDER]), ABSENT, {"BootMode": "uefi"}),
        **_tagged("image"),
    },
    "ResetImageAttribute": {"ImageId": Pair("@image", "@shared")},
    "ResetInstanceAttribute": {"InstanceId": Pair("@nobody", "@running")},
    "RunInstances": {
        **_launch("@image2"),
        "LaunchTemplate.LaunchTemplateId": Pair("@lt-blue", "@lt-red"),
        "LaunchTemplate.LaunchTemplateName": Pair("blue", "red"),
        "LaunchTemplate.Version": Pair("2", "1", {"LaunchTemplate.LaunchTemplateName": "red"}),
        "MaxCount": Pair(2, 1),
        "MinCount": Pair(2, 1, {"MaxCount": 2, "SubnetId": "@subnet", "KeyName": "red"}),
        "PrivateIpAddress": Pair("172.31.0.99", "172.31.0.98"),
        "SubnetId": Pair("subnet-00000099", "@subnet"),
    },
    "StartInstances": {"InstanceIds": Pair(["@running"], ["@stopped"])},
    "StopInstances": {
        "Force": between(False, True, InstanceIds=["@stopping"]),
        "Hibernate": between(False, True, InstanceIds=["@sleeper"]),
        "InstanceIds": TWO_INSTANCES,
        "SkipOsShutdown": Pair(True, False),
    },
    "TerminateInstances": {
        "Force": between(False, True, InstanceIds=["@ending"]),
        "InstanceIds": TWO_INSTANCES,
        "SkipOsShutdown": Pair(True, False),
    },
    "UnmonitorInstances": {"InstanceIds": Pair(["@monitored"], ["@running"])},
    "UploadImage": {
        "Architecture": Pair("arm64", "x86_64"),
        "Datastore": Pair("fast"),
        "Description": Pair("new"),
        "DiskFormat": Pair("qcow2"),
        "DiskType": Pair("DATABLOCK"),
        "Driver": Pair("virtio"),
        "Name": Pair("another", "mine"),
    },
}  # fmt: skip
"""Action -> parameter -> the two values."""

SINGLE = {
    "DescribeAddressesAttribute.Attribute": "`domain-name` is the one value that the model has",
    "ResetImageAttribute.Attribute": "`launchPermission` is the one value that the model has",
}
