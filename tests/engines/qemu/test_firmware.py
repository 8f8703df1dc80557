"""UEFI firmware: which is taken of what a host has, and what machines keep of it."""

import json
import os
import stat
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.contract.engines import QemuStand
from tests.engines.qemu.test_varstore import entry, flash
from tests.support.eventually import eventually
from tests.support.uefi_data import BOOT_ORDER, PK

from econe.domain.engine_ports import Engine, EngineBusy, EngineRefused, MachineSpec, Phase
from econe.domain.uefi_data import uefi_data
from econe.engines.qemu.check import report
from econe.engines.qemu.firmware import QemuFirmware, Uefi, find
from econe.engines.qemu.place import Place, place_of
from econe.settings import Qemu

NONE = "no firmware is installed (Debian: ovmf)"


@pytest.fixture
def files(tmp_path: Path) -> Uefi:
    code, template = tmp_path / "code.fd", tmp_path / "vars.fd"
    code.write_bytes(b"code")
    template.write_bytes(flash())
    return Uefi(code, template)


def descriptor(files: Uefi, **changes: Any) -> dict[str, Any]:
    """As Debian's 60-edk2-x86_64.json."""
    made = {
        "description": "UEFI firmware",
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(files.code), "format": "raw"},
            "nvram-template": {"filename": str(files.template), "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
        "features": ["acpi-s3", "amd-sev", "verbose-dynamic"],
        "tags": [],
    }
    mapping = changes.pop("mapping", {})
    return {**made, **changes, "mapping": {**made["mapping"], **mapping}}  # type: ignore[dict-item]


def put(directory: Path, name: str, told: Any) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return directory


def test_the_first_descriptor_that_fits_is_taken(tmp_path: Path, files: Uefi):
    here = tmp_path / "here"
    put(here, "40-secure.json", descriptor(files, features=["requires-smm", "secure-boot"]))
    put(here, "60-plain.json", descriptor(files))
    put(here, "70-gone.json", descriptor(Uefi(tmp_path / "gone", files.template)))
    assert find(Qemu(), (here,)) == files


def test_the_operators_directory_hides_the_distributions(tmp_path: Path, files: Uefi):
    etc, usr = tmp_path / "etc", put(tmp_path / "usr", "60-plain.json", descriptor(files))
    put(etc, "60-plain.json", "")
    assert find(Qemu(), (etc, usr)) == NONE
    own = Uefi(files.template, files.template)
    put(etc, "50-own.json", descriptor(own))
    assert find(Qemu(), (etc, usr)) == own


@pytest.mark.parametrize(
    "changes",
    [
        {"interface-types": ["bios"]},
        {"features": ["enrolled-keys"]},
        {"targets": [{"architecture": "aarch64", "machines": ["virt-*"]}]},
        {"targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}]},
        {"targets": 7},
        {"mapping": {"device": "memory"}},
        {"mapping": {"mode": "stateless"}},
        {"mapping": {"nvram-template": None}},
        {"mapping": {"executable": {"filename": "/gone", "format": "raw"}}},
        {"mapping": {"executable": {"filename": "/etc/passwd", "format": "qcow2"}}},
    ],
)
def test_firmware_for_other_machines_is_passed_over(
    tmp_path: Path, files: Uefi, changes: dict[str, Any]
):
    assert find(Qemu(), (put(tmp_path / "d", "1.json", descriptor(files, **changes)),)) == NONE


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"mapping": []}', "\udcff"])
def test_descriptors_that_are_none_are_passed_over(tmp_path: Path, text: str):
    here = tmp_path / "d"
    here.mkdir()
    (here / "1.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert find(Qemu(), (here, tmp_path / "absent")) == NONE


def test_the_settings_win_if_they_name_two_files(tmp_path: Path, files: Uefi):
    here = put(tmp_path / "d", "1.json", descriptor(files))
    said = Qemu(uefi_code=str(files.template), uefi_vars=str(files.code))
    assert find(said, (here,)) == Uefi(files.template, files.code)
    for half in (replace(said, uefi_vars=""), replace(said, uefi_code=str(tmp_path / "gone"))):
        assert find(half, (here,)) == "qemu.uefi_code and qemu.uefi_vars do not both name files"


def test_the_operator_is_told(files: Uefi):
    said = Qemu(uefi_code=str(files.code), uefi_vars=str(files.template))
    for settings, ok in ((said, True), (replace(said, uefi_vars="/gone"), False)):
        (told,) = [each for each in report(settings=settings) if each.name == "uefi"]
        assert (told.ok, str(files.code) in told.said) == (ok, ok)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = place_of(tmp_path / "instances", "i-00000001")
    made.path.mkdir(parents=True)
    return made


@pytest.fixture
def firmware(place: Place, files: Uefi) -> QemuFirmware:
    return QemuFirmware(place.path.parent, files)


def test_a_machine_gets_variables_of_its_own_once(firmware: QemuFirmware, place: Place):
    firmware.ensure(place)
    assert place.nvram.read_bytes() == flash()
    assert stat.S_IMODE(place.nvram.stat().st_mode) == 0o600
    place.nvram.write_bytes(flash(entry("mine")))
    firmware.ensure(place)
    assert [each.name for each in firmware.variables("i-00000001")] == ["mine"]


def test_a_machine_may_begin_with_its_images_variables(firmware: QemuFirmware, place: Place):
    seeds = uefi_data([BOOT_ORDER, PK])
    firmware.ensure(place, seeds)
    assert firmware.variables("i-00000001") == (BOOT_ORDER, PK)
    firmware.ensure(place)
    assert firmware.variables("i-00000001") == (BOOT_ORDER, PK)


@pytest.mark.parametrize("seeds", ["nonsense", uefi_data([replace(BOOT_ORDER, data=bytes(5000))])])
def test_variables_that_cannot_be_given_make_no_machine(
    firmware: QemuFirmware, place: Place, seeds: str
):
    with pytest.raises(EngineRefused, match="cannot be given"):
        firmware.ensure(place, seeds)
    assert list(place.path.iterdir()) == []


def test_open_files_are_the_shared_code_and_the_machines_own(
    firmware: QemuFirmware, place: Place, files: Uefi
):
    firmware.ensure(place)
    with ExitStack() as held:
        opened = firmware.open(place, held)
        assert os.pread(opened.code_fd, 9, 0) == b"code"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(opened.code_fd, b"x", 0)
        os.pwrite(opened.variables_fd, b"x", 0)
    assert place.nvram.read_bytes()[:1] == b"x"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened.code_fd)


def test_variables_that_are_gone_are_not_made_anew_at_a_start(firmware: QemuFirmware, place: Place):
    with (
        ExitStack() as held,
        pytest.raises(EngineRefused, match="variables of the machine are gone"),
    ):
        firmware.open(place, held)
    assert not place.nvram.exists()


def test_variables_of_another_firmware_are_refused(firmware: QemuFirmware, place: Place):
    place.nvram.write_bytes(flash() + b"\xff")
    with ExitStack() as held, pytest.raises(EngineRefused, match="another firmware"):
        firmware.open(place, held)


def test_a_host_without_firmware_refuses_and_still_tells_variables(place: Place):
    without = QemuFirmware(place.path.parent, NONE)
    assert (without.uefi, without.reason) == (None, NONE)
    with pytest.raises(EngineRefused, match="no UEFI firmware"):
        without.ensure(place)
    place.nvram.write_bytes(flash(entry("mine")))
    with ExitStack() as held, pytest.raises(EngineRefused, match="no UEFI firmware"):
        without.open(place, held)
    assert len(without.variables("i-00000001")) == 1


def test_there_are_no_variables_before_there_are_some(firmware: QemuFirmware, place: Place):
    with pytest.raises(EngineBusy):
        firmware.variables("i-00000001")
    place.nvram.write_bytes(bytes(9))
    with pytest.raises(EngineRefused, match="cannot be read"):
        firmware.variables("i-00000001")


def test_a_store_that_is_being_written_anew_is_read_when_it_is(
    firmware: QemuFirmware, place: Place, monkeypatch: pytest.MonkeyPatch
):
    place.nvram.write_bytes(b"\xff" * len(flash()))
    slept = []

    def written_meanwhile(seconds: float) -> None:
        slept.append(seconds)
        place.nvram.write_bytes(flash(entry("mine")))

    monkeypatch.setattr("econe.engines.qemu.firmware.time.sleep", written_meanwhile)
    assert [each.name for each in firmware.variables("i-00000001")] == ["mine"]
    assert len(slept) == 1


# --- real machines -----------------------------------------------------------------------


@pytest.fixture
def uefi_engine(engine: Engine) -> Engine:
    if not engine.can.uefi:
        pytest.skip(engine.can.reasons["uefi"])
    return engine


def launch(engine: Engine, spec: MachineSpec) -> None:
    for nic in spec.nics:
        engine.networks.ensure(nic.network)
        engine.networks.admit(nic)
    engine.machines.ensure(spec)
    engine.machines.start(spec)


def named(engine: Engine, spec: MachineSpec) -> set[str]:
    assert engine.firmware is not None
    return {each.name for each in engine.firmware.variables(spec.id)}


@pytest.mark.e2e
def test_two_machines_run_the_same_firmware_each_with_its_variables(
    stand: QemuStand, uefi_engine: Engine
):
    first, second = (replace(stand.spec(number), uefi=True, memory_mib=256) for number in (1, 2))
    launch(uefi_engine, first)
    launch(uefi_engine, second)
    for spec in (first, second):
        eventually(lambda spec=spec: "BootOrder" in named(uefi_engine, spec), within_s=90)
    uefi_engine.machines.destroy(first.id)
    with pytest.raises(EngineBusy):
        named(uefi_engine, first)
    assert "BootOrder" in named(uefi_engine, second)


@pytest.mark.e2e
def test_hibernation_keeps_the_variables_and_the_firmware_goes_on(
    stand: QemuStand, uefi_engine: Engine
):
    spec = replace(stand.spec(), uefi=True, memory_mib=256)
    launch(uefi_engine, spec)
    eventually(lambda: "BootOrder" in named(uefi_engine, spec), within_s=90)
    time.sleep(3)  # it finds no boot loader, and rests
    output, kept = uefi_engine.consoles.output(spec.id), named(uefi_engine, spec)
    uefi_engine.machines.hibernate(spec.id)
    assert named(uefi_engine, spec) == kept
    again = stand.open()
    again.machines.start(spec)
    assert again.machines.look()[spec.id].phase is Phase.RUNNING
    assert named(again, spec) == kept
    assert output is not None
    assert again.consoles.output(spec.id)[0] == output[0]  # it did not boot again
