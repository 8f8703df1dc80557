"""The life of a server as an operator leads it: start, status, stop, down; and the host's."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e import leavings
from tests.e2e.server import ROOT, Account, Server
from tests.support.eventually import eventually

from econe.engines.qemu import vpc_names
from econe.engines.qemu.vpc import VpcNetworks

pytestmark = [pytest.mark.e2e, pytest.mark.root]

SETTINGS = {"work.watch_every_s": 0.2}
GREETING = "econe contract guest"


def operate(server: Server, *words: str) -> "subprocess.CompletedProcess[str]":
    """econe-server on the state directory of `server`."""
    command, *more = words
    return subprocess.run(
        [*server.command, command, "--state", str(server.state), *more],
        cwd=ROOT,
        env=server.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def id_(server: Server, helen: Account, sector_image: Path) -> str:
    launched = helen.launch(helen.image(sector_image))
    helen.until(launched, "running")
    eventually(lambda: GREETING in server.console(launched), within_s=20)
    return launched


def test_a_daemon_is_started_looked_at_and_stopped_and_guests_do_not_notice(
    server: Server, helen: Account, id_: str
):
    pid = server.pid_of(id_)
    server.stop()
    assert operate(server, "status").returncode == 3
    listen = server.url.removeprefix("http://")
    try:
        started = operate(server, "start", "--listen", listen, "--engine", "qemu")
        assert started.stdout == f"econe-server: ready on {server.url}\n", started.stderr
        status = operate(server, "status")
        assert (status.returncode, server.url in status.stdout) == (0, True)
        again = operate(server, "start", "--listen", listen)
        assert (again.returncode, "already running" in again.stdout) == (0, True)
        assert helen.state(id_) == "running"
        refused = operate(server, "down", "--engine", "qemu")
        assert refused.returncode == 1
        assert len(refused.stderr.splitlines()) == 1
    finally:
        stopped = operate(server, "stop")
    assert stopped.returncode == 0, stopped.stderr
    assert operate(server, "status").returncode == 3
    assert server.pid_of(id_) == pid
    server.start()
    assert helen.state(id_) == "running"


def test_a_reboot_of_the_host_stops_instances_and_loses_nothing(
    server: Server, helen: Account, id_: str
):
    before = helen.describe(id_)
    server.kill()
    lose_power(server)
    server.start()
    told = helen.until(id_, "stopped", within_s=20)
    assert told["StateReason"]["Code"] == "Server.InternalError"
    helen.ec2.start_instances(InstanceIds=[id_])
    after = helen.until(id_, "running", within_s=20)
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    eventually(lambda: server.console(id_).count(GREETING) == 2, within_s=20)
    (interface,) = after["NetworkInterfaces"]
    assert leavings.leases(server.state) == [interface["NetworkInterfaceId"]]


def lose_power(server: Server) -> None:
    """What a host forgets when it halts: processes, namespaces, links, and all below /run."""
    for qemu in leavings.qemus(server.state):
        os.kill(qemu.pid, signal.SIGKILL)
    eventually(lambda: not leavings.qemus(server.state), within_s=10)
    networks = VpcNetworks(server.state, domain="", door=leavings.NoDoor())
    for vpc_id in networks.look():
        networks.remove(vpc_id)
    assert not (vpc_names.RUNTIME / vpc_names.tag_of(server.state)).exists()
    for left in server.state.glob("instances/*/monitor.sock"):
        assert left.is_socket()  # which nobody answers any more


def test_down_ends_guests_and_networks_and_keeps_what_lasts(
    server: Server, helen: Account, id_: str
):
    server.stop()
    assert len(leavings.qemus(server.state)) == 1
    done = operate(server, "down", "--engine", "qemu")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "econe-server: down; guests stopped: 1, networks: 1\n"
    assert leavings.qemus(server.state) == []
    assert leavings.namespaces(server.state) == set()
    assert not (vpc_names.RUNTIME / vpc_names.tag_of(server.state)).exists()
    assert operate(server, "down", "--engine", "qemu").returncode == 0  # again: nothing
    server.start()
    assert helen.state(id_) == "stopped"
    helen.ec2.start_instances(InstanceIds=[id_])
    helen.until(id_, "running", within_s=20)
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated", within_s=20)
    assert leavings.of_instances(server.state) == []
