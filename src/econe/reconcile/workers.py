"""A few threads that work on machines, each machine by one of them at a time."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)

MOST_CHORES = 2
"""Chores done at once: sweeping, tidying, taking networks down."""


class Workers:
    """Before start() a job is done inside begin(), in the calling thread.

    Nothing is queued: what finds no free worker is refused, and planned afresh after `freed` was
    called, which the end of each job does. Chores have threads of their own, so that they hold
    no machine up.
    """

    def __init__(self, count: int, freed: Callable[[], None]) -> None:
        self._count, self._freed = count, freed
        self._lock = threading.Lock()
        self._busy: dict[str, str] = {}
        self._chores: dict[str, str] = {}
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        self._pool = ThreadPoolExecutor(self._count + MOST_CHORES, thread_name_prefix="econe-work")

    def stop(self) -> None:
        """Wait for what is under way."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def busy(self) -> Mapping[str, str]:
        """The instances that are being worked on, and the VPC of each."""
        with self._lock:
            return dict(self._busy)

    def removing(self, vpc_id: str) -> bool:
        """Whether this VPC is being taken down: nothing may be connected to it meanwhile."""
        with self._lock:
            return vpc_id in self._chores.values()

    def begin(self, instance_id: str, vpc_id: str, job: Callable[[], None]) -> bool:
        """False where no worker is free, or one is at this instance."""
        return self._begin(self._busy, self._count, instance_id, vpc_id, job)

    def begin_chore(self, name: str, job: Callable[[], None], *, removes_vpc: str = "") -> bool:
        return self._begin(self._chores, MOST_CHORES, name, removes_vpc, job)

    def _begin(
        self, register: dict[str, str], most: int, key: str, vpc_id: str, job: Callable[[], None]
    ) -> bool:
        with self._lock:
            if key in register or (self._pool and len(register) >= most):
                return False
            register[key] = vpc_id
        if self._pool is None:
            self._work_through(register, key, job)
            return True
        try:
            self._pool.submit(self._work_through, register, key, job)
        except RuntimeError:  # stop() closed the pool in this moment
            self._free(register, key)
            return False
        return True

    def _work_through(self, register: dict[str, str], key: str, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:
            log.exception("A job failed; a later round tries again job=%s", key)
        finally:
            self._free(register, key)

    def _free(self, register: dict[str, str], key: str) -> None:
        with self._lock:
            register.pop(key, None)
        self._freed()
