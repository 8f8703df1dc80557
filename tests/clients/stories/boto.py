"""boto3's resources, unmodified: made, read, changed and ended by objects alone.

reload() after each step asks anew.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.cloud import codes

QUICK = {"Delay": 0.1, "MaxAttempts": 100}


def named(kind: str, name: str, **more: str) -> list[dict[str, Any]]:
    tags = [{"Key": key, "Value": value} for key, value in {"Name": name, **more}.items()]
    return [{"ResourceType": kind, "Tags": tags}]


def play(
    ec2: Any,
    image: str,
    look: Callable[[Any, str], None] = lambda _instance, _key: None,
    patience: Mapping[str, float] = QUICK,
    **more: Any,
) -> None:
    """Create, read, change, delete. `look` is told an instance that runs, and its private key;
    `more` is said at the launch."""
    pair = ec2.create_key_pair(KeyName="boto", TagSpecifications=named("key-pair", "mine"))
    (instance,) = ec2.create_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        KeyName=pair.name,
        InstanceType="t2.micro",
        TagSpecifications=named("instance", "web", team="a"),
        **more,
    )
    instance.wait_until_exists()
    instance.wait_until_running(WaiterConfig=patience)
    instance.reload()
    _is_read(ec2, instance, patience)
    look(instance, pair.key_material)
    _is_changed(instance, patience)
    look(instance, pair.key_material)
    instance.terminate()
    instance.wait_until_terminated(WaiterConfig=patience)
    assert instance.id in [each.id for each in ec2.instances.all()]
    assert list(ec2.volumes.all()) == []
    pair.delete()
    assert pair.name not in [each.name for each in ec2.key_pairs.all()]


def _is_read(ec2: Any, instance: Any, patience: Mapping[str, float]) -> None:
    assert instance.state == {"Code": 16, "Name": "running"}
    assert instance.key_pair.key_fingerprint == ec2.KeyPair("boto").key_fingerprint
    assert {tag["Key"]: tag["Value"] for tag in instance.tags} == {"Name": "web", "team": "a"}
    assert instance.image.state == "available"
    assert instance.vpc.is_default
    assert instance.subnet.default_for_az
    (group,) = instance.vpc.security_groups.all()
    assert instance.security_groups == [{"GroupId": group.id, "GroupName": "default"}]
    (volume,) = instance.volumes.all()
    assert (volume.state, volume.attachments[0]["InstanceId"]) == ("in-use", instance.id)
    (interface,) = instance.network_interfaces
    assert interface.private_ip_address == instance.private_ip_address
    assert interface.attachment["DeviceIndex"] == 0
    assert instance.public_ip_address is None
    assert list(instance.vpc_addresses.all()) == []
    assert list(ec2.classic_addresses.all()) == []
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    placed = [{"Name": "availability-zone", "Values": [instance.placement["AvailabilityZone"]]}]
    assert [each.id for each in ec2.instances.filter(Filters=placed + running)] == [instance.id]
    client = ec2.meta.client
    status_ok = client.get_waiter("instance_status_ok")
    status_ok.wait(InstanceIds=[instance.id], WaiterConfig=patience)
    pages = client.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
    assert instance.id in pages.build_full_result()["Reservations"][-1]["Instances"][0].values()


def _is_changed(instance: Any, patience: Mapping[str, float]) -> None:
    instance.create_tags(Tags=[{"Key": "team", "Value": "b"}])
    (tag,) = (each for each in instance.vpc.meta.client.describe_tags()["Tags"]
              if each["Key"] == "team" and each["ResourceId"] == instance.id)  # fmt: skip
    assert tag["Value"] == "b"
    instance.meta.client.delete_tags(Resources=[instance.id], Tags=[{"Key": "team", "Value": "b"}])
    instance.stop()
    instance.wait_until_stopped(WaiterConfig=patience)
    instance.modify_attribute(InstanceType={"Value": "t2.small"})
    instance.modify_attribute(DisableApiTermination={"Value": True})
    assert instance.describe_attribute(Attribute="instanceType")["InstanceType"] == {
        "Value": "t2.small"
    }
    instance.start()
    instance.wait_until_running(WaiterConfig=patience)
    instance.reload()
    assert instance.instance_type == "t2.small"
    assert instance.tags == [{"Key": "Name", "Value": "web"}]
    with pytest.raises(ClientError) as refused:
        instance.terminate()
    assert codes(refused) == ("OperationNotPermitted", 400)
    instance.modify_attribute(DisableApiTermination={"Value": False})
    instance.reboot()
