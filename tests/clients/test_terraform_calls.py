"""What Terraform's AWS provider asks, call for call, by boto3: it runs where Terraform does not.

The order and the parameters were recorded at this server from provider 5.100.0 under Terraform
1.11.4, with terraform/main.tf, of which this plays the instance "full", the template "web" with its
instance, the key pair and the image (test_terraform.py plays all of it with the provider itself).
What it insists on in the answers is in its source, internal/service/ec2/ec2_instance.go: where one
of these is missing, it ends with a nil pointer.
"""

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.clients.stories.boto import QUICK
from tests.support.cloud import Cloud, codes

from econe.actions.keymaker import OpenSshKeys

OWNED = {"Key": "owner", "Value": "terraform"}
GENERAL = {
    "MinCount": 1,
    "MaxCount": 1,
    "EbsOptimized": False,
    "HibernationOptions": {"Configured": False},
    "Placement": {"AvailabilityZone": ""},
}
"""Said at every launch, whatever the configuration says."""


def tagged(*kinds: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [OWNED]} for kind in kinds]


def only(**values: str) -> list[dict[str, Any]]:
    """Filters; two underlines stand for a colon, one for a hyphen."""
    return [
        {"Name": name.replace("__", ":").replace("_", "-"), "Values": [value]}
        for name, value in values.items()
    ]


def state_of(ec2: Any, id_: str) -> dict[str, Any]:
    """A refresh: all that the provider reads of an instance, with what it insists on."""
    (reservation,) = ec2.describe_instances(InstanceIds=[id_])["Reservations"]
    (told,) = reservation["Instances"]
    (kind,) = ec2.describe_instance_types(InstanceTypes=[told["InstanceType"]])["InstanceTypes"]
    _insist(told)
    assert ec2.describe_vpcs(VpcIds=[told["VpcId"]])["Vpcs"][0]["IsDefault"] in (True, False)
    mapped = [each["Ebs"]["VolumeId"] for each in told["BlockDeviceMappings"]]
    volumes = ec2.describe_volumes(VolumeIds=mapped)["Volumes"]
    assert all({"VolumeType", "Size", "Encrypted", "CreateTime"} <= set(each) for each in volumes)
    template_filter = {"key": "aws:ec2launchtemplate:id", "resource_id": id_}
    (template,) = ec2.describe_tags(Filters=only(**template_filter))["Tags"] or [{}]
    if kind["BurstablePerformanceSupported"]:
        credits_ = ec2.describe_instance_credit_specifications(InstanceIds=[id_])
        assert len(credits_["InstanceCreditSpecifications"]) == 1
    return {
        **told,
        "Template": template.get("Value"),
        "Volumes": volumes,
        **{name: attribute(ec2, id_, name) for name in (
            "instanceInitiatedShutdownBehavior", "disableApiStop", "disableApiTermination",
            "userData",
        )},
    }  # fmt: skip


def _insist(told: dict[str, Any]) -> None:
    assert told["RootDeviceName"] in [each["DeviceName"] for each in told["BlockDeviceMappings"]]
    assert told["Placement"]["Tenancy"] == "default"
    assert told["Placement"]["AvailabilityZone"]
    assert told["Monitoring"]["State"] in ("enabled", "disabled", "pending", "disabling")
    assert set(told["CpuOptions"]) >= {"CoreCount", "ThreadsPerCore"}
    assert set(told["MetadataOptions"]) >= {
        "HttpTokens", "HttpEndpoint", "HttpPutResponseHopLimit", "InstanceMetadataTags",
    }  # fmt: skip
    assert told["MaintenanceOptions"]["AutoRecovery"] == "default"
    reserved = told["CapacityReservationSpecification"]
    assert reserved["CapacityReservationPreference"] == "open"
    assert told["PrivateDnsNameOptions"]["HostnameType"] == "ip-name"
    assert told["EnclaveOptions"]["Enabled"] is False
    assert told["SecurityGroups"]
    for interface in told["NetworkInterfaces"]:
        assert interface["Attachment"]["DeviceIndex"] == 0
        assert interface["SourceDestCheck"] is True


def attribute(ec2: Any, id_: str, name: str) -> Any:
    answer = ec2.describe_instance_attribute(InstanceId=id_, Attribute=name)
    return answer[name[:1].upper() + name[1:]].get("Value")


def running(ec2: Any, order: dict[str, Any]) -> str:
    """It may ask again with the same token where an answer was lost."""
    (first, again) = (ec2.run_instances(**GENERAL, **order)["Instances"][0] for _ in range(2))
    assert first["InstanceId"] == again["InstanceId"]
    id_ = str(first["InstanceId"])
    ec2.get_waiter("instance_running").wait(InstanceIds=[id_], WaiterConfig=QUICK)
    return id_


def destroyed(ec2: Any, id_: str) -> None:
    ec2.modify_instance_attribute(InstanceId=id_, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[id_])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[id_], WaiterConfig=QUICK)


@pytest.fixture
def subnet(ec2: Any) -> str:
    (found,) = ec2.describe_subnets(Filters=only(default_for_az="true"))["Subnets"]
    assert ec2.describe_subnets(SubnetIds=[found["SubnetId"]])["Subnets"] == [found]
    return str(found["SubnetId"])


def order_in_full(image: str, subnet: str, group: str) -> dict[str, Any]:
    return {
        "ClientToken": "terraform-20261126151608559200000001",
        "ImageId": image,
        "InstanceType": "t3.micro",
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {"DeleteOnTermination": True, "VolumeSize": 3, "VolumeType": "gp3"},
            }
        ],
        "CreditSpecification": {"CpuCredits": "unlimited"},
        "DisableApiTermination": True,
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpProtocolIpv6": "disabled",
            "HttpPutResponseHopLimit": 2,
            "HttpTokens": "required",
            "InstanceMetadataTags": "enabled",
        },
        "Monitoring": {"Enabled": True},
        "NetworkInterfaces": [
            {
                "AssociatePublicIpAddress": False,
                "DeviceIndex": 0,
                "Groups": [group],
                "SubnetId": subnet,
            }
        ],
        "TagSpecifications": tagged("instance", "volume"),
        "UserData": "not a script",
    }


def test_an_instance_in_full(cloud: Cloud, ec2: Any, subnet: str) -> None:
    (group,) = ec2.describe_security_groups(Filters=only(group_name="default"))["SecurityGroups"]
    image = cloud.image()
    (shown,) = ec2.describe_images(ImageIds=[image])["Images"]  # it looks for the root device
    order = order_in_full(image, subnet, group["GroupId"])
    assert order["BlockDeviceMappings"][0]["DeviceName"] == shown["RootDeviceName"]
    id_ = running(ec2, order)
    ec2.monitor_instances(InstanceIds=[id_])
    told = state_of(ec2, id_)
    assert told["Monitoring"]["State"] == "enabled"
    assert (told["disableApiTermination"], told["disableApiStop"]) == (True, False)
    assert base64.b64decode(told["userData"]) == b"not a script"
    assert told["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    (volume,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [id_]}])[
        "Volumes"
    ]
    assert (volume, volume["Size"], volume["Tags"]) == (told["Volumes"][0], 3, [OWNED])
    _is_updated(ec2, id_)
    destroyed(ec2, id_)


def _is_updated(ec2: Any, id_: str) -> None:
    ec2.modify_instance_attribute(InstanceId=id_, DisableApiTermination={"Value": False})
    ec2.unmonitor_instances(InstanceIds=[id_])
    ec2.modify_instance_metadata_options(
        InstanceId=id_,
        HttpEndpoint="enabled",
        HttpProtocolIpv6="disabled",
        HttpPutResponseHopLimit=3,
        HttpTokens="optional",
        InstanceMetadataTags="disabled",
    )
    ec2.create_tags(Resources=[id_], Tags=[{"Key": "team", "Value": "b"}])
    for change in ({"InstanceType": {"Value": "t3.small"}}, {"UserData": {"Value": b"other"}}):
        ec2.stop_instances(InstanceIds=[id_], Force=False)
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[id_], WaiterConfig=QUICK)
        ec2.modify_instance_attribute(InstanceId=id_, **change)
        ec2.start_instances(InstanceIds=[id_])
        ec2.get_waiter("instance_running").wait(InstanceIds=[id_], WaiterConfig=QUICK)
    told = state_of(ec2, id_)
    assert (told["InstanceType"], base64.b64decode(told["userData"])) == ("t3.small", b"other")
    assert (told["Monitoring"]["State"], told["disableApiTermination"]) == ("disabled", False)
    assert told["MetadataOptions"]["HttpTokens"] == "optional"
    assert {tag["Key"]: tag["Value"] for tag in told["Tags"]} == {
        "owner": "terraform", "team": "b",
    }  # fmt: skip


def test_a_launch_template_and_its_instance(cloud: Cloud, ec2: Any) -> None:
    data = {
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 2}}
        ],
        "ImageId": cloud.image(),
        "InstanceType": "t2.micro",
        "MetadataOptions": {"HttpTokens": "required"},
        "TagSpecifications": tagged("instance"),
    }
    made = ec2.create_launch_template(
        ClientToken="terraform-20261126151608671900000003",
        LaunchTemplateName="web",
        LaunchTemplateData=data,
        TagSpecifications=tagged("launch-template"),
    )
    id_ = made["LaunchTemplate"]["LaunchTemplateId"]
    (by_name,) = ec2.describe_launch_templates(LaunchTemplateNames=["web"])["LaunchTemplates"]
    assert (by_name["LaunchTemplateId"], by_name["Tags"]) == (id_, [OWNED])
    by_template = {"LaunchTemplateId": id_, "Version": "1"}
    instance = running(ec2, {"ClientToken": "terraform-2", "LaunchTemplate": by_template})
    told = state_of(ec2, instance)
    assert (told["Template"], told["Volumes"][0]["Size"]) == (id_, 2)
    tag = {"key": "aws:ec2launchtemplate:version", "resource_id": instance}
    assert ec2.describe_tags(Filters=only(**tag))["Tags"][0]["Value"] == "1"
    _has_another_version(ec2, id_, data)
    destroyed(ec2, instance)
    ec2.delete_launch_template(LaunchTemplateId=id_)
    with pytest.raises(ClientError) as missing:
        ec2.describe_launch_templates(LaunchTemplateIds=[id_])
    assert codes(missing) == ("InvalidLaunchTemplateId.NotFound", 400)


def _has_another_version(ec2: Any, id_: str, data: dict[str, Any]) -> None:
    ec2.create_launch_template_version(
        ClientToken="terraform-20261126151713355500000001",
        LaunchTemplateId=id_,
        LaunchTemplateData=data | {"InstanceType": "t2.small"},
    )
    ec2.modify_launch_template(LaunchTemplateId=id_, DefaultVersion="2")
    (told,) = ec2.describe_launch_templates(LaunchTemplateIds=[id_])["LaunchTemplates"]
    assert (told["DefaultVersionNumber"], told["LatestVersionNumber"]) == (2, 2)
    asked = {"LaunchTemplateId": id_, "Versions": ["2"]}
    (version,) = ec2.describe_launch_template_versions(**asked)["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["InstanceType"] == "t2.small"


def test_a_key_pair(ec2: Any) -> None:
    """It imports, and never makes one."""
    line = OpenSshKeys().make("ed25519").public_key
    made = ec2.import_key_pair(
        KeyName="mine", PublicKeyMaterial=line.encode(), TagSpecifications=tagged("key-pair")
    )
    (told,) = ec2.describe_key_pairs(KeyNames=["mine"], IncludePublicKey=True)["KeyPairs"]
    assert told["PublicKey"].split()[:2] == line.split()[:2]
    assert (told["KeyType"], told["Tags"]) == ("ed25519", [OWNED])
    for name in ("KeyPairId", "KeyFingerprint", "KeyName"):
        assert told[name] == made[name]
    ec2.create_tags(Resources=[told["KeyPairId"]], Tags=[{"Key": "team", "Value": "b"}])
    for _ in range(2):
        ec2.delete_key_pair(KeyName="mine")
    with pytest.raises(ClientError) as missing:
        ec2.describe_key_pairs(KeyNames=["mine"])
    assert codes(missing) == ("InvalidKeyPair.NotFound", 400)


def test_the_image_that_a_data_source_finds(cloud: Cloud, ec2: Any) -> None:
    image, other = cloud.image(), cloud.as_other().caller.number
    wanted = only(
        image_id=image, root_device_type="ebs", virtualization_type="hvm", state="available"
    )
    asked = {"Owners": ["self"], "Filters": wanted, "IncludeDeprecated": False}
    (told,) = ec2.describe_images(**asked)["Images"]
    assert told["CreationDate"].endswith("Z")
    assert {"Name", "OwnerId", "RootDeviceName", "Architecture", "Public"} <= set(told)
    with pytest.raises(ClientError) as ignored:  # it asks with the image's id, and goes on
        ec2.get_instance_uefi_data(InstanceId=image)
    assert codes(ignored) == ("InvalidInstanceID.Malformed", 400)
    _is_shared(ec2, image, other)
    ec2.create_tags(Resources=[image], Tags=[{"Key": "team", "Value": "a"}])
    tag = {"resource_id": image, "key": "team"}
    assert ec2.describe_tags(Filters=only(**tag))["Tags"][0]["Value"] == "a"
    ec2.delete_tags(Resources=[image], Tags=[{"Key": "team", "Value": "a"}])
    assert ec2.describe_tags(Filters=only(**tag))["Tags"] == []


def _is_shared(ec2: Any, image: str, other: str) -> None:
    for change, shown in (("Add", [{"UserId": other}]), ("Remove", [])):
        ec2.modify_image_attribute(
            ImageId=image,
            Attribute="launchPermission",
            LaunchPermission={change: [{"UserId": other}]},
        )
        asked = {"ImageId": image, "Attribute": "launchPermission"}
        assert ec2.describe_image_attribute(**asked)["LaunchPermissions"] == shown


def test_the_defaults_of_metadata(ec2: Any) -> None:
    for tokens in ("required", "optional", "no-preference"):
        ec2.modify_instance_metadata_defaults(
            HttpEndpoint="no-preference",
            HttpPutResponseHopLimit=-1,
            HttpTokens=tokens,
            InstanceMetadataTags="no-preference",
        )
        told = ec2.get_instance_metadata_defaults()["AccountLevel"]
        assert told.get("HttpTokens", "no-preference") == tokens


def test_what_stands_in_every_configuration(cloud: Cloud, ec2: Any) -> None:
    identity = cloud.client("sts").get_caller_identity()
    assert identity["Account"] == cloud.caller.number
    (region,) = ec2.describe_regions()["Regions"]
    (zone,) = ec2.describe_availability_zones(Filters=only(state="available"))["AvailabilityZones"]
    assert zone["RegionName"] == region["RegionName"]
    offered = ec2.describe_instance_type_offerings(
        Filters=[{"Name": "instance-type", "Values": ["t3.micro", "t2.micro"]}]
    )
    assert len(offered["InstanceTypeOfferings"]) == 2
    old = ec2.describe_instance_types(Filters=only(current_generation="false"))
    assert "m1.small" in [each["InstanceType"] for each in old["InstanceTypes"]]
