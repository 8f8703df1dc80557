"""What the drivers do when oned asks them: succeed at the usual pace, unless a test says otherwise.

Like the knobs of OpenNebula's own dummy driver, whose file of `success N` and `failure` lines is
read at each call; here the outcomes ordered for an action are used up one a call.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outcome:
    fails: bool = False
    text: str = ""
    seconds: float | None = None
    """How long it takes; None is the usual pace."""
    never: bool = False
    """No answer at all, as from a driver that hangs."""


SUCCESS = Outcome()


def failing(text: str = "") -> Outcome:
    return Outcome(fails=True, text=text)


def taking(seconds: float) -> Outcome:
    return Outcome(seconds=seconds)


HANGING = Outcome(never=True)

ACTIONS = frozenset(
    [
        "prolog",
        "deploy",
        "shutdown",
        "cancel",
        "reboot",
        "reset",
        "save",
        "restore",
        "epilog",
        "attach_disk",
        "detach_disk",
        "attach_nic",
        "detach_nic",
        "saveas",
        "snapshot",
        "image_copy",
        "image_remove",
        "image_clone",
    ]
)


@dataclass
class Drivers:
    ordered: dict[str, deque[Outcome]] = field(default_factory=dict)
    standing: dict[str, Outcome] = field(default_factory=dict)

    def order(self, action: str, *outcomes: Outcome) -> None:
        """For the next calls of this action."""
        assert action in ACTIONS, action
        self.ordered.setdefault(action, deque()).extend(outcomes)

    def always(self, action: str, outcome: Outcome) -> None:
        """For all calls that nothing else is ordered for; SUCCESS ends it."""
        assert action in ACTIONS, action
        self.standing[action] = outcome

    def next(self, action: str) -> Outcome:
        queue = self.ordered.get(action)
        if queue:
            return queue.popleft()
        return self.standing.get(action, SUCCESS)
