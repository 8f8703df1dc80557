"""What goes on while the server does not: machines, disks and networks that exist by themselves.

A World is kept while engines over it are closed and opened again, as QEMU's processes outlive
the server. Tests play the guest's part here: switch off, die, write to the console.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from econe.domain.engine_ports import DiskSpec, MachineSpec, NicSpec, Phase, SeenNic
from econe.domain.health import Pulse
from econe.domain.ports import Clock, Poke
from econe.domain.samples import Reading
from econe.domain.uefi import UefiVariable
from econe.domain.uefi_data import variables_of
from econe.engines.simulator.cluster import Cluster
from econe.engines.simulator.script import Script

NOTHING = Reading(0.0, 0, 0, 0, 0, 0, 0, 0, 0)
CONSOLE_KEPT = 64 * 1024
"""Bytes: what GetConsoleOutput shows at most (API reference)."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Machine:
    spec: MachineSpec | None
    """None: econe did not make it."""
    ref: str
    phase: Phase = Phase.DEFINED
    boots: int = 0
    why: str = ""
    deaf: bool = False
    """Its guest ignores the power button."""
    answers: Pulse = Pulse.BEATS
    guest_answers: Pulse = Pulse.BEATS
    """What status checks find."""
    used: Reading = NOTHING
    asleep: bool = False
    """Its memory is kept."""
    woken: int = 0
    """Keys that were pressed to wake its screen."""
    variables: tuple[UefiVariable, ...] = ()
    """Of one that boots by UEFI."""
    nics: tuple[SeenNic, ...] | None = None
    """Addresses that the engine gave it."""


@dataclass(slots=True)
class Console:
    at: datetime
    text: bytearray = field(default_factory=bytearray)


class World:
    """Every method is atomic. Attributes may be read by tests, and are written only under lock."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.script = Script()
        self.machines: dict[str, Machine] = {}
        self.made = 0
        """Machines ever made: a second one for the same id would show here."""
        self.disks: dict[str, DiskSpec] = {}
        self.networks: dict[str, dict[str, NicSpec]] = {}
        """VPC -> interface id -> what it was admitted as."""
        self.consoles: dict[str, Console] = {}
        self.moving: dict[str, Callable[[str], None]] = {}
        """What becomes of machines between two phases, where machines are shared."""
        self.cluster = Cluster()
        self.watcher: Poke | None = None
        """Of the engine that is open."""

    # --- what guests and bad luck do -----------------------------------------------------

    def power_off_from_inside(self, instance_id: str) -> None:
        """The guest switches its machine off."""
        self._leave(instance_id, Phase.HALTED, "Power down.")

    def die(self, instance_id: str, why: str = "killed") -> None:
        """The machine ends though neither guest nor server asked for it."""
        self._leave(instance_id, Phase.DIED, "", why)

    def reboot_host(self) -> None:
        """All machines die, and no network is left; disks and definitions are still there."""
        with self.lock:
            for instance_id in list(self.machines):
                self._leave(instance_id, Phase.DIED, "", "the host was rebooted")
            self.networks.clear()

    def ignore_acpi(self, instance_id: str) -> None:
        """From now on the guest does not hear the power button."""
        with self.lock:
            self.machines[instance_id].deaf = True

    def write_console(self, instance_id: str, data: bytes) -> None:
        with self.lock:
            console = self.consoles.setdefault(instance_id, Console(self.clock()))
            console.text += data
            del console.text[:-CONSOLE_KEPT]
            console.at = self.clock()

    # --- what an engine does -------------------------------------------------------------

    def define(self, spec: MachineSpec) -> str:
        with self.lock:
            machine = self.machines.get(spec.id)
            if machine is None:
                self.made += 1
                machine = self.machines[spec.id] = Machine(spec, f"sim-{self.made}")
                if spec.uefi_data:
                    machine.variables = variables_of(spec.uefi_data)
            for disk in spec.disks:
                self.disks.setdefault(disk.volume_id, disk)
            self.changed()
            return machine.ref

    def begin(self, instance_id: str, deed: Callable[[str], None]) -> None:
        """It is moving from now on, and `deed` is done when it arrives (SharedMachines)."""
        with self.lock:
            self.machines[instance_id].phase = Phase.MOVING
            self.moving[instance_id] = deed
            self.changed()

    def arrive(self) -> None:
        """What was moving is where it was going."""
        with self.lock:
            arriving, self.moving = self.moving, {}
            for instance_id, deed in arriving.items():
                if instance_id in self.machines:
                    deed(instance_id)

    def drop(self, instance_id: str) -> None:
        with self.lock:
            if self.machines.pop(instance_id, None) is not None:
                self.changed()

    def boot(self, instance_id: str) -> None:
        """Power on, or reset: the guest begins from its first line."""
        with self.lock:
            machine = self.machines[instance_id]
            machine.phase, machine.why = Phase.RUNNING, ""
            machine.boots += 1
            machine.asleep = False
            lines = [f"{instance_id}: boot {machine.boots} at {self.clock():%Y-%m-%d %H:%M:%S} UTC"]
            if spec := machine.spec:
                lines.append(
                    f"{spec.instance_type}, {spec.vcpus} vCPU ({spec.threads_per_core} a core), "
                    f"{spec.memory_mib} MiB"
                )
            lines.append("This is econe's simulator: no virtual machine runs behind this console.")
            self.write_console(instance_id, "".join(f"{line}\r\n" for line in lines).encode())
            self.changed()

    def cut(self, instance_id: str) -> None:
        with self.lock:
            machine = self.machines.get(instance_id)
            if machine is not None and machine.phase is not Phase.DEFINED:
                machine.phase, machine.why = Phase.DEFINED, ""
                self.changed()

    def fall_asleep(self, instance_id: str) -> None:
        """Off, with its memory kept. Nothing happens if it is off."""
        with self.lock:
            machine = self.machines.get(instance_id)
            if machine is not None and machine.phase is Phase.RUNNING:
                machine.asleep = True
                self.cut(instance_id)

    def wake(self, instance_id: str) -> bool:
        """The guest goes on where it was; False if no memory is kept."""
        with self.lock:
            machine = self.machines[instance_id]
            if not machine.asleep:
                return False
            machine.phase, machine.why, machine.asleep = Phase.RUNNING, "", False
            self.changed()
            return True

    def changed(self) -> None:
        if self.watcher is not None:
            self.watcher()

    def _leave(self, instance_id: str, phase: Phase, words: str, why: str = "") -> None:
        with self.lock:
            machine = self.machines.get(instance_id)
            if machine is None or machine.phase is not Phase.RUNNING:
                return
            machine.phase, machine.why = phase, why
            if words:
                self.write_console(instance_id, f"{words}\r\n".encode())
            self.changed()
