"""The engines that the contract suite is held against, each on a stand of its own.

A stand is a world for an engine: a state directory or a memory, opened again as often as the
server is started again. A new engine is done when it has a stand here and the suite passes.
"""

from pathlib import Path
from typing import Protocol

import pytest
from tests.support.guests import Guest
from tests.support.machines import machine

from econe.domain.ports import Engine, MachineSpec
from econe.engines.simulator import Simulator, World


class Stand(Protocol):
    patience_s: float
    """Longest time that a guest may take for anything that it does."""
    speaks: bool
    """Whether guests really boot, and greet on their console."""

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

    def __init__(self, _directory: Path) -> None:
        self.world = World()
        self._engine: Simulator | None = None
        self._guests: dict[str, Guest] = {}
        self._pokes = 0
        self.world.script.boundary = self._play_guests

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


STANDS = [pytest.param(SimulatorStand, id="simulator")]
