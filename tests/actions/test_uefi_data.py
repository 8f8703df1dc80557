"""GetInstanceUefiData: who may ask when, and the text that is answered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.support.desk import Desk, refused
from tests.support.uefi_data import BOOT_ORDER, PK, Firmware, started, unpack, with_firmware

from econe.actions.uefi_data import crc32c, uefi_data
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.faults import NotFound, Noun, Unavailable, Unsupported, WrongState
from econe.domain.uefi import AUTHENTICATED, UefiVariable


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
