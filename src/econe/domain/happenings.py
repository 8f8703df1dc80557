"""What the work plane reports of an instance, and what each report changes.

Every function reads the row again inside the caller's writing transaction, and does nothing, and
answers None, where the row is gone, its generation moved on (the request plane wants something
else by now), or its state has no such event. So a report may come late, twice, or after a crash.
The answer is the row as it is after the report.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from econe.domain.addresses import match_interfaces
from econe.domain.engine_ports import Seen
from econe.domain.health import Check, Outcome
from econe.domain.instances import (
    CHANGING,
    TRANSITIONS,
    Event,
    Instance,
    InstanceState,
    Monitoring,
    advance,
)
from econe.domain.ports import Transaction
from econe.domain.reasons import (
    BY_GUEST,
    BY_OTHERS,
    DIED,
    UNSAVED,
    USER_INITIATED,
    Reason,
)
from econe.domain.volumes import Volume, VolumeState


def started(
    tx: Transaction, instance_id: str, generation: int, now: datetime, seen: Seen
) -> Instance | None:
    """It runs, as it was `seen`.

    Its disks exist by now, and reboots asked for before it ran are done. A stopped one was started
    by others, which is a launch like any.
    """
    row = _expecting(tx, instance_id, generation, Event.STARTED)
    if row is None:
        return None
    changes = _calm(row) | {"engine_ref": seen.ref, "reach": seen.address}
    if row.state is InstanceState.STOPPED:
        changes |= {"generation": row.generation + 1, "asked_at": now, "launched_at": now}
    changes |= {"state_reason": Reason(), "transition_reason": "", **_unexamined(now)}
    changes["firmware"] = seen.firmware or row.firmware
    row = tx.instances.save(advance(row, Event.STARTED, **changes))
    if seen.nics is not None:
        match_interfaces(tx, row, seen.nics, now)
    for volume in row.volumes:
        if volume.state is VolumeState.CREATING:
            attached_at = volume.attached_at or now
            tx.volumes.save(replace(volume, state=VolumeState.IN_USE, attached_at=attached_at))
    return tx.instances.get(instance_id)


def known(tx: Transaction, instance_id: str, now: datetime, seen: Seen) -> Instance | None:
    """What the engine calls it and where it is reached, whatever it is doing."""
    row = tx.instances.get(instance_id)
    if row is None or row.state is InstanceState.TERMINATED:
        return None
    if row.engine_ref != seen.ref:
        row = tx.instances.save(replace(row, engine_ref=seen.ref))
    if seen.nics is not None:
        match_interfaces(tx, row, seen.nics, now)
    return tx.instances.get(instance_id)


def halted(
    tx: Transaction,
    instance_id: str,
    generation: int,
    now: datetime,
    *,
    by_guest: bool = False,
    died: bool = False,
) -> Instance | None:
    """It is off: because we asked, because the guest did so (`by_guest`), or it `died`.

    A guest that switches itself off is terminated where its shutdown behaviour says so; the row
    is then shutting-down with a new generation. One that died unasked is never terminated for it.
    """
    row = _expecting(tx, instance_id, generation, Event.HALTED)
    if row is None:
        return None
    unasked = row.state is not InstanceState.STOPPING
    changes = _calm(row) | {"reach": ""}
    if unasked and died:
        changes.update(state_reason=DIED, transition_reason=DIED.code)
    elif unasked:
        reason = BY_GUEST if by_guest else BY_OTHERS
        changes.update(state_reason=reason, transition_reason=USER_INITIATED)
    row = advance(row, Event.HALTED, **changes)
    if unasked and by_guest and not died and row.shutdown_behavior == "terminate":
        row = advance(row, Event.TERMINATE, generation=row.generation + 1, asked_at=now)
    return tx.instances.save(row)


def failed(
    tx: Transaction, instance_id: str, generation: int, now: datetime, reason: Reason
) -> Instance | None:
    """It cannot be started, and never will be.

    A launch ends in termination, as in EC2, and takes the others of its reservation with it where
    fewer than were asked for at least could still run. A machine that ran before (its root disk is
    in use) goes back to stopped instead: its data must not be deleted because a start did not work.
    """
    row = _expecting(tx, instance_id, generation, Event.FAILED)
    if row is None:
        return None
    changes = _calm(row) | {
        "state_reason": reason,
        "transition_reason": reason.code,
        "problem": reason.message,
        "reach": "",
        "generation": row.generation + 1,
        "asked_at": now,
    }
    ran_before = any(v.state is VolumeState.IN_USE for v in row.volumes)
    event = Event.HALTED if ran_before else Event.FAILED
    after = tx.instances.save(advance(row, event, **changes))
    if not ran_before:
        _take_back_the_rest(tx, after, now)
    return after


def _take_back_the_rest(tx: Transaction, failed_one: Instance, now: datetime) -> None:
    """MinCount: all of a launch, or enough of it, or nothing."""
    together = tx.instances.of_reservation(failed_one.reservation_id)
    lost = [row for row in together if _failed_at_launch(row)]
    if len(together) - len(lost) >= failed_one.at_least:
        return
    for row in together:
        if row not in lost and row.state not in _ENDING:
            changes = {
                "state_reason": failed_one.state_reason,
                "transition_reason": failed_one.transition_reason,
                "generation": row.generation + 1,
                "asked_at": now,
            }
            tx.instances.save(advance(row, Event.TERMINATE, **(_calm(row) | changes)))


_ENDING: Final = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


def _failed_at_launch(row: Instance) -> bool:
    """Those that users or others ended did run, or could have."""
    return row.state in _ENDING and row.state_reason.code not in (BY_OTHERS.code, BY_GUEST.code)


def gone(
    tx: Transaction, instance_id: str, now: datetime, *, by_others: bool = False
) -> Instance | None:
    """Nothing of it is left in the engine: machine, taps, and the disks that go with it. Ended
    `by_others` it is gone from whatever state it was in.

    Volumes and interfaces with delete_on_termination lose their rows; the others are detached.
    No generation is asked for: nothing leads away from shutting-down.
    """
    row = tx.instances.get(instance_id)
    if row is None or (row.state, Event.GONE) not in TRANSITIONS:
        return None
    ending = row.state is InstanceState.SHUTTING_DOWN
    if not (ending or by_others):
        return None
    changes = _calm(row) | {"terminated_at": now, "engine_ref": "", "reach": ""}
    if not ending:
        told = {"state_reason": BY_OTHERS, "transition_reason": USER_INITIATED}
        changes |= {**told, "asked_at": now}
    tx.instances.save(advance(row, Event.GONE, **changes))
    for volume in row.volumes:
        if volume.delete_on_termination:
            tx.volumes.remove(volume.id)
        else:
            tx.volumes.save(_detached(volume))
    for interface in row.interfaces:
        if interface.delete_on_termination:
            tx.interfaces.remove(interface.id)
        else:
            tx.interfaces.save(
                replace(interface, instance_id=None, attachment_id=None, attached_at=None)
            )
    return tx.instances.get(instance_id)


def rebooted(tx: Transaction, instance_id: str, count: int) -> Instance | None:
    """The first `count` reboots ever asked for are done. Reports of fewer change nothing."""
    row = tx.instances.get(instance_id)
    if row is None or row.reboots_done >= count:
        return None
    done = min(count, row.reboots_asked)
    return tx.instances.save(replace(row, reboots_done=done, **_TRIED))


def connected(tx: Transaction, instance_id: str, version: int) -> Instance | None:
    """Its network knows its interfaces as the row had them at this version."""
    row = tx.instances.get(instance_id)
    if row is None or row.version != version or not row.reconnect:
        return None
    return tx.instances.save(replace(row, reconnect=False, **_TRIED))


def unsaved(
    tx: Transaction, instance_id: str, generation: int, now: datetime, problem: str
) -> Instance | None:
    """Its memory cannot be kept: it is stopped as if that had not been asked for."""
    row = tx.instances.get(instance_id)
    if row is None or row.generation != generation or not row.hibernating:
        return None
    changes = {"hibernating": False, "state_reason": UNSAVED, "asked_at": now}
    return tx.instances.save(replace(row, **changes, problem=problem))  # type: ignore[arg-type]


def examined(
    tx: Transaction, instance_id: str, booted_at: datetime, system: Outcome, guest: Outcome
) -> Instance | None:
    """Its status checks came out so. `booted_at`: of which start that is true."""
    row = tx.instances.get(instance_id)
    if row is None or row.state is not InstanceState.RUNNING or row.booted_at_least != booted_at:
        return None
    changes = {
        "system_check": system.check,
        "system_failed_at": system.failed_at,
        "guest_check": guest.check,
        "guest_failed_at": guest.failed_at,
    }
    return tx.instances.save(replace(row, **changes))  # type: ignore[arg-type]


def sampled(tx: Transaction, instance_id: str, monitoring: Monitoring) -> Instance | None:
    """It was sampled as `monitoring` asks for, which makes that true."""
    row = tx.instances.get(instance_id)
    if row is None or row.monitoring is not monitoring or monitoring not in CHANGING:
        return None
    now = Monitoring.ENABLED if monitoring is Monitoring.PENDING else Monitoring.DISABLED
    return tx.instances.save(replace(row, monitoring=now))


def waits(
    tx: Transaction, instance_id: str, generation: int, problem: str, retry_at: datetime
) -> Instance | None:
    """A try did not work; the next is not before `retry_at`. `problem` is for the operator."""
    row = tx.instances.get(instance_id)
    if row is None or row.generation != generation:
        return None
    return tx.instances.save(
        replace(row, attempts=row.attempts + 1, problem=problem, retry_at=retry_at)
    )


def _expecting(tx: Transaction, instance_id: str, generation: int, event: Event) -> Instance | None:
    row = tx.instances.get(instance_id)
    if row is None or row.generation != generation or (row.state, event) not in TRANSITIONS:
        return None
    return row


def _calm(row: Instance) -> dict[str, Any]:
    """What every success resets. A machine that starts or ends has nothing else left to do."""
    return {**_TRIED, "reboots_done": row.reboots_asked, "reconnect": False}


_TRIED: Final[dict[str, Any]] = {"attempts": 0, "retry_at": None, "problem": ""}


def _unexamined(now: datetime) -> dict[str, Any]:
    """A machine that starts is to be looked at anew."""
    return {
        "booted_at": now,
        "system_check": Check.INITIALIZING,
        "system_failed_at": None,
        "guest_check": Check.INITIALIZING,
        "guest_failed_at": None,
    }


def _detached(volume: Volume) -> Volume:
    return replace(
        volume,
        state=VolumeState.AVAILABLE,
        instance_id=None,
        device=None,
        attached_at=None,
        delete_on_termination=False,
    )
