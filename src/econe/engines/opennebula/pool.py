"""Reading oned's virtual machines: all in pages, some by number, one.

A page is an offset into what is there now, in order of numbers (which end comes first is a
setting of oned's). Between two pages a machine can end, and the rest moves up; then an ordinary
walk would skip one, and a skipped machine looks like an ended one. So each page begins some
machines before the end of the one before, and must reach back to what was seen; if it does not,
the walk steps back.

A machine that oned cannot write into an answer does not hide the others (ranges.py). Whoever misses
one asks for it by number, and hears that it cannot be read now.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final, TypeVar

from lxml import etree

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.hidden import Hidden
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.errors import Meaning, meaning_of
from econe.engines.opennebula.ranges import read_in_ranges
from econe.engines.opennebula.rpc import Oned, OnedChoked, OnedFault
from econe.engines.opennebula.vms import Vm, read_pool, read_vm
from econe.engines.opennebula.xmltree import parse

T = TypeVar("T")

PAGE: Final = 1000
"""Machines a call: 8 MiB, and some 60 ms of oned's time."""
OVERLAP: Final = 32
"""How many machines may end while a page is read, before the walk steps back."""
MOST_STEPS_BACK: Final = 10
MOST_PAGES: Final = 10_000

ALL: Final = -2
"""Filter: of every user."""
_NOT_DONE: Final = -1
_LAST: Final = 0
"""Seconds of history: none, only the last figures."""


class Pool:
    """Reads as the service account. Everything raises EngineBusy where oned cannot tell now."""

    def __init__(
        self, oned: Oned, directory: Directory, *, page: int = PAGE, overlap: int = OVERLAP
    ) -> None:
        if not 0 < overlap < page:
            raise ValueError("an overlap is shorter than its page")
        self._oned, self._directory = oned, directory
        self._page, self._overlap = page, overlap

    def all(self, owner: int = ALL) -> list[Vm]:
        """All that are not done, with all that oned knows of them; of one user with `owner`."""
        try:
            return self._in_pages(owner)
        except OnedChoked:
            found, _ = read_in_ranges("machines", partial(self._read_part, owner))
            return found

    def _in_pages(self, owner: int) -> list[Vm]:
        page = self._read_page(owner, 0)
        seen = {vm.number: vm for vm in page}
        offset, steps_back = 0, 0
        for _ in range(MOST_PAGES):
            if len(page) < self._page:
                return list(seen.values())
            last, newest_first = page[-1].number, page[0].number > page[-1].number
            offset += self._page - self._overlap
            page = self._read_page(owner, offset)
            while offset and not _reaches_back(page, last, newest_first=newest_first):
                steps_back += 1
                if steps_back > MOST_STEPS_BACK:
                    raise EngineBusy("oned's machines change faster than they can be read")
                offset = max(0, offset - self._page)
                page = self._read_page(owner, offset)
            seen.update((vm.number, vm) for vm in page)
        raise EngineBusy(f"oned has more machines than {MOST_PAGES} pages")

    def some(self, refs: Collection[str]) -> list[Vm]:
        """Those of them that there are, done ones too. One call."""
        if not refs:
            return []
        numbers = ",".join(sorted(refs))
        try:
            text = self._ask(
                lambda own: self._oned.text(own, "one.vmpool.infoset", numbers, True),
            )
        except OnedChoked:
            if len(refs) == 1:
                raise
            return [vm for ref in sorted(refs) for vm in self._some_of_one(ref)]
        return _read(text, lambda root: list(read_pool(root)))

    def monitoring(self) -> dict[str, dict[str, str]]:
        """What the monitor last counted, by number; nothing of those that it has not seen. One
        call."""
        text = self._ask(lambda own: self._oned.text(own, "one.vmpool.monitoring", ALL, _LAST))
        return _read(text, _monitored)

    def one(self, ref: str) -> Vm | None:
        """None where oned says that it has none such (check_same_oned() tells what that is
        worth)."""
        own = self._directory.own_session()
        try:
            text = self._oned.text(own, "one.vm.info", int(ref), False)
        except EngineRefused as refused:
            if meaning_of(refused) is Meaning.ABSENT:
                return None
            raise EngineBusy(f"A machine cannot be read: {refused.hidden}") from None
        return _read(text, read_vm)

    def _some_of_one(self, ref: str) -> list[Vm]:
        try:
            return self.some([ref])
        except OnedChoked:
            return []

    def _read_page(self, owner: int, offset: int) -> list[Vm]:
        return self._read_part(owner, offset, -self._page)

    def _read_part(self, owner: int, start: int, end: int) -> list[Vm]:
        """oned's two ways: numbers from `start` to `end`, or with a negative `end` so many from an
        offset on (-1 is all)."""
        text = self._ask(
            lambda own: self._oned.text(
                own, "one.vmpool.infoextended", owner, start, end, _NOT_DONE
            )
        )
        return _read(text, lambda root: list(read_pool(root)))

    def _ask(self, call: Callable[[Hidden[str]], str]) -> str:
        own = self._directory.own_session()
        try:
            return call(own)
        except OnedFault as fault:
            raise EngineBusy(
                f"OpenNebula {self._directory.version()} lacks {fault.method}: econe needs 6.0"
                " or a later one"
            ) from None
        except EngineRefused as refused:
            raise EngineBusy(f"The machines cannot be read: {refused.hidden}") from None


def _reaches_back(page: list[Vm], last: int, *, newest_first: bool) -> bool:
    """Whether a page begins at the one that was the last, or before it in oned's order."""
    if not page:
        return False
    first = page[0].number
    return first >= last if newest_first else first <= last


def _monitored(root: etree._Element) -> dict[str, dict[str, str]]:
    """Users can write nothing into these."""
    if root.tag != "MONITORING_DATA":
        raise ValueError("it is no monitoring data")
    every = [{child.tag: child.text or "" for child in each} for each in root]
    return {one["ID"]: one for one in every if "ID" in one}


def _read(text: str, read: Callable[[etree._Element], T]) -> T:
    try:
        return read(parse(text.encode()))
    except ValueError as error:
        raise EngineBusy(f"oned's answer is not understood: {error}") from None
