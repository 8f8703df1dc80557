"""What users do without us is seen by us, and stays."""

import re
from pathlib import Path

import pytest
from tests.story.cluster import Cluster
from tests.story.server import Server, User
from tests.support.eventually import eventually

pytestmark = pytest.mark.story


def shown(user: User, name: str) -> str:
    """The id of the instance that has this name."""
    for instance in user.described():
        if {"Key": "Name", "Value": name} in instance.get("Tags", []):
            return str(instance["InstanceId"])
    return ""


def test_a_machine_that_was_made_by_other_means_is_an_instance_and_keeps_its_id(
    server: Server, helen: User, cluster: Cluster
):
    vm = cluster.call("helen", "one.template.instantiate", 0, "by-sunstone", False, "", False)
    (instance,) = eventually(
        lambda: [found["InstanceId"] for found in helen.described()], within_s=10
    )
    running = helen.is_in(instance, "running")
    assert running["InstanceType"] == "m1.small"
    assert re.fullmatch(r"147\.96\.80\.\d+", running["PrivateIpAddress"])
    (known,) = server.admin("import-opennebula")["found"]
    assert (known["id"], known["outcome"]) == (instance, "known")
    server.stop()
    server.start()
    helen._ec2 = None
    assert [found["InstanceId"] for found in helen.described()] == [instance]
    cluster.call("helen", "one.vm.action", "terminate-hard", vm)
    helen.is_in(instance, "terminated")


def test_a_machine_of_ours_that_is_deleted_in_opennebula_is_terminated(
    helen: User, image: str, cluster: Cluster
):
    (made,) = helen.ec2.run_instances(
        ImageId=image, InstanceType="m1.small", MinCount=1, MaxCount=1
    )["Instances"]
    helen.is_in(made["InstanceId"], "running")
    (machine,) = cluster.running.world.vms()
    cluster.as_admin("one.vm.action", "terminate-hard", machine.id)
    gone = helen.is_in(made["InstanceId"], "terminated")
    assert "by other means" in gone["StateReason"]["Message"]


def test_a_machine_of_ours_that_is_powered_off_in_opennebula_is_stopped_and_starts(
    helen: User, image: str, cluster: Cluster
):
    (made,) = helen.ec2.run_instances(
        ImageId=image, InstanceType="m1.small", MinCount=1, MaxCount=1
    )["Instances"]
    helen.is_in(made["InstanceId"], "running")
    (machine,) = cluster.running.world.vms()
    cluster.call("helen", "one.vm.action", "poweroff-hard", machine.id)
    helen.is_in(made["InstanceId"], "stopped")
    cluster.call("helen", "one.vm.action", "resume", machine.id)
    helen.is_in(made["InstanceId"], "running")
    helen.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    helen.is_in(made["InstanceId"], "terminated")


def test_an_image_of_the_operators_is_handed_over_and_can_be_run(
    server: Server, helen: User, disk: Path
):
    words = ("image", "add", str(disk), "--account", "helen", "--name", "by the operator")
    made = server.admin(*words)
    assert (made["outcome"], made["state"]) == ("added", "pending")
    helen.until("econe-describe-images", expect=f"{made['id']} +available")
    again = server.admin(*words)
    assert (again["outcome"], again["id"]) == ("known", made["id"])
    (run,) = helen.ec2.run_instances(
        ImageId=made["id"], InstanceType="m1.small", MinCount=1, MaxCount=1
    )["Instances"]
    helen.is_in(run["InstanceId"], "running")
    helen.ec2.terminate_instances(InstanceIds=[run["InstanceId"]])
    helen.is_in(run["InstanceId"], "terminated")
    assert server.admin("image", "remove", made["id"])["deregistered"] == made["id"]
