"""What most methods begin with: the object by id, and the right to it; and pages of pools."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from tests.support.oned.errors import XML_RPC_API, Refused, missing
from tests.support.oned.objects import Owned
from tests.support.oned.protocol import Args
from tests.support.oned.rights import Caller, Op
from tests.support.oned.world import World

T = TypeVar("T", bound=Owned)


def found(
    world: World,
    caller: Caller,
    pool: Mapping[int, T],
    kind: type[T],
    number: int,
    op: Op,
    *,
    despite_lock: bool = False,
) -> T:
    """Raises Refused: no such object, or no right to it."""
    thing = pool.get(number)
    if thing is None:
        raise missing(kind.word, number)
    world.rights.check(caller, op, thing, despite_lock=despite_lock)
    return thing


def page(world: World, caller: Caller, args: Args, pool: Iterable[T], first: int = 0) -> list[T]:
    """The three usual arguments from `first` on: filter, start, end. Newest first, as
    API_LIST_ORDER DESC has it; `end` below -1 asks for pages of that size."""
    flag, start, end = args.integer(first), args.integer(first + 1), args.integer(first + 2)
    return cut(visible(world, caller, flag, pool), start, end)


def visible(world: World, caller: Caller, flag: int, pool: Iterable[T]) -> list[T]:
    if flag < -4:
        raise Refused(XML_RPC_API, "Incorrect filter_flag")
    return [thing for thing in pool if _passes(world, caller, flag, thing)]


def cut(things: list[T], start: int, end: int) -> list[T]:
    things = sorted(things, key=lambda thing: -thing.id)
    if end < -1:
        offset = max(start, 0)
        return things[offset : offset - end]
    if start >= 0:
        last = end if end >= 0 else max((thing.id for thing in things), default=0)
        return [thing for thing in things if start <= thing.id <= last]
    return things


def _passes(world: World, caller: Caller, flag: int, thing: Owned) -> bool:
    if flag == -3:
        return thing.uid == caller.uid
    if flag == -4:
        return thing.gid == caller.gid and _may_use(world, caller, thing)
    if flag == -1:
        mine = thing.uid == caller.uid or thing.gid in caller.groups
        return mine and _may_use(world, caller, thing)
    if flag >= 0:
        return thing.uid == flag and _may_use(world, caller, thing)
    return _may_use(world, caller, thing)


def _may_use(world: World, caller: Caller, thing: Owned) -> bool:
    """By rights alone: a locked object is listed."""
    return world.rights.allowed(caller, Op.USE, thing, despite_lock=True)
