"""Reading all machines in pages, while they come and go."""

import random
from collections.abc import Callable

import pytest
from tests.engines.opennebula.vm_xml import vm_xml

from econe.domain.engine_ports import EngineBusy
from econe.domain.hidden import Hidden
from econe.engines.opennebula.errors import Failure, judge
from econe.engines.opennebula.pool import MOST_STEPS_BACK, Pool
from econe.engines.opennebula.rpc import OnedChoked, OnedFault


class FakeDirectory:
    def own_session(self) -> Hidden[str]:
        return Hidden("own")

    def version(self) -> str:
        return "5.4.0"


class FakeOned:
    """Machines by number. `between(n)` is called after the n-th page."""

    def __init__(self, numbers: list[int], *, newest_first: bool = True) -> None:
        self.numbers, self.newest_first = set(numbers), newest_first
        self.between: Callable[[int], None] = lambda page: None
        self.pages = 0
        self.trouble: Exception | None = None

    def text(self, session: Hidden[str], method: str, *args: int | str | bool) -> str:
        if self.trouble is not None:
            raise self.trouble
        if method == "one.vmpool.infoset":
            wanted = [int(n) for n in str(args[0]).split(",") if int(n) in self.numbers]
            return self._pool(wanted)
        if method == "one.vm.info":
            if args[0] not in self.numbers:
                absent = Failure(0x0400, f"[one.vm.info] Error getting virtual machine [{args[0]}]")
                raise judge(absent, method, is_read=True)
            return vm_xml(int(args[0]))
        assert method == "one.vmpool.infoextended"
        owner, start, end, state = (int(each) for each in args)
        assert (owner, state) == (-2, -1)
        assert end < -1
        listed = sorted(self.numbers, reverse=self.newest_first)[start : start - end]
        self.pages += 1
        answer = self._pool(listed)
        self.between(self.pages)
        return answer

    def _pool(self, numbers: list[int]) -> str:
        return f"<VM_POOL>{''.join(vm_xml(n) for n in numbers)}</VM_POOL>"


def read(oned: FakeOned, page: int = 10, overlap: int = 3) -> list[int]:
    pool = Pool(oned, FakeDirectory(), page=page, overlap=overlap)  # type: ignore[arg-type]
    numbers = [vm.number for vm in pool.all()]
    assert len(numbers) == len(set(numbers)), "seen twice"
    return sorted(numbers)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 17, 18, 100])
def test_all_are_seen_once(count: int, newest_first: bool):
    oned = FakeOned(list(range(count)), newest_first=newest_first)
    assert read(oned) == list(range(count))


def test_a_thousand_and_less_are_one_call():
    oned = FakeOned(list(range(999)))
    pool = Pool(oned, FakeDirectory())  # type: ignore[arg-type]
    assert len(pool.all()) == 999
    assert oned.pages == 1


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("ended", [1, 3, 4, 10, 25])
def test_none_is_skipped_when_others_end_between_two_pages(ended: int, newest_first: bool):
    """An ordinary walk by offset would skip as many."""
    oned = FakeOned(list(range(60)), newest_first=newest_first)
    order = sorted(oned.numbers, reverse=newest_first)
    gone = set(order[:ended])

    def end_some(page: int) -> None:
        if page == 3:
            oned.numbers -= gone

    oned.between = end_some
    assert set(read(oned)) >= set(range(60)) - gone


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_and_goes_those_that_stay_are_seen_once(seed: int, newest_first: bool):
    chance = random.Random(seed)
    oned = FakeOned(list(range(0, 200, 2)), newest_first=newest_first)
    stay = set(chance.sample(sorted(oned.numbers), 60))
    numbers = iter(range(1000, 2000))

    def move(page: int) -> None:
        leaving = sorted(oned.numbers - stay)
        for number in chance.sample(leaving, min(len(leaving), chance.randrange(6))):
            oned.numbers.discard(number)
        for _ in range(chance.randrange(6) if page < 30 else 0):
            oned.numbers.add(next(numbers))

    oned.between = move
    assert set(read(oned, page=20, overlap=8)) >= stay


def test_a_pool_that_never_holds_still_is_given_up():
    oned = FakeOned(list(range(10_000)), newest_first=False)

    def rush(page: int) -> None:
        """More end between two pages than a page has."""
        oned.numbers -= set(sorted(oned.numbers)[:25])

    oned.between = rush
    with pytest.raises(EngineBusy, match="faster than they can be read"):
        read(oned)
    assert oned.pages <= 3 * MOST_STEPS_BACK


def test_some_are_one_call_and_unknown_ones_are_left_out():
    oned = FakeOned([1, 2, 3])
    pool = Pool(oned, FakeDirectory())  # type: ignore[arg-type]
    assert sorted(vm.number for vm in pool.some({"1", "3", "9"})) == [1, 3]
    oned.trouble = AssertionError("no call for nothing")
    assert pool.some(set()) == []


def test_one_that_is_not_there_is_none():
    pool = Pool(FakeOned([1]), FakeDirectory())  # type: ignore[arg-type]
    found = pool.one("1")
    assert found is not None
    assert found.number == 1
    assert pool.one("2") is None


def test_an_oned_without_the_method_is_told_to_be_too_old():
    oned = FakeOned([])
    oned.trouble = OnedFault(-506, "Method not defined", "one.vmpool.infoextended")
    with pytest.raises(EngineBusy, match=r"5\.4\.0 lacks one\.vmpool\.infoextended"):
        read(oned)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html/>",
        "<VM_POOL><VM></VM></VM_POOL>",
        "<VM_POOL><VM><ID>x</ID></VM></VM_POOL>",
        "<VM_POOL><VM>",
    ],
)
def test_rubbish_is_not_taken_for_an_empty_cloud(answer: str, monkeypatch: pytest.MonkeyPatch):
    oned = FakeOned([])
    monkeypatch.setattr(oned, "text", lambda *_: answer)
    with pytest.raises(EngineBusy, match="not understood"):
        read(oned)


# --- machines that oned cannot write -----------------------------------------------------


class ChokingOned(FakeOned):
    """Cannot write an answer with one of `unwritable` in it (seen with 7.0.2)."""

    def __init__(self, numbers: list[int], unwritable: list[int]) -> None:
        super().__init__(numbers)
        self.unwritable = set(unwritable)
        self.ranges = 0

    def text(self, session: Hidden[str], method: str, *args: int | str | bool) -> str:
        if method == "one.vmpool.infoextended" and int(args[2]) >= 0:
            self.ranges += 1
            start, end = int(args[1]), int(args[2])
            return self._pool(sorted(n for n in self.numbers if start <= n <= end))
        if method == "one.vm.info" and args[0] in self.unwritable:
            raise OnedChoked("not valid UTF-8")
        return super().text(session, method, *args)

    def _pool(self, numbers: list[int]) -> str:
        if self.unwritable & set(numbers):
            raise OnedChoked("not valid UTF-8")
        return super()._pool(numbers)


@pytest.mark.parametrize("unwritable", [[0], [499], [7, 8, 9], [0, 250, 499]])
def test_a_machine_that_oned_cannot_write_hides_no_other(unwritable, caplog):
    oned = ChokingOned(list(range(500)), unwritable)
    assert read(oned) == [n for n in range(500) if n not in unwritable]
    assert f"numbers={unwritable}" in caplog.text
    assert oned.ranges < 70 * len(unwritable)


def test_some_are_read_without_the_one_that_cannot_be():
    pool = Pool(ChokingOned([1, 2, 3], [2]), FakeDirectory())  # type: ignore[arg-type]
    assert [vm.number for vm in pool.some(["1", "2", "3"])] == [1, 3]
    for ask in (lambda: pool.some(["2"]), lambda: pool.one("2")):
        with pytest.raises(EngineBusy):
            ask()


def test_too_many_that_cannot_be_written_are_busy():
    oned = ChokingOned(list(range(0, 4000, 2)), list(range(0, 4000, 2)))
    with pytest.raises(EngineBusy, match="too many"):
        read(oned)
