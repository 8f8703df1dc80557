"""Servers without CAP_NET_ADMIN: guests have the user-mode network, and all else as well.

One runs as nobody, as on a machine where its user is nobody special. The other is root without the
rights over networks, as in a container; its guests still have users of their own.
"""

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.server import BIN, ROOT, Account, Server, alive
from tests.support.eventually import eventually

NOBODY = 65534
LACKING = "-net_admin,-sys_admin"
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
AS_WEAK_ROOT = ("setpriv", f"--bounding-set={LACKING}", f"--inh-caps={LACKING}")
USER_DATA = b"#!/bin/sh\necho I am $(imds meta-data/instance-id) at $(imds meta-data/local-ipv4)\n"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]


def python_of_nobody() -> tuple[str, ...]:
    """A command that runs our Python code as somebody who cannot look into others' homes, where
    ours may lie; so the host's own, of the same version, may have to do."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    code = ":".join((str(ROOT / "src"), sysconfig.get_path("purelib")))
    for words in ((sys.executable,), ("env", f"PYTHONPATH={code}", f"/usr/bin/{version}")):
        with contextlib.suppress(OSError):
            tried = [*words, "-c", "import econe.app"]
            if not subprocess.run(tried, user=NOBODY, group=NOBODY, check=False).returncode:
                return words
    pytest.skip(f"nobody may run neither {sys.executable} nor /usr/bin/{version} on our code")


@pytest.fixture(scope="module", params=["nobody", "weak root"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "nobody":
        command = (*AS_NOBODY, *python_of_nobody(), "-m", "econe.cli.server")
    else:
        command = (*AS_WEAK_ROOT, str(BIN / "econe-server"))
    with tempfile.TemporaryDirectory(prefix="econe-e2e-") as place:
        Path(place).chmod(0o755)
        state = Path(place, "state")
        state.mkdir(mode=0o700)  # as econe-server makes it
        if request.param == "nobody":
            os.chown(state, NOBODY, NOBODY)
        settings = {"work.network_quiet_s": 1}
        with alive(Server(state, ["172.16.0.0/12"], settings, command)) as made:
            yield made


@pytest.fixture(scope="module")
def guest(helen: Account, tiny: str, key: Path) -> Guest:
    id_ = helen.launch(tiny, KeyName="mykey", UserData=USER_DATA)
    helen.until(id_, "running")
    return helen.guest(id_, key).until_there()


def test_the_check_says_which_network_there_is_and_why(server: Server):
    done = subprocess.run(
        [*server.command, "check", "--state", str(server.state)],
        env=server.env,
        capture_output=True,
        text=True,
        check=False,
    )
    why = "does not run as root" if "--clear-groups" in server.command else "lacks CAP_NET_ADMIN"
    assert why in done.stdout


def test_ssh_leads_through_a_port_of_this_host(helen: Account, guest: Guest):
    assert guest.host == "127.0.0.1"
    assert guest.port != 22
    told = helen.describe(guest.id)
    assert f"inet {told['PrivateIpAddress']}/" in guest.run("ip -4 address show eth0")
    assert guest.run("hostname") == told["PrivateDnsName"]


def test_the_guest_has_its_metadata_and_user_data(helen: Account, guest: Guest):
    address = helen.describe(guest.id)["PrivateIpAddress"]
    assert guest.run("cat /var/log/user-data.log") == f"I am {guest.id} at {address}"
    assert guest.metadata("latest/meta-data/instance-id") == (200, guest.id.encode())


def test_a_guest_that_answers_at_its_port_is_well(helen: Account, guest: Guest):
    helen.ec2.get_waiter("instance_status_ok").wait(
        InstanceIds=[guest.id], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def test_the_server_and_its_guest_are_who_they_should_be(server: Server, guest: Guest):
    qemu = Path(f"/proc/{server.pid_of(guest.id)}")
    owner = qemu.stat().st_uid
    if "--clear-groups" in server.command:
        assert owner == NOBODY
    else:
        assert owner == 200000 + int(guest.id.removeprefix("i-"))
    assert not leavings.namespaces(server.state)


def test_a_guest_has_its_metadata_also_from_the_next_server(
    server: Server, helen: Account, guest: Guest
):
    pid = server.pid_of(guest.id)
    server.kill()
    server.start()
    eventually(
        lambda: guest.metadata("latest/meta-data/instance-id") == (200, guest.id.encode()),
        within_s=20,
    )
    assert server.pid_of(guest.id) == pid
    assert helen.state(guest.id) == "running"


def test_two_guests_have_ports_and_metadata_of_their_own(
    server: Server, helen: Account, tiny: str, key: Path, guest: Guest
):
    id_ = helen.launch(tiny, KeyName="mykey")
    helen.until(id_, "running")
    second = helen.guest(id_, key).until_there()
    assert second.port != guest.port
    assert second.run("imds meta-data/instance-id") == id_
    assert guest.run("imds meta-data/instance-id") == guest.id
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated")
    assert not [left for left in leavings.of_instances(server.state) if id_ in left]


def test_a_stop_and_a_start_keep_the_address_and_show_where_ssh_leads(
    helen: Account, guest: Guest, key: Path
):
    before = helen.describe(guest.id)["PrivateIpAddress"]
    helen.ec2.stop_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "stopped")
    helen.ec2.start_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "running")
    again = helen.guest(guest.id, key).until_there()
    assert again.run("imds meta-data/local-ipv4") == before


def test_termination_leaves_nothing(server: Server, helen: Account, guest: Guest):
    helen.ec2.terminate_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "terminated")
    assert leavings.of_instances(server.state) == []
