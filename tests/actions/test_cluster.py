"""boto3 and the tools against the whole server over a simulated cluster: its users, images,
networks and machines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.cloud import codes, serving, simulator
from tests.support.cluster_site import ADA, EXTRA, MAIN, person
from tests.support.eventually import eventually
from tests.support.memory_vault import MemoryVault

from econe.app import App, utc_now
from econe.cli.play import play
from econe.cli.upload import UPLOAD
from econe.domain.accounts import Limits
from econe.domain.engine_ports import EngineBusy, Phase, Seen, SeenNic, Stranger
from econe.domain.hidden import Hidden
from econe.domain.images import DiskFormat
from econe.domain.ports import Known
from econe.domain.queries import Query
from econe.domain.sizes import Size
from econe.engines.simulator import World
from econe.engines.simulator.shared import SharedSimulator
from econe.settings import Opennebula


class DiskVault(MemoryVault):
    """With files that the cluster can read."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def path(self, location: str, disk_format: DiskFormat) -> Path:
        path = self._directory / f"{location}.{disk_format}"
        if location in self.kept:
            path.write_bytes(self.kept[location])
        return path


@dataclass
class Server:
    world: World
    url: str = ""
    app: App | None = None

    def known(self) -> Mapping[str, Known]:
        if self.app is None:
            return {}
        with self.app.store.reading() as tx:
            return tx.instances.known()

    def client(self, name: str = "ada", secret: str = "hash of ada") -> Any:
        return boto3.client(
            "ec2",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=name,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 0}),
        )

    def upload(self, path: Path, *words: str) -> str:
        environ = {"EC2_URL": self.url, "EC2_ACCESS_KEY": "ada", "EC2_SECRET_KEY": "hash of ada"}
        assert play(UPLOAD, [str(path), *words], environ) == 0
        with self.app.store.reading() as tx:  # type: ignore[union-attr]
            return max(row.id for row in tx.images.find(Query()).items)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    world = World()
    cluster = world.cluster
    cluster.put_person(person("2", "ada", limits=Limits(instances=2)))
    cluster.put_person(person("3", "bob", groups=("7",)))
    cluster.networks += [MAIN, EXTRA]
    cluster.sizes.append(Size("one.small", 3, 300, engine_ref="9"))
    (tmp_path / "blobs").mkdir()
    server = Server(world)
    engine = SharedSimulator(world, register=server.known)
    settings = simulator(tmp_path / "state", opennebula=Opennebula(users_every_s=0.2))
    with serving(settings, engine=engine, vault=DiskVault(tmp_path / "blobs")) as (app, url):
        server.app, server.url = app, url
        yield server


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"DISK" * 1000)
    return path


def image(server: Server, disk: Path) -> str:
    """Uploaded, registered and in the cluster."""
    image_id = server.upload(disk)
    ec2 = server.client()
    ec2.register_image(ImageLocation=image_id, Name="debian")
    eventually(lambda: state_of(ec2, image_id) == "available", within_s=10)
    return image_id


def state_of(ec2: Any, image_id: str) -> str:
    (shown,) = ec2.describe_images(ImageIds=[image_id])["Images"]
    return str(shown["State"])


def instances(ec2: Any) -> dict[str, Any]:
    return {
        each["InstanceId"]: each
        for reservation in ec2.describe_instances()["Reservations"]
        for each in reservation["Instances"]
    }


def test_a_user_of_the_cluster_signs_in_from_the_first_moment(server: Server):
    ec2 = server.client()
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    assert (vpc["OwnerId"], vpc["CidrBlock"]) == (ADA, MAIN.cidr)
    subnets = {each["CidrBlock"]: each for each in ec2.describe_subnets()["Subnets"]}
    assert subnets[MAIN.cidr]["DefaultForAz"] is True
    assert subnets[EXTRA.cidr]["DefaultForAz"] is False
    names = [each["InstanceType"] for each in ec2.describe_instance_types()["InstanceTypes"]]
    assert "one.small" in names


def test_a_wrong_password_and_a_changed_one_are_refused(server: Server):
    with pytest.raises(ClientError) as refused:
        server.client(secret="wrong").describe_vpcs()
    assert codes(refused) == ("AuthFailure", 401)
    server.client().describe_vpcs()
    server.world.cluster.put_person(person("2", "ada", secret=Hidden("new")))

    def old_is_refused() -> bool:
        try:
            server.client().describe_vpcs()
        except ClientError:
            return True
        return False

    eventually(old_is_refused, within_s=10)
    server.client(secret="new").describe_vpcs()


def test_an_upload_runs_with_the_addresses_that_the_cluster_gives(server: Server, disk: Path):
    image_id = image(server, disk)
    ec2 = server.client()
    (made,) = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="one.small")[
        "Instances"
    ]
    assert made["State"]["Name"] == "pending"
    assert made["NetworkInterfaces"] == []
    ec2.get_waiter("instance_running").wait(
        InstanceIds=[made["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )
    shown = instances(ec2)[made["InstanceId"]]
    assert shown["PrivateIpAddress"].startswith("10.99.0.")
    assert shown["CpuOptions"]["CoreCount"] == 3
    assert shown["MetadataOptions"]["HttpEndpoint"] == "disabled"
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[made["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )


def test_an_image_that_is_on_its_way_cannot_be_run(server: Server, disk: Path):
    server.world.script.fail("images.ensure", 1000, with_=EngineBusy("later"))
    image_id = server.upload(disk)
    ec2 = server.client()
    ec2.register_image(ImageLocation=image_id, Name="debian")
    assert state_of(ec2, image_id) == "pending"
    with pytest.raises(ClientError) as refused:
        ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)
    assert codes(refused) == ("InvalidAMIID.Unavailable", 400)


def test_a_users_limit_holds(server: Server, disk: Path):
    image_id = image(server, disk)
    ec2 = server.client()
    made = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=5)["Instances"]
    assert len(made) == 2
    with pytest.raises(ClientError) as refused:
        ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)
    assert codes(refused) == ("InstanceLimitExceeded", 400)


def test_images_are_shared_as_the_cluster_shares_them(server: Server, disk: Path):
    image_id = image(server, disk)
    bob = server.client("bob", "hash of bob")
    assert bob.describe_images()["Images"] == []
    (ref,) = server.world.cluster.images
    server.world.cluster.change_image(ref, shares=("group:7",))
    eventually(lambda: bob.describe_images()["Images"], within_s=10)
    (shown,) = bob.describe_images(ExecutableUsers=["self"])["Images"]
    assert (shown["ImageId"], shown["ImageOwnerAlias"]) == (image_id, "ada")


def test_a_machine_of_others_is_listed_and_can_be_ended(server: Server):
    seen = Seen(Phase.RUNNING, "41", nics=(SeenNic("02:00:0a:63:00:29", "10.99.0.41", "0"),))
    server.world.cluster.put_stranger(
        Stranger("41", ADA, "by hand", seen, "one.2x512", 2, 512, utc_now())
    )
    server.world.changed()
    ec2 = server.client()
    eventually(lambda: "i-00000041" in instances(ec2), within_s=10)
    shown = instances(ec2)["i-00000041"]
    assert shown["State"]["Name"] == "running"
    assert shown["ImageId"] == ""
    assert (shown["InstanceType"], shown["PrivateIpAddress"]) == ("one.2x512", "10.99.0.41")
    assert shown["Tags"] == [{"Key": "Name", "Value": "by hand"}]
    ec2.terminate_instances(InstanceIds=["i-00000041"])
    ec2.get_waiter("instance_terminated").wait(
        InstanceIds=["i-00000041"], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )
