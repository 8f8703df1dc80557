"""Why something is in the state in which it is, as EC2 says it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """EC2's StateReason: a code such as `Client.UserInitiatedShutdown` and its sentence."""

    code: str = ""
    message: str = ""
