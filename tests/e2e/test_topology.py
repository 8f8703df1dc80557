"""What a guest sees of its cores and threads."""

from pathlib import Path

import pytest
from tests.e2e.guest import Guest
from tests.e2e.server import Account

from econe.engines.qemu import firmware
from econe.settings import Qemu

NO_FIRMWARE = isinstance(firmware.find(Qemu()), str)
pytestmark = [pytest.mark.e2e, pytest.mark.root]

TOPOLOGY = "/sys/devices/system/cpu/cpu0/topology"


@pytest.fixture(scope="module")
def guest(helen: Account, tiny: str, key: Path) -> Guest:
    id_ = helen.launch(
        tiny,
        KeyName="mykey",
        InstanceType="t3.micro",
        CpuOptions={"CoreCount": 1, "ThreadsPerCore": 2},
    )
    helen.until(id_, "running")
    return helen.guest(id_, key).until_there()


def facts(guest: Guest) -> dict[str, str]:
    lines = guest.run("cat /proc/cpuinfo").splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def test_one_core_of_two_threads(guest: Guest):
    assert guest.run("nproc") == "2"
    assert guest.run(f"cat {TOPOLOGY}/thread_siblings_list") == "0-1"
    told = facts(guest)
    assert (told["siblings"], told["cpu cores"]) == ("2", "1")


@pytest.mark.skipif(NO_FIRMWARE, reason="the package ovmf is not installed")
def test_firmware_knows_the_processor_too(helen: Account, tiny_uefi_image: Path, key: Path):
    image = helen.image(tiny_uefi_image)
    helen.ec2.register_image(ImageLocation=image, Name="tiny uefi", BootMode="uefi")
    id_ = helen.launch(image, KeyName="mykey", InstanceType="t3.micro")
    helen.until(id_, "running")
    guest = helen.guest(id_, key).until_there()
    assert guest.run(f"cat {TOPOLOGY}/thread_siblings_list") == "0-1"
    helen.ec2.terminate_instances(InstanceIds=[id_])


def test_one_thread_of_it_after_a_stop(helen: Account, guest: Guest):
    ids = [guest.id]
    helen.ec2.stop_instances(InstanceIds=ids)
    helen.until(guest.id, "stopped")
    helen.ec2.modify_instance_cpu_options(InstanceId=guest.id, CoreCount=1, ThreadsPerCore=1)
    helen.ec2.start_instances(InstanceIds=ids)
    shown = helen.until(guest.id, "running")
    assert shown["CpuOptions"] == {"CoreCount": 1, "ThreadsPerCore": 1}
    assert guest.until_there().run("nproc") == "1"
