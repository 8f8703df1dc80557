"""Stock boto3: every waiter of every action that there is."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import WaiterError
from tests.clients.stories.boto import QUICK
from tests.support.cloud import Cloud, session

import econe.actions  # noqa: F401 - registers every action
from econe.actions.registry import HANDLERS

COMING = ("instance_exists", "instance_running", "instance_status_ok", "system_status_ok")
STANDING: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "image_available": lambda instance: {"ImageIds": [instance["ImageId"]]},
    "image_exists": lambda instance: {"ImageIds": [instance["ImageId"]]},
    "key_pair_exists": lambda instance: {"KeyNames": [instance["KeyName"]]},
    "security_group_exists": lambda instance: {
        "GroupIds": [group["GroupId"] for group in instance["SecurityGroups"]]
    },
    "subnet_available": lambda instance: {"SubnetIds": [instance["SubnetId"]]},
    "volume_in_use": lambda instance: {"VolumeIds": [root_of(instance)]},
    "vpc_available": lambda instance: {"VpcIds": [instance["VpcId"]]},
    "vpc_exists": lambda instance: {"VpcIds": [instance["VpcId"]]},
}
"""What is so of a running instance, and what its waiter is asked."""
GOING = ("instance_stopped", "instance_terminated")
LEFT = ("network_interface_available", "volume_available", "volume_deleted")
NEVER = ("password_data_available",)


def root_of(instance: dict[str, Any]) -> str:
    return str(instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"])


def waiters() -> set[str]:
    """Those of boto3 that ask an action which this cloud has."""
    client = session.client("ec2", aws_access_key_id="x", aws_secret_access_key="x")
    found = {name: client.get_waiter(name) for name in client.waiter_names}
    return {name for name, waiter in found.items() if waiter.config.operation in HANDLERS}


def test_every_waiter_is_walked_below() -> None:
    """A new action with a waiter makes this fail until the waiter is in one of the lists."""
    assert waiters() == {*COMING, *STANDING, *GOING, *LEFT, *NEVER}


@pytest.mark.parametrize("name", COMING)
def test_an_instance_comes(cloud: Cloud, ec2: Any, name: str) -> None:
    (started,) = ec2.run_instances(ImageId=cloud.image(), MinCount=1, MaxCount=1)["Instances"]
    ec2.get_waiter(name).wait(InstanceIds=[started["InstanceId"]], WaiterConfig=QUICK)


def test_what_stands_is_seen(cloud: Cloud, ec2: Any) -> None:
    ec2.create_key_pair(KeyName="mykey")
    ids = cloud.running(1, KeyName="mykey")
    (instance,) = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
    for name, asks in STANDING.items():
        ec2.get_waiter(name).wait(**asks(instance), WaiterConfig=QUICK)


def test_an_instance_stops_and_goes(cloud: Cloud, ec2: Any) -> None:
    ids = cloud.running(2)
    ec2.stop_instances(InstanceIds=ids)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=ids, WaiterConfig=QUICK)
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=QUICK)


def test_what_goes_with_its_instance_and_what_stays(cloud: Cloud, ec2: Any) -> None:
    """By DeleteOnTermination of disk and interface."""
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    for stays in (False, True):
        disk = {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": not stays}}
        interface = {"DeviceIndex": 0, "SubnetId": subnet, "DeleteOnTermination": not stays}
        ids = cloud.running(1, BlockDeviceMappings=[disk], NetworkInterfaces=[interface])
        (instance,) = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
        ec2.terminate_instances(InstanceIds=ids)
        waiter = ec2.get_waiter("volume_available" if stays else "volume_deleted")
        waiter.wait(VolumeIds=[root_of(instance)], WaiterConfig=QUICK)
        interfaces = [each["NetworkInterfaceId"] for each in instance["NetworkInterfaces"]]
        if stays:
            waiter = ec2.get_waiter("network_interface_available")
            waiter.wait(NetworkInterfaceIds=interfaces, WaiterConfig=QUICK)
        else:
            assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


@pytest.mark.parametrize("name", NEVER)
def test_linux_has_no_password(cloud: Cloud, ec2: Any, name: str) -> None:
    """As at Amazon, whose waiter gives up there, too."""
    (id_,) = cloud.running(1)
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        ec2.get_waiter(name).wait(InstanceId=id_, WaiterConfig={"Delay": 0, "MaxAttempts": 3})
