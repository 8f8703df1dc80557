"""Time as the model sees it, how long things take, and what is yet to happen."""

import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds."""


class RealClock:
    def now(self) -> float:
        return time.time()


class ManualClock:
    """Stands until a test moves it, through `World.pass_s`."""

    def __init__(self, start: float = 1_795_434_890.0) -> None:
        self.time = start

    def now(self) -> float:
        return self.time


@dataclass(slots=True)
class Pace:
    """Seconds that each thing takes. The defaults are near nothing, yet not at once: what asks
    right after a change sees the state in between, as with a real oned."""

    schedule_s: float = 0.005
    prolog_s: float = 0.005
    boot_s: float = 0.005
    shutdown_s: float = 0.005
    epilog_s: float = 0.005
    save_s: float = 0.005
    hotplug_s: float = 0.005
    copy_s: float = 0.005
    """Copying an image into its datastore."""
    login_s: float = 0.0
    """Each look at a delegated token that is not remembered: 0.21 s with a real oned."""
    shutdown_timeout_s: float = 180.0
    """The KVM driver's: how long a guest that ignores ACPI is waited for (SHUTDOWN_TIMEOUT)."""

    @classmethod
    def even(cls, seconds: float) -> "Pace":
        """Each stage takes as long."""
        stages = (
            "schedule_s",
            "prolog_s",
            "boot_s",
            "shutdown_s",
            "epilog_s",
            "save_s",
            "hotplug_s",
            "copy_s",
        )
        return cls(**dict.fromkeys(stages, seconds))


class Agenda:
    """What happens by itself, later. Used with the world's lock held."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._items, (self._clock.now() + seconds, next(self._order), do))

    def next_due(self) -> float | None:
        return self._items[0][0] if self._items else None

    def run_due(self) -> None:
        now = self._clock.now()
        while self._items and self._items[0][0] <= now:
            heapq.heappop(self._items)[2]()

    def run_all(self, limit: int = 100_000) -> None:
        """Everything, whenever it is due, and what follows of it."""
        for _ in range(limit):
            if not self._items:
                return
            heapq.heappop(self._items)[2]()
        raise AssertionError("the agenda does not end")

    def run_next(self) -> bool:
        if not self._items:
            return False
        heapq.heappop(self._items)[2]()
        return True
