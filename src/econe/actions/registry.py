"""The map from an action's name to what does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from econe.actions.context import Context
from econe.actions.only import So, insist
from econe.domain.cloud import Cloud

T = TypeVar("T")
Call = Callable[[Context, dict[str, Any]], dict[str, Any]]
Check = Callable[[Context, dict[str, Any]], None]
Preparing = Callable[[Context, dict[str, Any]], Callable[[], Any]]
Asking = Callable[[Cloud, dict[str, Any]], dict[str, Any]]


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
    asks: Asking | None = None
    """What is asked of an engine when the transaction is over: given what the handler returned, it
    makes the answer of it. Only of handlers that do not write; seconds, at worst."""
    again: Check | None = None
    """Whether the answer kept under a client token may be given again. Raises Fault if not."""
    only: So = field(default_factory=dict)
    """Members of `takes` that may have these values alone. `call` refuses others."""
    prepares: Preparing | None = None
    """What takes long and needs no row, of handlers that write. Given the request in a transaction
    that reads, it refuses what it can and returns what is called before the one that writes; what
    that makes is the handler's ctx.prepared."""
    moot: Mapping[str, str] = field(default_factory=dict)
    """Members of `takes` whose values make no difference in this cloud -> why that is the truth."""


HANDLERS: Final[dict[str, Handler]] = {}


def action(
    name: str,
    *,
    writes: bool = False,
    takes: str = "",
    lasting: bool = True,
    asks: Asking | None = None,
    again: Check | None = None,
    prepares: Preparing | None = None,
    only: So | None = None,
    moot: Mapping[str, str] | None = None,
) -> Callable[[Call], Call]:
    """Register a handler. `takes` is the list of paths, separated by blanks; those of `only` and
    `moot` are taken besides."""
    values, reasons = dict(only or {}), dict(moot or {})
    paths = frozenset([*takes.split(), *values, *reasons])

    def register(call: Call) -> Call:
        if name in HANDLERS:
            raise ValueError(f"{name} is registered twice")
        if asks is not None and (writes or lasting):
            raise ValueError(f"{name} asks an engine, so it neither writes nor lasts")
        guarded = _insisting(call, values) if values else call
        ready = _insisting(prepares, values) if values and prepares else prepares
        HANDLERS[name] = Handler(
            name,
            guarded,
            writes,
            paths,
            lasting,
            asks,
            again,
            only=values,
            prepares=ready,
            moot=reasons,
        )
        return call

    return register


def _insisting(
    call: Callable[[Context, dict[str, Any]], T], values: So
) -> Callable[[Context, dict[str, Any]], T]:
    def guarded(ctx: Context, asked: dict[str, Any]) -> T:
        insist(asked, values)
        return call(ctx, asked)

    return guarded
