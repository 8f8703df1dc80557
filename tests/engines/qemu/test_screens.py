"""Pictures of screens: as QEMU writes them, and of real guests."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.contract.engines import QemuStand
from tests.support.eventually import eventually

from econe.domain.engine_ports import Engine, EngineBusy, EngineRefused, MachineSpec
from econe.engines.qemu.screens import MOST_BYTES, read_picture

PIXELS = bytes(range(24))


@pytest.mark.parametrize("head", [b"P6\n4 2\n255\n", b"P6 4 2 255 "])
def test_a_picture_is_read_with_whatever_follows_it(head: bytes):
    picture = read_picture(head + PIXELS + b"\0" * 100)
    assert (picture.width, picture.height, picture.rgb) == (4, 2, PIXELS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(MOST_BYTES),
        b"P5\n4 2\n255\n" + PIXELS,
        b"P6\n4 2\n65535\n" + PIXELS,
        b"P6\n0 2\n255\n" + PIXELS,
        b"P6\n-4 2\n255\n" + PIXELS,
        b"P6\n999999999999 2\n255\n" + PIXELS,
        b"P6\n4 2\n255\n" + PIXELS[:-1],
        b"P6\n99999 99999\n255\n" + PIXELS,
    ],
)
def test_what_is_no_picture_or_half_of_one_is_refused(content: bytes):
    with pytest.raises(EngineRefused):
        read_picture(content)


def launch(engine: Engine, spec: MachineSpec) -> None:
    for nic in spec.nics:
        engine.networks.ensure(nic.network)
        engine.networks.admit(nic)
    engine.machines.ensure(spec)
    engine.machines.start(spec)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.e2e
def test_the_screen_shows_what_the_firmware_writes(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)

    def lit() -> int:
        return sum(value > 64 for value in engine.screens.picture(spec.id).rgb)

    eventually(lambda: lit() > 1000, within_s=10)  # SeaBIOS writes its name, in grey on black
    picture = engine.screens.picture(spec.id, wake=True)
    assert (picture.width, picture.height) == (720, 400)
    pid = int((stand.state / "instances" / spec.id / "pid").read_text())
    files = open_files(pid)
    again = stand.open()
    for _ in range(5):
        again.screens.picture(spec.id)
    assert open_files(pid) <= files  # nothing of it stays in QEMU


@pytest.mark.e2e
def test_a_qemu_that_hangs_is_given_up_and_handed_nothing(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    engine.screens.picture(spec.id)
    pid = int((stand.state / "instances" / spec.id / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(EngineBusy):
            engine.screens.picture(spec.id)
        assert 2 < time.monotonic() - began < 5
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: engine.screens.picture(spec.id), within_s=5)


@pytest.mark.e2e
def test_a_machine_that_is_off_shows_nothing(stand: QemuStand, engine: Engine):
    spec = stand.spec()
    with pytest.raises(EngineBusy):
        engine.screens.picture(spec.id)
    launch(engine, spec)
    engine.machines.power_off(spec.id)
    with pytest.raises(EngineBusy):
        engine.screens.picture(spec.id)
