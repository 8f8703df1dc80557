"""The engines that the contract suite is held against, each on a stand of its own.

A stand is a world for an engine: a state directory or a memory, opened again as often as the
server is started again. A new engine is done when it has a stand here and the suite passes.
"""

import os
import signal
import socket
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from tests.contract import real_oned
from tests.contract.opennebula import OpennebulaKnownStand, OpennebulaStand
from tests.support.guests import Guest, write_disk
from tests.support.machines import machine

from econe.domain.engine_ports import Engine, MachineSpec, NetworkSpec, Phase
from econe.domain.images import DiskFormat
from econe.engines.simulator import Simulator, World
from econe.settings import Qemu


class Stand(Protocol):
    patience_s: float
    """Longest time that a guest may take for anything that it does."""
    speaks: bool
    """Whether guests really boot, and greet on their console."""
    death: Phase
    """What look() says of a machine that was killed."""

    def open(self) -> Engine:
        """The engine as a starting server opens it, over the same world as before.

        The one opened before is closed first; its machines go on.
        """

    def spec(self, number: int = 1, guest: Guest = Guest.OBEDIENT) -> MachineSpec:
        """A machine whose guest behaves like this; all of one stand are in one network."""

    def kill(self, instance_id: str) -> None:
        """End the running machine behind the engine's back, as bad luck does."""

    def pokes(self) -> int:
        """How often the engines of this stand have said that something changed."""

    def end(self) -> None:
        """Leave nothing behind."""


class SimulatorStand:
    patience_s = 1.0
    speaks = False
    death = Phase.DIED

    def __init__(self, _directory: Path) -> None:
        self.world = World()
        self._engine: Simulator | None = None
        self._guests: dict[str, Guest] = {}
        self._pokes = 0
        self.world.script.boundaries.append(self._play_guests)

    def open(self) -> Engine:
        if self._engine is not None:
            self._engine.close()
        self._engine = Simulator(self.world)
        self._engine.open(self._poked)
        return self._engine

    def spec(self, number: int = 1, guest: Guest = Guest.OBEDIENT) -> MachineSpec:
        spec = machine(number)
        self._guests[spec.id] = guest
        return spec

    def kill(self, instance_id: str) -> None:
        self.world.die(instance_id)

    def pokes(self) -> int:
        return self._pokes

    def end(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def _poked(self) -> None:
        self._pokes += 1

    def _play_guests(self, method: str, when: str) -> None:
        if (method, when) == ("machines.start", "after"):
            for instance_id, guest in self._guests.items():
                if instance_id in self.world.machines and guest is Guest.DEAF:
                    self.world.ignore_acpi(instance_id)
                if guest is Guest.HALTING:
                    self.world.power_off_from_inside(instance_id)


class Shelf:
    """A vault that holds one raw disk for each kind of guest, made when it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)

    def put(self, guest: Guest) -> str:
        location = guest.value.ljust(32, "0")
        path = self.path(location, DiskFormat.RAW)
        if not path.exists():
            write_disk(path, guest)
        return location

    def path(self, location: str, disk_format: DiskFormat) -> Path:
        return self._directory / f"{location}.{disk_format}"


class ClosedDoor:
    """A metadata server that nobody reaches."""

    def serve(self, owner: str, listening: socket.socket) -> None:
        listening.close()

    def drop(self, owner: str) -> None:
        pass


STAND_SETTINGS = Qemu(reboot_grace_s=0.5)


class QemuStand:
    """Real QEMUs, on the network that its subclass names."""

    patience_s = 30.0
    speaks = True
    death = Phase.DIED
    network: str

    def __init__(self, directory: Path, settings: Qemu = STAND_SETTINGS) -> None:
        self.settings = settings
        self.state = directory / "state"
        self.shelf = Shelf(directory / "shelf")
        self._door = ClosedDoor()
        self._engine: Engine | None = None
        self._pokes = 0

    def open(self) -> Engine:
        from econe.engines.qemu import network_check
        from econe.engines.qemu.engine import QemuEngine

        self.close()
        choice = network_check.choose(self.network)
        networks = network_check.build(choice, self.state, "ec2.internal", self._door)
        self._engine = QemuEngine(self.state, self.settings, self.shelf, networks)  # type: ignore[arg-type]
        self._engine.open(self._poked)
        return self._engine

    def spec(self, number: int = 1, guest: Guest = Guest.OBEDIENT) -> MachineSpec:
        spec = machine(number, location=self.shelf.put(guest), network=STAND_NETWORK)
        # Ports of the user-mode network follow from ids: stands beside each other differ in them.
        own = (zlib.crc32(str(self.state).encode()) + number) % 10**8
        return replace(spec, nics=(replace(spec.nics[0], interface_id=f"eni-{own:08d}"),))

    def kill(self, instance_id: str) -> None:
        pid = int((self.state / "instances" / instance_id / "pid").read_text())
        os.kill(pid, signal.SIGKILL)

    def pokes(self) -> int:
        return self._pokes

    def end(self) -> None:
        engine = self.open()
        for instance_id in engine.machines.look():
            engine.machines.destroy(instance_id)
        for vpc_id in engine.networks.look():
            engine.networks.remove(vpc_id)
        self.close()

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _poked(self) -> None:
        self._pokes += 1


class QemuUserStand(QemuStand):
    network = "user"


class QemuVpcStand(QemuStand):
    network = "vpc"


STAND_NETWORK = NetworkSpec(
    # Not the default VPC: nothing of the host's routes is touched.
    vpc_id="vpc-00000001",
    vpc_cidr="172.31.0.0/16",
    subnet_id="subnet-00000001",
    subnet_cidr="172.31.0.0/20",
    is_default=False,
)

STANDS = [
    pytest.param(SimulatorStand, id="simulator"),
    pytest.param(OpennebulaStand, id="opennebula"),
    pytest.param(OpennebulaKnownStand, id="opennebula-known"),
    pytest.param(real_oned.RealOnedStand, id="real-oned", marks=real_oned.MARKS),
    pytest.param(QemuUserStand, id="qemu-user", marks=pytest.mark.e2e),
    pytest.param(QemuVpcStand, id="qemu-vpc", marks=[pytest.mark.e2e, pytest.mark.root]),
]
