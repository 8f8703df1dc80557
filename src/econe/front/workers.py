"""The threads that requests are worked on in.

Why not concurrent.futures: handing a call over and its result back costs 80 µs there, as much as
a small request takes. A plain queue and a wake-up of the event loop cost a quarter.
"""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """Daemon threads, made when first needed; they end with the process at the latest."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._threads: list[Thread] = []
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()

    def do(self, work: Callable[..., T], *given: Any) -> "asyncio.Future[T]":
        """Await it for the result of `work(*given)`. Called on the event loop only."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, future, work, given))
        if len(self._threads) < self._count:
            thread = Thread(
                target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Let the threads end when they have done what was given to them."""
        for _ in self._threads:
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, work, given = job
            try:
                result, problem = work(*given), None
            except Exception as raised:
                result, problem = None, raised
            try:
                loop.call_soon_threadsafe(_tell, future, result, problem)
            except RuntimeError:
                return  # the event loop is closed: nobody waits any more
            del job, future, work, given, result, problem  # hold nothing while waiting


def _tell(future: "asyncio.Future[Any]", result: Any, problem: Exception | None) -> None:
    if future.cancelled():
        return
    if problem is None:
        future.set_result(result)
    else:
        future.set_exception(problem)
