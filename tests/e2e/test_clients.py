"""The stock clients' stories of tests/clients, with real guests: each makes, reads, changes and
ends an instance, and the guest is looked at from inside, before and after its type is changed."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.clients.door import Door
from tests.clients.stories import ansible, aws_cli, boto, javascript, libcloud
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.server import PATIENCE_S, Account, Server

pytestmark = [pytest.mark.e2e, pytest.mark.root]

HELLO = "#!/bin/sh\necho hello from $(imds meta-data/instance-id)\n"
PATIENCE = {"Delay": 1, "MaxAttempts": 90}
Look = Callable[[str, str], None]


@pytest.fixture
def door(server: Server, helen: Account) -> Door:
    return Door(server.url, helen.access_key, helen.secret)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_is_left(server: Server, helen: Account) -> Iterator[None]:
    """A story ends what it began: no process, disk or interface stays. What one that broke off has
    left must not be in the next one's way."""
    yield
    left = leavings.of_instances(server.state)
    found = helen.ec2.describe_instances()["Reservations"]
    for each in (each for group in found for each in group["Instances"]):
        if each["State"]["Name"] != "terminated":
            helen.ec2.terminate_instances(InstanceIds=[each["InstanceId"]])
            helen.until(each["InstanceId"], "terminated")
    assert left == []


@pytest.fixture
def look(helen: Account, desk: Path) -> Look:
    """Inside a guest by its id and a private key: it is the one, it has the memory that its type
    says, and its user data ran in its first boot alone."""
    boots: list[str] = []

    def inside(id_: str, private_key: str) -> None:
        key = desk / f"{id_}.pem"
        key.write_text(private_key)
        key.chmod(0o600)
        guest = helen.guest(id_, key).until_there()
        assert guest.run("imds meta-data/instance-id") == id_
        said = guest.run("cat /var/log/user-data.log 2>/dev/null || true")
        assert said == ("" if boots else f"hello from {id_}")
        assert _has_its_memory(helen, guest)
        assert guest.boot() not in boots
        boots.append(guest.boot())

    return inside


def _has_its_memory(helen: Account, guest: Guest) -> bool:
    kind = helen.describe(guest.id)["InstanceType"]
    (told,) = helen.ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"]
    has_kib = int(guest.run("grep MemTotal /proc/meminfo").split()[1])
    return 0.8 < has_kib / 1024 / told["MemoryInfo"]["SizeInMiB"] <= 1


def test_boto3(door: Door, tiny: str, look: Look) -> None:
    """Its resources, with their waiters and a paginator; the guest has the address that it was
    to have."""
    ec2 = boto3.resource(
        "ec2",
        endpoint_url=door.url,
        region_name="us-east-1",
        aws_access_key_id=door.access_key,
        aws_secret_access_key=door.secret,
    )
    (subnet,) = ec2.subnets.all()
    address = str(IPv4Network(subnet.cidr_block)[99])

    def at_its_address(instance: Any, private_key: str) -> None:
        assert instance.private_ip_address == address
        look(instance.id, private_key)  # which logs in there

    boto.play(ec2, tiny, at_its_address, PATIENCE, UserData=HELLO, PrivateIpAddress=address)
    ec2.meta.client.close()


def test_the_aws_cli(helen: Account, door: Door, desk: Path, tiny: str, look: Look) -> None:
    def states(ids: Any) -> list[str]:
        return [helen.state(id_) for id_ in ids]

    shell = aws_cli.Shell(door, desk, states, within_s=PATIENCE_S)
    aws_cli.play(shell, tiny, 1, HELLO, look)


def test_libcloud(door: Door, tiny: str, look: Look) -> None:
    """It signs by version 2, unless told otherwise."""
    driver = libcloud.driver_at(door, libcloud.OWN_CHOICE)
    other = libcloud.driver_at(door, "4")

    def seen_by_both(node: Any) -> None:
        (listed,) = other.list_nodes(ex_node_ids=[node.id])
        assert (listed.state, listed.private_ips) == (node.state, node.private_ips)
        look(node.id, driver.pair.private_key)

    libcloud.live(driver, tiny, HELLO, seen_by_both, PATIENCE_S)


def test_ansible(door: Door, desk: Path, tiny: str) -> None:
    """The playbook looks into the guest by itself."""
    ansible.play(door, desk, "story", image=tiny, guest=True)


def test_the_sdk_for_javascript(door: Door, desk: Path, tiny: str) -> None:
    """The console is its way into the guest."""
    javascript.play(door, desk, tiny, "1", "user-data: hello from i-[^]*tiny: going down[^]*ready")
