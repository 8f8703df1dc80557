"""The user guide's story, on OpenNebula: with the econe-* tools, with boto3, with the AWS CLI."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.story.cluster import Cluster, real_or_stand_in
from tests.story.conftest import hashed
from tests.story.server import PATIENCE_S, Server, User
from tests.support.eventually import eventually

pytestmark = pytest.mark.story

ADDRESS = r"\d+\.\d+\.\d+\.\d+"
MINE = -3
"""oned's filter for the caller's own."""


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Cluster]:
    upload_dir = place / "upload"
    upload_dir.mkdir()
    with real_or_stand_in(upload_dir) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def helen(server: Server) -> Iterator[User]:
    (name,) = server.cluster.passwords.keys() - {"oneadmin", "bob"}
    user = server.user(name)
    yield user
    user.close()


def owned(user: User) -> set[str]:
    """Machines and images that are theirs in oned."""
    call = user.server.cluster.call
    machines = call(user.name, "one.vmpool.infoextended", MINE, -1, -1, -1)
    images = call(user.name, "one.imagepool.info", MINE, -1, -1)
    return set(re.findall(r"<(?:VM|IMAGE)><ID>\d+", machines + images))


@pytest.fixture(scope="module")
def before(helen: User) -> set[str]:
    return owned(helen)


@pytest.fixture(scope="module")
def image(before: set[str], helen: User, disk: Path) -> str:
    told = helen.said("econe-upload", str(disk), expect=r"^Success: ImageId ami-\d{8}$")
    image_id = told.split()[-1]
    helen.said("econe-register", image_id, expect=f"^Success: ImageId {image_id}$")
    helen.until(
        "econe-describe-images", "-H", expect=f"^{helen.name} +{image_id} +available +private"
    )
    return image_id


def test_the_state_of_things_is_told(server: Server):
    assert server.health()["oned"] is True
    told = server.said("econe-server", "check")
    for name in ("service account", "oned", "login", "group", "users", "datastore", "uploads"):
        assert re.search(f"^yes  {name}", told, re.MULTILINE), told


def test_with_the_tools(helen: User, image: str):
    helen.said("econe-create-keypair", "mykey", "-o", "mykey.pem", expect="mykey")
    told = helen.said(
        "econe-run-instances", "-H", "-k", "mykey", "-d", "#!/bin/sh\ntrue\n", image,
        expect=rf"^{helen.name} +{image} +i-\d{{8}} +m1.small$",
    )  # fmt: skip
    (instance,) = re.findall(r" (i-\d{8})", told)
    helen.until(
        "econe-describe-instances", "-H",
        expect=rf"^{helen.name} +{instance} +{image} +running +{ADDRESS} +m1.small",
    )  # fmt: skip
    helen.said(
        "econe-terminate-instances", instance,
        expect=f"^Success: Terminating {instance} in running state$",
    )  # fmt: skip
    helen.until("econe-describe-instances", expect=f"{instance} .* terminated")


def test_with_boto3(helen: User, image: str, cluster: Cluster):
    helen.keys = (helen.name, hashed(cluster.passwords[helen.name]))
    helen.ec2.create_key_pair(KeyName="boto3", KeyType="ed25519")
    (made,) = helen.ec2.run_instances(
        ImageId=image,
        InstanceType="t3.micro",
        KeyName="boto3",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "<boto3> & öäü"}]}
        ],
    )["Instances"]
    assert made["State"]["Name"] == "pending"
    running = helen.is_in(made["InstanceId"], "running")
    assert re.fullmatch(ADDRESS, running["PrivateIpAddress"])
    assert (running["KeyName"], running["InstanceType"]) == ("boto3", "t3.micro")
    helen.ec2.stop_instances(InstanceIds=[made["InstanceId"]])
    helen.is_in(made["InstanceId"], "stopped")
    helen.ec2.start_instances(InstanceIds=[made["InstanceId"]])
    helen.is_in(made["InstanceId"], "running")
    helen.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    helen.is_in(made["InstanceId"], "terminated")


def test_with_the_aws_cli(helen: User, image: str, cluster: Cluster):
    helen.keys = (helen.name, hashed(cluster.passwords[helen.name]))

    def aws(*words: str) -> str:
        return helen.said("aws", "ec2", *words, "--output", "json")

    shown = json.loads(aws("describe-images", "--owners", "self"))["Images"]
    assert (image, "available") in [(each["ImageId"], each["State"]) for each in shown]
    made = json.loads(aws("run-instances", "--image-id", image, "--instance-type", "m1.small"))
    instance = made["Instances"][0]["InstanceId"]
    helen.is_in(instance, "running")  # the CLI's own waiter looks every 15 s
    aws("wait", "instance-running", "--instance-ids", instance)
    aws("terminate-instances", "--instance-ids", instance)
    helen.is_in(instance, "terminated")


def test_nothing_is_left_in_the_cluster(helen: User, image: str, before: set[str]):
    helen.said("econe-deregister", image)
    eventually(lambda: owned(helen) == before, within_s=PATIENCE_S)
