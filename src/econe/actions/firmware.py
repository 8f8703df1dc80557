"""GetInstanceUefiData: the UEFI variables of an instance."""

from typing import Any, Final

from econe.actions.context import Context
from econe.actions.registry import action
from econe.domain.cloud import Cloud
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.faults import Noun, Unavailable, Unsupported, WrongState
from econe.domain.fleet import find_instances
from econe.domain.instances import Firmware, InstanceState
from econe.domain.uefi_data import uefi_data

LASTING: Final = frozenset({InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.STOPPED})
"""States in which an instance certainly has its variables: they last over a stop."""


def show(cloud: Cloud, prepared: dict[str, Any]) -> dict[str, Any]:
    """Asked once the transaction is over: see decision 30."""
    instance_id = prepared["InstanceId"]
    if cloud.firmware is None:
        raise _unreadable()
    try:
        variables = cloud.firmware.variables(instance_id)
    except EngineBusy as problem:
        raise Unavailable(
            Noun.REQUEST,
            instance_id,
            "The instance's UEFI variables cannot be read now; try again.",
            hidden=f"{instance_id}: {problem!r}",
        ) from problem
    except EngineRefused as refused:
        raise WrongState(
            Noun.INSTANCE, instance_id, refused.said, hidden=f"{instance_id}: {refused.hidden}"
        ) from refused
    return {"InstanceId": instance_id, "UefiData": uefi_data(variables)}


@action("GetInstanceUefiData", takes="InstanceId", lasting=False, asks=show)
def get_instance_uefi_data(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    (row,) = find_instances(ctx.tx, ctx.account.number, [asked["InstanceId"]])
    if row.firmware is not Firmware.UEFI:
        raise _no_variables(row.id)
    if ctx.cloud.firmware is None:
        raise _unreadable()
    if row.state not in LASTING:
        raise WrongState(
            Noun.INSTANCE,
            row.id,
            f"The instance '{row.id}' is '{row.state}' and has no UEFI variables.",
        )
    return {"InstanceId": row.id}


def _no_variables(instance_id: str) -> Unsupported:
    return Unsupported(
        Noun.INSTANCE,
        instance_id,
        f"The instance '{instance_id}' does not boot by UEFI and has no UEFI variables.",
    )


def _unreadable() -> Unsupported:
    return Unsupported(
        Noun.REQUEST, said="The UEFI variables of this cloud's instances cannot be read by its API."
    )
