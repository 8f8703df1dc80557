"""The text in which EC2 hands out UEFI variables: GetInstanceUefiData's answer.

Base64 of (little-endian; as awslabs/python-uefivars reads it):

    `AMZNUEFI`, CRC-32C of all that follows (u32), version 0 (u32), and a zlib stream of
        number of variables (u64), and of each
            name in UTF-8 and data, each behind its length (u64); vendor (16); attributes (u32)
            if it is authenticated: time (16), length (u64) and digest of its signer (32)

Amazon's own streams are made with a preset dictionary, which says itself that it was used (RFC
1950). Ours are made without: whoever reads the one reads the other.
"""

import base64
import struct
import zlib
from collections.abc import Iterable
from typing import Final

from econe.domain.uefi import AUTHENTICATED, UefiVariable

MAGIC: Final = b"AMZNUEFI"
VERSION: Final = 0
NO_TIME: Final = bytes(16)
NO_SIGNER: Final = bytes(32)


def uefi_data(variables: Iterable[UefiVariable]) -> str:
    entries = [_entry(variable) for variable in variables]
    plain = struct.pack("<Q", len(entries)) + b"".join(entries)
    body = struct.pack("<I", VERSION) + zlib.compress(plain, 9)
    return base64.b64encode(MAGIC + struct.pack("<I", crc32c(body)) + body).decode("ascii")


def _entry(variable: UefiVariable) -> bytes:
    made = _sized(variable.name.encode("utf-8", "replace")) + _sized(variable.data)
    made += variable.vendor.bytes_le + struct.pack("<I", variable.attributes)
    if variable.attributes & AUTHENTICATED:
        made += (variable.timestamp or NO_TIME) + _sized(variable.signer or NO_SIGNER)
    return made


def _sized(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def crc32c(data: bytes) -> int:
    """RFC 3720, B.4: the CRC of iSCSI. A millisecond for 10 KB."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _table(polynomial: int) -> tuple[int, ...]:
    made = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (polynomial if rest & 1 else 0)
        made.append(rest)
    return tuple(made)


_TABLE: Final = _table(0x82F63B78)
"""Castagnoli's polynomial, bits reversed."""
