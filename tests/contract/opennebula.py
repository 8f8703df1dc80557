"""The stand of the OpenNebula engine: over the stand-in for oned."""

from dataclasses import replace
from pathlib import Path

from tests.support.guests import Guest
from tests.support.machines import machine
from tests.support.oned import Oned, Pace, prepared_world
from tests.support.oned.machine import Lcm
from tests.support.oned.machine import Machine as OnedMachine
from tests.support.oned.prepared import SECRET

from econe.domain.accounts import number_of
from econe.domain.engine_ports import Engine, MachineSpec, Phase
from econe.domain.hidden import Hidden
from econe.domain.ports import Known
from econe.engines.opennebula.engine import OpennebulaEngine
from econe.engines.simulator.world import utc_now
from econe.settings import Opennebula

MARK_KEY = Hidden(b"contract " * 4)


class OpennebulaStand:
    patience_s = 5.0
    speaks = False
    death = Phase.HALTED
    """oned's monitor says the same of a killed machine and of a guest that switched itself off."""

    def __init__(
        self,
        directory: Path,
        *,
        pace: Pace | None = None,
        timeout_s: float = 5.0,
        version: str = "7.0.2",
    ) -> None:
        pace = pace or Pace(shutdown_timeout_s=0.1)
        self.prepared = prepared_world(upload_dir=str(directory), pace=pace, version=version)
        self.world = self.prepared.world
        public = [1, 1, 0, 0, 0, 0, 1, 0, 0]
        self.image = self.world.add_image("base", self.prepared.helen, rights=public)
        self.oned = Oned(self.world).start()
        self.state = directory / "state"
        self.state.mkdir()
        credentials = directory / "ec2_auth"
        credentials.write_text(f"serveradmin:{SECRET}\n")
        credentials.chmod(0o600)
        self.settings = Opennebula(
            endpoint=self.oned.url,
            credentials=credentials,
            look_every_s=0.05,
            timeout_s=timeout_s,
            upload_path=directory / "uploads",
        )
        self.known: dict[str, Known] = {}
        """What the store would say."""
        self._guests: dict[str, Guest] = {}
        self._engine: OpennebulaEngine | None = None
        self._pokes = 0
        self.oned.faults.boundaries.append(self._play_guests)

    def open(self) -> Engine:
        if self._engine is not None:
            self._engine.close()
        self._engine = OpennebulaEngine(
            self.state,
            self.settings,
            register=self.register,
            mark_key=MARK_KEY,
            clock=utc_now,
        )
        self._engine.open(self._poked)
        return self._engine

    def register(self) -> dict[str, Known]:
        return dict(self.known)

    def spec(self, number: int = 1, guest: Guest = Guest.OBEDIENT) -> MachineSpec:
        spec = machine(number)
        self._guests[spec.id] = guest
        network = replace(spec.nics[0].network, engine_ref=str(self.prepared.network.id))
        return replace(
            spec,
            account=number_of(str(self.prepared.helen.id)),
            image_id="ami-00000001",
            image_ref=str(self.image.id),
            template_ref=str(self.prepared.m1_small.id),
            nics=(replace(spec.nics[0], network=network),),
        )

    def vms(self, instance_id: str) -> list[OnedMachine]:
        """All that carry this id and are not done."""
        return [vm for vm in self.world.vms() if vm.user_template.get("ECONE_ID") == instance_id]

    def kill(self, instance_id: str) -> None:
        (vm,) = self.vms(instance_id)
        self.world.guest_powers_off(vm)

    def pokes(self) -> int:
        return self._pokes

    def end(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self.oned.stop()

    def _poked(self) -> None:
        self._pokes += 1

    def _play_guests(self, _method: str, when: str) -> None:
        if when == "before":
            for vm in self.world.vms():
                guest = self._guests.get(vm.user_template.get("ECONE_ID"))
                if guest is Guest.DEAF:
                    self.world.guest_ignores_acpi(vm)
                if guest is Guest.HALTING and vm.is_in(Lcm.RUNNING):
                    self.world.guest_powers_off(vm)


class OpennebulaKnownStand(OpennebulaStand):
    """The same with a store that learned of each machine when it was made, and needs no marks."""

    def register(self) -> dict[str, Known]:
        account = number_of(str(self.prepared.helen.id))
        return {
            str(vm.id): Known(vm.user_template.get("ECONE_ID"), account)
            for vm in self.world.vms()
            if vm.user_template.get("ECONE_ID")
        }
