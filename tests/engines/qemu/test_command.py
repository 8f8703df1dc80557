"""The command line, by value: what is asserted here is what cloud-init, CSI drivers and the
sandbox rely on."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from econe.domain.engine_ports import EngineRefused
from econe.domain.images import DiskFormat
from econe.engines.qemu.accelerate import Accelerator
from econe.engines.qemu.command import Card, Drive, Flash, Machine, arguments

KVM = Accelerator("kvm", "the test says so")
UUID = "ec2aaaaa-1111-4222-8333-444444444444"
MACHINE = Machine(
    id="i-00000007",
    uuid=UUID,
    instance_type="m1.small",
    vcpus=2,
    memory_mib=512,
    accelerator=Accelerator("tcg", "the test says so"),
    monitor_fd=5,
    console_fd=6,
    drives=(Drive("vol-00000003", fd=7, backing_fd=8),),
    cards=(Card("eni-00000004", "02:00:00:00:00:04", "tap,id=eni-00000004,fd=9"),),
)


def values(machine: Machine, option: str) -> list[str]:
    words = arguments(machine)
    return [value for name, value in pairwise(words) if name == option]


def value(machine: Machine, option: str) -> str:
    (only,) = values(machine, option)
    return only


def device(machine: Machine, driver: str) -> dict[str, str]:
    (only,) = [words for words in values(machine, "-device") if words.startswith(driver + ",")]
    return dict(word.split("=", 1) for word in only.split(",")[1:])


def node(machine: Machine) -> dict:
    return json.loads(value(machine, "-blockdev"))


def test_everything_about_size_and_speed_is_said():
    assert value(MACHINE, "-smp") == "2,sockets=1,cores=2,threads=1"
    assert value(MACHINE, "-m") == "512M"
    assert value(MACHINE, "-cpu") == "max"
    assert value(MACHINE, "-accel").startswith("tcg")
    kvm = replace(MACHINE, accelerator=KVM)
    assert (value(kvm, "-cpu"), value(kvm, "-accel")) == ("host", "kvm")


def test_threads_are_shown_by_a_processor_of_which_guests_believe_them():
    threaded = replace(MACHINE, vcpus=4, threads_per_core=2)
    assert value(threaded, "-smp") == "4,sockets=1,cores=2,threads=2"
    assert value(threaded, "-cpu").startswith("max,vendor=GenuineIntel,")
    assert value(replace(threaded, accelerator=KVM), "-cpu") == "host"
    amd = replace(KVM, is_amd=True)
    assert value(replace(threaded, accelerator=amd), "-cpu") == "host,topoext=on"
    assert value(replace(MACHINE, accelerator=amd), "-cpu") == "host"


def test_cloud_init_knows_the_platform_by_uuid_serial_and_vendor():
    tables = values(MACHINE, "-smbios")
    assert f"type=1,manufacturer=Amazon EC2,product=m1.small,serial={UUID},uuid={UUID}" in tables
    assert "type=0,vendor=Amazon EC2,version=1.0" in tables
    assert "type=2,manufacturer=Amazon EC2,asset=i-00000007" in tables
    assert value(MACHINE, "-uuid") == UUID


def test_the_root_disk_is_found_by_its_serial_and_booted_from():
    disk = device(MACHINE, "virtio-blk-pci")
    assert disk["serial"] == "vol00000003"
    assert disk["bootindex"] == "1"
    assert disk["drive"] == node(MACHINE)["node-name"]


def test_only_the_first_disk_is_booted_from():
    two = replace(MACHINE, drives=(*MACHINE.drives, Drive("vol-00000004", fd=11)))
    booted = [words for words in values(two, "-device") if "bootindex" in words]
    assert len(booted) == 1
    assert "vol00000003" in booted[0]


def test_disks_are_given_as_open_files_and_the_content_only_for_reading():
    graph = node(MACHINE)
    sets = dict(word.split(",") for word in values(MACHINE, "-add-fd"))
    assert sets["fd=7"] == "set=" + graph["file"]["filename"].removeprefix("/dev/fdset/")
    below = graph["backing"]
    assert sets["fd=8"] == "set=" + below["file"]["filename"].removeprefix("/dev/fdset/")
    assert below["read-only"] is True
    assert below["file"]["read-only"] is True
    assert graph["discard"] == "unmap"


def test_what_a_files_header_says_of_backing_files_is_never_followed():
    blank = replace(MACHINE, drives=(Drive("vol-00000003", fd=7),))
    assert node(blank)["backing"] is None
    packed = replace(
        MACHINE, drives=(Drive("vol-00000003", 7, 8, backing_format=DiskFormat.QCOW2),)
    )
    assert node(packed)["backing"]["driver"] == "qcow2"
    assert node(packed)["backing"]["backing"] is None


def test_cards_have_their_mac_and_a_slot_that_disks_do_not_move():
    card = device(MACHINE, "virtio-net-pci")
    assert card["mac"] == "02:00:00:00:00:04"
    assert card["netdev"] == "eni-00000004"
    assert card["romfile"] == ""
    assert value(MACHINE, "-netdev") == "tap,id=eni-00000004,fd=9"
    more = replace(MACHINE, drives=tuple(Drive(f"vol-{n:08d}", fd=n) for n in range(1, 9)))
    assert device(more, "virtio-net-pci")["addr"] == card["addr"]


def test_no_two_devices_share_a_slot():
    full = replace(
        MACHINE,
        drives=tuple(Drive(f"vol-{n:08d}", fd=n) for n in range(23)),
        cards=tuple(Card(f"eni-{n:08d}", "02:00:00:00:00:00", "") for n in range(5)),
    )
    slots = [
        word for words in values(full, "-device") for word in words.split(",") if "addr=" in word
    ]
    assert len(slots) == len(set(slots)) == 1 + 1 + 23 + 5


@pytest.mark.parametrize("part", ["drives", "cards"])
def test_more_devices_than_there_are_slots_are_refused(part):
    many = {"drives": MACHINE.drives * 24, "cards": MACHINE.cards * 6}[part]
    with pytest.raises(EngineRefused):
        arguments(replace(MACHINE, **{part: many}))


def test_the_sandbox_denies_all_it_can_and_spawning_unless_a_card_needs_it():
    assert value(MACHINE, "-sandbox") == (
        "on,obsolete=deny,resourcecontrol=deny,elevateprivileges=deny,spawn=deny"
    )
    assert value(replace(MACHINE, may_spawn=True), "-sandbox") == (
        "on,obsolete=deny,resourcecontrol=deny,elevateprivileges=allow,spawn=allow"
    )


def test_a_guest_that_switches_itself_off_leaves_its_qemu_to_be_seen():
    assert "-no-shutdown" in arguments(MACHINE)


def test_the_serial_console_is_appended_to_an_open_file():
    assert "fd=6,set=1" in values(MACHINE, "-add-fd")
    assert "file,id=console,path=/dev/fdset/1,append=on" in values(MACHINE, "-chardev")
    assert value(MACHINE, "-serial") == "chardev:console"


def test_nothing_comes_from_defaults_or_a_users_configuration():
    assert {"-nodefaults", "-no-user-config"} <= set(arguments(MACHINE))


def test_no_path_of_the_host_is_named_but_the_random_device():
    named = [word for word in arguments(MACHINE) if "/" in word and "/dev/fdset/" not in word]
    assert named == ["rng-random,id=rng,filename=/dev/urandom"]


def test_a_comma_in_a_value_cannot_add_an_option():
    odd = replace(MACHINE, instance_type="m1,uuid=0")
    assert "product=m1,,uuid=0,serial=" in values(odd, "-smbios")[1]


def test_uefi_firmware_is_two_open_files_of_which_the_guest_writes_one():
    machine = replace(MACHINE, flash=Flash(code_fd=20, variables_fd=21), drives=())
    assert value(machine, "-machine").endswith(",pflash0=code,pflash1=variables")
    code, variables = (json.loads(told) for told in values(machine, "-blockdev"))
    assert (code["node-name"], code["driver"], code["read-only"]) == ("code", "raw", True)
    assert (variables["node-name"], variables["driver"]) == ("variables", "raw")
    assert "read-only" not in variables
    sets = [code["file"]["filename"], variables["file"]["filename"]]
    assert sets == ["/dev/fdset/2", "/dev/fdset/3"]
    added = values(machine, "-add-fd")
    assert "fd=20,set=2" in added
    assert "fd=21,set=3" in added
    assert "type=0,vendor=Amazon EC2,version=1.0,uefi=on" in values(machine, "-smbios")
    assert machine.files == [20, 21]


def test_without_it_nothing_of_it_is_said():
    assert not [word for word in arguments(MACHINE) if "pflash" in word or "uefi" in word]
    assert replace(MACHINE, incoming_fd=9).files == [9, 7, 8]
