"""The variable store of EDK II's firmware (OVMF), as it lies in the flash file of a machine.

A firmware volume holds one store, and the store its variables, one behind the other (EDK II,
MdeModulePkg/Include/Guid/VariableFormat.h; the volume: PI specification, volume 3, 3.2.1):

    volume    16 zeros, GUID of the file system, length (u64), `_FVH`, attributes, header length…
    store     GUID, size (u32, with this header), format 0x5a, state 0xfe, 6 reserved
    variable  0x55aa, state (u8), reserved, attributes (u32), count (u64), time (16), key (u32),
              length of the name and of the data (u32 each), vendor (16), name in UTF-16, data

Each variable begins at a multiple of four. States are bits that are cleared one after the other, so
that a power cut at any moment leaves one whole variable: header, data written, about to be
replaced, deleted.

The guest can write anything here: firmware without SMM guards nothing. So the reader takes the file
for hostile. It goes over each byte once, believes no length that leads out of the store, and stops
where there is no variable, as the firmware does.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from econe.domain.uefi import UefiVariable

LARGEST_BYTES: Final = 4 << 20
"""Of a flash file that is looked at; OVMF's are 128 KiB and 528 KiB."""

_VOLUME: Final = struct.Struct("<16x16sQ4s4xH6x")
_NVRAM: Final = UUID("fff12b8d-7696-4c8b-a985-2747075b4f50").bytes_le
"""EFI_SYSTEM_NV_DATA_FV_GUID."""
_STORE: Final = struct.Struct("<16sIBB6x")
_AUTHENTICATED_STORE: Final = UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
"""EFI_AUTHENTICATED_VARIABLE_GUID."""
_FORMATTED, _HEALTHY = 0x5A, 0xFE

_HEAD: Final = struct.Struct("<HBxI8x16s4xII16s")
_MARK: Final = 0x55AA
_UNWRITTEN: Final = 0xFF
"""The state of a header that a power cut left half-written: its lengths say nothing."""
_ADDED: Final = 0x3F
_BEING_REPLACED: Final = 0x3E
"""VAR_ADDED, and with VAR_IN_DELETED_TRANSITION: it counts until its successor is there."""

_CERTIFICATES: Final = ("certdb", UUID("d9bee56e-75dc-49d9-b4d7-b534210f637a"))
"""The variable in which the firmware notes who signed which (EFI_CERT_DB_GUID): a length (u32),
and of each AUTH_CERT_DB_DATA and the name and the digest (SecurityPkg, AuthServiceInternal.h)."""
_CERTIFICATE: Final = struct.Struct("<16s4xII")
_CERTIFICATE_SIZES: Final = struct.Struct("<III")
_NOTED_ATTRIBUTES: Final = 0x27
"""Of `certdb`: as the firmware makes it itself."""

_Key = tuple[str, UUID]


class DamagedError(Exception):
    """It is no variable store, or not any more."""


def read_variables(content: bytes) -> tuple[UefiVariable, ...]:
    """Those that count, in the order in which they lie there. Raises DamagedError."""
    found: dict[_Key, tuple[int, UefiVariable]] = {}
    for state, variable in _walk(content, *_bounds(content)):
        key = (variable.name, variable.vendor)
        if state not in (_ADDED, _BEING_REPLACED):
            continue
        if key not in found or (found[key][0] == _BEING_REPLACED and state == _ADDED):
            found[key] = (state, variable)
    _, certificates = found.pop(_CERTIFICATES, (0, None))
    signers = dict(_signers(certificates.data)) if certificates else {}
    return tuple(
        replace(variable, signer=signers.get(key, b"")) for key, (_, variable) in found.items()
    )


def with_variables(template: bytes, variables: Iterable[UefiVariable]) -> bytes:
    """The template's store with these in it; they replace those of the same name and vendor.

    Raises DamagedError for a template that is no store, and ValueError where they do not fit in.
    """
    start, end = _bounds(template)
    told = {(each.name, each.vendor): each for each in (*read_variables(template), *variables)}
    told.pop(_CERTIFICATES, None)
    kept = b"".join(map(_written, (*_noted(told), *told.values())))
    if len(kept) > end - start:
        raise ValueError(f"{len(kept)} bytes of variables do not fit into {end - start}")
    return template[:start] + kept.ljust(end - start, b"\xff") + template[end:]


def _noted(told: Mapping[_Key, UefiVariable]) -> Iterator[UefiVariable]:
    """What the firmware would have noted of their signers."""
    nodes = b""
    for (name, vendor), variable in told.items():
        if variable.signer:
            text = name.encode("utf-16-le")
            size = 16 + _CERTIFICATE_SIZES.size + len(text) + len(variable.signer)
            sizes = _CERTIFICATE_SIZES.pack(size, len(text) // 2, len(variable.signer))
            nodes += vendor.bytes_le + sizes + text + variable.signer
    if nodes:
        data = (4 + len(nodes)).to_bytes(4, "little") + nodes
        yield UefiVariable(*_CERTIFICATES, _NOTED_ATTRIBUTES, data)


def _written(variable: UefiVariable) -> bytes:
    name = (variable.name + "\0").encode("utf-16-le")
    head = _HEAD.pack(
        _MARK,
        _ADDED,
        variable.attributes,
        variable.timestamp,
        len(name),
        len(variable.data),
        variable.vendor.bytes_le,
    )
    made = head + name + variable.data
    return made + b"\xff" * (-len(made) % 4)


def _bounds(content: bytes) -> tuple[int, int]:
    """Where the variables begin, and where they end at the latest."""
    if len(content) < _VOLUME.size:
        raise DamagedError(f"{len(content)} bytes are no firmware volume")
    kind, _, signature, header = _VOLUME.unpack_from(content)
    if kind != _NVRAM or signature != b"_FVH":
        raise DamagedError("it is no firmware volume for variables")
    if len(content) < header + _STORE.size:
        raise DamagedError(f"there is no store behind a header of {header} bytes")
    store, size, form, state = _STORE.unpack_from(content, header)
    if store != _AUTHENTICATED_STORE or (form, state) != (_FORMATTED, _HEALTHY):
        raise DamagedError("it holds no store of authenticated variables")
    if header + size > len(content):
        raise DamagedError(f"a store of {size} bytes does not fit in")
    return header + _STORE.size, header + size


def _walk(content: bytes, at: int, end: int) -> Iterator[tuple[int, UefiVariable]]:
    """All whose header is whole, with their states."""
    while (at := -(-at // 4) * 4) + _HEAD.size <= end:
        mark, state, attributes, time, name_size, data_size, vendor = _HEAD.unpack_from(content, at)
        if mark != _MARK:
            return
        at += _HEAD.size
        if state == _UNWRITTEN:
            continue
        if name_size + data_size > end - at:
            return
        name = content[at : at + name_size].decode("utf-16-le", "replace").rstrip("\0")
        data = content[at + name_size : at + name_size + data_size]
        at += name_size + data_size
        stamp = time if any(time) else b""
        yield state, UefiVariable(name, UUID(bytes_le=vendor), attributes, data, stamp)


def _signers(data: bytes) -> Iterator[tuple[_Key, bytes]]:
    at = 4  # the length of all, which is that of the variable
    while at + _CERTIFICATE.size <= len(data):
        vendor, characters, size = _CERTIFICATE.unpack_from(data, at)
        at += _CERTIFICATE.size
        middle = at + 2 * characters
        if middle + size > len(data):
            return
        name = data[at:middle].decode("utf-16-le", "replace").rstrip("\0")
        yield (name, UUID(bytes_le=vendor)), data[middle : middle + size]
        at = middle + size
