"""What every kind of object can: chmod, chown, rename, lock, unlock, update of its template."""

from collections.abc import Mapping
from typing import TypeVar

from tests.support.oned.calls.finding import found
from tests.support.oned.errors import ACTION, INTERNAL, XML_RPC_API, Refused, missing
from tests.support.oned.names import checked_name
from tests.support.oned.objects import Lock, Owned
from tests.support.oned.protocol import Args
from tests.support.oned.rights import Caller, Op
from tests.support.oned.templates import Template
from tests.support.oned.world import World

T = TypeVar("T", bound=Owned)


def change_rights(
    world: World, caller: Caller, pool: Mapping[int, T], kind: type[T], args: Args
) -> int:
    """Nine numbers: 1, 0, or -1 for unchanged. The ADMIN bits need the right ADMIN."""
    number = args.integer(0)
    wanted = [args.integer(1 + place) for place in range(9)]
    op = Op.ADMIN if any(wanted[place] != -1 for place in (2, 5, 8)) else Op.MANAGE
    thing = found(world, caller, pool, kind, number, op)
    for place, value in enumerate(wanted):
        if value != -1:
            thing.rights[place] = value
    return number


def change_owner(
    world: World, caller: Caller, pool: Mapping[int, T], kind: type[T], args: Args
) -> int:
    number, uid, gid = args.integer(0), args.integer(1), args.integer(2)
    thing = found(world, caller, pool, kind, number, Op.MANAGE)
    if uid != -1:
        user = world.users.get(uid)
        if user is None:
            raise missing("user", uid)
        world.rights.check(caller, Op.MANAGE, user)
        thing.uid, thing.uname = user.id, user.name
    if gid != -1:
        group = world.groups.get(gid)
        if group is None:
            raise missing("group", gid)
        world.rights.check(caller, Op.USE, group)
        thing.gid, thing.gname = group.id, group.name
    return number


def rename(thing: Owned, args: Args, siblings: Mapping[int, Owned]) -> int:
    name = checked_name(args.text(1), ACTION)
    for other in siblings.values():
        if other is not thing and other.name == name and other.uid == thing.uid:
            text = f"{thing.word} cannot be renamed to {name} because it collides with {thing.word}"
            raise Refused(ACTION, f"{text} {other.id}")
    thing.name = name
    return thing.id


def lock(world: World, caller: Caller, pool: Mapping[int, T], kind: type[T], args: Args) -> int:
    number, level, test = args.integer(0), args.integer(1), args.yes(2, default=False)
    if level not in (1, 2, 3, 4):
        raise Refused(ACTION, "Wrong lock level specified")
    thing = found(world, caller, pool, kind, number, Op.MANAGE, despite_lock=True)
    if test and thing.lock is not None:
        raise Refused(ACTION, str(thing.lock.time))
    # 1 use, 2 manage, 3 admin; 4, all, is kept as 1.
    thing.lock = Lock(1 if level == 4 else level, caller.uid, world.now, caller.request)
    return number


def unlock(world: World, caller: Caller, pool: Mapping[int, T], kind: type[T], args: Args) -> int:
    number = args.integer(0)
    thing = found(world, caller, pool, kind, number, Op.MANAGE, despite_lock=True)
    thing.lock = None
    return number


def update(old: Template, args: Args, first: int = 1) -> Template:
    """The template after `update`: type 0 replaces, 1 merges. Raises Refused."""
    given = Template.parse(args.text(first), INTERNAL, "Cannot update template. ")
    kind = args.integer(first + 1, 0)
    if kind not in (0, 1):
        raise Refused(XML_RPC_API, "Wrong update type")
    if kind == 0:
        return given
    merged = old.copy()
    merged.merge(given)
    return merged
