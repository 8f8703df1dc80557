"""Ansible's amazon.aws collection, unmodified, by a playbook."""

import json
from pathlib import Path

from tests.clients.door import Door
from tests.clients.stories.ansible import play, run
from tests.support.cloud import Cloud

from econe.actions.keymaker import OpenSshKeys

INVENTORY = """\
plugin: amazon.aws.aws_ec2
regions: [us-east-1]
hostnames: [tag:Name]
keyed_groups: [{key: tags.team, prefix: team}]
compose: {ansible_host: private_ip_address}
"""


def test_the_playbook_finds_all_as_it_should_be(cloud: Cloud, door: Door, desk: Path) -> None:
    """What it does and what it insists on stands in ansible/story.yml."""
    play(door, desk, "story", image=cloud.image())


def test_what_else_the_modules_do(cloud: Cloud, door: Door, desk: Path) -> None:
    """What that is stands in ansible/more.yml."""
    for name in ("mine", "other"):
        (desk / f"{name}.pub").write_text(OpenSshKeys().make("ed25519").public_key)
    play(door, desk, "more", image=cloud.image(), other=cloud.as_other().caller.number)


def test_the_inventory_is_what_runs(cloud: Cloud, door: Door, desk: Path) -> None:
    tags = [{"Key": "Name", "Value": "web"}, {"Key": "team", "Value": "a"}]
    (id_,) = cloud.running(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    asked = desk / "cloud.aws_ec2.yml"
    asked.write_text(INVENTORY)
    done = run(door, desk, "ansible-inventory", "-i", asked, "--list")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert (listed["aws_ec2"]["hosts"], listed["team_a"]["hosts"]) == (["web"], ["web"])
    host = listed["_meta"]["hostvars"]["web"]
    assert host["instance_id"] == {"__ansible_unsafe": id_}  # how it writes what it was told
    assert host["ansible_host"] == host["private_ip_address"]
