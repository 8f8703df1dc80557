"""What a look says of a virtual machine."""

from collections.abc import Iterable
from typing import Final

from econe.domain.engine_ports import Phase, Seen
from econe.domain.reasons import Reason
from econe.engines.opennebula.states import Standing
from econe.engines.opennebula.vms import Vm

MONITOR_ACTION: Final = "44"
"""HISTORY/ACTION when the monitor found the machine off though nobody had asked for it
(VMActions.h; LifeCycleManager::trigger_monitor_poweroff)."""

PHASES: Final = {
    Standing.PENDING: Phase.MOVING,
    Standing.ARRIVING: Phase.MOVING,
    Standing.RUNNING: Phase.RUNNING,
    Standing.BUSY_RUNNING: Phase.RUNNING,
    Standing.UNKNOWN: Phase.RUNNING,
    Standing.HALTING: Phase.MOVING,
    Standing.OFF: Phase.DEFINED,
    Standing.LEAVING: Phase.MOVING,
    Standing.FAILED: Phase.FAILED,
}
"""All but GONE. A machine of which oned knows nothing at present is left as it is: its host may
come back, and the machine with it."""

NO_PLACE: Final = Reason(
    "Server.InsufficientInstanceCapacity",
    "Server.InsufficientInstanceCapacity: No host has room for the instance at present",
)
GAVE_UP: Final = Reason(
    "Server.InternalError", "Server.InternalError: The cloud could not keep the instance going"
)


class Sight:
    """Vm to Seen, with what has to be remembered for it between looks."""

    def __init__(self) -> None:
        self._lost: set[str] = set()

    def remember(self, vms: Iterable[Vm]) -> None:
        """All that there are, once for each look at all of them: which were lost from sight and
        have not been seen running since."""
        lost = self._lost
        self._lost = {
            vm.ref
            for vm in vms
            if vm.standing is Standing.UNKNOWN
            or (vm.ref in lost and vm.standing is not Standing.RUNNING)
        }

    def seen(self, vm: Vm) -> Seen:
        """KeyError for one that is done."""
        why, reason = self._why(vm)
        return Seen(
            self._phase(vm),
            vm.ref,
            why=why,
            reason=reason,
            never_ran=vm.never_ran,
            nics=vm.nics(),
            firmware=vm.firmware,
        )

    def _phase(self, vm: Vm) -> Phase:
        """The monitor says the same of a guest that switched itself off, of a killed QEMU and of a
        host that came back without its machines (kvm-probes.d/vm/status/state.rb, missing_state).
        The first is the usual case; the last is told by its having been UNKNOWN before, and may
        not end a machine that is to be terminated when its guest switches it off."""
        if vm.state_name == "POWEROFF" and vm.last("ACTION") == MONITOR_ACTION:
            return Phase.DEFINED if vm.ref in self._lost else Phase.HALTED
        return PHASES[vm.standing]

    def _why(self, vm: Vm) -> tuple[str, Reason]:
        match vm.standing:
            case Standing.PENDING:
                message = vm.user_attribute("SCHED_MESSAGE")
                return message, NO_PLACE if message else Reason()
            case Standing.UNKNOWN:
                host = vm.last("HOSTNAME")
                return f"OpenNebula says {vm.state_name}; its host is {host}", Reason()
            case Standing.FAILED:
                error = vm.user_attribute("ERROR") or "without a word why"
                return f"OpenNebula says {vm.state_name}: {error}", GAVE_UP
        return "", Reason()
