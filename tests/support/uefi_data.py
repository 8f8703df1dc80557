"""Firmware of desks, and a reader of GetInstanceUefiData's answers."""

import base64
import struct
import zlib
from dataclasses import replace
from uuid import UUID

from tests.support.desk import Desk

from econe.domain.uefi import AUTHENTICATED, UefiVariable
from econe.domain.uefi_data import crc32c

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
BOOT_ORDER = UefiVariable("BootOrder", GLOBAL, 0x7, b"\x01\0\0\0")
PK = UefiVariable("PK", GLOBAL, 0x27, b"key", bytes(range(16)), b"s" * 32)


class Firmware:
    """Has what the test says, or its problem."""

    def __init__(self) -> None:
        self.problem: Exception | None = None

    def variables(self, instance_id: str) -> tuple[UefiVariable, ...]:
        if self.problem is not None:
            raise self.problem
        return (BOOT_ORDER, PK)


def with_firmware(desk: Desk, firmware: Firmware) -> Desk:
    """Over an engine whose machines may boot by UEFI."""
    can = replace(desk.cloud.can, uefi=True, uefi_data=True)
    return replace(desk, cloud=replace(desk.cloud, firmware=firmware, can=can))


def started(desk: Desk, mode: str = "uefi") -> str:
    """An instance that runs, of an image of this boot mode."""
    image_id = desk.image(registered=False)
    desk("RegisterImage", ImageLocation=image_id, BootMode=mode)
    return desk.running(ImageId=image_id)[0]


def unpack(text: str) -> list[UefiVariable]:
    """As awslabs/python-uefivars reads it, with its checks."""
    blob = base64.b64decode(text, validate=True)
    assert blob[:8] == b"AMZNUEFI"
    crc, version = struct.unpack_from("<II", blob, 8)
    assert (crc, version) == (crc32c(blob[12:]), 0)
    plain = zlib.decompressobj(0, zdict=b"a dictionary that is not asked for").decompress(blob[16:])
    at = 8

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        assert at <= len(plain)
        return plain[at - size : at]

    def take_sized() -> bytes:
        return take(struct.unpack("<Q", take(8))[0])

    found = []
    for _ in range(struct.unpack_from("<Q", plain)[0]):
        name, data, vendor = take_sized().decode("utf-8"), take_sized(), UUID(bytes_le=take(16))
        (attributes,) = struct.unpack("<I", take(4))
        signed = (take(16), take_sized()) if attributes & AUTHENTICATED else (b"", b"")
        found.append(UefiVariable(name, vendor, attributes, data, *signed))
    assert at == len(plain)
    return found
