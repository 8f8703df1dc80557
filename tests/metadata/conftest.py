"""An instance as the metadata service knows it, and a store that holds only instances."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from econe.domain.hidden import Hidden
from econe.domain.instances import Instance, InstanceState
from econe.domain.networks import NetworkInterface
from econe.domain.volumes import Volume, VolumeState
from econe.metadata.service import Service
from econe.metadata.tokens import Tokens
from econe.metadata.tree import Facts

THEN = datetime(2026, 11, 23, 16, 0, 7, 123456, tzinfo=UTC)


def make_instance(number: int = 1, **changes: Any) -> Instance:
    address = f"172.31.0.{number + 3}"
    interface = NetworkInterface(
        id=f"eni-{number:08d}",
        account="123456789012",
        vpc_id="vpc-00000001",
        subnet_id="subnet-00000001",
        mac=f"02:00:00:00:00:{number:02x}",
        private_ip=address,
        groups=(("sg-00000001", "default"), ("sg-00000002", "web")),
        created_at=THEN,
        instance_id=f"i-{number:08d}",
    )

    def volume(volume_number: int, device: str) -> Volume:
        return Volume(
            id=f"vol-{volume_number:08d}",
            account="123456789012",
            size_gib=1,
            zone="us-east-1a",
            state=VolumeState.IN_USE,
            created_at=THEN,
            device=device,
        )

    held: dict[str, Any] = {
        "id": f"i-{number:08d}",
        "account": "123456789012",
        "reservation_id": "r-00000001",
        "launch_index": 0,
        "image_id": "ami-00000001",
        "image_location": "0" * 32,
        "instance_type": "m1.small",
        "vpc_id": "vpc-00000001",
        "subnet_id": "subnet-00000001",
        "zone": "us-east-1a",
        "launched_at": THEN,
        "state": InstanceState.RUNNING,
        "key_name": "mykey",
        "public_key": "ssh-ed25519 AAAA mykey",
        "user_data": Hidden(b"#!/bin/sh\nexit \xff\x00\r\n"),
        "interfaces": (interface,),
        "volumes": (volume(1, "/dev/sda1"), volume(2, "/dev/sdf")),
        "tags": {"Name": "web one", "a/b": "slash"},
    }
    return Instance(**{**held, **changes})


def make_facts(**changes: Any) -> Facts:
    return Facts(make_instance(**changes), "us-east-1", "172.31.0.0/16", "172.31.0.0/20")


class Held:
    """Enough of ports.Store for the service: instances, one VPC, one subnet."""

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.broken = False

    def put(self, *instances: Instance) -> None:
        self.instances |= {instance.id: instance for instance in instances}

    def at(self, vpc_id: str, private_ip: str) -> Instance | None:
        found = [
            each
            for each in self.instances.values()
            if (each.vpc_id, each.private_ip) == (vpc_id, private_ip)
        ]
        return found[0] if found else None

    @contextmanager
    def reading(self) -> Iterator[Any]:
        if self.broken:
            raise RuntimeError("the store is away")
        vpc = SimpleNamespace(cidr="172.31.0.0/16")
        subnet = SimpleNamespace(cidr="172.31.0.0/20")
        yield SimpleNamespace(
            instances=SimpleNamespace(get=self.instances.get, at=self.at),
            vpcs=SimpleNamespace(get=lambda _: vpc),
            subnets=SimpleNamespace(get=lambda _: subnet),
        )


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def service(held: Held) -> Service:
    return Service(held, "us-east-1", Tokens(Hidden(b"k" * 32)), clock=lambda: 1_000_000.5)  # type: ignore[arg-type]


@pytest.fixture
def instance():  # type: ignore[no-untyped-def]
    return make_instance


@pytest.fixture
def facts():  # type: ignore[no-untyped-def]
    return make_facts
