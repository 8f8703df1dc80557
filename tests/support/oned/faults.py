"""Faults on order, as `engines/simulator/script.py` has them: what a network and a busy oned do.

    oned.faults.fail("one.vm.action", 2, with_=Drop(), before=False)   # happened, nobody told
    oned.faults.fail("*", 1, with_=Status(500))
    oned.faults.boundaries.append(hook)                                # told (method, before/after)

`before=True` is before the effect: oned never did it. `before=False`: it did, the answer is lost.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.oned.errors import INTERNAL, Refused, RpcFault

Boundary = Callable[[str, str], None]
"""Told (method, `before` or `after`), in the server's thread; raising drops the connection."""


class Drop:
    """The connection closes without an answer."""


@dataclass(frozen=True)
class Slow:
    """The answer comes late: `seconds` long, nothing is sent."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """No answer until `Faults.release()`, or the bound; then the connection closes."""

    at_most_s: float = 30.0


@dataclass(frozen=True)
class Status:
    """An HTTP status with a page of some proxy."""

    status: int = 500
    body: bytes = b"<html><body>Internal Server Error</body></html>"


@dataclass(frozen=True)
class Body:
    """Status 200 with these bytes instead of an answer."""

    body: bytes = b"garbage <<"


@dataclass(frozen=True)
class Truncated:
    """The right answer, cut off after so many bytes; its announced length is the whole."""

    keep: int = 200


@dataclass(frozen=True)
class Says:
    """A refusal or a fault that oned answers with."""

    what: Refused | RpcFault


# What members of a Raft zone say when it has no leader (src/rm/Request.cc; econe.md 5.1): retry.
NO_LEADER = Says(Refused(INTERNAL, "Cannot process request, no leader found"))
ELECTION = Says(Refused(INTERNAL, "Cannot process request, oned cluster in election mode"))

Trouble = Drop | Slow | Hang | Status | Body | Truncated | Says


@dataclass(slots=True)
class _Failure:
    method: str
    left: int
    trouble: Trouble
    before: bool


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[_Failure] = []
        self.boundaries: list[Boundary] = []
        self.released = threading.Event()
        self.hanging: list[str] = []
        """Methods whose callers wait now for an answer that does not come."""

    def hang(self, method: str, hang: Hang) -> None:
        self.hanging.append(method)
        self.released.wait(hang.at_most_s)
        self.hanging.remove(method)

    def fail(
        self, method: str, times: int = 1, *, with_: Trouble | None = None, before: bool = True
    ) -> None:
        """For the next `times` calls of the method (`*`: of any). Without `with_`, a drop."""
        with self._lock:
            self._failures.append(_Failure(method, times, with_ or Drop(), before))

    def clear(self) -> None:
        with self._lock:
            self._failures.clear()
        self.release()

    def release(self) -> None:
        """Let everything go that hangs, and hang again what comes later."""
        self.released.set()
        self.released = threading.Event()

    def cross(self, method: str, *, before: bool) -> Trouble | None:
        for boundary in tuple(self.boundaries):
            boundary(method, "before" if before else "after")
        with self._lock:
            for failure in self._failures:
                is_due = failure.before == before and failure.left > 0
                if is_due and failure.method in ("*", method):
                    failure.left -= 1
                    return failure.trouble
        return None
