"""Every deed of boto3's EC2 objects whose operation there is: its resource model is the list."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.clients.conftest import account_of
from tests.support.cloud import Cloud, codes

import econe.actions  # noqa: F401 - registers every action
from econe.actions.keymaker import OpenSshKeys
from econe.actions.registry import HANDLERS

QUICK = {"Delay": 0.1, "MaxAttempts": 100}
TAG = [{"Key": "team", "Value": "a"}]


UNREACHABLE = {"Tag.batch.Delete"}
"""No object has a collection of tags."""


def model() -> Any:
    (path,) = (Path(boto3.__file__).parent / "data" / "ec2").glob("2016-11-15/resources-1.json")
    return json.loads(path.read_text())


def deeds() -> Iterator[str]:
    """`Instance.Start`, `Instance.batch.Start`, `Instance.Volumes`, `Instance.load`."""
    said = model()
    for noun, parts in [("ec2", said["service"]), *said["resources"].items()]:
        named = [
            *((f"{noun}.{name}", deed) for name, deed in parts.get("actions", {}).items()),
            *((f"{noun}.{name}", deed) for name, deed in parts.get("hasMany", {}).items()),
            *(
                (f"{noun}.batch.{name}", deed)
                for name, deed in parts.get("batchActions", {}).items()
            ),
            *([(f"{noun}.load", parts["load"])] if "load" in parts else []),
        ]
        for name, deed in named:
            if deed["request"]["operation"] in HANDLERS and name not in UNREACHABLE:
                yield name


class Zoo:
    """One of everything, as boto3 sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.ec2 = cloud.resource()
        self.key = self.ec2.create_key_pair(KeyName="zoo", KeyType="ed25519")
        self.image = self.ec2.Image(cloud.image())
        self.instance = self.launched()
        self.volume = next(iter(self.instance.volumes.all()))
        self.interface = self.instance.network_interfaces[0]
        self.subnet, self.vpc = self.instance.subnet, self.instance.vpc
        self.group = next(iter(self.vpc.security_groups.all()))

    def launched(self) -> Any:
        (instance,) = self.ec2.create_instances(
            ImageId=self.image.id, MinCount=1, MaxCount=1, InstanceType="t2.micro"
        )
        instance.wait_until_running(WaiterConfig=QUICK)
        return instance

    def just(self, instance: Any) -> Any:
        """A collection of it alone."""
        return self.ec2.instances.filter(InstanceIds=[instance.id])


@pytest.fixture(scope="module")
def zoo(_server: Any) -> Zoo:
    app, url = _server
    return Zoo(Cloud(app, url, account_of(app)))


# --- what each does ----------------------------------------------------------------------


def tagged(noun: Any) -> None:
    noun.create_tags(Tags=TAG)
    found = noun.meta.client.describe_tags(Filters=[{"Name": "resource-id", "Values": [noun.id]}])
    assert TAG[0] in [{"Key": tag["Key"], "Value": tag["Value"]} for tag in found["Tags"]]


def listed(collection: Any, wanted: Any) -> None:
    assert wanted.id in {each.id for each in collection.all()}


def loaded(noun: Any, attribute: str) -> None:
    noun.load()
    assert getattr(noun, attribute)


def refused(deed: Callable[[], Any], code: str) -> None:
    with pytest.raises(ClientError) as problem:
        deed()
    assert codes(problem) == (code, 400)


def create_instances(zoo: Zoo, maker: Any) -> None:
    (made,) = maker.create_instances(ImageId=zoo.image.id, MinCount=1, MaxCount=1)
    made.wait_until_running(WaiterConfig=QUICK)
    assert made.subnet_id == zoo.subnet.id
    made.terminate()
    made.wait_until_terminated(WaiterConfig=QUICK)


def import_key_pair(zoo: Zoo) -> None:
    line = OpenSshKeys().make("ed25519").public_key
    made = zoo.ec2.import_key_pair(KeyName="imported", PublicKeyMaterial=f"{line} me".encode())
    assert made.key_fingerprint == zoo.ec2.KeyPair("imported").key_fingerprint


def register_image(zoo: Zoo) -> None:
    made = zoo.ec2.register_image(
        Name="made by objects", ImageLocation=zoo.cloud.image(registered=False)
    )
    assert made.name == "made by objects"


def stopped_and_started(zoo: Zoo, *, batch: bool) -> None:
    one = zoo.just(zoo.instance) if batch else zoo.instance
    one.stop()
    zoo.instance.wait_until_stopped(WaiterConfig=QUICK)
    one.start()
    zoo.instance.wait_until_running(WaiterConfig=QUICK)


def described(noun: Any, attribute: str, member: str) -> None:
    assert member in noun.describe_attribute(Attribute=attribute)


def modified_instance(zoo: Zoo) -> None:
    zoo.instance.modify_attribute(InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    said = zoo.instance.describe_attribute(Attribute="instanceInitiatedShutdownBehavior")
    assert said["InstanceInitiatedShutdownBehavior"] == {"Value": "terminate"}


def modified_image(zoo: Zoo) -> None:
    zoo.image.modify_attribute(Description={"Value": "changed"})
    zoo.image.reload()
    assert zoo.image.description == "changed"


def terminated(zoo: Zoo, *, batch: bool) -> None:
    one = zoo.launched()
    (zoo.just(one) if batch else one).terminate()
    one.wait_until_terminated(WaiterConfig=QUICK)


def tag_loaded(zoo: Zoo) -> None:
    (tag,) = zoo.volume.create_tags(Tags=[{"Key": "found", "Value": "again"}])
    tag.load()
    assert (tag.resource_id, tag.resource_type) == (zoo.volume.id, "volume")


def tag_deleted(zoo: Zoo) -> None:
    (tag,) = zoo.volume.create_tags(Tags=[{"Key": "gone", "Value": "soon"}])
    tag.delete()
    zoo.volume.reload()
    assert {"Key": "gone", "Value": "soon"} not in (zoo.volume.tags or [])


def deleted_key(zoo: Zoo, through: str) -> None:
    zoo.ec2.create_key_pair(KeyName="short-lived", KeyType="ed25519")
    getattr(zoo.ec2, through)("short-lived").delete()
    assert "short-lived" not in {each.name for each in zoo.ec2.key_pairs.all()}


def deregistered(zoo: Zoo) -> None:
    image = zoo.ec2.Image(zoo.cloud.image())
    image.deregister()
    assert image.id not in {each.id for each in zoo.ec2.images.filter(Owners=["self"])}


def monitored(zoo: Zoo, *, batch: bool) -> None:
    one = zoo.just(zoo.instance) if batch else zoo.instance
    one.monitor()
    zoo.instance.reload()
    assert zoo.instance.monitoring["State"] in ("pending", "enabled")
    one.unmonitor()
    zoo.instance.reload()
    assert zoo.instance.monitoring["State"] in ("disabling", "disabled")


def associated_with_nothing(zoo: Zoo) -> None:
    """No interface has a public address here."""
    association = zoo.ec2.NetworkInterfaceAssociation("eipassoc-00000001")
    association.load()
    assert association.meta.data is None


def of_none(noun: str, made_of: str, code: str) -> Callable[[Zoo], None]:
    """Tagging what this cloud has none of."""
    return lambda zoo: refused(lambda: getattr(zoo.ec2, noun)(made_of).create_tags(Tags=TAG), code)


DEEDS: dict[str, Callable[[Zoo], Any]] = {
    "ec2.CreateInstances": lambda zoo: create_instances(zoo, zoo.ec2),
    "ec2.CreateKeyPair": lambda zoo: zoo.key.key_material.startswith("-----BEGIN"),
    "ec2.CreateTags": lambda zoo: zoo.ec2.create_tags(Resources=[zoo.vpc.id], Tags=TAG),
    "ec2.ImportKeyPair": import_key_pair,
    "ec2.RegisterImage": register_image,
    "ec2.ClassicAddresses": lambda zoo: list(zoo.ec2.classic_addresses.all()) == [],
    "ec2.Images": lambda zoo: listed(zoo.ec2.images, zoo.image),
    "ec2.Instances": lambda zoo: listed(zoo.ec2.instances, zoo.instance),
    "ec2.KeyPairs": lambda zoo: "zoo" in [each.name for each in zoo.ec2.key_pairs.all()],
    "ec2.NetworkInterfaces": lambda zoo: listed(zoo.ec2.network_interfaces, zoo.interface),
    "ec2.SecurityGroups": lambda zoo: listed(zoo.ec2.security_groups, zoo.group),
    "ec2.Subnets": lambda zoo: listed(zoo.ec2.subnets, zoo.subnet),
    "ec2.Volumes": lambda zoo: listed(zoo.ec2.volumes, zoo.volume),
    "ec2.VpcAddresses": lambda zoo: list(zoo.ec2.vpc_addresses.all()) == [],
    "ec2.Vpcs": lambda zoo: listed(zoo.ec2.vpcs, zoo.vpc),
    "ClassicAddress.load": lambda zoo: refused(
        zoo.ec2.ClassicAddress("198.51.100.7").load, "InvalidAddress.NotFound"
    ),
    "DhcpOptions.CreateTags": of_none("DhcpOptions", "dopt-00000001", "InvalidID"),
    "Image.CreateTags": lambda zoo: tagged(zoo.image),
    "Image.Deregister": deregistered,
    "Image.DescribeAttribute": lambda zoo: described(zoo.image, "description", "Description"),
    "Image.ModifyAttribute": modified_image,
    "Image.ResetAttribute": lambda zoo: zoo.image.reset_attribute(Attribute="launchPermission"),
    "Image.load": lambda zoo: loaded(zoo.image, "root_device_name"),
    "Instance.ConsoleOutput": lambda zoo: "InstanceId" in zoo.instance.console_output(),
    "Instance.CreateTags": lambda zoo: tagged(zoo.instance),
    "Instance.DescribeAttribute": lambda zoo: described(zoo.instance, "groupSet", "Groups"),
    "Instance.ModifyAttribute": modified_instance,
    "Instance.Monitor": lambda zoo: monitored(zoo, batch=False),
    "Instance.PasswordData": lambda zoo: zoo.instance.password_data()["PasswordData"] == "",
    "Instance.Reboot": lambda zoo: zoo.instance.reboot(),
    "Instance.ResetAttribute": lambda zoo: zoo.instance.reset_attribute(
        Attribute="sourceDestCheck"
    ),
    "Instance.ResetKernel": lambda zoo: refused(zoo.instance.reset_kernel, "UnsupportedOperation"),
    "Instance.ResetRamdisk": lambda zoo: refused(
        zoo.instance.reset_ramdisk, "UnsupportedOperation"
    ),
    "Instance.ResetSourceDestCheck": lambda zoo: zoo.instance.reset_source_dest_check(),
    "Instance.Start": lambda zoo: stopped_and_started(zoo, batch=False),
    "Instance.Stop": lambda zoo: stopped_and_started(zoo, batch=False),
    "Instance.Terminate": lambda zoo: terminated(zoo, batch=False),
    "Instance.Unmonitor": lambda zoo: monitored(zoo, batch=False),
    "Instance.Volumes": lambda zoo: listed(zoo.instance.volumes, zoo.volume),
    "Instance.VpcAddresses": lambda zoo: list(zoo.instance.vpc_addresses.all()) == [],
    "Instance.batch.CreateTags": lambda zoo: zoo.just(zoo.instance).create_tags(Tags=TAG),
    "Instance.batch.Monitor": lambda zoo: monitored(zoo, batch=True),
    "Instance.batch.Reboot": lambda zoo: zoo.just(zoo.instance).reboot(),
    "Instance.batch.Start": lambda zoo: stopped_and_started(zoo, batch=True),
    "Instance.batch.Stop": lambda zoo: stopped_and_started(zoo, batch=True),
    "Instance.batch.Terminate": lambda zoo: terminated(zoo, batch=True),
    "Instance.batch.Unmonitor": lambda zoo: monitored(zoo, batch=True),
    "Instance.load": lambda zoo: loaded(zoo.instance, "metadata_options"),
    "InternetGateway.CreateTags": of_none("InternetGateway", "igw-00000001", "InvalidID"),
    "KeyPair.Delete": lambda zoo: deleted_key(zoo, "KeyPair"),
    "KeyPairInfo.Delete": lambda zoo: deleted_key(zoo, "KeyPair"),
    "KeyPairInfo.load": lambda zoo: loaded(zoo.ec2.KeyPair("zoo"), "key_pair_id"),
    "NetworkAcl.CreateTags": of_none("NetworkAcl", "acl-00000001", "InvalidID"),
    "NetworkInterface.CreateTags": lambda zoo: tagged(zoo.interface),
    "NetworkInterfaceAssociation.load": associated_with_nothing,
    "NetworkInterface.load": lambda zoo: loaded(zoo.interface, "private_ip_address"),
    "PlacementGroup.Instances": lambda zoo: (
        list(zoo.ec2.PlacementGroup("nearby").instances.all()) == []
    ),
    "RouteTable.CreateTags": of_none("RouteTable", "rtb-00000001", "InvalidID"),
    "SecurityGroup.CreateTags": lambda zoo: tagged(zoo.group),
    "SecurityGroup.load": lambda zoo: loaded(zoo.group, "group_name"),
    "Snapshot.CreateTags": of_none("Snapshot", "snap-00000001", "InvalidSnapshot.NotFound"),
    "Subnet.CreateInstances": lambda zoo: create_instances(zoo, zoo.subnet),
    "Subnet.CreateTags": lambda zoo: tagged(zoo.subnet),
    "Subnet.Instances": lambda zoo: listed(zoo.subnet.instances, zoo.instance),
    "Subnet.NetworkInterfaces": lambda zoo: listed(zoo.subnet.network_interfaces, zoo.interface),
    "Subnet.load": lambda zoo: loaded(zoo.subnet, "cidr_block"),
    "Tag.Delete": tag_deleted,
    "Tag.load": tag_loaded,
    "Volume.CreateTags": lambda zoo: tagged(zoo.volume),
    "Volume.load": lambda zoo: loaded(zoo.volume, "size"),
    "Vpc.CreateTags": lambda zoo: tagged(zoo.vpc),
    "Vpc.Instances": lambda zoo: listed(zoo.vpc.instances, zoo.instance),
    "Vpc.NetworkInterfaces": lambda zoo: listed(zoo.vpc.network_interfaces, zoo.interface),
    "Vpc.SecurityGroups": lambda zoo: listed(zoo.vpc.security_groups, zoo.group),
    "Vpc.Subnets": lambda zoo: listed(zoo.vpc.subnets, zoo.subnet),
    "Vpc.load": lambda zoo: loaded(zoo.vpc, "cidr_block"),
    "VpcAddress.load": lambda zoo: refused(
        zoo.ec2.VpcAddress("eipalloc-00000001").load, "InvalidAllocationID.NotFound"
    ),
}


def test_no_deed_is_left_out_or_gone() -> None:
    assert set(DEEDS) == set(deeds())


@pytest.mark.parametrize("name", sorted(DEEDS))
def test_every_deed_of_the_objects_does_what_it_says(zoo: Zoo, name: str) -> None:
    assert DEEDS[name](zoo) is not False
