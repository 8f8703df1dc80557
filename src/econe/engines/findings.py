"""What `econe-server check` finds, of any engine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    ok: bool
    said: str
    """What was found; where `ok` is false, what that means or what would help."""
