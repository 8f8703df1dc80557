"""What the settings of an operator change: keys of econe-admin's only, uploads by URL, types of
templates only; and what quotas of OpenNebula's do."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.story.cluster import Cluster
from tests.story.conftest import hashed, serving
from tests.story.server import Server, User
from tests.support.eventually import eventually

pytestmark = pytest.mark.story


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@pytest.fixture(scope="module")
def server(place: Path, cluster: Cluster) -> Iterator[Server]:
    url = f"http://127.0.0.1:{free_port()}"
    said = Server(
        place,
        cluster,
        password_keys=False,
        upload_by="url",
        upload_url=url,
        catalogue=False,
    )
    said.url = url
    with serving(said) as server:
        yield server


@pytest.fixture(scope="module")
def helen(server: Server) -> Iterator[User]:
    user = server.user("helen")
    made = server.admin("key", "create", "helen")
    user.keys = (made["access_key"], made["secret_key"])
    yield user
    user.close()


def test_without_password_keys_only_the_keys_of_econe_admin_open_the_door(
    server: Server, helen: User
):
    assert helen.refusal() == ""
    password = server.user("helen")
    assert password.run("econe-describe-images").returncode != 0
    password.keys = ("helen", hashed(server.cluster.passwords["helen"]))
    assert password.refusal() == "AuthFailure"
    kinds = [k["kind"] for k in server.admin("key", "list", "helen")["access_keys"]]
    assert kinds == ["key"]
    password.close()


def test_oned_fetches_an_upload_by_its_url(
    server: Server, helen: User, image: str, cluster: Cluster
):
    helen.said("econe-describe-images", expect=f"{image} +available")
    assert "Gave staged content. GET=200" in server.log
    assert not list(cluster.upload_dir.iterdir())
    assert not list((server.state / "staged").iterdir()), "nothing lies there for longer"


def test_types_are_those_of_templates(helen: User, image: str):
    types = helen.ec2.describe_instance_types()["InstanceTypes"]
    assert [each["InstanceType"] for each in types] == ["m1.small"]


def test_a_quota_of_opennebulas_is_a_limit(helen: User, image: str, cluster: Cluster):
    quota = 'VM=[VMS="1",MEMORY="-1",CPU="-1",SYSTEM_DISK_SIZE="-1"]'
    cluster.as_admin("one.user.quota", cluster.uid("helen"), quota)
    (first,) = helen.ec2.run_instances(
        ImageId=image, InstanceType="m1.small", MinCount=1, MaxCount=1
    )["Instances"]
    helen.is_in(first["InstanceId"], "running")

    def refused() -> str:
        try:
            made = helen.ec2.run_instances(
                ImageId=image, InstanceType="m1.small", MinCount=1, MaxCount=1
            )["Instances"]
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        ended = helen.is_in(made[0]["InstanceId"], "terminated")
        return str(ended["StateReason"]["Code"])

    assert refused() in ("InstanceLimitExceeded", "Client.InstanceLimitExceeded")
    eventually(lambda: refused() == "InstanceLimitExceeded", within_s=10)
    assert len(cluster.running.world.vms()) == 1
    helen.ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    helen.is_in(first["InstanceId"], "terminated")
