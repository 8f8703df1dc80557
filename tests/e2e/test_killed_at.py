"""A server is killed at one step of a launch or of an end; an ordinary server finishes the work.

Guests here are of one sector and boot at once. kill_at.py is the server that dies.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from tests.e2e import leavings
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

from econe.engines.qemu import netns
from econe.engines.qemu.vpc import VpcNetworks

pytestmark = [pytest.mark.e2e, pytest.mark.root]

SETTINGS = {"work.watch_every_s": 0.1, "work.retry_first_s": 0.1}
LAUNCH = (
    *("networks.ensure", "namespace", "rules", "way to the host", "dnsmasq", "networks.admit"),
    *("lease", "machines.ensure", "disk", "disk+", "record", "machines.start", "power"),
    *("run directory", "tap", "tap+", "spawn", "spawn+", "pid", "machines.start+", "report"),
    *("started", "started+", "report+"),
)
TERMINATION = (
    *("machines.shut_down", "machines.shut_down+", "machines.destroy", "quit", "quit+", "end+"),
    *("clear", "clear+", "networks.dismiss", "disks.remove", "disks.remove+", "gone+", "report+"),
)
STOP = ("machines.shut_down+", "machines.power_off", "end+", "machines.power_off+", "halted+")
"""Points in the order in which they are reached; the end of one is mostly the beginning of the
next. A plus sign: after it, not before."""
GREETING = "econe contract guest"


@pytest.fixture(scope="module")
def sector(helen: Account, sector_image: Path) -> str:
    return helen.image(sector_image)


@pytest.fixture(autouse=True)
def cleared(server: Server, helen: Account) -> Iterator[None]:
    """Nothing runs before a test, also after one that failed."""
    yield
    if server.process is None or server.process.poll() is not None or live(helen):
        server.kill()
        server.start()
        for id_ in live(helen):
            ends(server, helen, id_)


def live(account: Account) -> list[str]:
    shown = account.ec2.describe_instances()["Reservations"]
    instances = [instance for reservation in shown for instance in reservation["Instances"]]
    return [i["InstanceId"] for i in instances if i["State"]["Name"] != "terminated"]


def runs_alone(server: Server, account: Account, id_: str, boots: int = 1) -> None:
    """One machine with all it needs, and nothing else on the host; it has booted so often."""
    account.until(id_, "running", within_s=20)
    (qemu,) = leavings.qemus(server.state)
    told = account.describe(id_)
    (interface,) = told["NetworkInterfaces"]
    (mapping,) = told["BlockDeviceMappings"]
    assert qemu.instance == id_
    assert leavings.taps(server.state) == [interface["NetworkInterfaceId"]]
    assert leavings.leases(server.state) == [interface["NetworkInterfaceId"]]
    disks = [path.name for path in (server.state / "volumes").iterdir()]
    assert disks == [f"{mapping['Ebs']['VolumeId']}.qcow2"]
    eventually(lambda: server.console(id_).count(GREETING) == boots, within_s=20)


def mortal(point: str) -> list[str]:
    """The command of a server that kills itself there."""
    when = "after" if point.endswith("+") else "before"
    return [sys.executable, "-m", "tests.e2e.kill_at", point.removesuffix("+"), when]


def dies(server: Server, point: str, act: Callable[[], Any]) -> None:
    """A server that works on `act` until it has killed itself, perhaps before it has answered."""
    server.stop()
    server.start(mortal(point))
    with suppress(BotoCoreError):
        act()
    assert server.await_death(within_s=30) == -signal.SIGKILL


def ends(server: Server, account: Account, id_: str) -> None:
    account.ec2.terminate_instances(InstanceIds=[id_])
    is_gone(server, account, id_)


def is_gone(server: Server, account: Account, id_: str) -> None:
    account.until(id_, "terminated", within_s=20)
    assert leavings.of_instances(server.state) == []
    assert account.ec2.describe_volumes()["Volumes"] == []
    assert account.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


@pytest.mark.parametrize("point", LAUNCH)
def test_a_launch_is_finished_by_the_next_server(
    server: Server, helen: Account, sector: str, point: str
):
    server.stop()
    networks = VpcNetworks(server.state, domain="", door=leavings.NoDoor())
    for vpc_id in networks.look():  # so that it is made, too
        networks.remove(vpc_id)
    dies(server, point, lambda: helen.launch(sector))
    server.start()
    (id_,) = live(helen)
    runs_alone(server, helen, id_)
    ends(server, helen, id_)


@pytest.mark.parametrize("point", TERMINATION)
def test_a_termination_is_finished_by_the_next_server(
    server: Server, helen: Account, sector: str, point: str
):
    id_ = helen.launch(sector)
    runs_alone(server, helen, id_)
    dies(server, point, lambda: helen.ec2.terminate_instances(InstanceIds=[id_]))
    server.start()
    is_gone(server, helen, id_)


@pytest.mark.parametrize("point", STOP)
def test_a_stop_is_finished_by_the_next_server(
    server: Server, helen: Account, sector: str, point: str
):
    id_ = helen.launch(sector)
    runs_alone(server, helen, id_)
    dies(server, point, lambda: helen.ec2.stop_instances(InstanceIds=[id_]))
    server.start()
    told = helen.until(id_, "stopped", within_s=20)
    assert told["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert leavings.qemus(server.state) == []
    assert len(list((server.state / "volumes").iterdir())) == 1
    helen.ec2.start_instances(InstanceIds=[id_])
    runs_alone(server, helen, id_, boots=2)
    ends(server, helen, id_)


@pytest.mark.parametrize("point", ["trial", "trial+"])
def test_a_start_is_repeated_by_the_next_server(server: Server, helen: Account, point: str):
    server.stop()
    before = netns.names("econe-trial-")
    with pytest.raises(AssertionError, match="did not start"):
        server.start(mortal(point))
    (left,) = netns.names("econe-trial-") - before
    server.start()
    assert left not in netns.names("econe-trial-")
    assert helen.ec2.describe_regions()["Regions"]
