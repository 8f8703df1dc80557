"""Lists of which oned cannot write one object (rpc.OnedChoked): its owner can make that so, and it
must not hide all others. Then ranges of numbers are halved until only such objects are left out."""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from econe.domain.engine_ports import EngineBusy
from econe.engines.opennebula.rpc import OnedChoked

T = TypeVar("T")

log = logging.getLogger(__name__)

LAST_NUMBER: Final = 2**31 - 1
MOST_RANGES: Final = 2000
"""Some 60 calls are needed for each object that cannot be written."""
UNPAGED: Final = (-1, -1)
"""Start and end of all that there are."""


def read_all(kind: str, read: Callable[[int, int], list[T]]) -> tuple[list[T], list[int]]:
    """All that `read(start, end)` gives, and the numbers that oned cannot write. One call, where
    there are none such. Raises EngineBusy."""
    try:
        return read(*UNPAGED), []
    except OnedChoked:
        return read_in_ranges(kind, read)


def read_in_ranges(kind: str, read: Callable[[int, int], list[T]]) -> tuple[list[T], list[int]]:
    """As read_all, in parts from the beginning."""
    found: list[T] = []
    unreadable: list[int] = []
    ranges = [(0, LAST_NUMBER)]
    for _ in range(MOST_RANGES):
        if not ranges:
            break
        first, last = ranges.pop()
        try:
            found += read(first, last)
        except OnedChoked:
            if first == last:
                unreadable.append(first)
            else:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]
    else:
        raise EngineBusy(f"oned has too many {kind} that it cannot write into its answers")
    log.warning(
        "oned cannot show these %s: something in them has a character beyond U+FFFF numbers=%s",
        kind,
        unreadable,
    )
    return found, unreadable
