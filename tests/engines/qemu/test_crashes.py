"""The server is killed in the middle of a deed: the next one finds sense, and finishes."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.engines import QemuUserStand

from econe.domain.engine_ports import Phase
from econe.engines.qemu import processes
from econe.engines.qemu.place import place_of

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
LAUNCH = ["disk", "record", "power", "run directory", "monitor socket", "spawn", "running"]
POWER_OFF = ["quit", "end", "let go"]
DESTROY = [*POWER_OFF, "cut", "clear"]
WHEN = ["before", "after"]


def crash(stand: QemuUserStand, deed: str, point: str, when: str) -> None:
    """In a process of its own, which must die there and not end."""
    stand.close()
    words = [sys.executable, "-m", "tests.engines.qemu.crash_at"]
    words += [str(stand.state.parent), deed, point, when]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 9, done.stderr


def qemus(uuid: str) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if processes.carries(pid, "-uuid", uuid)]


def launch(stand: QemuUserStand) -> str:
    """Its uuid."""
    engine, spec = stand.open(), stand.spec()
    for nic in spec.nics:
        engine.networks.ensure(nic.network)
        engine.networks.admit(nic)
    engine.machines.ensure(spec)
    engine.machines.start(spec)
    record = place_of(stand.state / "instances", spec.id).read_record()
    assert record is not None
    return record.uuid


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("point", LAUNCH)
def test_a_launch_that_was_cut_short_is_finished_by_the_next(stand, point, when):
    crash(stand, "launch", point, when)
    engine, spec = stand.open(), stand.spec()
    shown = engine.machines.look().get(spec.id)
    assert shown is None or shown.phase in {Phase.DEFINED, Phase.RUNNING, Phase.DIED}
    uuid = launch(stand)
    assert stand.open().machines.look()[spec.id].phase is Phase.RUNNING
    assert len(qemus(uuid)) == 1


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("point", LAUNCH)
def test_a_launch_that_was_cut_short_can_be_destroyed(stand, point, when):
    crash(stand, "launch", point, when)
    engine, spec = stand.open(), stand.spec()
    record = place_of(stand.state / "instances", spec.id).read_record()
    engine.machines.destroy(spec.id)
    engine.machines.forget(spec.id)
    engine.disks.remove(spec.disks[0].volume_id)
    assert record is None or qemus(record.uuid) == []
    for directory in ("instances", "running", "volumes"):
        assert not any((stand.state / directory).glob("*"))


def test_a_guest_that_was_just_started_when_the_server_died_is_adopted(stand):
    crash(stand, "launch", "spawn", "after")  # its pid was not written down
    engine, spec = stand.open(), stand.spec()
    assert not (stand.state / "instances" / spec.id / "pid").exists()
    assert engine.machines.look()[spec.id].phase is Phase.RUNNING
    engine.machines.start(spec)
    engine.machines.power_off(spec.id)
    assert engine.machines.look()[spec.id].phase is Phase.DEFINED


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("point", POWER_OFF)
def test_a_power_off_that_was_cut_short_is_finished_by_the_next(stand, point, when):
    uuid = launch(stand)
    crash(stand, "power_off", point, when)
    engine, spec = stand.open(), stand.spec()
    assert engine.machines.look()[spec.id].phase in {Phase.RUNNING, Phase.DIED}
    engine.machines.power_off(spec.id)
    assert engine.machines.look()[spec.id].phase is Phase.DEFINED
    assert qemus(uuid) == []


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("point", DESTROY)
def test_a_destruction_that_was_cut_short_is_finished_by_the_next(stand, point, when):
    uuid = launch(stand)
    crash(stand, "destroy", point, when)
    engine, spec = stand.open(), stand.spec()
    engine.machines.destroy(spec.id)
    assert engine.machines.look() == {}
    assert qemus(uuid) == []
    assert not (stand.state / "running" / spec.id).exists()
