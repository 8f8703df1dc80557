"""The text in which EC2 hands UEFI variables out and takes them: UefiData.

Base64 of (little-endian; as awslabs/python-uefivars reads it):

    `AMZNUEFI`, CRC-32C of all that follows (u32), version 0 (u32), and a zlib stream of
        number of variables (u64), and of each
            name in UTF-8 and data, each behind its length (u64); vendor (16); attributes (u32)
            if it is authenticated: time (16), length (u64) and digest of its signer (32)

Amazon's own streams are made with a preset dictionary, and say so (RFC 1950, FDICT). Ours are made
without: whoever reads the one reads the other. What is read here may come from anybody.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from econe.domain.uefi import AUTHENTICATED, NON_VOLATILE, UefiVariable

MAGIC: Final = b"AMZNUEFI"
VERSION: Final = 0
NO_TIME: Final = bytes(16)
NO_SIGNER: Final = bytes(32)
MOST_BYTES: Final = 64 * 1024
"""Of the unpacked stream: a quarter of what OVMF has room for, as names take twice their length."""
LONGEST_NAME: Final = 255

_HEAD: Final = struct.Struct("<8sII")
_DICTIONARY_USED: Final = 0x20
"""FDICT, in the second byte of a stream; the first two are a multiple of 31."""


class UnreadableError(Exception):
    """It is no such text. The words may be shown to whoever wrote it."""


class DictionaryMissingError(Exception):
    """It was made with Amazon's dictionary, and none was given."""


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


def variables_of(text: str, dictionary: bytes = b"") -> tuple[UefiVariable, ...]:
    """The non-volatile ones; others are none of a store's. Raises UnreadableError,
    DictionaryMissingError."""
    try:
        blob = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableError("it is not encoded in base64") from None
    if len(blob) < _HEAD.size + 2:
        raise UnreadableError("it is too short")
    magic, crc, version = _HEAD.unpack_from(blob)
    if magic != MAGIC:
        raise UnreadableError("it does not begin with AMZNUEFI")
    if crc != crc32c(blob[12:]):
        raise UnreadableError("its checksum is wrong")
    if version != VERSION:
        raise UnreadableError(f"its version is {version}, not {VERSION}")
    found = _Reader(_unpacked(blob[_HEAD.size :], dictionary)).read()
    if len({(variable.name, variable.vendor) for variable in found}) < len(found):
        raise UnreadableError("a variable is in it twice")
    return tuple(variable for variable in found if variable.attributes & NON_VOLATILE)


def _unpacked(stream: bytes, dictionary: bytes) -> bytes:
    if int.from_bytes(stream[:2], "big") % 31:
        raise UnreadableError("it cannot be uncompressed")
    if stream[1] & _DICTIONARY_USED and not dictionary:
        raise DictionaryMissingError
    unpacking = zlib.decompressobj(zdict=dictionary) if dictionary else zlib.decompressobj()
    try:
        plain = unpacking.decompress(stream, MOST_BYTES + 1)
    except zlib.error:
        raise UnreadableError("it cannot be uncompressed") from None
    if len(plain) > MOST_BYTES:
        raise UnreadableError(f"it holds more than {MOST_BYTES} bytes")
    if not unpacking.eof or unpacking.unused_data:
        raise UnreadableError("it does not end where its variables end")
    return plain


class _Reader:
    """Of the plain stream, which is MOST_BYTES at most and of which each byte is read once."""

    def __init__(self, plain: bytes) -> None:
        self._plain, self._at = plain, 0

    def read(self) -> list[UefiVariable]:
        count = self._number(8)
        found: list[UefiVariable] = []
        while len(found) < count:  # a false count ends where the bytes do
            found.append(self._variable())
        if self._at != len(self._plain):
            raise UnreadableError("it does not end where its variables end")
        return found

    def _variable(self) -> UefiVariable:
        name, data, vendor = self._name(), self._sized(), UUID(bytes_le=self._take(16))
        attributes = self._number(4)
        if not attributes & AUTHENTICATED:
            return UefiVariable(name, vendor, attributes, data)
        time, signer = self._take(len(NO_TIME)), self._sized()
        if len(signer) not in (0, len(NO_SIGNER)):
            raise UnreadableError("a signer's digest is not of SHA-256")
        return UefiVariable(
            name,
            vendor,
            attributes,
            data,
            b"" if time == NO_TIME else time,
            b"" if signer == NO_SIGNER else signer,
        )

    def _name(self) -> str:
        try:
            name = self._sized().decode("utf-8")
        except UnicodeDecodeError:
            raise UnreadableError("a name is not in UTF-8") from None
        if not name or len(name) > LONGEST_NAME or "\0" in name:
            raise UnreadableError(f"a name has not 1 to {LONGEST_NAME} characters")
        return name

    def _sized(self) -> bytes:
        return self._take(self._number(8))

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._plain):
            raise UnreadableError("it ends within a variable")
        taken, self._at = self._plain[self._at : end], end
        return taken


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
