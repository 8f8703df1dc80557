"""Reboot, stop, start, and guests that switch themselves off or do not want to."""

from pathlib import Path

import pytest
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

GRACE_S = 12.0
SETTINGS = {"work.stop_grace_s": GRACE_S, "work.terminate_grace_s": GRACE_S}
DEAF = b"""#!/bin/sh
printf '#!/bin/sh\\nsleep 86400\\n' >/etc/rc.power
killall rc.power head
"""
"""Nobody waits for the power button any more."""
KEPT = "/boot/kept"


@pytest.fixture(scope="module")
def obedient(helen: Account, tiny: str, key: Path) -> Guest:
    id_ = helen.launch(tiny, KeyName="mykey")
    helen.until(id_, "running")
    return helen.guest(id_, key).until_there()


def stopped_in_order(server: Server, account: Account, id_: str) -> None:
    """Off, and all of it kept that a start needs."""
    account.until(id_, "stopped")
    assert [qemu for qemu in leavings.qemus(server.state) if qemu.instance == id_] == []
    (mapping,) = account.describe(id_)["BlockDeviceMappings"]
    volume = mapping["Ebs"]["VolumeId"]
    assert (server.state / "volumes" / f"{volume}.qcow2").exists()


def test_a_reboot_is_a_new_boot_of_the_same_machine(
    server: Server, helen: Account, obedient: Guest
):
    pid, boot = server.pid_of(obedient.id), obedient.boot()
    obedient.run(f"date >{KEPT}")
    helen.ec2.reboot_instances(InstanceIds=[obedient.id])

    def booted_again() -> bool:
        asked = obedient.try_run("cat /proc/sys/kernel/random/boot_id")
        return asked.returncode == 0 and asked.stdout.decode().strip() != boot

    eventually(booted_again, within_s=60, every_s=0.5)
    obedient.until_there()
    assert server.pid_of(obedient.id) == pid
    assert helen.state(obedient.id) == "running"
    assert "tiny: going down" in server.console(obedient.id)  # asked, not reset
    assert obedient.run(f"cat {KEPT}")


def test_a_stopped_instance_keeps_its_disk_and_address(
    server: Server, helen: Account, obedient: Guest
):
    obedient.run(f"echo before the stop >{KEPT}")
    before, downs = helen.describe(obedient.id), going_down(server, obedient)
    helen.ec2.stop_instances(InstanceIds=[obedient.id])
    assert helen.state(obedient.id) in {"stopping", "stopped"}
    stopped_in_order(server, helen, obedient.id)
    assert going_down(server, obedient) == downs + 1
    told = helen.describe(obedient.id)
    assert told["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert told["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert leavings.taps(server.state) == []

    helen.ec2.start_instances(InstanceIds=[obedient.id])
    after = helen.until(obedient.id, "running")
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert (
        after["NetworkInterfaces"][0]["MacAddress"]
        == (before["NetworkInterfaces"][0]["MacAddress"])
    )
    assert after["LaunchTime"] > before["LaunchTime"]
    assert "StateReason" not in after
    obedient.until_there()
    assert obedient.run(f"cat {KEPT}") == "before the stop"
    assert obedient.run("imds meta-data/instance-id") == obedient.id


def going_down(server: Server, guest: Guest) -> int:
    """How often it went down in order."""
    return server.console(guest.id).count("tiny: going down")


def test_force_cuts_the_power_at_once(server: Server, helen: Account, obedient: Guest):
    downs = going_down(server, obedient)
    answer = helen.said("econe-stop-instances", "--force", "--wait", obedient.id)
    assert answer == f"Success: Stopping {obedient.id} in running state\n"
    stopped_in_order(server, helen, obedient.id)
    assert going_down(server, obedient) == downs
    helen.said("econe-start-instances", "--wait", obedient.id)
    obedient.until_there()


def test_a_guest_that_switches_itself_off_is_stopped(
    server: Server, helen: Account, obedient: Guest
):
    obedient.try_run("poweroff")
    stopped_in_order(server, helen, obedient.id)
    reason = helen.describe(obedient.id)["StateReason"]
    assert reason == {
        "Code": "Client.InstanceInitiatedShutdown",
        "Message": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    }
    helen.ec2.start_instances(InstanceIds=[obedient.id])
    helen.until(obedient.id, "running")
    obedient.until_there()


def test_a_guest_that_switches_itself_off_is_terminated_where_that_was_asked_for(
    server: Server, helen: Account, tiny: str
):
    script = b"#!/bin/sh\npoweroff\n"
    id_ = helen.launch(tiny, InstanceInitiatedShutdownBehavior="terminate", UserData=script)
    told = helen.until(id_, "terminated")
    assert told["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert not [left for left in leavings.of_instances(server.state) if id_ in left]


def test_a_guest_that_reboots_itself_runs_on(server: Server, helen: Account, obedient: Guest):
    pid, boot = server.pid_of(obedient.id), obedient.boot()
    obedient.try_run("reboot")
    eventually(
        lambda: (
            obedient.try_run(f"! grep -q {boot} /proc/sys/kernel/random/boot_id").returncode == 0
        ),
        within_s=60,
        every_s=0.5,
    )
    assert (helen.state(obedient.id), server.pid_of(obedient.id)) == ("running", pid)


def test_a_guest_that_does_not_obey_is_cut_off_after_the_grace(
    server: Server, helen: Account, tiny: str
):
    id_ = helen.launch(tiny, UserData=DEAF)
    eventually(lambda: "tiny: ready" in server.console(id_), within_s=60)
    helen.ec2.stop_instances(InstanceIds=[id_])
    with pytest.raises(AssertionError, match="not within"):
        helen.until(id_, "stopped", within_s=GRACE_S - 4)
    assert helen.state(id_) == "stopping"
    assert server.pid_of(id_)
    stopped_in_order(server, helen, id_)
    assert "tiny: going down" not in server.console(id_)
    assert f"the guest did not halt within {GRACE_S:g} s" in server.log
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated")


def test_stops_and_starts_of_many_come_to_the_end_that_was_asked_for_last(
    server: Server, helen: Account, obedient: Guest
):
    for _ in range(3):
        helen.ec2.stop_instances(InstanceIds=[obedient.id], Force=True)
        helen.until(obedient.id, "stopped")
        helen.ec2.start_instances(InstanceIds=[obedient.id])
    helen.until(obedient.id, "running")
    obedient.until_there()
    helen.ec2.terminate_instances(InstanceIds=[obedient.id])
    helen.until(obedient.id, "terminated")
    assert leavings.of_instances(server.state) == []
