"""What the contract suite does not ask: how guests are kept, and what goes wrong with QEMU."""

import os
import signal
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.engines import QemuStand, QemuUserStand, QemuVpcStand
from tests.support.eventually import eventually
from tests.support.guests import GREETING, Guest

from econe.domain.engine_ports import Engine, EngineBusy, EngineRefused, MachineSpec, Phase
from econe.domain.images import DiskFormat
from econe.engines.qemu.vpc_names import tag_of
from econe.settings import Qemu

pytestmark = pytest.mark.e2e


def launch(engine: Engine, spec: MachineSpec) -> None:
    for nic in spec.nics:
        engine.networks.ensure(nic.network)
        engine.networks.admit(nic)
    engine.machines.ensure(spec)
    engine.machines.start(spec)


def phase(engine: Engine, spec: MachineSpec) -> Phase:
    return engine.machines.look()[spec.id].phase


def pid_of(stand: QemuStand, spec: MachineSpec) -> int:
    return int((stand.state / "instances" / spec.id / "pid").read_text())


def console(engine: Engine, spec: MachineSpec) -> bytes:
    return (engine.consoles.output(spec.id) or (b"",))[0]


def tiny(stand: QemuStand, image: Path) -> MachineSpec:
    """A machine that boots a real Linux."""
    location = "1" * 32
    os.link(image, stand.shelf.path(location, DiskFormat.RAW))
    spec = stand.spec()
    root = replace(spec.disks[0], location=location)
    return replace(spec, memory_mib=256, disks=(root,))


def test_a_machine_is_running_within_two_seconds(stand, engine):
    began = time.monotonic()
    launch(engine, stand.spec())
    assert time.monotonic() - began < 2


def test_linux_boots_says_so_reboots_when_asked_and_halts_when_asked(stand, tiny_image):
    stand.settings = Qemu(reboot_grace_s=600)  # nothing but the guest's own doing reboots it
    engine = stand.open()
    spec = tiny(stand, tiny_image)
    launch(engine, spec)
    eventually(lambda: console(engine, spec).count(b"tiny: Linux") == 1, within_s=60)
    pid = pid_of(stand, spec)

    eventually(lambda: rebooted(engine, spec), within_s=60, every_s=1)
    assert phase(engine, spec) is Phase.RUNNING
    assert pid_of(stand, spec) == pid

    eventually(lambda: halted(engine, spec), within_s=60, every_s=1)


def test_a_machine_has_the_cores_and_threads_that_it_is_given(stand, engine):
    spec = replace(stand.spec(), vcpus=4, threads_per_core=2)
    launch(engine, spec)
    monitors = engine.machines.watching()
    cpus = monitors.ask(spec.id, "query-cpus-fast")
    shown = sorted((each["props"]["core-id"], each["props"]["thread-id"]) for each in cpus)
    assert shown == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {each["props"]["socket-id"] for each in cpus} == {0}


def rebooted(engine: Engine, spec: MachineSpec) -> bool:
    """Ask, and ask again: a guest that is still booting does not hear it."""
    if console(engine, spec).count(b"tiny: Linux") == 1:
        engine.machines.reset(spec.id)
        return False
    return True


def halted(engine: Engine, spec: MachineSpec) -> bool:
    if phase(engine, spec) is Phase.HALTED:
        return True
    engine.machines.shut_down(spec.id)
    return False


def test_a_reboot_that_is_under_way_goes_on_with_the_next_server(stand):
    stand.settings = Qemu(reboot_grace_s=2)
    engine, spec = stand.open(), stand.spec(guest=Guest.DEAF)
    launch(engine, spec)
    eventually(lambda: GREETING in console(engine, spec), within_s=20)
    engine.machines.reset(spec.id)
    again = stand.open()
    assert console(again, spec).count(GREETING) == 1
    eventually(lambda: console(again, spec).count(GREETING) == 2, within_s=20)
    assert not (stand.state / "instances" / spec.id / "reboot").exists()


def test_a_guest_that_is_asked_to_halt_during_a_reboot_stays_off(stand):
    stand.settings = Qemu(reboot_grace_s=600)
    engine, spec = stand.open(), stand.spec(guest=Guest.DEAF)
    launch(engine, spec)
    engine.machines.reset(spec.id)
    engine.machines.shut_down(spec.id)
    assert not (stand.state / "instances" / spec.id / "reboot").exists()


@pytest.mark.root
def test_a_guest_runs_as_a_user_of_its_own_without_rights(stand, engine):
    spec = stand.spec(7)
    launch(engine, spec)
    lines = Path(f"/proc/{pid_of(stand, spec)}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == ["200007"] * 4
    assert status["Groups"] == []
    assert int(status["CapEff"][0], 16) == int(status["CapPrm"][0], 16) == 0
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]


@pytest.mark.root
def test_a_guests_user_owns_nothing_but_its_working_directory(stand, engine):
    spec = stand.spec(7)
    launch(engine, spec)
    own = stand.state / "running" / spec.id
    owned = {path for path in stand.state.rglob("*") if path.lstat().st_uid == 200007}
    assert {own, own / "vnc.sock"} <= owned <= {own, *own.iterdir()}
    for name in ("instances", "volumes", f"running/{spec.id}"):
        assert stat.S_IMODE((stand.state / name).stat().st_mode) == 0o700


def test_a_state_directory_may_be_as_deep_as_the_file_system_allows(tmp_path):
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    stand = QemuUserStand(deep)
    try:
        engine, spec = stand.open(), stand.spec()
        launch(engine, spec)
        assert phase(engine, spec) is Phase.RUNNING
        engine = stand.open()
        assert phase(engine, spec) is Phase.RUNNING
        engine.machines.power_off(spec.id)
        assert phase(engine, spec) is Phase.DEFINED
    finally:
        stand.end()


@pytest.mark.root
def test_destroying_leaves_no_process_no_tap_and_only_the_console(tmp_path):
    stand = QemuVpcStand(tmp_path)
    try:
        engine, spec = stand.open(), stand.spec()
        launch(engine, spec)
        pid = pid_of(stand, spec)
        assert taps_of(pid) == 1
        assert spec.nics[0].interface_id in devices(stand)
        engine.machines.destroy(spec.id)
        assert not Path(f"/proc/{pid}").exists()
        assert spec.nics[0].interface_id not in devices(stand)
        assert not (stand.state / "running" / spec.id).exists()
        left = [path.name for path in (stand.state / "instances" / spec.id).iterdir()]
        assert left == ["console.log"]
        engine.machines.forget(spec.id)
        assert not any((stand.state / "instances").iterdir())
    finally:
        stand.end()


def taps_of(pid: int) -> int:
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return links.count("/dev/net/tun")


def devices(stand: QemuStand) -> set[str]:
    """The network devices in the VPC of the stand."""
    namespace = f"econe-{tag_of(stand.state)}-vpc-00000001"
    words = ["ip", "netns", "exec", namespace, "ls", "/sys/class/net"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


def emulator(tmp_path: Path, script: str) -> Qemu:
    path = tmp_path / "emulator"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    tmp_path.chmod(0o755)
    return Qemu(binary=str(path), uid_base=0)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo 'no such machine' >&2; exit 1", EngineRefused),
        ("exit 0", EngineRefused),
        ("echo 'Cannot allocate memory' >&2; exit 1", EngineBusy),
        ("kill -9 $$", EngineBusy),
    ],
)
def test_an_emulator_that_fails_at_once_leaves_the_machine_defined(stand, tmp_path, script, error):
    stand.settings = emulator(tmp_path, script)
    engine, spec = stand.open(), stand.spec()
    began = time.monotonic()
    with pytest.raises(error):
        launch(engine, spec)
    assert time.monotonic() - began < 5
    assert phase(engine, spec) is Phase.DEFINED
    stand.settings = Qemu()
    engine = stand.open()
    engine.machines.start(spec)
    assert phase(engine, spec) is Phase.RUNNING


def test_a_machine_with_more_memory_than_there_is_may_have_it_later(stand, engine):
    with pytest.raises(EngineBusy):
        launch(engine, replace(stand.spec(), memory_mib=1 << 26))


def test_a_machine_whose_content_is_gone_is_refused(stand, engine):
    spec = stand.spec()
    stand.shelf.path(spec.disks[0].location, DiskFormat.RAW).unlink()
    with pytest.raises(EngineRefused, match="content is gone"):
        launch(engine, spec)
    assert engine.machines.look() == {}
    assert engine.disks.look() == set()


def test_a_machine_whose_disk_is_gone_is_refused_and_gets_no_empty_one(stand, engine):
    spec = stand.spec()
    launch(engine, spec)
    engine.machines.power_off(spec.id)
    engine.disks.remove(spec.disks[0].volume_id)
    with pytest.raises(EngineRefused, match="disk of the machine is gone"):
        launch(engine, spec)
    assert engine.disks.look() == set()


def test_a_qemu_that_hangs_is_seen_running_and_can_be_cut_but_not_asked(stand, engine):
    spec = stand.spec()
    launch(engine, spec)
    pid = pid_of(stand, spec)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert phase(engine, spec) is Phase.RUNNING
    with pytest.raises(EngineBusy):
        engine.machines.shut_down(spec.id)
    again = stand.open()
    assert phase(again, spec) is Phase.RUNNING
    assert time.monotonic() - began < 15
    again.machines.power_off(spec.id)
    assert phase(again, spec) is Phase.DEFINED
    assert not processes_alive(pid)


def processes_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def test_a_pid_that_came_again_is_not_taken_for_the_machine(stand, engine):
    spec = stand.spec()
    launch(engine, spec)
    os.kill(pid_of(stand, spec), signal.SIGKILL)
    eventually(lambda: phase(engine, spec) is Phase.DIED, within_s=10)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (stand.state / "instances" / spec.id / "pid").write_text(f"{bystander.pid}\n")
        again = stand.open()
        assert phase(again, spec) is Phase.DIED
        again.machines.destroy(spec.id)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_died_machine_says_why_it_died(stand, engine):
    spec = stand.spec()
    launch(engine, spec)
    os.kill(pid_of(stand, spec), signal.SIGTERM)
    eventually(lambda: phase(engine, spec) is Phase.DIED, within_s=10)
    assert "terminating on signal 15" in engine.machines.look()[spec.id].why


def test_disks_are_made_of_the_asked_size_over_their_content(stand, engine):
    spec = stand.spec()
    blank = replace(
        spec.disks[0], volume_id="vol-00000009", is_root=False, device="/dev/sdf", location=""
    )
    launch(engine, replace(spec, disks=(*spec.disks, blank)))
    assert engine.disks.look() == {"vol-00000001", "vol-00000009"}
    for volume, backed in (("vol-00000001", True), ("vol-00000009", False)):
        said = subprocess.run(
            ["qemu-img", "info", "-U", stand.state / "volumes" / f"{volume}.qcow2"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "virtual size: 1 GiB" in said
        assert ("backing file" in said) is backed


def test_content_that_is_larger_than_its_volume_is_refused(stand, engine):
    spec = stand.spec()
    with stand.shelf.path(spec.disks[0].location, DiskFormat.RAW).open("r+b") as content:
        content.truncate((1 << 30) + 512)
    with pytest.raises(EngineRefused, match="larger than the volume of 1 GiB"):
        engine.machines.ensure(spec)


def test_many_machines_start_at_once(stand, engine):
    from concurrent.futures import ThreadPoolExecutor

    specs = [stand.spec(number) for number in range(1, 9)]
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda spec: launch(engine, spec), specs))
    seen = engine.machines.look()
    assert {seen[spec.id].phase for spec in specs} == {Phase.RUNNING}
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda spec: engine.machines.destroy(spec.id), specs))
    assert engine.machines.look() == {}


def test_the_end_of_a_process_is_told_also_long_after_its_monitor_has_gone(stand, tmp_path):
    """As where a kernel takes its time to take a large guest's memory back."""
    lingering = 'qemu-system-x86_64 "$@" & echo $! >$0.pid; wait; sleep 3; kill -KILL $$'
    stand.settings = emulator(tmp_path, lingering)
    engine, spec = stand.open(), stand.spec()
    launch(engine, spec)
    assert phase(engine, spec) is Phase.RUNNING
    os.kill(int((tmp_path / "emulator.pid").read_text()), signal.SIGKILL)
    time.sleep(0.5)
    assert phase(engine, spec) is Phase.RUNNING  # for up to a second it asks who does not answer
    before = stand.pokes()
    eventually(lambda: stand.pokes() > before, within_s=5)
    assert phase(engine, spec) is Phase.DIED
