"""Why something is in the state in which it is, as EC2 says it.

Two texts: StateReason (a code and its sentence), and the older StateTransitionReason, which is a
phrase of its own where a user asked, and the code where something went wrong. Scripts compare them,
so they are EC2's to the letter where EC2 has words (API reference, StateReason). An instance that
runs has neither.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """EC2's StateReason: a code such as `Client.UserInitiatedShutdown` and its sentence."""

    code: str = ""
    message: str = ""


def _told(code: str, said: str) -> Reason:
    return Reason(code, f"{code}: {said}")


PENDING: Final = Reason("pending", "pending")
"""Of one that is on its way up."""
BY_USER: Final = _told("Client.UserInitiatedShutdown", "User initiated shutdown")
BY_HIBERNATION: Final = _told("Client.UserInitiatedHibernate", "User initiated hibernate")
BY_GUEST: Final = _told("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
LAUNCH_FAILED: Final = _told("Server.InternalError", "Internal error on launch")

# What EC2 does not have, under the code that is nearest.
BY_OTHERS: Final = _told(BY_USER.code, "Shut down by other means than this API")
UNSAVED: Final = _told(BY_USER.code, "User initiated hibernate, but the memory could not be saved")
DIED: Final = _told("Server.InternalError", "The machine ended unasked")

USER_INITIATED: Final = "User initiated"
"""Whoever was at work within the guest, or by other means than this API: EC2 gives no time then
(cloud-custodian's issue 6924)."""


def by_user(now: datetime) -> str:
    """The transition reason of what was asked for through the API: `User initiated (2026-11-23
    16:00:00 GMT)`."""
    return f"{USER_INITIATED} ({now.astimezone(UTC):%Y-%m-%d %H:%M:%S} GMT)"


def server_reason(said: str) -> Reason:
    return _told(LAUNCH_FAILED.code, said)


def reason_of(code: str, said: str) -> Reason:
    """Of an engine's refusal (EngineRefused): whose fault it is shows before EC2's code."""
    if not code:
        return server_reason(said) if said else LAUNCH_FAILED
    side = "Server" if code.startswith(("Insufficient", "Internal")) else "Client"
    return _told(f"{side}.{code}", said)
