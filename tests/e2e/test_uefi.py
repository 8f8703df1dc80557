"""A guest that boots by UEFI: its firmware, and the variables that last as long as it does."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from botocore.exceptions import ClientError
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually
from tests.support.uefi_data import unpack

from econe.domain.uefi import UefiVariable
from econe.domain.uefi_data import uefi_data
from econe.engines.qemu import firmware
from econe.settings import Qemu

NO_FIRMWARE = isinstance(firmware.find(Qemu()), str)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.root,
    pytest.mark.skipif(NO_FIRMWARE, reason="the package ovmf is not installed"),
]

VENDOR = UUID("0ec02e00-1234-4abc-8def-0123456789ab")
FILE = f"/sys/firmware/efi/efivars/Econe-{VENDOR}"
WRITTEN = UefiVariable("Econe", VENDOR, 7, b"kept")


@pytest.fixture(scope="module")
def uefi_image(helen: Account, tiny_uefi_image: Path) -> str:
    image = helen.image(tiny_uefi_image)
    helen.ec2.register_image(ImageLocation=image, Name="tiny uefi", BootMode="uefi")
    return image


@pytest.fixture(scope="module")
def guest(helen: Account, uefi_image: str, key: Path) -> Iterator[Guest]:
    id_ = helen.launch(uefi_image, KeyName="mykey")
    helen.until(id_, "running")
    yield helen.guest(id_, key).until_there()


def variables(helen: Account, guest: Guest) -> list[UefiVariable]:
    told = helen.ec2.get_instance_uefi_data(InstanceId=guest.id)
    assert told["InstanceId"] == guest.id
    return unpack(told["UefiData"])


def test_it_is_booted_by_firmware_and_finds_its_variables(
    server: Server, helen: Account, uefi_image: str, guest: Guest
):
    shown = helen.describe(guest.id)
    assert (shown["BootMode"], shown["CurrentInstanceBootMode"]) == ("uefi", "uefi")
    (image,) = helen.ec2.describe_images(ImageIds=[uefi_image])["Images"]
    assert image["BootMode"] == "uefi"
    assert "tiny: booted by UEFI" in server.console(guest.id)
    assert guest.run("cat /sys/firmware/efi/fw_platform_size") == "64"
    assert guest.run("cat /sys/class/dmi/id/sys_vendor") == "Amazon EC2"
    in_guest = set(guest.run("ls /sys/firmware/efi/efivars").split())
    told = {f"{each.name}-{each.vendor}" for each in variables(helen, guest)}
    global_ = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
    assert {f"BootOrder-{global_}", f"Lang-{global_}"} <= in_guest & told


def test_what_it_writes_outlasts_reboots_stops_and_servers(
    server: Server, helen: Account, guest: Guest
):
    guest.run(f"printf '\\007\\000\\000\\000kept' >{FILE}")
    assert WRITTEN in variables(helen, guest)

    boot = guest.boot()
    helen.ec2.reboot_instances(InstanceIds=[guest.id])
    eventually(lambda: guest.try_run("true").returncode != 0, within_s=60, every_s=0.5)
    assert guest.until_there().boot() != boot
    assert guest.read(f"cat {FILE}") == b"\7\0\0\0kept"

    helen.ec2.stop_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "stopped")
    assert WRITTEN in variables(helen, guest)
    server.kill()
    server.start()
    assert WRITTEN in variables(helen, guest)
    helen.ec2.start_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "running")
    assert guest.until_there().read(f"cat {FILE}") == b"\7\0\0\0kept"
    assert WRITTEN in variables(helen, guest)


def test_nothing_of_it_is_left(server: Server, helen: Account, guest: Guest):
    nvram = server.state / "instances" / guest.id / "nvram"
    assert nvram.exists()
    helen.ec2.terminate_instances(InstanceIds=[guest.id])
    helen.until(guest.id, "terminated")
    assert not nvram.exists()
    assert leavings.qemus(server.state) == []
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        helen.ec2.get_instance_uefi_data(InstanceId=guest.id)


def test_a_machine_begins_with_the_variables_of_its_image(
    helen: Account, tiny_uefi_image: Path, key: Path
):
    image = helen.image(tiny_uefi_image)
    helen.ec2.register_image(
        ImageLocation=image, Name="seeded", BootMode="uefi", UefiData=uefi_data([WRITTEN])
    )
    id_ = helen.launch(image, KeyName="mykey")
    helen.until(id_, "running")
    guest = helen.guest(id_, key).until_there()
    assert guest.read(f"cat {FILE}") == b"\7\0\0\0kept"
    assert WRITTEN in variables(helen, guest)
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated")


def test_an_image_that_says_nothing_boots_by_bios(
    server: Server, helen: Account, tiny_uefi_image: Path, key: Path
):
    id_ = helen.launch(helen.image(tiny_uefi_image), KeyName="mykey")
    assert helen.until(id_, "running")["CurrentInstanceBootMode"] == "legacy-bios"
    assert helen.guest(id_, key).until_there().run("ls /sys/firmware | grep -c efi || true") == "0"
    assert "booted by UEFI" not in server.console(id_)
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        helen.ec2.get_instance_uefi_data(InstanceId=id_)
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated")
