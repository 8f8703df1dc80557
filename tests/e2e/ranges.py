"""Address ranges for servers that run side by side on one host.

Default VPCs of different servers must not overlap, since the host has a route to each. Every server
of this tier borrows /16s out of 10.200.0.0/13, and holds a lock on each while its networks are up;
the locks end with the process that holds them. What that process has left on the host, if it was
killed, still has its route: such a range is passed over.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOCKS = Path(tempfile.gettempdir()) / "econe-e2e-ranges"
CIDRS = tuple(f"10.{200 + number}.0.0/16" for number in range(8))
PATIENCE_S = 300.0


@contextmanager
def borrowed(count: int) -> Iterator[tuple[str, ...]]:
    """`count` ranges that no other test's server uses, until the block ends."""
    LOCKS.mkdir(exist_ok=True)
    end = time.monotonic() + PATIENCE_S
    with ExitStack() as held:
        mine = _take(count, held)
        while len(mine) < count:
            assert time.monotonic() < end, f"no {count} ranges were free within {PATIENCE_S:.0f} s"
            held.close()
            time.sleep(1)
            mine = _take(count, held)
        yield tuple(mine)


def _take(count: int, held: ExitStack) -> list[str]:
    """From a place of our own on, so that parallel runs seldom ask for the same."""
    start = os.getpid() % len(CIDRS)
    mine: list[str] = []
    for cidr in (*CIDRS[start:], *CIDRS[:start]):
        if len(mine) < count and _lock(cidr, held) and not _has_route(cidr):
            mine.append(cidr)
    return mine


def _has_route(cidr: str) -> bool:
    shown = ["ip", "-4", "route", "show", cidr]
    return bool(subprocess.run(shown, capture_output=True, check=True).stdout)


def _lock(cidr: str, held: ExitStack) -> bool:
    file = held.enter_context((LOCKS / cidr.replace("/", "-")).open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
