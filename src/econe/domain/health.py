"""How a running instance is: EC2's two status checks, from what is found when they are made.

The system check is about the machine: the engine holds it, and its emulator answers. The instance
check is about the guest: it answers on its network. What is found once proves little, so a check
fails only when nothing was found for a while: at its start because a guest takes its time to boot,
later because one packet may be lost.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Check(StrEnum):
    """Of one check (API reference, InstanceStatusDetails)."""

    INITIALIZING = "initializing"
    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "insufficient-data"


class Pulse(StrEnum):
    """What was found of a machine or a guest, just now."""

    BEATS = "beats"
    STILL = "still"
    """It did not answer what it cannot but answer if it is well."""
    UNHEARD = "unheard"
    """Nothing was heard, which need not mean anything: it may filter, or nobody can look."""


@dataclass(frozen=True, slots=True)
class Outcome:
    check: Check = Check.INITIALIZING
    failed_at: datetime | None = None
    """Since when, of a check that failed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long nothing may be found before that counts."""

    boot: timedelta
    """After the start."""
    silence: timedelta
    """After something was."""


def judge(
    before: Outcome,
    pulse: Pulse,
    *,
    now: datetime,
    began: datetime,
    silent_since: datetime,
    patience: Patience,
) -> Outcome:
    """The check after `pulse` was found. `began`: when the machine was started; `silent_since`:
    when `pulse` was first found other than BEATS, in a row until now.

    One that fails from its start on fails since then (API reference, ImpairedSince).
    """
    if pulse is Pulse.BEATS:
        return Outcome(Check.PASSED)
    match before.check:
        case Check.INITIALIZING:
            if now - began < patience.boot:
                return before
            return Outcome(Check.FAILED, began) if pulse is Pulse.STILL else Outcome(Check.UNKNOWN)
        case Check.UNKNOWN if pulse is Pulse.UNHEARD:
            return before
        case Check.FAILED:
            return before
    return before if now - silent_since < patience.silence else Outcome(Check.FAILED, silent_since)
