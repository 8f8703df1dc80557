"""Run one deed of the engine in a process that dies in the middle of it: see test_crashes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.engines import QemuUserStand

from econe.engines.qemu import disks, hibernation, launcher, machines, monitor, place, processes

CODE = 9

POINTS: dict[str, tuple[Any, str]] = {
    "disk": (disks.QemuDisks, "_create"),
    "record": (place.Place, "write_record"),
    "power": (place.Place, "write_power"),
    "run directory": (launcher, "_make_run_directory"),
    "monitor socket": (launcher, "listen_at"),
    "spawn": (processes, "spawn"),
    "running": (machines.QemuMachines, "_await_past"),
    "begin to save": (hibernation, "_begin"),
    "wait for the saving": (hibernation, "_wait"),
    "keep": (hibernation, "_keep"),
    "consume": (hibernation, "consume"),
    "go on": (machines.QemuMachines, "_go_on"),
    "quit": (machines.QemuMachines, "_quit"),
    "end": (machines.QemuMachines, "_end"),
    "let go": (monitor.Monitors, "let_go"),
    "cut": (machines.QemuMachines, "_cut"),
    "clear": (place.Place, "clear"),
}


def dying(call: Callable[..., Any], when: str) -> Callable[..., Any]:
    def die(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            call(*args, **kwargs)
        os._exit(CODE)

    return die


def main(directory: str, deed: str, point: str, when: str) -> None:
    stand = QemuUserStand(Path(directory))
    engine = stand.open()
    spec = stand.spec()
    for nic in spec.nics:
        engine.networks.ensure(nic.network)
        engine.networks.admit(nic)
    owner, name = POINTS[point]
    setattr(owner, name, dying(getattr(owner, name), when))
    if deed == "launch":
        engine.machines.ensure(spec)
        engine.machines.start(spec)
    else:
        getattr(engine.machines, deed)(spec.id)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
