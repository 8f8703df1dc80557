"""Work that has several steps, without a log of it: the world is the log.

The discipline is the saga's: every step can be done again, and undone though it never was done.
What differs is that nothing is written down between steps. Whoever comes after an interruption
asks each step whether it is done and goes on from there; the first try and the try after a crash
are the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Note = Callable[[str], None]


def never() -> bool:
    """`done` of a step that is cheap to repeat and can be half done without showing it."""
    return False


def nothing() -> None:
    """`undo` of a step that leaves only what others share, or what its owner's end removes."""


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    """What it does, as an imperative: "start the machine"."""
    do: Callable[[], None]
    """Succeeds, without a second effect, where it was done before, wholly or in part."""
    done: Callable[[], bool] = never
    """Reads the world, and is true only if nothing of the step is left to do."""
    undo: Callable[[], None] = nothing
    """Succeeds on something never done."""


def climb(steps: Sequence[Step], note: Note) -> None:
    """Do, in order, what is not yet done. Safe to call again after any interruption."""
    for step in steps:
        if not step.done():
            note(step.name)
            step.do()


def descend(steps: Sequence[Step], note: Note) -> None:
    """Undo all, the last first. Safe to call again, and after any part of a climb."""
    for step in reversed(steps):
        if step.undo is not nothing:
            note(f"undo: {step.name}")
            step.undo()
