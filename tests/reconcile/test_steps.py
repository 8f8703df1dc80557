import pytest

from econe.reconcile.steps import Step, climb, descend


class Ladder:
    """Three steps over a set of what is done."""

    def __init__(self, done: set[str] | None = None) -> None:
        self.done = done or set()
        self.noted: list[str] = []
        self.breaks_at = ""
        self.steps = [self._step(name) for name in ("one", "two", "three")]

    def _step(self, name: str) -> Step:
        def do() -> None:
            if name == self.breaks_at:
                raise OSError(name)
            self.done.add(name)

        return Step(
            name,
            do=do,
            done=lambda: name in self.done,
            undo=lambda: self.done.discard(name),
        )


def test_climbing_does_in_order_what_is_not_done():
    ladder = Ladder({"two"})
    climb(ladder.steps, ladder.noted.append)
    assert ladder.noted == ["one", "three"]
    assert ladder.done == {"one", "two", "three"}


def test_climbing_again_after_an_interruption_goes_on_where_it_was():
    ladder = Ladder()
    ladder.breaks_at = "three"
    with pytest.raises(OSError, match="three"):
        climb(ladder.steps, ladder.noted.append)
    ladder.breaks_at = ""
    climb(ladder.steps, ladder.noted.append)
    assert ladder.noted == ["one", "two", "three", "three"]


def test_descending_undoes_the_last_first_and_also_what_was_never_done():
    ladder = Ladder({"one"})
    for _ in range(2):
        descend(ladder.steps, ladder.noted.append)
    assert ladder.done == set()
    assert ladder.noted[:3] == ["undo: three", "undo: two", "undo: one"]


def test_a_step_without_undo_is_left_alone_on_the_way_down():
    noted: list[str] = []
    descend([Step("shared", do=lambda: None)], noted.append)
    assert noted == []
