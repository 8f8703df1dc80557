"""Boot modes and architectures of images, and what becomes of them at a launch (EC2 User Guide,
"Instance launch behavior with Amazon EC2 boot modes")."""

from dataclasses import replace

import pytest
from tests.support.desk import Desk, refused

from econe.domain.faults import Invalid, Noun, Unsupported
from econe.domain.images import BootMode
from econe.front.faults import tell


@pytest.fixture
def desk(helen: Desk) -> Desk:
    """Over an engine that has UEFI firmware and a processor of 64 bits."""
    can = replace(helen.cloud.can, uefi=True, architectures=("i386", "x86_64"))
    return helen.on(can)


def image(desk: Desk, mode: str | None = None, **more: str) -> str:
    image_id = desk.image(registered=False)
    given = {"BootMode": mode} if mode else {}
    desk("RegisterImage", ImageLocation=image_id, **given, **more)
    return image_id


def arm(desk: Desk) -> str:
    """An image that another engine could run."""
    image_id = image(desk)
    with desk.store.writing() as tx:
        tx.images.save(replace(tx.images.get(image_id), architecture="arm64"))
    return image_id


def filtered(name: str, value: str) -> dict[str, object]:
    return {"Filters": [{"Name": name, "Values": [value]}]}


@pytest.mark.parametrize("mode", [None, *BootMode])
def test_an_image_tells_its_boot_mode_if_it_has_one(desk: Desk, mode: BootMode | None):
    image_id = image(desk, mode)
    (shown,) = desk("DescribeImages")["Images"]
    assert shown.get("BootMode") == mode
    told = desk("DescribeImageAttribute", ImageId=image_id, Attribute="bootMode")
    assert told["BootMode"] == ({"Value": mode} if mode else {})


def test_registering_again_changes_the_mode_only_if_it_says_one(desk: Desk):
    image_id = image(desk, "uefi")
    desk("RegisterImage", ImageLocation=image_id, Name="renamed")
    assert desk.find("images", image_id).boot_mode is BootMode.UEFI
    desk("RegisterImage", ImageLocation=image_id, BootMode="legacy-bios")
    assert desk.find("images", image_id).boot_mode is BootMode.BIOS


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("legacy-bios", [1]),
        ("uefi", [2]),
        ("uefi-preferred", [3]),
        ("uefi*", [2, 3]),
        ("*", [1, 2, 3]),
    ],
)
def test_images_are_found_by_their_mode(desk: Desk, value: str, found: list[int]):
    images = [image(desk, mode) for mode in (None, *BootMode)]
    told = desk("DescribeImages", **filtered("boot-mode", value))["Images"]
    assert [each["ImageId"] for each in told] == [images[number] for number in found]


@pytest.mark.parametrize(
    ("mode", "with_uefi", "without"),
    [
        (None, "legacy-bios", "legacy-bios"),
        ("legacy-bios", "legacy-bios", "legacy-bios"),
        ("uefi-preferred", "uefi", "legacy-bios"),
        ("uefi", "uefi", None),
    ],
)
def test_what_an_instance_boots_by(
    desk: Desk, helen: Desk, mode: str | None, with_uefi: str, without: str | None
):
    image_id = image(desk, mode)
    desk.launch(ImageId=image_id)
    if without:
        helen.launch(ImageId=image_id)
    shown = desk.instances()
    current = [each["CurrentInstanceBootMode"] for each in shown]
    assert current == [with_uefi, without] if without else [with_uefi]
    assert {each.get("BootMode") for each in shown} == {mode}


def test_instances_are_found_by_both_modes(desk: Desk):
    plain, preferred = (
        desk.launch(ImageId=image(desk, mode))[0] for mode in (None, "uefi-preferred")
    )
    assert desk.shown(**filtered("boot-mode", "uefi-preferred")) == [preferred]
    assert desk.shown(**filtered("boot-mode", "*")) == [preferred]
    assert desk.shown(**filtered("current-instance-boot-mode", "uefi")) == [preferred]
    assert desk.shown(**filtered("current-instance-boot-mode", "legacy-bios")) == [plain]


def test_what_it_boots_by_lasts_whatever_the_engine_can_later(desk: Desk, helen: Desk):
    (id_,) = desk.running(ImageId=image(desk, "uefi-preferred"))
    for later in (helen, desk):
        later("StopInstances", InstanceIds=[id_])
        later.halted([id_])
        later("StartInstances", InstanceIds=[id_])
        later.started([id_])
        assert later.instances()[0]["CurrentInstanceBootMode"] == "uefi"


def test_types_tell_which_modes_and_architectures_they_have(desk: Desk, helen: Desk):
    asked = {"InstanceTypes": ["t3.micro"]}
    for here, modes, architectures in (
        (desk, ["legacy-bios", "uefi"], ["i386", "x86_64"]),
        (helen, ["legacy-bios"], ["x86_64"]),
    ):
        (shown,) = here("DescribeInstanceTypes", **asked)["InstanceTypes"]
        assert shown["SupportedBootModes"] == modes
        assert shown["ProcessorInfo"]["SupportedArchitectures"] == architectures
        found = here("DescribeInstanceTypes", **asked, **filtered("supported-boot-mode", "uefi"))
        assert len(found["InstanceTypes"]) == len(modes) - 1


def test_an_image_that_could_never_boot_is_not_registered(helen: Desk):
    reasons = {"uefi": "no firmware is installed"}
    helen = helen.on(replace(helen.cloud.can, reasons=reasons))
    with refused(Unsupported, Noun.PARAMETER, "no firmware is installed") as told:
        image(helen, "uefi")
    assert tell(told.value)[0] == "UnsupportedOperation"
    image(helen, "uefi-preferred")


def test_an_image_whose_firmware_went_away_is_not_launched(desk: Desk, helen: Desk):
    image_id = image(desk, "uefi")
    with refused(Invalid, Noun.INSTANCE_TYPE, "t3.micro instance type does not support") as told:
        helen.launch(ImageId=image_id, InstanceType="t3.micro")
    assert tell(told.value)[0] == "InvalidParameterValue"


def test_an_image_of_another_architecture_is_not_launched(desk: Desk):
    said = "'i386,x86_64' of the specified instance type does not match the architecture 'arm64'"
    image_id = arm(desk)
    with refused(Invalid, Noun.INSTANCE_TYPE, said) as told:
        desk.launch(ImageId=image_id, InstanceType="t3.micro")
    assert tell(told.value)[0] == "InvalidParameterValue"
    doubtful = desk(
        "CreateLaunchTemplate",
        LaunchTemplateName="arm",
        LaunchTemplateData={"ImageId": image_id, "InstanceType": "t3.micro"},
    )
    (doubt,) = doubtful["Warning"]["Errors"]
    assert doubt["Code"] == "InvalidParameterValue"


def test_architectures_are_kept_where_the_engine_has_them(desk: Desk, helen: Desk):
    image_id = image(desk, Architecture="i386")
    assert desk.find("images", image_id).architecture == "i386"
    desk.launch(ImageId=image_id)
    assert desk.instances()[0]["Architecture"] == "i386"
    with refused(Unsupported, Noun.IMAGE, "i386"):
        image(helen, Architecture="i386")


def test_an_image_of_32_bits_has_no_use_for_firmware_of_64(desk: Desk):
    with refused(Unsupported, Noun.PARAMETER, "i386"):
        image(desk, "uefi", Architecture="i386")
    desk.launch(ImageId=image(desk, "uefi-preferred", Architecture="i386"))
    assert desk.instances()[0]["CurrentInstanceBootMode"] == "legacy-bios"
