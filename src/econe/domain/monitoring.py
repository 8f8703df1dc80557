"""MonitorInstances and its opposite: what is asked here, the work plane's sampling makes true."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from econe.domain.engine_ports import Capabilities
from econe.domain.faults import Noun, Unsupported, WrongState
from econe.domain.fleet import find_instances
from econe.domain.instances import Instance, InstanceState, Monitoring
from econe.domain.ports import Transaction

_ENDED: Final = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


def set_monitoring(
    tx: Transaction, account: str, asked: Sequence[str], can: Capabilities, *, on: bool
) -> list[Instance]:
    """The instances after it; all or none. Twice is not an error. Of one that does not run it is
    true at once: nothing is sampled."""
    check_meters(can)
    rows = find_instances(tx, account, asked)
    for row in rows:
        if row.state in _ENDED:
            raise WrongState(
                Noun.INSTANCE,
                row.id,
                f"The instance '{row.id}' is {row.state} and cannot be monitored.",
            )
    return [_set(tx, row, on=on) for row in rows]


def check_meters(can: Capabilities) -> None:
    if not can.meters:
        raise Unsupported(
            Noun.REQUEST, said="This cloud cannot measure what its instances use (Monitoring)."
        )


def _set(tx: Transaction, row: Instance, *, on: bool) -> Instance:
    if row.monitored is on:
        return row
    if row.state is InstanceState.RUNNING:
        wish = Monitoring.PENDING if on else Monitoring.DISABLING
    else:
        wish = Monitoring.ENABLED if on else Monitoring.DISABLED
    return tx.instances.save(replace(row, monitoring=wish))
