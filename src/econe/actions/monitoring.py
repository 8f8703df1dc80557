"""MonitorInstances, UnmonitorInstances. What was sampled is the operator's to read."""

from collections.abc import Iterable
from typing import Any

from econe.actions.context import Context
from econe.actions.registry import action
from econe.domain.instances import Instance
from econe.domain.monitoring import set_monitoring


@action("MonitorInstances", writes=True, takes="InstanceIds")
def monitor_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    return _answer(_set(ctx, asked, on=True))


@action("UnmonitorInstances", writes=True, takes="InstanceIds")
def unmonitor_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    return _answer(_set(ctx, asked, on=False))


def _set(ctx: Context, asked: dict[str, Any], *, on: bool) -> list[Instance]:
    return set_monitoring(ctx.tx, ctx.account.number, asked["InstanceIds"], ctx.cloud.can, on=on)


def _answer(rows: Iterable[Instance]) -> dict[str, Any]:
    return {
        "InstanceMonitorings": [
            {"InstanceId": row.id, "Monitoring": {"State": row.monitoring.value}} for row in rows
        ]
    }
