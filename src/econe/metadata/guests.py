"""How much of the service one guest may have, so that none can take it from the others."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

C = TypeVar("C")

CONNECTIONS: Final = 16
"""Open at once, of one guest. A further one ends its oldest."""
ALL_CONNECTIONS: Final = 512
"""Of all guests. A further one ends the oldest of the guest that has most."""
BURST: Final = 300
"""Requests at once: cloud-init's crawl of the whole tree is about 80."""
PER_SECOND: Final = 50.0
"""Requests in the long run."""

Guest = tuple[str, str]
"""Owner of the socket and address."""


@dataclass(slots=True)
class _Allowance:
    requests: float
    since: float


@dataclass(slots=True)
class Guests(Generic[C]):
    """Used by one thread. `C` is a connection."""

    clock: Callable[[], float] = time.monotonic
    _open: dict[Guest, list[C]] = field(default_factory=dict)
    _count: int = 0
    _allowances: dict[Guest, _Allowance] = field(default_factory=dict)

    def enter(self, guest: Guest, connection: C) -> list[C]:
        """Note the connection. The answer is those that must be closed for it; they must leave."""
        mine = self._open.setdefault(guest, [])
        mine.append(connection)
        self._count += 1
        if len(mine) > CONNECTIONS:
            return [mine[0]]
        if self._count > ALL_CONNECTIONS:
            return [max(self._open.values(), key=len)[0]]
        return []

    def leave(self, guest: Guest, connection: C) -> None:
        """Nothing happens if it has left."""
        mine = self._open.get(guest, [])
        if connection in mine:
            mine.remove(connection)
            self._count -= 1
            if not mine:
                del self._open[guest]

    def of(self, owner: str) -> list[C]:
        """Connections of all guests of this owner."""
        return [
            each for guest, all_of in self._open.items() if guest[0] == owner for each in all_of
        ]

    def may_ask(self, guest: Guest) -> bool:
        now = self.clock()
        allowance = self._allowances.get(guest)
        if allowance is None:
            self._forget_rested(now)
            allowance = self._allowances[guest] = _Allowance(BURST, now)
        earned = (now - allowance.since) * PER_SECOND
        allowance.requests, allowance.since = min(BURST, allowance.requests + earned), now
        if allowance.requests < 1:
            return False
        allowance.requests -= 1
        return True

    def _forget_rested(self, now: float) -> None:
        """A guest that has not asked for so long may ask as much as a new one."""
        rested = BURST / PER_SECOND
        for guest in [g for g, each in self._allowances.items() if now - each.since > rested]:
            del self._allowances[guest]
