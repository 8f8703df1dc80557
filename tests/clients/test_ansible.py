"""Ansible's amazon.aws collection, unmodified, by a playbook."""

import json
import subprocess
from pathlib import Path

from tests.clients.conftest import brought, environment
from tests.support.cloud import Cloud

from econe.actions.keymaker import OpenSshKeys

STORY = Path(__file__).parent / "ansible" / "story.yml"


INVENTORY = """\
plugin: amazon.aws.aws_ec2
regions: [us-east-1]
hostnames: [tag:Name]
keyed_groups: [{key: tags.team, prefix: team}]
compose: {ansible_host: private_ip_address}
"""


def ansible(cloud: Cloud, desk: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words,
        env={
            **environment(cloud, desk),
            "ANSIBLE_COLLECTIONS_PATH": str(brought("ansible")),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            # Without it the modules run under whichever python is found first.
            "ANSIBLE_PYTHON_INTERPRETER": "{{ ansible_playbook_python }}",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PIPELINING": "true",
        },
        check=False,
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_the_playbook_finds_all_as_it_should_be(cloud: Cloud, desk: Path) -> None:
    """What it does and what it insists on stands in ansible/story.yml."""
    for name in ("mine", "other"):
        (desk / f"{name}.pub").write_text(OpenSshKeys().make("ed25519").public_key)
    told = f"image={cloud.image()} home={desk}"
    done = ansible(cloud, desk, "ansible-playbook", "-i", "localhost,", "-e", told, STORY)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "failed=0" in done.stdout


def test_the_inventory_is_what_runs(cloud: Cloud, desk: Path) -> None:
    tags = [{"Key": "Name", "Value": "web"}, {"Key": "team", "Value": "a"}]
    (id_,) = cloud.running(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    asked = desk / "cloud.aws_ec2.yml"
    asked.write_text(INVENTORY)
    done = ansible(cloud, desk, "ansible-inventory", "-i", asked, "--list")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert (listed["aws_ec2"]["hosts"], listed["team_a"]["hosts"]) == (["web"], ["web"])
    host = listed["_meta"]["hostvars"]["web"]
    assert host["instance_id"] == {"__ansible_unsafe": id_}  # how it writes what it was told
    assert host["ansible_host"] == host["private_ip_address"]
