"""What OpenNebula tells of how machines are: its states, and what its monitor last counted.

Nobody here can ask a guest. But a guest that has sent something since its machine was started is
there, or was: the counter stays when it falls silent, so only its absence would be noticed by
nobody. The monitor's figures are as old as its interval (half a minute and more).
"""

from collections.abc import Mapping
from typing import Final

from econe.domain.engine_ports import Subject, Vitals
from econe.domain.health import Pulse
from econe.engines.opennebula.documents import number
from econe.engines.opennebula.machines import OpennebulaMachines
from econe.engines.opennebula.pool import Pool
from econe.engines.opennebula.states import Standing
from econe.engines.opennebula.vms import Vm

SENT: Final = "NETTX"
TAKEN_AT: Final = "TIMESTAMP"
_RUNNING: Final = frozenset({Standing.RUNNING, Standing.BUSY_RUNNING})


class OpennebulaChecks:
    """ports.Checks: two calls, whatever the number."""

    def __init__(self, machines: OpennebulaMachines, pool: Pool) -> None:
        self._machines, self._pool = machines, pool

    def look(self, subjects: Mapping[str, Subject]) -> Mapping[str, Vitals]:
        vms = self._machines.find(subjects)
        monitored = self._pool.monitoring() if vms else {}
        return {
            id_: Vitals(
                machine=Pulse.BEATS if vm.standing in _RUNNING else Pulse.STILL,
                guest=_guest(vm, monitored.get(vm.ref, {})),
            )
            for id_, vm in vms.items()
        }


def _guest(vm: Vm, counted: Mapping[str, str]) -> Pulse:
    """Figures from before its start say nothing (RSTIME: HistoryRecord, "running since")."""
    started_at, taken_at = number(vm.last("RSTIME")) or 0, number(counted.get(TAKEN_AT)) or 0
    sent = number(counted.get(SENT)) or 0
    return Pulse.BEATS if sent > 0 and taken_at >= started_at else Pulse.UNHEARD
