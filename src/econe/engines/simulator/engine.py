"""The ports of ports.Engine over a World. It keeps every promise that a real engine must keep, and
is held to them by the same suite (tests/contract)."""

import threading
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from econe.domain.engine_ports import (
    Capabilities,
    EngineBusy,
    EngineRefused,
    Estate,
    MachineSpec,
    Meters,
    NetworkSpec,
    NicSpec,
    Phase,
    Seen,
    Subject,
    Vitals,
)
from econe.domain.image_ports import Images
from econe.domain.ports import Firmware, Picture, Poke
from econe.domain.samples import Reading
from econe.domain.uefi import UefiVariable
from econe.engines.simulator.world import World

TEXT_MODE: Final = (720, 400)
"""Pixels of a PC's screen before anything was drawn on it."""


class Simulator:
    """`start_delay_s`: how long start() takes, as a real hypervisor's would."""

    can = Capabilities(
        name="simulator",
        network="none",
        topology=True,
        hibernation=True,
        uefi=True,
        uefi_data=True,
        architectures=("i386", "x86_64"),
        meters=True,
        routing_guests=True,
        reasons={"vpc": "the simulator runs no machines", "kvm": "nothing is executed"},
    )

    def __init__(self, world: World | None = None, *, start_delay_s: float = 0.0) -> None:
        self.world = world or World()
        self._closed = threading.Event()
        self.machines = SimulatedMachines(self.world, start_delay_s, self._closed)
        self.disks = SimulatedDisks(self.world)
        self.networks = SimulatedNetworks(self.world)
        self.consoles = SimulatedConsoles(self.world)
        self.checks = SimulatedChecks(self.world)
        self.meters: Meters | None = SimulatedMeters(self.world)
        self.screens = SimulatedScreens(self.world)
        self.firmware: Firmware | None = SimulatedFirmware(self.world)
        self.images: Images | None = None
        self.staged = None
        self.estate: Estate | None = None

    def open(self, changed: Poke) -> None:
        self._closed.clear()
        self.world.watcher = changed

    def tidy(self) -> None:
        """Nothing grows: consoles are cut to length as they are written."""

    def close(self) -> None:
        self._closed.set()
        self.world.watcher = None


class SimulatedMachines:
    def __init__(self, world: World, start_delay_s: float, closed: threading.Event) -> None:
        self._world, self._delay_s, self._closed = world, start_delay_s, closed

    def ensure(self, spec: MachineSpec) -> str:
        with self._world.script.call("machines.ensure"):
            return self._world.define(spec)

    def start(self, spec: MachineSpec) -> None:
        """Refuses a machine that was not defined, or that its network does not know."""
        with self._world.script.call("machines.start"):
            if self._delay_s > 0 and not self._runs(spec.id):
                self._closed.wait(self._delay_s)
            with self._world.lock:
                self._check(spec)
                if not self._runs(spec.id) and not self._world.wake(spec.id):
                    self._world.machines[spec.id].spec = spec  # its type may have been changed
                    self._world.boot(spec.id)

    def _runs(self, instance_id: str) -> bool:
        with self._world.lock:
            machine = self._world.machines.get(instance_id)
            return machine is not None and machine.phase is Phase.RUNNING

    def _check(self, spec: MachineSpec) -> None:
        if spec.id not in self._world.machines:
            raise EngineRefused("The machine does not exist.", hidden=spec.id)
        for nic in spec.nics:
            if nic.interface_id not in self._world.networks.get(nic.network.vpc_id, {}):
                raise EngineRefused(
                    "The network does not know this machine.", hidden=nic.interface_id
                )

    def shut_down(self, instance_id: str, *, ending: bool = False) -> None:  # noqa: ARG002 - halting is all
        with self._world.script.call("machines.shut_down"), self._world.lock:
            machine = self._world.machines.get(instance_id)
            if machine is not None and not machine.deaf:
                self._world.power_off_from_inside(instance_id)

    def hibernate(self, instance_id: str) -> None:
        with self._world.script.call("machines.hibernate"):
            self._world.fall_asleep(instance_id)

    def power_off(self, instance_id: str) -> None:
        with self._world.script.call("machines.power_off"):
            self._world.cut(instance_id)

    def reset(self, instance_id: str) -> None:
        with self._world.script.call("machines.reset"), self._world.lock:
            machine = self._world.machines.get(instance_id)
            if machine is not None and machine.phase is Phase.RUNNING:
                self._world.boot(instance_id)

    def destroy(self, instance_id: str) -> None:
        with self._world.script.call("machines.destroy"), self._world.lock:
            if self._world.machines.pop(instance_id, None) is not None:
                self._world.changed()

    def forget(self, instance_id: str) -> None:
        with self._world.script.call("machines.forget"), self._world.lock:
            self._world.consoles.pop(instance_id, None)

    def ended(self, instance_id: str, ref: str) -> bool:  # noqa: ARG002 - nothing else is told of
        return True

    def look(self, instance_ids: Collection[str] | None = None) -> Mapping[str, Seen]:
        with self._world.script.call("machines.look"), self._world.lock:
            machines = self._world.machines
            wanted = machines if instance_ids is None else instance_ids
            return {
                instance_id: Seen(machine.phase, machine.ref, why=machine.why)
                for instance_id in wanted
                if (machine := machines.get(instance_id)) is not None
            }


class SimulatedDisks:
    def __init__(self, world: World) -> None:
        self._world = world

    def remove(self, volume_id: str) -> None:
        with self._world.script.call("disks.remove"), self._world.lock:
            self._world.disks.pop(volume_id, None)

    def look(self) -> set[str]:
        with self._world.script.call("disks.look"), self._world.lock:
            return set(self._world.disks)


class SimulatedNetworks:
    def __init__(self, world: World) -> None:
        self._world = world

    def ensure(self, network: NetworkSpec) -> None:
        with self._world.script.call("networks.ensure"), self._world.lock:
            self._world.networks.setdefault(network.vpc_id, {})

    def admit(self, nic: NicSpec) -> None:
        """Refuses an interface whose network is not up."""
        with self._world.script.call("networks.admit"), self._world.lock:
            if nic.network.vpc_id not in self._world.networks:
                raise EngineRefused("The network is not up.", hidden=nic.network.vpc_id)
            self._world.networks[nic.network.vpc_id][nic.interface_id] = nic

    def dismiss(self, network: NetworkSpec, interface_id: str) -> None:
        with self._world.script.call("networks.dismiss"), self._world.lock:
            self._world.networks.get(network.vpc_id, {}).pop(interface_id, None)

    def remove(self, vpc_id: str) -> None:
        with self._world.script.call("networks.remove"), self._world.lock:
            self._world.networks.pop(vpc_id, None)

    def look(self) -> set[str]:
        with self._world.script.call("networks.look"), self._world.lock:
            return set(self._world.networks)


class SimulatedConsoles:
    """Reads only what is in memory; no scripted faults, since the request plane reads it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def output(self, instance_id: str) -> tuple[bytes, datetime] | None:
        with self._world.lock:
            console = self._world.consoles.get(instance_id)
            return (bytes(console.text), console.at) if console else None


class SimulatedChecks:
    """Guests answer from their start on, unless a test says otherwise."""

    def __init__(self, world: World) -> None:
        self._world = world

    def look(self, subjects: Mapping[str, Subject]) -> Mapping[str, Vitals]:
        with self._world.script.call("checks.look"), self._world.lock:
            return {
                instance_id: Vitals(machine.answers, machine.guest_answers)
                for instance_id in subjects
                if (machine := self._world.machines.get(instance_id)) is not None
                and machine.phase is Phase.RUNNING
            }


class SimulatedMeters:
    """Machines that run nothing use nothing, unless a test says otherwise."""

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, subjects: Mapping[str, Subject]) -> Mapping[str, Reading]:
        with self._world.script.call("meters.read"), self._world.lock:
            return {
                instance_id: machine.used
                for instance_id in subjects
                if (machine := self._world.machines.get(instance_id)) is not None
                and machine.phase is Phase.RUNNING
            }


class SimulatedScreens:
    """What the screen of a machine without an operating system shows: nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def picture(self, instance_id: str, *, wake: bool = False) -> Picture:
        with self._world.script.call("screens.picture"), self._world.lock:
            machine = self._world.machines.get(instance_id)
            if machine is None or machine.phase is not Phase.RUNNING:
                raise EngineBusy(f"{instance_id} is off")
            machine.woken += wake
            return Picture(TEXT_MODE[0], TEXT_MODE[1], bytes(3 * TEXT_MODE[0] * TEXT_MODE[1]))


class SimulatedFirmware:
    """Variables are what tests give machines: none runs that could write any."""

    def __init__(self, world: World) -> None:
        self._world = world

    def variables(self, instance_id: str) -> tuple[UefiVariable, ...]:
        with self._world.script.call("firmware.variables"), self._world.lock:
            machine = self._world.machines.get(instance_id)
            if machine is None or machine.spec is None or not machine.spec.uefi:
                raise EngineBusy(f"{instance_id} has no variables")
            return machine.variables
