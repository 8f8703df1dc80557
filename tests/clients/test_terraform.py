"""Terraform's plan, apply and destroy over what this cloud has. Two minutes, most of it
sleep: the provider first looks at an instance 10 s after it asked for something."""

from pathlib import Path

from tests.clients.door import Door
from tests.clients.stories.terraform import Terraform
from tests.support.cloud import Cloud

from econe.actions.keymaker import OpenSshKeys


def test_what_is_applied_is_what_is_found(cloud: Cloud, door: Door, desk: Path) -> None:
    """What is made and looked up stands in terraform/main.tf."""
    line, other = OpenSshKeys().make("ed25519").public_key, cloud.as_other().caller.number
    terraform = Terraform(door, desk, image=cloud.image(), public_key=line, other=other)
    told = terraform.apply()
    assert told["account"] == cloud.caller.number
    assert told["arn"] == f"arn:aws:ec2:us-east-1:{cloud.caller.number}:instance/{told['web']}"
    assert told["key"].split()[:2] == line.split()[:2]
    assert (told["network"], told["running"], told["size"]) == (True, [told["web"]], 1)
    assert "m1.small" in told["types"]
    terraform.finds_nothing_to_do()
    again = terraform.apply(team="b")
    assert (again["web"], told["version"], again["version"]) == (told["web"], 1, 2)
    terraform.finds_nothing_to_do()
    _is_changed(cloud, told["web"])
    terraform("destroy", "-auto-approve")
    _is_gone(cloud)


def _is_changed(cloud: Cloud, web: str) -> None:
    ec2 = cloud.resource()
    instance = ec2.Instance(web)
    assert instance.instance_type == "t2.small"
    assert {tag["Key"]: tag["Value"] for tag in instance.tags} == {
        "Name": "web", "team": "b", "owner": "terraform",
    }  # fmt: skip
    named = [{"Name": "tag:Name", "Values": ["full"]}]
    (full,) = ec2.instances.filter(Filters=named)
    assert full.monitoring == {"State": "disabled"}
    assert full.metadata_options["HttpTokens"] == "optional"
    assert full.metadata_options["HttpPutResponseHopLimit"] == 3
    (volume,) = full.volumes.all()
    assert (volume.size, {"Key": "of", "Value": "full"} in volume.tags) == (3, True)


def _is_gone(cloud: Cloud) -> None:
    ec2 = cloud.client()
    found = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    assert {each["State"]["Name"] for each in found} == {"terminated"}
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    (image,) = ec2.describe_images(Owners=["self"])["Images"]
    assert image.get("Tags", []) == []
