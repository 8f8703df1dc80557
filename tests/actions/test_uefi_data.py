"""GetInstanceUefiData: who may ask when, and the text that is answered."""

import base64
import contextlib
import struct
import sys
import zlib
from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as some
from tests.support.desk import Desk, refused
from tests.support.uefi_data import BOOT_ORDER, PK, Firmware, started, unpack, with_firmware

from econe.actions.uefi_seeds import read_seeds
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.faults import (
    Conflict,
    Invalid,
    NotFound,
    Noun,
    Unavailable,
    Unsupported,
    WrongState,
)
from econe.domain.specs import machine_spec
from econe.domain.uefi import AUTHENTICATED, UefiVariable
from econe.domain.uefi_data import UnreadableError, crc32c, uefi_data, variables_of


@pytest.fixture
def firmware() -> Firmware:
    return Firmware()


@pytest.fixture
def desk(helen: Desk, firmware: Firmware) -> Desk:
    return with_firmware(helen, firmware)


def test_running_and_stopped_instances_tell_their_variables(desk: Desk):
    id_ = started(desk)
    told = desk("GetInstanceUefiData", InstanceId=id_)
    assert told["InstanceId"] == id_
    assert unpack(told["UefiData"]) == [BOOT_ORDER, PK]
    desk("StopInstances", InstanceIds=[id_])
    assert desk("GetInstanceUefiData", InstanceId=id_) == told
    desk.halted([id_])
    assert desk("GetInstanceUefiData", InstanceId=id_) == told


def test_one_that_boots_by_bios_has_none(desk: Desk):
    with refused(Unsupported, Noun.INSTANCE, "does not boot by UEFI"):
        desk("GetInstanceUefiData", InstanceId=started(desk, "legacy-bios"))


def test_an_engine_without_firmware_has_none(desk: Desk):
    id_ = started(desk)
    desk = replace(desk, cloud=replace(desk.cloud, firmware=None))
    with refused(Unsupported, Noun.REQUEST, "cannot be read by its API"):
        desk("GetInstanceUefiData", InstanceId=id_)


def test_before_and_after_its_life_an_instance_has_none(desk: Desk):
    image_id = desk.image(registered=False)
    desk("RegisterImage", ImageLocation=image_id, BootMode="uefi")
    (pending,), ended = desk.launch(ImageId=image_id), started(desk)
    desk("TerminateInstances", InstanceIds=[ended])
    with refused(WrongState, Noun.INSTANCE, "'shutting-down'"):
        desk("GetInstanceUefiData", InstanceId=ended)
    desk.gone([ended])
    for id_, state in ((ended, "'terminated'"), (pending, "'pending'")):
        with refused(WrongState, Noun.INSTANCE, state):
            desk("GetInstanceUefiData", InstanceId=id_)


def test_anothers_instance_is_not_found(desk: Desk, paris: Desk):
    with refused(NotFound, Noun.INSTANCE):
        paris("GetInstanceUefiData", InstanceId=started(desk))


def test_what_cannot_be_read_now_or_never(desk: Desk, firmware: Firmware):
    id_ = started(desk)
    firmware.problem = EngineBusy("no file yet")
    with refused(Unavailable, Noun.REQUEST, "try again"):
        desk("GetInstanceUefiData", InstanceId=id_)
    firmware.problem = EngineRefused("The instance's UEFI variables cannot be read.", "zeros")
    with refused(WrongState, Noun.INSTANCE, "cannot be read"):
        desk("GetInstanceUefiData", InstanceId=id_)


def test_the_checksum_is_that_of_iscsi():
    """RFC 3720, B.4: 32 bytes of zeros, of ones, ascending; and the usual check value."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


def test_an_authenticated_variable_without_time_and_signer_has_zeros():
    (read,) = unpack(uefi_data([replace(PK, timestamp=b"", signer=b"")]))
    assert (read.timestamp, read.signer) == (bytes(16), bytes(32))


VARIABLES = some.builds(
    UefiVariable,
    name=some.text(some.characters(exclude_categories=["Cs"]), max_size=20),
    vendor=some.uuids(),
    attributes=some.integers(0, 0xFFFFFFFF).map(lambda bits: bits & ~AUTHENTICATED),
    data=some.binary(max_size=100),
)


@given(some.lists(VARIABLES, max_size=5))
def test_whatever_there_is_can_be_read_again(variables: list[UefiVariable]):
    assert unpack(uefi_data(variables)) == variables


# --- what RegisterImage takes ------------------------------------------------------------


def remade(text: str, *, plain: bytes | None = None, **changes: bytes) -> str:
    """With other bytes in it, and a checksum that is right unless it is given."""
    blob = base64.b64decode(text)
    body = changes.get("version", blob[12:16])
    body += zlib.compress(plain) if plain is not None else changes.get("stream", blob[16:])
    crc = changes.get("crc", struct.pack("<I", crc32c(body)))
    return base64.b64encode(changes.get("magic", blob[:8]) + crc + body).decode()


GOOD = uefi_data([BOOT_ORDER, PK])
STREAM = base64.b64decode(GOOD)[16:]
PLAIN = zlib.decompress(STREAM)
BOMB = zlib.compress(bytes(50 << 20))


def sized(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def one(name: bytes, *, attributes: int = 7, more: bytes = b"") -> bytes:
    head = struct.pack("<Q", 1) + sized(name) + sized(b"data") + bytes(16)
    return head + struct.pack("<I", attributes) + more


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("é", "base64"),
        ("A", "base64"),
        ("AAAA", "short"),
        (remade(GOOD, magic=b"AMZNUEFX"), "AMZNUEFI"),
        (remade(GOOD, crc=bytes(4)), "checksum"),
        (remade(GOOD, version=b"\x01\0\0\0"), "version"),
        (remade(GOOD, stream=b"nonsense"), "uncompressed"),
        (remade(GOOD, stream=STREAM[:-1]), "does not end"),
        (remade(GOOD, stream=STREAM + b"x"), "does not end"),
        (remade(GOOD, stream=BOMB), "more than"),
        (remade(GOOD, plain=b""), "ends within"),
        (remade(GOOD, plain=PLAIN[:-1]), "ends within"),
        (remade(GOOD, plain=PLAIN + b"x"), "does not end"),
        (remade(GOOD, plain=b"\xff" * 8), "ends within"),
        (remade(GOOD, plain=struct.pack("<QQ", 1, 2**64 - 1)), "ends within"),
        (remade(GOOD, plain=struct.pack("<Q", 2) + PLAIN[8:68] * 2), "ends within"),
        (remade(GOOD, plain=one(b"")), "1 to 255"),
        (remade(GOOD, plain=one(b"a\0b")), "1 to 255"),
        (remade(GOOD, plain=one(b"x" * 256)), "1 to 255"),
        (remade(GOOD, plain=one(b"\xff")), "UTF-8"),
        (remade(GOOD, plain=one(b"db", attributes=0x27, more=bytes(16) + sized(b"7"))), "SHA-256"),
        (uefi_data([BOOT_ORDER, BOOT_ORDER]), "twice"),
    ],
)
def test_what_is_no_uefi_data_is_refused_with_the_reason(text: str, why: str):
    with pytest.raises(UnreadableError, match=why):
        variables_of(text)
    with refused(Invalid, Noun.PARAMETER, why):
        read_seeds(text)


@given(some.lists(VARIABLES, max_size=5, unique_by=lambda each: (each.name, each.vendor)))
def test_what_is_given_out_can_be_taken(variables: list[UefiVariable]):
    named = [each for each in variables if each.name and "\0" not in each.name]
    lasting = tuple(each for each in named if each.attributes & 1)
    assert variables_of(uefi_data(named)) == lasting
    assert variables_of(uefi_data([PK])) == (PK,)


@given(some.binary(max_size=300))
@example(struct.pack("<Q", 0))
def test_anything_is_read_or_refused(plain: bytes):
    with contextlib.suppress(UnreadableError):
        variables_of(remade(GOOD, plain=plain))


def test_amazons_dictionary_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch):
    dictionary = b"BootOrder of Amazon's own"
    packing = zlib.compressobj(zdict=dictionary)
    theirs = remade(GOOD, stream=packing.compress(PLAIN) + packing.flush())
    monkeypatch.setitem(sys.modules, "pyuefivars.aws_v0", None)
    with refused(Unsupported, Noun.PARAMETER, "the Python package uefivars"):
        read_seeds(theirs)
    store = type("UEFIVarStoreV0", (), {"dict": bytearray(dictionary)})
    package, module = ModuleType("pyuefivars"), ModuleType("pyuefivars.aws_v0")
    module.UEFIVarStoreV0 = store  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyuefivars", package)
    monkeypatch.setitem(sys.modules, "pyuefivars.aws_v0", module)
    assert unpack(read_seeds(theirs)) == [BOOT_ORDER, PK]
    assert unpack(read_seeds(GOOD)) == [BOOT_ORDER, PK]


def told(desk: Desk, image_id: str) -> str | None:
    answer = desk("DescribeImageAttribute", ImageId=image_id, Attribute="uefiData")
    return answer["UefiData"].get("Value")


def test_an_image_keeps_what_its_machines_begin_with(desk: Desk):
    image_id = desk.image(registered=False)
    desk("RegisterImage", ImageLocation=image_id, BootMode="uefi", UefiData=GOOD)
    assert variables_of(told(desk, image_id) or "") == (BOOT_ORDER, PK)
    desk("RegisterImage", ImageLocation=image_id, Name="renamed")
    assert told(desk, image_id)
    (id_,) = desk.launch(ImageId=image_id)
    with desk.store.reading() as tx:
        spec = machine_spec(tx, desk.row(id_), desk.cloud.sizes)
    assert spec.uefi_data == told(desk, image_id)
    desk("RegisterImage", ImageLocation=image_id, UefiData="")
    assert told(desk, image_id) is None


def test_one_that_boots_by_bios_all_the_same_begins_with_nothing(desk: Desk):
    image_id = desk.image(registered=False)
    desk("RegisterImage", ImageLocation=image_id, BootMode="uefi-preferred", UefiData=GOOD)
    bios = desk.on(replace(desk.cloud.can, uefi=False))
    (id_,) = bios.launch(ImageId=image_id)
    with desk.store.reading() as tx:
        assert not machine_spec(tx, desk.row(id_), desk.cloud.sizes).uefi_data


def test_variables_that_no_machine_would_have_are_refused(desk: Desk):
    image_id = desk.image(registered=False)
    with refused(Conflict, Noun.PARAMETER, "boot mode uefi"):
        desk("RegisterImage", ImageLocation=image_id, UefiData=GOOD)
    without = desk.on(replace(desk.cloud.can, uefi_data=False))
    with refused(Unsupported, Noun.PARAMETER, "cannot be given"):
        without("RegisterImage", ImageLocation=image_id, BootMode="uefi", UefiData=GOOD)
