"""By which firmware machines boot, and what images and engines must have for it.

An image says what its disk can (EC2 User Guide, "Instance launch behavior with Amazon EC2 boot
modes"); the launch decides, and the instance keeps what was decided. An image that says nothing
boots by BIOS, as Amazon's types of Intel and AMD do.
"""

from typing import Final

from econe.domain.engine_ports import Capabilities
from econe.domain.faults import Conflict, Invalid, Noun, Unsupported
from econe.domain.images import BootMode, Image
from econe.domain.instances import Firmware

UEFI_ARCHITECTURES: Final = frozenset({"x86_64"})
"""A processor's firmware is of one width: the boot loaders of i386 are none for that of x86_64."""


def firmware_for(image: Image, can: Capabilities) -> Firmware:
    """What an instance of the image boots by."""
    if image.boot_mode is BootMode.UEFI:
        return Firmware.UEFI
    wished = image.boot_mode is BootMode.UEFI_PREFERRED
    able = can.uefi and image.architecture in UEFI_ARCHITECTURES
    return Firmware.UEFI if wished and able else Firmware.BIOS


def check_image(image: Image, type_name: str, can: Capabilities) -> None:
    """That machines of this type can boot it, in the words of RunInstances. Raises Invalid."""
    if image.architecture not in can.architectures:
        raise Invalid(
            Noun.INSTANCE_TYPE,
            type_name,
            f"The architecture '{','.join(can.architectures)}' of the specified instance type "
            f"does not match the architecture '{image.architecture}' of the specified AMI. "
            "Specify an instance type and an AMI that have matching architectures, and try again.",
        )
    if image.boot_mode is BootMode.UEFI and not can.uefi:
        raise Invalid(
            Noun.INSTANCE_TYPE,
            type_name,
            f"The {type_name} instance type does not support an AMI with a boot mode of UEFI. "
            "Specify an instance type that supports UEFI, and try again.",
        )


def check_architecture(architecture: str | None, can: Capabilities) -> None:
    """Of an image that is to be kept. Raises Unsupported."""
    if architecture is not None and architecture not in can.architectures:
        raise Unsupported(
            Noun.IMAGE,
            architecture,
            f"Images of architecture '{architecture}' cannot be run here.",
        )


def check_mode(image: Image, can: Capabilities) -> None:
    """Of an image that is to be registered: one that could never boot is not. Raises Unsupported,
    and Conflict for variables that no machine would have."""
    if image.uefi_data and not can.uefi_data:
        raise Unsupported(
            Noun.PARAMETER,
            "UefiData",
            "Machines of this cloud cannot be given UEFI variables; UefiData must be empty.",
        )
    if image.uefi_data and image.boot_mode in (None, BootMode.BIOS):
        raise Conflict(
            Noun.PARAMETER,
            "UefiData",
            "UefiData is for images with the boot mode uefi or uefi-preferred.",
        )
    if image.boot_mode is not BootMode.UEFI:
        return
    if not can.uefi:
        why = can.reasons.get("uefi", "")
        raise Unsupported(
            Noun.PARAMETER,
            "BootMode",
            "Machines of this cloud cannot boot by UEFI" + (f": {why}." if why else "."),
        )
    if image.architecture not in UEFI_ARCHITECTURES:
        raise Unsupported(
            Noun.PARAMETER,
            "BootMode",
            f"Images of architecture '{image.architecture}' cannot boot by UEFI here.",
        )
