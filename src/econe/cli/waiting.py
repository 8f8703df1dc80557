"""--wait: look until the instances are what was asked for, or never will be."""

from __future__ import annotations

import time
from collections.abc import Sequence

from econe.cli.tool import numbered
from econe.client.answers import listed, text_at
from econe.client.errors import ApiError, ClientError
from econe.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_S = 600.0
_FIRST_LOOK_S = 0.1
_SLOWEST_LOOK_S = 2.0

_NOT_YET = {
    "running": {"pending"},
    "stopped": {"pending", "running", "stopping"},
    "terminated": {"pending", "running", "stopping", "stopped", "shutting-down"},
}
"""What is asked for -> states on the way there. Any other state is a failure."""


class Failed(ClientError):  # noqa: N818
    """An instance never will be what was asked for, or takes too long."""


def wait_until(session: Session, ids: Sequence[str], wanted: str) -> list[dict[str, Any]]:
    """The instances once all of them are `wanted` (`running`, `stopped` or `terminated`).

    Raises Failed. One that is not listed any more counts as terminated where that is wanted.
    """
    deadline = time.monotonic() + LONGEST_S
    pause = _FIRST_LOOK_S
    left, last = list(ids), {}
    while True:
        now = {
            text_at(instance, "instanceId"): instance for instance in _look(session, left, wanted)
        }
        last.update(now)
        left = [id_ for id_ in left if not _is_settled(id_, now.get(id_), wanted)]
        if not left:
            return [last[id_] for id_ in ids if id_ in last]
        if time.monotonic() + pause > deadline:
            raise Failed(f"{', '.join(left)} not {wanted} after {LONGEST_S:.0f} seconds")
        time.sleep(pause)
        pause = min(pause * 1.5, _SLOWEST_LOOK_S)


def _look(session: Session, ids: Sequence[str], wanted: str) -> list[dict[str, Any]]:
    try:
        answer = session.call("DescribeInstances", numbered("InstanceId", ids))
    except ApiError as error:
        if wanted != "terminated" or error.code != "InvalidInstanceID.NotFound":
            raise
        if len(ids) == 1:
            return []
        return [found for id_ in ids for found in _look(session, [id_], wanted)]
    reservations = listed(answer, "reservationSet")
    return [one for reservation in reservations for one in listed(reservation, "instancesSet")]


def _is_settled(id_: str, instance: dict[str, Any] | None, wanted: str) -> bool:
    if instance is None:
        if wanted == "terminated":
            return True
        raise Failed(f"{id_} is not listed any more")
    state = text_at(instance, "instanceState", "name")
    if state == wanted:
        return True
    if state in _NOT_YET[wanted]:
        return False
    why = text_at(instance, "stateReason", "message")
    raise Failed(f"{id_} is {state}" + (f": {why}" if why else ""))
