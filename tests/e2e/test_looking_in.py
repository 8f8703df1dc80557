"""What a user sees of a guest from outside: its screen, its console, how it is."""

import base64
import os
import signal
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError
from PIL import Image
from tests.e2e.guest import Guest
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

SETTINGS = {
    "work.check_every_s": 5,
    "work.impaired_after_s": 8,
    "work.sample_every_s": 1,
    "server.metrics": "loopback",
}


@pytest.fixture(scope="module")
def guest(helen: Account, tiny: str, key: Path) -> Guest:
    id_ = helen.launch(tiny, KeyName="mykey")
    helen.until(id_, "running")
    return helen.guest(id_, key).until_there()


def screen(account: Account, id_: str, **asked: bool) -> Image.Image:
    told = account.ec2.get_console_screenshot(InstanceId=id_, **asked)
    assert told["InstanceId"] == id_
    image = Image.open(BytesIO(base64.b64decode(told["ImageData"])))
    assert image.format == "JPEG"
    return image.convert("L")


def test_the_screenshot_is_the_guests_screen_as_it_is_now(helen: Account, guest: Guest):
    guest.run("echo -e '\\033[?25l\\033[2J' >/dev/tty1")  # empty, without a cursor
    eventually(lambda: max(screen(helen, guest.id).tobytes()) < 64, within_s=10)
    guest.run(
        "for n in 1 2 3 4 5 6 7 8; do echo HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH; done >/dev/tty1"
    )
    lit = eventually(
        lambda: sum(p > 96 for p in screen(helen, guest.id, WakeUp=True).tobytes()), within_s=10
    )
    assert lit > 8 * 35 * 8  # at least so many pixels of so many letters


def test_a_linux_guest_has_no_password(helen: Account, guest: Guest):
    told = helen.ec2.get_password_data(InstanceId=guest.id)
    assert told["PasswordData"] == ""
    assert told["Timestamp"] == helen.describe(guest.id)["LaunchTime"]
    assert helen.said("aws", "ec2", "get-password-data", "--instance-id", guest.id)


def status(account: Account, id_: str) -> tuple[str, str]:
    answer = account.ec2.describe_instance_status(InstanceIds=[id_], IncludeAllInstances=True)
    (told,) = answer["InstanceStatuses"]
    return told["SystemStatus"]["Status"], told["InstanceStatus"]["Status"]


def test_the_waiter_for_a_well_instance_ends_with_the_boot_and_not_before(
    helen: Account, tiny: str, key: Path
):
    id_ = helen.launch(tiny, KeyName="mykey")
    helen.until(id_, "running")
    assert status(helen, id_) == ("initializing", "initializing")  # SYSLINUX has not spoken yet
    helen.ec2.get_waiter("instance_status_ok").wait(
        InstanceIds=[id_], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    console = helen.server.console(id_)
    assert "userland" in console
    helen.guest(id_, key).until_there(within_s=20)
    helen.ec2.terminate_instances(InstanceIds=[id_])


def test_what_a_guest_uses_is_measured_once_it_is_monitored(
    server: Server, helen: Account, guest: Guest
):
    (told,) = helen.ec2.monitor_instances(InstanceIds=[guest.id])["InstanceMonitorings"]
    assert told["Monitoring"]["State"] == "pending"
    eventually(lambda: helen.describe(guest.id)["Monitoring"]["State"] == "enabled", within_s=10)
    before = server.metrics(guest.id)[-1]
    guest.run("head -c 3000000 /dev/urandom >/boot/written; sync; cat /dev/zero | head -c 9999999")

    def used(what: str) -> float:
        return server.metrics(guest.id)[-1][what] - before[what]

    # Each by itself: a sample may have been taken between the writing and the sending.
    eventually(lambda: used("disk_written_bytes") > 3_000_000, within_s=20)
    eventually(lambda: used("network_out_bytes") > 9_999_999, within_s=20)  # by ssh
    after = server.metrics(guest.id)[-1]
    assert after["cpu_s"] > before["cpu_s"]
    assert after["network_packets_in"] > before["network_packets_in"]
    text = urlopen(f"{server.url}/metrics", timeout=10).read().decode()
    assert f'econe_instance_cpu_seconds_total{{instance="{guest.id}"' in text
    helen.ec2.unmonitor_instances(InstanceIds=[guest.id])
    eventually(lambda: helen.describe(guest.id)["Monitoring"]["State"] == "disabled", within_s=10)


def test_a_guest_without_its_address_is_impaired_until_it_has_it_again(
    helen: Account, guest: Guest
):
    eventually(lambda: status(helen, guest.id) == ("ok", "ok"), within_s=30)
    address = helen.describe(guest.id)["PrivateIpAddress"]
    router = guest.run("ip route show default | cut -d' ' -f3")
    # With its addresses a link loses its routes, the default one too. We are behind that: what the
    # host sends comes from outside of the VPC (vpc_host.LINK_POOL).
    back = f"ip addr add {address}/20 dev eth0; ip route add default via {router}"
    guest.try_run(f"(ip addr flush dev eth0; sleep 25; {back}) >/dev/null 2>&1 &")
    eventually(lambda: status(helen, guest.id) == ("ok", "impaired"), within_s=25, every_s=0.5)
    (told,) = helen.ec2.describe_instance_status(InstanceIds=[guest.id])["InstanceStatuses"]
    (detail,) = told["InstanceStatus"]["Details"]
    assert detail["ImpairedSince"] > helen.describe(guest.id)["LaunchTime"]
    eventually(lambda: status(helen, guest.id) == ("ok", "ok"), within_s=60, every_s=0.5)
    guest.until_there()


def test_a_machine_whose_emulator_hangs_is_impaired_in_both_ways(helen: Account, guest: Guest):
    pid = helen.server.pid_of(guest.id)
    os.kill(pid, signal.SIGSTOP)
    try:
        wanted = ("impaired", "impaired")
        eventually(lambda: status(helen, guest.id) == wanted, within_s=40, every_s=0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: status(helen, guest.id) == ("ok", "ok"), within_s=60, every_s=0.5)
    guest.until_there()


def test_a_stopped_instance_has_no_screen(helen: Account, guest: Guest):
    helen.ec2.stop_instances(InstanceIds=[guest.id])
    for _ in range(2):
        with pytest.raises(ClientError, match="IncorrectInstanceState"):
            helen.ec2.get_console_screenshot(InstanceId=guest.id)
        helen.until(guest.id, "stopped")
