"""Servers and emulators that are killed: guests run on, and nothing is lost."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.server import ROOT, Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

SETTINGS = {"work.watch_every_s": 0.2}


@pytest.fixture(scope="module")
def guest(helen: Account, tiny: str, key: Path) -> Guest:
    id_ = helen.launch(
        tiny, KeyName="mykey", InstanceInitiatedShutdownBehavior="terminate"
    )  # which must never be what a crash means
    helen.until(id_, "running")
    return helen.guest(id_, key).until_there()


def qemu_dies(server: Server, guest: Guest) -> None:
    os.kill(server.pid_of(guest.id), signal.SIGKILL)


def is_whole(server: Server, account: Account, guest: Guest) -> bool:
    return (
        account.state(guest.id) == "running"
        and guest.run("imds meta-data/instance-id") == guest.id
        and len(leavings.qemus(server.state)) == 1
    )


def test_guests_run_on_without_their_server(server: Server, helen: Account, guest: Guest):
    pid, boot, log = server.pid_of(guest.id), guest.boot(), len(server.log)
    server.kill()
    assert guest.boot() == boot
    assert guest.try_run("imds meta-data/instance-id").returncode != 0
    server.start()
    eventually(lambda: guest.try_run("imds meta-data/").returncode == 0, within_s=20)
    assert is_whole(server, helen, guest)
    assert (server.pid_of(guest.id), guest.boot()) == (pid, boot)
    server.stop()
    assert guest.boot() == boot
    server.start()
    eventually(lambda: guest.try_run("imds meta-data/").returncode == 0, within_s=20)
    assert (server.pid_of(guest.id), guest.boot()) == (pid, boot)
    assert " error " not in server.log[log:]


def test_a_server_that_is_killed_while_a_guest_boots_changes_nothing_for_the_guest(
    server: Server, helen: Account, tiny: str, key: Path
):
    id_ = helen.launch(tiny, KeyName="mykey")
    helen.until(id_, "running")
    pid = server.pid_of(id_)
    for _ in range(3):  # while it asks for its address, its name, its key
        server.kill()
        server.start()
    booted = helen.guest(id_, key).until_there()
    assert (server.pid_of(id_), booted.run("hostname")) == (
        pid,
        helen.describe(id_)["PrivateDnsName"],
    )
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated")


def test_an_emulator_that_dies_leaves_a_stopped_instance(
    server: Server, helen: Account, guest: Guest
):
    guest.run("echo before the crash >/boot/kept; sync")
    qemu_dies(server, guest)
    told = helen.until(guest.id, "stopped", within_s=10)
    assert told["StateReason"]["Code"] == "Server.InternalError"
    assert "The machine ended" in server.log
    helen.ec2.start_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "running")
    guest.until_there()
    assert guest.run("cat /boot/kept") == "before the crash"


def test_an_emulator_that_dies_while_no_server_looks_leaves_a_stopped_instance(
    server: Server, helen: Account, guest: Guest
):
    server.kill()
    qemu_dies(server, guest)
    server.start()
    told = helen.until(guest.id, "stopped", within_s=10)
    assert told["StateReason"]["Code"] == "Server.InternalError"
    helen.ec2.start_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "running")
    guest.until_there()


def test_a_guest_that_halts_while_no_server_looks_has_halted_by_itself(
    server: Server, helen: Account, tiny: str, key: Path
):
    id_ = helen.launch(tiny, KeyName="mykey")
    helen.until(id_, "running")
    its = helen.guest(id_, key).until_there()
    server.kill()
    its.try_run("poweroff")
    eventually(lambda: "tiny: going down" in server.console(id_), within_s=20)
    server.start()
    told = helen.until(id_, "stopped", within_s=30)
    assert told["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated")


def test_a_network_that_was_taken_away_is_mended(server: Server, helen: Account, guest: Guest):
    """dnsmasq killed, and the packet filter emptied, while no server runs."""
    server.kill()
    (namespace,) = leavings.namespaces(server.state)
    pids = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True
    ).stdout.split()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    ip = ["ip", "netns", "exec", namespace]
    subprocess.run([*ip, "nft", "flush", "ruleset"], check=True)
    subprocess.run([*ip, "ip", "link", "delete", "uplink"], check=True)
    server.start()
    eventually(lambda: guest.try_run("imds meta-data/").returncode == 0, within_s=20)
    assert is_whole(server, helen, guest)
    rules = subprocess.run(
        [*ip, "nft", "list", "ruleset"], capture_output=True, text=True, check=True
    )
    assert guest.host in rules.stdout


def test_two_servers_do_not_share_a_state_directory(server: Server):
    second = subprocess.run(
        [*server.command, "run", "--state", str(server.state), "--listen", "127.0.0.1:0"],
        check=False,
        cwd=ROOT,
        env=server.env,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert second.returncode == 1
    assert f"another econe-server (process {server.process.pid}) runs" in second.stderr


def test_at_last_all_is_terminated(server: Server, helen: Account, guest: Guest):
    helen.ec2.terminate_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "terminated")
    assert leavings.of_instances(server.state) == []
