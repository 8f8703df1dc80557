"""A few threads that work on machines, each machine by one of them at a time."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

WAITING_EACH = 8
"""Jobs that may wait for each worker. As many as keep it busy while a round finds more; what is
planned later is planned by a later look."""
MOST_CHORES = 7
"""Chores done at once: sweeping, tidying, taking networks down, the census, images, status checks,
samples."""


@dataclass(slots=True)
class _Crew:
    """Threads of one kind, and what they have to do."""

    name: str
    threads: int
    most: int
    """Jobs that it takes on at once, those that wait for a thread among them."""
    jobs: dict[str, str] = field(default_factory=dict)
    """What each is about (an instance, a chore) -> the VPC that is concerned."""
    pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        self.pool = ThreadPoolExecutor(self.threads, thread_name_prefix=self.name)

    def stop(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)


class Workers:
    """Before start() a job is done inside begin(), in the calling thread.

    Little is queued: what finds the queue full is refused, and planned afresh after `freed` was
    called, which the end of a job does unless enough others still wait. Chores have threads of
    their own, so that they hold no machine up.
    """

    def __init__(self, count: int, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._lock = threading.Lock()
        self._machines = _Crew("econe-work", count, count * (1 + WAITING_EACH))
        self._chores = _Crew("econe-chore", MOST_CHORES, MOST_CHORES)

    def start(self) -> None:
        self._machines.start()
        self._chores.start()

    def stop(self) -> None:
        """Wait for what is under way; what has not begun never will."""
        self._machines.stop()
        self._chores.stop()

    def busy(self) -> Mapping[str, str]:
        """The instances that a job works on or is about to, and the VPC of each."""
        with self._lock:
            return dict(self._machines.jobs)

    def removing(self, vpc_id: str) -> bool:
        """Whether this VPC is being taken down: nothing may be connected to it meanwhile."""
        with self._lock:
            return bool(vpc_id) and vpc_id in self._chores.jobs.values()

    def begin(self, instance_id: str, vpc_id: str, job: Callable[[], None]) -> bool:
        """False where too many wait, or there is a job for this instance."""
        return self._begin(self._machines, instance_id, vpc_id, job)

    def begin_chore(self, name: str, job: Callable[[], None], *, removes_vpc: str = "") -> bool:
        return self._begin(self._chores, name, removes_vpc, job)

    def _begin(self, crew: _Crew, key: str, vpc_id: str, job: Callable[[], None]) -> bool:
        with self._lock:
            if key in crew.jobs or (crew.pool and len(crew.jobs) >= crew.most):
                return False
            crew.jobs[key] = vpc_id
        if crew.pool is None:
            self._work_through(crew, key, job)
            return True
        try:
            crew.pool.submit(self._work_through, crew, key, job)
        except RuntimeError:  # stop() closed the pool in this moment
            self._free(crew, key)
            return False
        return True

    def _work_through(self, crew: _Crew, key: str, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:
            log.exception("A job failed; a later round tries again job=%s", key)
        finally:
            self._free(crew, key)

    def _free(self, crew: _Crew, key: str) -> None:
        with self._lock:
            crew.jobs.pop(key, None)
            plenty = len(self._machines.jobs) > 2 * self._machines.threads
        if not plenty:  # else a later end tells, before the threads run out of work
            self._freed()
