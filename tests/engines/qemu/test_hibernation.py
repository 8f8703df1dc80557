"""Machines that sleep: what they were doing goes on, once, and whatever is interrupted."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.engines import QemuStand
from tests.engines.qemu.test_crashes import crash, qemus
from tests.engines.qemu.test_guests import console, tiny
from tests.support.eventually import eventually
from tests.support.guests import GREETING, Guest

from econe.domain.engine_ports import Engine, EngineRefused, MachineSpec, Phase
from econe.engines.qemu import hibernation
from econe.engines.qemu.place import Place, place_of

pytestmark = pytest.mark.e2e

SAVING = ["begin to save", "wait for the saving", "keep", "quit", "end", "let go", "cut"]
WAKING = ["power", "run directory", "monitor socket", "spawn", "running", "consume", "go on"]
WHEN = ["before", "after"]


def launch(engine: Engine, spec: MachineSpec) -> None:
    connect(engine, spec)
    engine.machines.ensure(spec)
    engine.machines.start(spec)
    eventually(lambda: boots(engine, spec) == 1, within_s=20)


def connect(engine: Engine, spec: MachineSpec) -> None:
    for nic in spec.nics:
        engine.networks.ensure(nic.network)
        engine.networks.admit(nic)


def boots(engine: Engine, spec: MachineSpec) -> int:
    return console(engine, spec).count(GREETING)


def phase(engine: Engine, spec: MachineSpec) -> Phase:
    return engine.machines.look()[spec.id].phase


def place(stand: QemuStand, spec: MachineSpec) -> Place:
    return place_of(stand.state / "instances", spec.id)


def went_on(engine: Engine, spec: MachineSpec) -> None:
    """The guest runs, was not booted again, and hears the power button."""
    assert phase(engine, spec) is Phase.RUNNING
    eventually(lambda: halted(engine, spec), within_s=10, every_s=0.3)
    assert boots(engine, spec) == 1


def halted(engine: Engine, spec: MachineSpec) -> bool:
    if phase(engine, spec) is not Phase.HALTED:
        engine.machines.shut_down(spec.id)
        return False
    return True


def booted_anew(stand: QemuStand, engine: Engine, spec: MachineSpec) -> None:
    assert phase(engine, spec) is Phase.RUNNING
    eventually(lambda: boots(engine, spec) == 2, within_s=20)
    assert not list(place(stand, spec).path.glob("memory*"))


def test_a_guest_goes_on_where_it_fell_asleep(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    for _ in range(2):
        engine.machines.hibernate(spec.id)
        assert phase(engine, spec) is Phase.DEFINED
    assert place(stand, spec).memory.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        engine.machines.start(spec)
        assert phase(engine, spec) is Phase.RUNNING
    assert not place(stand, spec).memory.exists()
    assert not place(stand, spec).waking.exists()
    engine.machines.hibernate(spec.id)  # the second time, in the QEMU that loaded it
    engine = stand.open()
    engine.machines.start(spec)
    went_on(engine, spec)


def test_one_that_is_woken_and_dies_boots_from_its_disk(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    engine.machines.hibernate(spec.id)
    engine.machines.start(spec)
    stand.kill(spec.id)
    eventually(lambda: phase(engine, spec) is Phase.DIED, within_s=10)
    engine.machines.start(spec)
    booted_anew(stand, engine, spec)


def test_memory_goes_with_its_machine(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    engine.machines.hibernate(spec.id)
    engine.machines.destroy(spec.id)
    assert [path.name for path in place(stand, spec).path.iterdir()] == ["console.log"]


def test_power_is_cut_of_a_machine_that_sleeps_without_harm(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    engine.machines.hibernate(spec.id)
    engine.machines.power_off(spec.id)
    engine.machines.start(spec)
    went_on(engine, spec)


@pytest.mark.parametrize("changes", [{"memory_mib": 96}, {"vcpus": 2}, {"instance_type": "x"}])
def test_memory_of_another_machine_is_not_loaded(
    stand: QemuStand, engine: Engine, changes: dict[str, object]
):
    spec = stand.spec()
    launch(engine, spec)
    engine.machines.hibernate(spec.id)
    engine.machines.start(replace(spec, **changes))
    booted_anew(stand, engine, spec)


def test_another_disk_in_the_place_of_one_makes_another_machine(stand: QemuStand):
    spec = stand.spec()
    disk = replace(spec.disks[0], volume_id="vol-00000009")
    assert hibernation.shape_of(replace(spec, disks=(disk,))) != hibernation.shape_of(spec)


@pytest.mark.parametrize("damage", ["cut short", "overwritten", "no note", "another kind"])
def test_a_guest_whose_memory_is_damaged_boots_from_its_disk(
    stand: QemuStand, engine: Engine, damage: str
):
    spec = stand.spec()
    launch(engine, spec)
    engine.machines.hibernate(spec.id)
    there = place(stand, spec)
    told = json.loads(there.memory_note.read_text())
    if damage == "cut short":
        os.truncate(there.memory, there.memory.stat().st_size // 2)
    elif damage == "overwritten":
        there.memory.write_bytes(b"x" * there.memory.stat().st_size)
    elif damage == "no note":
        there.memory_note.unlink()
    else:
        there.memory_note.write_text(json.dumps({**told, "kind": "pc-q35-2.4"}))
    engine.machines.start(spec)
    booted_anew(stand, engine, spec)


def test_a_disk_without_room_leaves_the_guest_running(
    stand: QemuStand, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hibernation, "ROOM_BYTES", 1 << 62)
    spec = stand.spec()
    launch(engine, spec)
    with pytest.raises(EngineRefused, match="disk space"):
        engine.machines.hibernate(spec.id)
    went_on(engine, spec)
    assert not place(stand, spec).memory_part.exists()


def test_a_disk_that_fills_up_leaves_the_guest_running(
    stand: QemuStand, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    """/dev/full in the place of the file: every write fails as on a full disk."""
    spec = stand.spec()
    launch(engine, spec)
    real, part = os.open, place(stand, spec).memory_part

    def full(path: object, flags: int, *more: int, **named: int) -> int:
        if path == part:
            return real("/dev/full", os.O_WRONLY | os.O_CLOEXEC)
        return real(path, flags, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(EngineRefused, match="could not be saved"):
        engine.machines.hibernate(spec.id)
    went_on(engine, spec)


def test_a_machine_of_an_older_econe_is_not_saved(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    place(stand, spec).shape.unlink()
    with pytest.raises(EngineRefused):
        engine.machines.hibernate(spec.id)
    went_on(engine, spec)


def test_what_is_off_is_not_saved(stand: QemuStand, engine: Engine):
    spec = stand.spec(guest=Guest.HALTING)
    engine.machines.hibernate(spec.id)
    launch(engine, spec)
    engine.machines.power_off(spec.id)
    engine.machines.hibernate(spec.id)
    assert phase(engine, spec) is Phase.DEFINED
    assert not place(stand, spec).memory.exists()


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("point", SAVING)
def test_a_saving_that_was_cut_short_is_finished_by_the_next_server(
    stand: QemuStand, point: str, when: str
):
    engine, spec = stand.open(), stand.spec()
    launch(engine, spec)
    crash(stand, "hibernate", point, when)
    engine = stand.open()
    assert phase(engine, spec) in {Phase.RUNNING, Phase.DIED, Phase.DEFINED}
    engine.machines.hibernate(spec.id)
    record = place(stand, spec).read_record()
    assert record is not None
    assert qemus(record.uuid) == []
    assert phase(engine, spec) is Phase.DEFINED
    engine.machines.start(spec)
    went_on(engine, spec)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("point", WAKING)
def test_a_waking_that_was_cut_short_is_finished_by_the_next_server(
    stand: QemuStand, point: str, when: str
):
    engine, spec = stand.open(), stand.spec()
    launch(engine, spec)
    engine.machines.hibernate(spec.id)
    crash(stand, "launch", point, when)
    engine = stand.open()
    if (point, when) != ("go on", "after"):
        assert phase(engine, spec) in {Phase.DEFINED, Phase.DIED}
    engine.machines.start(spec)
    record = place(stand, spec).read_record()
    assert record is not None
    assert len(qemus(record.uuid)) == 1
    went_on(engine, spec)


def test_a_saving_that_was_cut_short_is_never_loaded_by_a_start(stand: QemuStand):
    """As when the host, and QEMU with it, fell in the middle of it."""
    engine, spec = stand.open(), stand.spec()
    launch(engine, spec)
    crash(stand, "hibernate", "keep", "before")
    stand.kill(spec.id)
    engine = stand.open()
    eventually(lambda: phase(engine, spec) is Phase.DIED, within_s=10)
    engine.machines.start(spec)
    booted_anew(stand, engine, spec)


def test_linux_goes_on_and_its_disk_is_in_order(stand: QemuStand, tiny_image: Path):
    engine, spec = stand.open(), tiny(stand, tiny_image)
    connect(engine, spec)
    engine.machines.ensure(spec)
    engine.machines.start(spec)
    eventually(lambda: b"tiny: no metadata service" in console(engine, spec), within_s=90)
    engine.machines.hibernate(spec.id)
    volume = stand.state / "volumes" / f"{spec.disks[0].volume_id}.qcow2"
    words = ["qemu-img", "check", str(volume)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    engine.machines.start(spec)
    eventually(lambda: halted(engine, spec), within_s=60, every_s=1)
    assert console(engine, spec).count(b"tiny: Linux") == 1
    assert b"tiny: going down" in console(engine, spec)
