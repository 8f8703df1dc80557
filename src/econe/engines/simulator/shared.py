"""Machines as a cluster has them: what is asked of one takes until the look after the next, others
command it too, and it is gone when it is seen no more."""

import threading
from collections.abc import Collection, Mapping
from typing import Final

from econe.domain.engine_ports import (
    Capabilities,
    EngineBusy,
    EngineRefused,
    MachineSpec,
    Phase,
    Register,
    Seen,
    SeenNic,
)
from econe.engines.simulator.engine import SimulatedMachines, Simulator
from econe.engines.simulator.estate import SimulatedEstate, nothing_known
from econe.engines.simulator.images import SimulatedImages
from econe.engines.simulator.world import World

NETWORK: Final = "10.99.0"


class SharedMachines(SimulatedMachines):
    def __init__(self, world: World, estate: SimulatedEstate) -> None:
        super().__init__(world, 0.0, threading.Event())
        self._estate = estate

    def ensure(self, spec: MachineSpec) -> str:
        """As a cluster does it, the machine has its addresses from now on."""
        ref = super().ensure(spec)
        with self._world.lock:
            machine = self._world.machines[spec.id]
            if machine.nics is None:
                number = int(ref.rpartition("-")[2])
                machine.nics = tuple(
                    SeenNic(f"02:00:0a:63:00:{number:02x}", f"{NETWORK}.{number}", where)
                    for where in [nic.network.engine_ref or "0" for nic in spec.nics]
                )
        return ref

    def start(self, spec: MachineSpec) -> None:
        with self._world.script.call("machines.start"), self._world.lock:
            machine = self._world.machines.get(spec.id)
            if machine is None:
                raise EngineRefused("The machine does not exist.", hidden=spec.id)
            if machine.phase not in (Phase.RUNNING, Phase.MOVING):
                self._world.begin(spec.id, self._world.boot)

    def shut_down(self, instance_id: str, *, ending: bool = False) -> None:
        with self._world.script.call("machines.shut_down"), self._world.lock:
            machine = self._world.machines.get(instance_id)
            if machine is not None and machine.phase is Phase.RUNNING and not machine.deaf:
                self._world.begin(instance_id, self._world.drop if ending else self._world.cut)

    def power_off(self, instance_id: str) -> None:
        with self._world.script.call("machines.power_off"), self._world.lock:
            machine = self._world.machines.get(instance_id)
            if machine is not None and machine.phase is Phase.RUNNING:
                self._world.begin(instance_id, self._world.cut)

    def destroy(self, instance_id: str) -> None:
        """Refused while it is on its way, as a cluster does."""
        with self._world.script.call("machines.destroy"), self._world.lock:
            machine = self._world.machines.get(instance_id)
            if machine is None:
                return
            if machine.phase is Phase.MOVING:
                raise EngineBusy("The machine is between two states.")
            self._world.begin(instance_id, self._world.drop)

    def ended(self, instance_id: str, ref: str) -> bool:  # noqa: ARG002 - named by ref alone
        with self._world.script.call("machines.ended"), self._world.lock:
            return all(machine.ref != ref for machine in self._world.machines.values())

    def look(self, instance_ids: Collection[str] | None = None) -> Mapping[str, Seen]:
        """What was moving when it is shown has arrived when it is looked for again."""
        with self._world.script.call("machines.look"), self._world.lock:
            if instance_ids is None:
                self._estate.sort_out()
            machines = self._world.machines
            wanted = list(machines) if instance_ids is None else instance_ids
            shown = {
                instance_id: Seen(
                    machine.phase,
                    machine.ref,
                    why=machine.why,
                    never_ran=machine.boots == 0,
                    nics=machine.nics,
                )
                for instance_id in wanted
                if (machine := machines.get(instance_id)) is not None
            }
            if instance_ids is None:
                self._world.arrive()
            return shown


class SharedSimulator(Simulator):
    """A cluster in memory."""

    can = Capabilities(
        name="simulator",
        network="none",
        shared=True,
        gives_addresses=True,
        keeps_images=True,
        keeps_disks=False,
        metadata=False,
        reasons=Simulator.can.reasons,
    )

    def __init__(self, world: World | None = None, *, register: Register = nothing_known) -> None:
        super().__init__(world)
        self.estate = SimulatedEstate(self.world, register)
        self.images = SimulatedImages(self.world)
        self.meters = None
        self.machines = SharedMachines(self.world, self.estate)
