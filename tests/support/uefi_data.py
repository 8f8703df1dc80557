"""A reader of GetInstanceUefiData's answers."""

import base64
import struct
import zlib
from uuid import UUID

from econe.actions.uefi_data import crc32c
from econe.domain.uefi import AUTHENTICATED, UefiVariable


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
