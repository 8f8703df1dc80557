"""Waiting for what happens beside the test, with a limit."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T], *, within_s: float, every_s: float = 0.02) -> T:
    """The first true answer. Fails, with the last answer, when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {answer!r}"
        time.sleep(every_s)
