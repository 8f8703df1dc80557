"""Rows to put into a store: valid, and different in every field from the defaults."""

from datetime import UTC, datetime, timedelta
from typing import Any

from econe.domain.accounts import AccessKey, Account
from econe.domain.hidden import Hidden
from econe.domain.images import DiskFormat, Image, ImageState
from econe.domain.instances import Instance, InstanceState, MetadataOptions
from econe.domain.keypairs import KeyPair
from econe.domain.launch_templates import LaunchTemplate, TemplateVersion, written
from econe.domain.networks import NetworkInterface, SecurityGroup, Subnet, Vpc
from econe.domain.ports import Transaction
from econe.domain.reasons import Reason
from econe.domain.volumes import Volume, VolumeState

NOW = datetime(2026, 11, 23, 16, 0, 0, 123456, tzinfo=UTC)
HELEN, JOHN = "740281935566", "102938475610"
GROUP = ("sg-00000001", "default")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def account(number: str = HELEN, name: str = "helen", **fields: Any) -> Account:
    return Account(number, name, NOW, **fields)


def access_key(name: str = "AKIAIOSFODNN7EXAMPLE", of: str = HELEN, **fields: Any) -> AccessKey:
    secrets = fields.pop("secrets", ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",))
    return AccessKey(name, of, tuple(Hidden(secret) for secret in secrets), NOW, **fields)


def image(row_id: str = "ami-00000001", **fields: Any) -> Image:
    return Image(
        **{
            "id": row_id,
            "account": HELEN,
            "name": f"name of {row_id}",
            "location": "0123456789abcdef0123456789abcdef",
            "disk_format": DiskFormat.QCOW2,
            "size_bytes": 1 << 40,
            "created_at": NOW,
            "registered": True,
            "state": ImageState.AVAILABLE,
            "public": False,
            "description": "Ünïcödé <&> 'quoted'",
            "architecture": "x86_64",
            "root_device": "/dev/vda",
        }
        | fields
    )


def key_pair(row_id: str = "key-00000001", **fields: Any) -> KeyPair:
    return KeyPair(
        **{
            "id": row_id,
            "account": HELEN,
            "name": f"name of {row_id}",
            "type": "ed25519",
            "fingerprint": "xyz=",
            "public_key": "ssh-ed25519 AAAA me",
            "created_at": NOW,
        }
        | fields
    )


def launch_template(row_id: str = "lt-00000001", **fields: Any) -> LaunchTemplate:
    return LaunchTemplate(
        **{
            "id": row_id,
            "account": HELEN,
            "name": f"name-of-{row_id}",
            "created_at": NOW,
            "default_number": 2,
            "latest_number": 3,
            "last_number": 5,
        }
        | fields
    )


def template_version(number: int = 2, of: str = "lt-00000001", **fields: Any) -> TemplateVersion:
    return TemplateVersion(
        **{
            "template_id": of,
            "number": number,
            "created_at": later(number),
            "data": written({"ImageId": "ami-00000001", "KeyName": "Ünïcödé <&> 'quoted'"}),
            "description": f"number {number}",
        }
        | fields
    )


def vpc(row_id: str = "vpc-00000001", **fields: Any) -> Vpc:
    return Vpc(
        **{
            "id": row_id,
            "account": HELEN,
            "cidr": "172.31.0.0/16",
            "is_default": True,
            "created_at": NOW,
        }
        | fields
    )


def subnet(row_id: str = "subnet-00000001", **fields: Any) -> Subnet:
    return Subnet(
        **{
            "id": row_id,
            "account": HELEN,
            "vpc_id": "vpc-00000001",
            "cidr": "172.31.0.0/20",
            "zone": "us-east-1a",
            "is_default": True,
            "created_at": NOW,
        }
        | fields
    )


def security_group(row_id: str = "sg-00000001", **fields: Any) -> SecurityGroup:
    return SecurityGroup(
        **{
            "id": row_id,
            "account": HELEN,
            "vpc_id": "vpc-00000001",
            "name": "default",
            "description": "default VPC security group",
            "created_at": NOW,
        }
        | fields
    )


def interface(row_id: str = "eni-00000001", **fields: Any) -> NetworkInterface:
    number = int(row_id[-8:])
    return NetworkInterface(
        **{
            "id": row_id,
            "account": HELEN,
            "vpc_id": "vpc-00000001",
            "subnet_id": "subnet-00000001",
            "mac": "02:" + (number % (1 << 40)).to_bytes(5, "big").hex(":"),
            "private_ip": f"172.31.{number >> 8}.{number & 255}",
            "groups": (GROUP,),
            "created_at": NOW,
        }
        | fields
    )


def volume(row_id: str = "vol-00000001", **fields: Any) -> Volume:
    return Volume(
        **{
            "id": row_id,
            "account": HELEN,
            "size_gib": 8,
            "zone": "us-east-1a",
            "state": VolumeState.AVAILABLE,
            "created_at": NOW,
            "image_id": "ami-00000001",
            "volume_type": "gp2",
        }
        | fields
    )


def instance(row_id: str = "i-00000001", **fields: Any) -> Instance:
    return Instance(
        **{
            "id": row_id,
            "account": HELEN,
            "reservation_id": "r-00000001",
            "launch_index": 0,
            "image_id": "ami-00000001",
            "image_location": "0123456789abcdef0123456789abcdef",
            "instance_type": "m1.small",
            "vpc_id": "vpc-00000001",
            "subnet_id": "subnet-00000001",
            "zone": "us-east-1a",
            "launched_at": NOW,
            "first_launched_at": NOW,
        }
        | fields
    )


def full_instance(row_id: str = "i-00000001") -> Instance:
    """Nothing in it is a default."""
    return instance(
        row_id,
        launch_index=3,
        state=InstanceState.STOPPING,
        state_reason=Reason("Client.UserInitiatedShutdown", "Client…: stop"),
        transition_reason="User initiated (2026-11-23 16:00:00 GMT)",
        key_name="mykey",
        public_key="ssh-ed25519 AAAA mykey",
        user_data=Hidden(b"\x00\xff#!/bin/sh"),
        client_token="a-token",
        shutdown_behavior="terminate",
        metadata_options=MetadataOptions("required", 5, "disabled", "enabled"),
        architecture="arm64",
        root_device="/dev/vda",
        generation=7,
        asked_at=later(1),
        forced=True,
        reboots_asked=3,
        reboots_done=2,
        engine_ref="one-17",
        reach="127.0.0.1:2222",
        attempts=4,
        retry_at=later(2),
        problem="no space left",
        terminated_at=later(3),
    )


def found(tx: Transaction) -> None:
    """Two accounts, and helen's default network: what other rows refer to."""
    tx.accounts.add(account())
    tx.accounts.add(account(JOHN, "john"))
    tx.vpcs.add(vpc())
    tx.subnets.add(subnet())
    tx.security_groups.add(security_group())


def launch(tx: Transaction, row_id: str = "i-00000001", **fields: Any) -> None:
    """An instance with one interface and its root volume, of the same number."""
    number = row_id[-8:]
    tx.instances.add(instance(row_id, **fields))
    tx.interfaces.add(interface(f"eni-{number}", instance_id=row_id, attached_at=NOW))
    tx.volumes.add(
        volume(
            f"vol-{number}",
            instance_id=row_id,
            device="/dev/sda1",
            state=VolumeState.IN_USE,
            attached_at=NOW,
        )
    )
