"""The map from an action's name to what does it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from econe.actions.context import Context

Call = Callable[[Context, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Handler:
    """One action. `takes` are the dotted member paths that it supports; a path covers all below
    it. DryRun is always taken, ClientToken where it `writes`: both are the pipeline's."""

    name: str
    call: Call
    writes: bool
    takes: frozenset[str]
    lasting: bool = True
    """Whether its answer depends on nothing but the request and the database."""


HANDLERS: Final[dict[str, Handler]] = {}


def action(
    name: str, *, writes: bool = False, takes: str = "", lasting: bool = True
) -> Callable[[Call], Call]:
    """Register a handler. `takes` is the list of paths, separated by blanks."""

    def register(call: Call) -> Call:
        if name in HANDLERS:
            raise ValueError(f"{name} is registered twice")
        HANDLERS[name] = Handler(name, call, writes, frozenset(takes.split()), lasting)
        return call

    return register
