"""The user-mode network: ports that last, sockets that lead to one instance, and a real guest."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engines.network_world import Door, network, nic

from econe.domain.engine_ports import EngineRefused
from econe.engines.qemu import user_network
from econe.engines.qemu.user_network import SOCKET, UserNetworks

ROOT = Path(__file__).resolve().parents[2]
NETWORK = network()
NIC = nic(1, NETWORK)


@pytest.fixture
def door():
    made = Door()
    yield made
    for owner in [*made.open]:
        made.drop(owner)


@pytest.fixture
def networks(tmp_path, door):
    return again(tmp_path, door)


def again(tmp_path, door):
    return UserNetworks(tmp_path, domain="ec2.internal", door=door, reasons={"vpc": "no rights"})


@pytest.fixture
def place(tmp_path):
    """Deeper than the address of a unix socket can be long."""
    made = tmp_path / ("deep-" * 30) / "i-00000001"
    made.mkdir(parents=True)
    return made


def test_a_forwarded_port_is_the_same_after_a_restart(networks, tmp_path, door, place):
    networks.admit(NIC)
    first = networks.open_nic(NIC, place, None)
    assert first.address.startswith("127.0.0.1:22")
    networks.close_nic(NIC)
    assert again(tmp_path, door).open_nic(NIC, place, None) == first


def test_two_guests_have_two_ports(networks, place):
    networks.admit(NIC)
    other = nic(10001, NETWORK)
    addresses = {networks.open_nic(each, place, None).address for each in (NIC, other)}
    assert len(addresses) == 2


def test_a_port_that_something_else_took_is_given_up(networks, place):
    first = networks.open_nic(NIC, place, None).address
    host, _, port = first.partition(":")
    with socket.create_server((host, int(port))):
        assert networks.open_nic(NIC, place, None).address != first


def test_the_socket_leads_to_the_instance_and_is_bound_again_by_the_next_server(
    networks, tmp_path, door, place
):
    networks.open_nic(NIC, place, None)
    assert list(door.open) == ["i-00000001"]
    door.drop("i-00000001")
    again(tmp_path, door).admit(NIC)
    home = os.open(place, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as guest:
            guest.connect(f"/proc/self/fd/{home}/{SOCKET}")
    finally:
        os.close(home)


def test_closing_and_dismissing_leave_nothing_and_may_be_done_twice(
    networks, tmp_path, door, place
):
    networks.open_nic(NIC, place, None)
    for _ in range(2):
        networks.close_nic(NIC)
        assert door.open == {}
        assert not (place / SOCKET).exists()
    for _ in range(2):
        networks.dismiss(NETWORK, NIC.interface_id)
    assert networks.look() == {"vpc-00000001"}
    for _ in range(2):
        networks.remove("vpc-00000001")
    assert networks.look() == set()
    assert list((tmp_path / "networks").iterdir()) == []


def test_a_machine_that_vanished_is_passed_over(networks, tmp_path, door, place):
    networks.open_nic(NIC, place, None)
    door.drop("i-00000001")
    shutil.rmtree(place)
    again(tmp_path, door).admit(NIC)
    assert door.open == {}


def test_a_damaged_record_is_made_anew(networks, tmp_path, place):
    networks.admit(NIC)
    (tmp_path / "networks/vpc-00000001/eni-00000001.json").write_text("{")
    assert networks.open_nic(NIC, place, None).address


def test_addresses_that_libslirp_cannot_hold_are_refused_by_name(networks):
    with pytest.raises(EngineRefused) as why:
        networks.ensure(replace(NETWORK, subnet_cidr="10.128.0.0/20"))
    assert "10.128.0.0/20" in why.value.said


@pytest.mark.root
def test_links_in_a_guests_directory_lead_root_nowhere(networks, place, tmp_path):
    """QEMU owns its directory, and a guest may own QEMU."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)
    os.chown(place, 65534, 65534)
    (place / user_network.RELAY).symlink_to(precious)
    with pytest.raises(OSError):
        user_network.copy_relay(place)
    (place / SOCKET).symlink_to(precious)
    user_network.listen_in(place).close()
    assert (place / SOCKET).lstat().st_uid == 65534
    assert precious.read_text() == "precious"
    assert (precious.stat().st_uid, precious.stat().st_mode & 0o777) == (0, 0o600)


@pytest.mark.root
def test_the_relay_runs_below_directories_that_are_closed_to_its_user(tmp_path):
    """As the state directory is to guests' users. Python makes a script's path absolute."""
    place = tmp_path / "closed" / "i-00000001"
    place.mkdir(parents=True)
    os.chown(place, 65534, 65534)
    place.parent.chmod(0o700)
    user_network.copy_relay(place)
    command = user_network.netdev(NIC, "x", 1, user_network.interpreter(65534)).split("-cmd:")[1]
    with user_network.listen_in(place) as listening:
        running = subprocess.Popen(
            command.split(), cwd=place, stdin=-1, stdout=-1, user=65534, group=65534
        )
        with running:
            listening.settimeout(10)
            asked, _ = listening.accept()
            with asked:
                asked.sendall(b"answer")
            assert running.communicate(timeout=10)[0] == b"answer"


def test_a_python_that_the_guests_user_cannot_run_is_not_taken(monkeypatch, tmp_path):
    closed = tmp_path / "closed" / "python3"
    closed.parent.mkdir(mode=0o700)
    closed.write_text("")
    closed.chmod(0o755)
    monkeypatch.setattr(user_network.sys, "executable", str(closed))
    assert user_network.interpreter(None) == str(closed)
    assert user_network.interpreter(12345) == "/usr/bin/python3"


@pytest.mark.e2e
def test_a_real_guest_of_an_unprivileged_server(tiny_image):
    """Address, metadata by token, five questions at once, a server that is replaced, ssh."""
    directory = Path("/tmp") / f"econe-user-{os.getpid()}"
    directory.mkdir()
    image = directory / "image.raw"
    shutil.copy(tiny_image, image)
    user = {}
    python = sys.executable
    if os.geteuid() == 0:
        user = {"user": 65534, "group": 65534, "extra_groups": []}
        shutil.chown(directory, 65534, 65534)
        python = user_network.interpreter(65534)
    packages = Path(pytest.__file__).resolve().parents[1]
    try:
        done = subprocess.run(
            [python, str(ROOT / "tests/engines/network_user_guest.py"), str(image), str(directory)],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT / 'src'}:{packages}",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            **user,
        )
    finally:
        shutil.rmtree(directory)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    console = seen["console"]
    assert seen["user"] == (65534 if user else os.geteuid())
    assert "tiny: i-00000001 is ip-172-31-0-4.ec2.internal" in console
    assert "inet 172.31.0.4/5" in console
    assert console.count("answer 172.31.0.4") == 5
    assert "the new server answers" in console
    assert seen["greeting"].startswith("SSH-2.0")
    assert seen["address"] == seen["address_after"]
    assert seen["left"] == ["metadata-relay.py"]
    assert seen["kept"] == []
