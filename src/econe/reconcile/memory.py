"""What the work plane remembers between rounds. Losing all of it costs a few repeated calls."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from econe.domain.instances import Instance
from econe.reconcile.plan import Memory


@dataclass(slots=True)
class Kept:
    """Of one instance."""

    asked: tuple[int, datetime] | None = None
    """(generation, when) of the last asking to halt."""
    launched: int = 0
    """The generation for which this process last tried to start it."""
    connected: bool = False
    """Whether its network was made sure of since this process began."""
    attempts: int = 0
    put_off: tuple[int, datetime] | None = None
    """(generation, until): for tries of which the row cannot tell, since it is settled, or since
    the store did not take it."""
    tried: tuple[Hashable, datetime] | None = None
    """(row, machine and moves, when) of the last job."""


@dataclass(slots=True)
class Memories:
    """By instance id. Only the loop's thread and the instance's one job touch an entry."""

    _kept: dict[str, Kept] = field(default_factory=dict)

    def of(self, instance_id: str) -> Kept:
        return self._kept.setdefault(instance_id, Kept())

    def at(self, row: Instance) -> Memory:
        """As the planner wants it."""
        kept = self.of(row.id)
        asked_at = kept.asked[1] if kept.asked and kept.asked[0] == row.generation else None
        return Memory(
            asked_at=asked_at,
            launched=kept.launched == row.generation,
            connected=kept.connected,
        )

    def not_before(
        self, instance_id: str, generation: int, what: Hashable, now: datetime, pause: timedelta
    ) -> datetime | None:
        """When a job may be begun; None: now.

        Not while it is put off, unless the user wants something else by now; and not at once
        again if nothing has changed since the last time: an engine that does not do what it says
        would be asked without a pause.
        """
        kept = self.of(instance_id)
        if kept.put_off and kept.put_off[0] == generation and now < kept.put_off[1]:
            return kept.put_off[1]
        if kept.tried and kept.tried[0] == what and kept.tried[1] <= now < kept.tried[1] + pause:
            return kept.tried[1] + pause
        return None

    def begun(self, instance_id: str, what: Hashable, now: datetime) -> None:
        self.of(instance_id).tried = (what, now)

    def worked(self, instance_id: str) -> None:
        kept = self.of(instance_id)
        kept.attempts, kept.put_off = 0, None

    def retain(self, instance_ids: Iterable[str]) -> None:
        """Forget all others."""
        wanted = set(instance_ids)
        for instance_id in self._kept.keys() - wanted:
            self._kept.pop(instance_id, None)
