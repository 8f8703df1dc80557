"""The flash file of OVMF: as the firmware writes it, and as a hostile guest might."""

import random
import struct
import time
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from econe.domain.uefi import UefiVariable
from econe.engines.qemu.varstore import LARGEST_BYTES, DamagedError, read_variables, with_variables

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
OTHER = UUID("59324945-ec44-4c0d-b1cd-9db139df070c")
CERTIFICATES = UUID("d9bee56e-75dc-49d9-b4d7-b534210f637a")
ADDED, REPLACED, DELETED, HEADER_ONLY, NOTHING = 0x3F, 0x3E, 0x3C, 0x7F, 0xFF
ROOM = 4096


def entry(
    name: str,
    data: bytes = b"data",
    *,
    state: int = ADDED,
    vendor: UUID = GLOBAL,
    attributes: int = 7,
    stamp: bytes = bytes(16),
    sizes: tuple[int, int] | None = None,
) -> bytes:
    """One variable as EDK II lays it out; `sizes` are claimed, and need not be true."""
    text = (name + "\0").encode("utf-16-le")
    name_size, data_size = sizes or (len(text), len(data))
    head = struct.pack("<HBBIQ", 0x55AA, state, 0, attributes, 0) + stamp
    head += struct.pack("<III", 0, name_size, data_size) + vendor.bytes_le
    made = head + text + data
    return made + b"\xff" * (-len(made) % 4)


def flash(*entries: bytes, room: int = ROOM, size: int | None = None) -> bytes:
    """A file with one volume, whose store has `room` for variables."""
    store_size = 28 + room if size is None else size
    volume = bytes(16) + UUID("fff12b8d-7696-4c8b-a985-2747075b4f50").bytes_le
    volume += struct.pack("<Q4sIHHHBB", 72 + 28 + room, b"_FVH", 0, 72, 0, 0, 0, 2)
    volume += struct.pack("<IIII", 1, 4096, 0, 0)
    store = UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
    store += struct.pack("<IBBHI", store_size, 0x5A, 0xFE, 0, 0)
    return volume + store + b"".join(entries).ljust(room, b"\xff")


def read(*entries: bytes) -> list[tuple[str, bytes]]:
    return [(found.name, found.data) for found in read_variables(flash(*entries))]


def test_variables_are_read_in_order_with_all_that_they_have():
    found = read_variables(
        flash(entry("Lang", b"eng"), entry("x", b"", vendor=OTHER, attributes=3), entry("Timeout"))
    )
    assert found == (
        UefiVariable("Lang", GLOBAL, 7, b"eng"),
        UefiVariable("x", OTHER, 3, b""),
        UefiVariable("Timeout", GLOBAL, 7, b"data"),
    )


def test_an_empty_store_has_none():
    assert read() == []


@pytest.mark.parametrize("state", [DELETED, 0x3D, HEADER_ONLY, 0])
def test_what_is_deleted_or_was_never_finished_does_not_count(state: int):
    assert read(entry("old", state=state), entry("new")) == [("new", b"data")]


def test_a_header_that_was_never_finished_has_no_lengths():
    half = entry("", b"", state=NOTHING, sizes=(0xFFFFFFFF, 0xFFFFFFFF))[:60]
    assert read(half, entry("new")) == [("new", b"data")]


def test_one_that_is_being_replaced_counts_until_its_successor_is_there():
    old, new = entry("a", b"old", state=REPLACED), entry("a", b"new")
    assert read(old) == [("a", b"old")]
    assert read(old, entry("a", b"half", state=HEADER_ONLY)) == [("a", b"old")]
    assert read(old, entry("b"), new) == [("a", b"new"), ("b", b"data")]
    assert read(new, old) == [("a", b"new")]


def test_names_of_different_vendors_are_different():
    assert read(entry("a", b"1"), entry("a", b"2", vendor=OTHER)) == [("a", b"1"), ("a", b"2")]


def test_signers_are_those_that_the_firmware_has_noted():
    name, digest = "db".encode("utf-16-le"), bytes(range(32))
    node = GLOBAL.bytes_le + struct.pack("<III", 28 + 4 + 32, 2, 32) + name + digest
    noted = struct.pack("<I", 4 + len(node)) + node
    stamp = bytes(range(1, 17))
    found = read_variables(
        flash(entry("certdb", noted, vendor=CERTIFICATES), entry("db", stamp=stamp), entry("dbx"))
    )
    assert [(each.name, each.timestamp, each.signer) for each in found] == [
        ("db", stamp, digest),
        ("dbx", b"", b""),
    ]


SIGNED = UefiVariable("db", GLOBAL, 0x27, b"keys", bytes(range(1, 17)), bytes(range(32)))
PLAIN = UefiVariable("Ünïcode 😀", OTHER, 3, b"odd")


def test_variables_are_written_as_they_are_read():
    content = with_variables(flash(), [PLAIN, SIGNED])
    assert len(content) == len(flash())
    assert read_variables(content) == (PLAIN, SIGNED)
    assert content[-8:] == b"\xff" * 8


def test_they_replace_those_of_the_template_and_leave_the_others():
    template = flash(entry("a", b"1"), entry("b", b"old", state=REPLACED), entry("c", b"3"))
    found = read_variables(with_variables(template, [UefiVariable("b", GLOBAL, 7, b"new")]))
    assert [(each.name, each.data) for each in found] == [("a", b"1"), ("b", b"new"), ("c", b"3")]


def test_what_the_template_knew_of_signers_is_kept():
    template = with_variables(flash(), [SIGNED])
    assert read_variables(with_variables(template, [PLAIN])) == (SIGNED, PLAIN)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        with_variables(flash(room=64), [PLAIN, SIGNED])
    with pytest.raises(DamagedError):
        with_variables(bytes(100), [PLAIN])


@pytest.mark.parametrize("noted", [b"", b"\xff" * 3, b"\xff" * 200, bytes(31), bytes(64)])
def test_what_the_guest_made_of_the_signers_harms_nobody(noted: bytes):
    assert read(entry("certdb", noted, vendor=CERTIFICATES), entry("a")) == [("a", b"data")]


@pytest.mark.parametrize("sizes", [(0xFFFFFFFF, 0), (0, 0xFFFFFFFF), (0xFFFFFFFF,) * 2, (4, ROOM)])
def test_lengths_that_lead_out_of_the_store_end_it(sizes: tuple[int, int]):
    assert read(entry("a"), entry("evil", sizes=sizes), entry("b")) == [("a", b"data")]


def test_names_may_be_anything():
    odd = entry("", sizes=(3, 3))
    lone = entry("\udc00".encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    assert len(read(odd)) == 1
    assert read(entry("")) == [("", b"data")]
    assert read(lone) == [("\ufffd", b"data")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(60),
        b"\xff" * 600_000,
        bytes(600_000),
        flash()[:99],
        flash(size=0xFFFFFFFF),
        flash().replace(b"_FVH", b"_FVX"),
        flash()[:72] + bytes(28) + flash()[100:],
        flash()[:48] + b"\xff\xff" + flash()[50:],
    ],
)
def test_what_is_no_store_is_told_apart(content: bytes):
    with pytest.raises(DamagedError):
        read_variables(content)


def total(variables: tuple[UefiVariable, ...]) -> int:
    return sum(len(each.data) + len(each.name) for each in variables)


@given(some.binary(max_size=600), some.integers(0, 0xFFFFFFFF))
@example(b"", 0)
@example(b"", 5)
def test_a_hostile_store_yields_no_more_than_it_holds(content: bytes, size: int):
    try:
        found = read_variables(flash(content, room=len(content), size=size))
    except DamagedError:
        return
    assert total(found) <= len(content)


@settings(max_examples=300)
@given(some.randoms(use_true_random=False), some.integers(1, 40))
def test_a_store_that_was_scribbled_over_is_read_or_refused(chance: random.Random, times: int):
    content = bytearray(flash(*(entry(f"v{number}", bytes(number)) for number in range(20))))
    for _ in range(times):
        content[chance.randrange(len(content))] = chance.randrange(256)
    try:
        found = read_variables(bytes(content))
    except DamagedError:
        return
    assert total(found) <= ROOM


def test_the_worst_file_takes_no_long():
    """Headers and nothing else, each of another name: as many variables as can be."""
    room = LARGEST_BYTES - 100
    entries = [entry(f"{number:x}", b"") for number in range(room // 72 - 8)]
    content = flash(*entries, room=room)
    assert len(content) == LARGEST_BYTES
    began = time.process_time()
    assert len(read_variables(content)) == len(entries)
    assert time.process_time() - began < 5
