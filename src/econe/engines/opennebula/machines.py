"""ports.Machines over oned.

Everything that changes a machine is done as its owner, so that quotas, permissions and accounting
stay where they are, and after a fresh look at it: what oned allows depends on the state
(states.py), what it answers with OK may still fail, and only look() says what came of it.
"""

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from econe.domain.engine_ports import (
    EngineBusy,
    EngineLost,
    EngineRefused,
    MachineSpec,
    Register,
    Seen,
    Stranger,
)
from econe.domain.ports import Clock, Known
from econe.engines.opennebula.binding import Binding, bind, is_its_owners, uid_of
from econe.engines.opennebula.consoles import VncConsoles
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.launcher import Launcher
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.pool import Pool
from econe.engines.opennebula.rpc import Oned
from econe.engines.opennebula.seeing import Sight
from econe.engines.opennebula.states import Standing, may
from econe.engines.opennebula.strangers import stranger
from econe.engines.opennebula.vms import HOLD, Vm

log = logging.getLogger(__name__)

_ON_ITS_WAY: Final = frozenset(
    {Standing.PENDING, Standing.ARRIVING, Standing.RUNNING, Standing.BUSY_RUNNING, Standing.UNKNOWN}
)


class OpennebulaMachines:
    def __init__(
        self,
        oned: Oned,
        directory: Directory,
        pool: Pool,
        *,
        launcher: Launcher,
        register: Register,
        marks: Marks,
        consoles: VncConsoles,
        clock: Clock,
    ) -> None:
        self._oned, self._directory, self._pool, self._launcher = oned, directory, pool, launcher
        self._register, self._marks = register, marks
        self._consoles, self._clock = consoles, clock
        self._lock = threading.Lock()
        self._chosen: dict[str, str] = {}
        """Numbers by instance id, of machines that this process made or adopted and that the
        store does not know yet."""
        self._sight = Sight()
        self._surplus: tuple[tuple[str, str], ...] = ()
        """(instance id, number) as of the last look at all."""
        self._strangers: tuple[Stranger, ...] = ()

    # --- seeing --------------------------------------------------------------------------

    def look(self, instance_ids: Collection[str] | None = None) -> Mapping[str, Seen]:
        if instance_ids is None:
            return self._look_at_all()
        found = self.find(instance_ids)
        self._consoles.saw(found, self._clock(), all_of_them=False)
        return {instance_id: self._sight.seen(vm) for instance_id, vm in found.items()}

    def _look_at_all(self) -> Mapping[str, Seen]:
        vms = self._pool.all()
        self._sight.remember(vms)
        binding = self._bind(vms)
        strangers = tuple(
            stranger(vm, self._sight.seen(vm), marked)
            for marked, vm in binding.others
            if vm.standing is not Standing.LEAVING
        )
        with self._lock:
            self._surplus = tuple((id_, vm.ref) for id_, vm in binding.surplus)
            self._strangers = strangers
        self._consoles.saw(binding.instances, self._clock(), all_of_them=True)
        return {id_: self._sight.seen(vm) for id_, vm in binding.instances.items()}

    def strangers(self) -> Sequence[Stranger]:
        """Of the last look at all: those of which the store knows nothing. No call."""
        with self._lock:
            return self._strangers

    def _bind(self, vms: Collection[Vm]) -> Binding:
        known = self._register()
        with self._lock:
            for each in known.values():
                self._chosen.pop(each.id, None)
            return bind(vms, known, dict(self._chosen), self._marks)

    def find(self, instance_ids: Collection[str]) -> dict[str, Vm]:
        """Those of the instances that there are: by number where one is known, else by mark."""
        numbers = self._numbers()
        if all(id_ in numbers for id_ in instance_ids):
            vms = self._pool.some({numbers[id_] for id_ in instance_ids})
        else:
            vms = self._pool.all()
        found = self._bind(vms).instances
        return {id_: found[id_] for id_ in instance_ids if id_ in found}

    def _numbers(self) -> dict[str, str]:
        with self._lock:
            chosen = dict(self._chosen)
        return chosen | {known.id: ref for ref, known in self._register().items()}

    def _one(self, instance_id: str) -> Vm | None:
        """As it is now; None where there is none, or one that is done."""
        ref = self._numbers().get(instance_id)
        if ref is None:
            return self.find([instance_id]).get(instance_id)
        vm = self._pool.one(ref)
        return None if vm is None else self._bind([vm]).instances.get(instance_id)

    # --- launching -----------------------------------------------------------------------

    def ensure(self, spec: MachineSpec) -> str:
        """One that this user has under this mark, else a new one, on hold until start()."""
        ref = self._numbers().get(spec.id)
        if ref is not None:
            return self._still_there(spec.id, ref)
        uid = uid_of(spec.account)
        adopted = self._bind(self._pool.all(int(uid))).instances.get(spec.id)
        if adopted is not None:
            log.info("A machine was there already id=%s vm=%s", spec.id, adopted.ref)
        ref = adopted.ref if adopted is not None else self._launcher.make(spec, uid)
        with self._lock:
            self._chosen[spec.id] = ref
        return ref

    def _still_there(self, instance_id: str, ref: str) -> str:
        """One that was known is not made anew: whether it is gone, ended() says."""
        if self._one(instance_id) is None:
            with self._lock:
                self._chosen.pop(instance_id, None)
            raise EngineBusy(f"OpenNebula's machine {ref} is not there any more")
        return ref

    def start(self, spec: MachineSpec) -> None:
        vm = self._one(spec.id)
        if vm is None:
            raise EngineBusy("There is no machine to start")
        if vm.standing in _ON_ITS_WAY:
            return
        self._do("release" if vm.state_name == HOLD else "resume", vm)

    # --- ending --------------------------------------------------------------------------

    def shut_down(self, instance_id: str, *, ending: bool = False) -> None:
        """A machine that waits for a host is kept from it. One between two states is left to get
        out of there: whoever wants it off asks again."""
        vm = self._one(instance_id)
        if vm is None:
            return
        ways = ("terminate",) if ending else ("poweroff", "hold")
        if vm.standing in _ON_ITS_WAY:
            self._do_first_allowed(ways, vm)

    def power_off(self, instance_id: str) -> None:
        """Also of a machine that was asked to halt and does not."""
        vm = self._one(instance_id)
        if vm is not None:
            self._do_first_allowed(("poweroff-hard", "hold"), vm)

    def hibernate(self, instance_id: str) -> None:
        """Never asked for: see Capabilities."""
        raise EngineRefused("OpenNebula's machines are not hibernated.", instance_id)

    def reset(self, instance_id: str) -> None:
        """oned asks the guest (ACPI), if its hypervisor's driver does."""
        vm = self._one(instance_id)
        if vm is not None and vm.standing is not Standing.OFF:
            self._do("reboot", vm)

    def destroy(self, instance_id: str) -> None:
        """Its disks go with it. In some states oned refuses; EngineBusy then."""
        vm = self._one(instance_id)
        if vm is None:
            return
        if vm.standing is Standing.LEAVING:
            self._do_first_allowed(("terminate-hard",), vm)
        else:
            self._do("terminate-hard", vm)

    def forget(self, instance_id: str) -> None:
        self._consoles.forget(instance_id)
        with self._lock:
            self._chosen.pop(instance_id, None)

    def ended(self, instance_id: str, ref: str) -> bool:
        """Done; or known to this oned no more, and it is the one that it was; or another's."""
        vm = self._pool.one(ref)
        if vm is None:
            self._directory.check_same_oned()
            return True
        if vm.standing is Standing.GONE:
            return True
        known: Known | None = self._register().get(ref)
        return (
            known is not None and known.id == instance_id and not is_its_owners(vm, known.account)
        )

    def tidy(self) -> None:
        """End what lost answers left: machines with the mark of an instance that has another, on
        hold since they were made."""
        with self._lock:
            surplus = self._surplus
        for instance_id, ref in surplus:
            try:
                self._end_surplus(instance_id, ref)
            except (EngineBusy, EngineRefused, EngineLost) as why:
                log.warning("A machine too many stays id=%s vm=%s why=%s", instance_id, ref, why)

    def _end_surplus(self, instance_id: str, ref: str) -> None:
        now = self._pool.one(ref)
        counts = self._one(instance_id)
        if now is None or counts is None or counts.ref == ref or not now.never_ran:
            return
        if self._marks.verified(now.our_id, now.mark, now.uid) == instance_id:
            log.warning("Ending a machine too many id=%s vm=%s", instance_id, ref)
            self._do("terminate-hard", now)

    # --- doing ---------------------------------------------------------------------------

    def _do_first_allowed(self, actions: Sequence[str], vm: Vm) -> None:
        """Nothing happens where none is."""
        for action in actions:
            if may(action, vm.state, vm.lcm_state):
                self._do(action, vm)
                return

    def _do(self, action: str, vm: Vm) -> None:
        """As the machine's owner. OK means that oned will try."""
        if not may(action, vm.state, vm.lcm_state):
            raise EngineBusy(f"OpenNebula takes no {action} in the state {vm.state_name}")
        session = self._directory.session_of(vm.uid)
        self._oned.call(session, "one.vm.action", action, vm.number)
        log.info("Asked OpenNebula vm=%s action=%s in=%s", vm.ref, action, vm.state_name)
