"""Faults on order: what a real engine does by bad luck, this one does when a test says so."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Boundary = Callable[[str, str], None]
"""Told (method, `before` or `after`); may raise, as a power cut does."""


@dataclass(slots=True)
class _Failure:
    method: str
    left: int
    with_: Exception
    before: bool


class Script:
    """Methods are named by port and name: `machines.start`, `networks.admit`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[_Failure] = []
        self.boundaries: list[Boundary] = []

    def fail(self, method: str, times: int, *, with_: Exception, before: bool = True) -> None:
        """Let the next `times` calls raise: before their effect, or after it happened."""
        with self._lock:
            self._failures.append(_Failure(method, times, with_, before))

    def clear(self) -> None:
        with self._lock:
            self._failures.clear()

    @contextmanager
    def call(self, method: str) -> Iterator[None]:
        """Around the effect of one call."""
        self._cross(method, before=True)
        yield
        self._cross(method, before=False)

    def _cross(self, method: str, *, before: bool) -> None:
        for boundary in tuple(self.boundaries):
            boundary(method, "before" if before else "after")
        if not self._failures:
            return
        with self._lock:
            for failure in self._failures:
                if failure.method == method and failure.before == before and failure.left > 0:
                    failure.left -= 1
                    raise failure.with_
