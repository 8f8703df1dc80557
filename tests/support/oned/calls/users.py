"""one.user.*, one.userpool.info, one.grouppool.info, one.acl.*."""

from tests.support.oned.calls import changing
from tests.support.oned.calls.finding import found
from tests.support.oned.errors import ALLOCATE, INTERNAL, NO_EXISTS, Refused, unauthorized
from tests.support.oned.names import check_free
from tests.support.oned.objects import LoginToken, User, password_hash
from tests.support.oned.protocol import Answer, Args
from tests.support.oned.quotas import Quotas
from tests.support.oned.registry import method
from tests.support.oned.rights import Caller, Op
from tests.support.oned.templates import Template
from tests.support.oned.world import World


def user_for(world: World, caller: Caller, number: int, op: Op) -> User:
    """-1 is the caller himself."""
    return found(world, caller, world.users, User, caller.uid if number == -1 else number, op)


@method("one.user.info")
def info(world: World, caller: Caller, args: Args) -> Answer:
    return user_for(world, caller, args.integer(0), Op.USE).xml()


@method("one.userpool.info")
def pool(world: World, caller: Caller, args: Args) -> Answer:
    """Those that the caller may use: all for admins, himself for others (17)."""
    inner = ""
    for user in sorted(world.users.values(), key=lambda each: -each.id):
        if world.rights.allowed(caller, Op.USE, user):
            quotas = f"<QUOTAS><ID>{user.id}</ID>{user.quotas.xml()}</QUOTAS>"
            inner += f"<USER>{user.body()}</USER>{quotas}"
    default = f"<DEFAULT_USER_QUOTAS>{Quotas().xml()}</DEFAULT_USER_QUOTAS>"
    return f"<USER_POOL>{inner}{default}</USER_POOL>"


@method("one.user.allocate")
def allocate(world: World, caller: Caller, args: Args) -> Answer:
    name, password, driver = args.text(0), args.text(1), args.text(2, "") or "core"
    world.rights.check_create(caller, "USER")
    check_free(name, None, world.users.values(), INTERNAL, "USER")
    if not name or not password:
        raise Refused(INTERNAL, "Invalid NAME or password, they cannot be empty")
    user = world.add_user(name, password, driver=driver)
    if driver != "core":
        user.password = password
    return user.id


@method("one.user.delete")
def delete(world: World, caller: Caller, args: Args) -> Answer:
    user = user_for(world, caller, args.integer(0), Op.ADMIN)
    del world.users[user.id]
    for gid in user.groups:
        world.groups[gid].users.remove(user.id)
    return user.id


@method("one.user.update")
def update(world: World, caller: Caller, args: Args) -> Answer:
    """Type 0 takes TOKEN_PASSWORD away with all the rest (383)."""
    user = user_for(world, caller, args.integer(0), Op.MANAGE)
    user.template = changing.update(user.template, args)
    return user.id


@method("one.user.passwd")
def change_password(world: World, caller: Caller, args: Args) -> Answer:
    user = user_for(world, caller, args.integer(0), Op.MANAGE)
    password = args.text(1)
    if not password:
        raise Refused(ALLOCATE, "Invalid password, it cannot be empty")
    user.password = password_hash(password, world.version)
    user.tokens = []
    world.sessions.forget_user(user.id)
    return user.id


@method("one.user.enable")
def enable(world: World, caller: Caller, args: Args) -> Answer:
    user = user_for(world, caller, args.integer(0), Op.ADMIN)
    user.enabled = args.yes(1)
    return user.id


@method("one.user.login")
def login(world: World, caller: Caller, args: Args) -> Answer:
    name, token, seconds = args.text(0), args.text(1), args.integer(2)
    egid = args.integer(3, -1)
    user = world.user_named(name)
    if user is None:
        raise Refused(NO_EXISTS, "Error getting user Pool.")
    world.rights.check(caller, Op.MANAGE, user)
    user.tokens = [each for each in user.tokens if each.expires > world.now]
    if token:
        raise NotImplementedError("one.user.login with a token given")
    if seconds == 0:
        user.tokens = []
        return ""
    expires = world.now + seconds if seconds > 0 else -1
    made = LoginToken(world.new_token(), expires, egid)
    user.tokens = sorted([*user.tokens, made], key=lambda each: each.token)
    return made.token


@method("one.user.quota")
def set_quota(world: World, caller: Caller, args: Args) -> Answer:
    user = user_for(world, caller, args.integer(0), Op.ADMIN)
    given = Template.parse(args.text(1))
    for section in ("DATASTORE", "NETWORK", "VM", "IMAGE"):
        for vector in given.vectors(section):
            number = None if section == "VM" else int(vector.get("ID", "-1"))
            limits = {name: float(value) for name, value in vector.items() if name != "ID"}
            user.quotas.limit(section, number, limits)
    return user.id


@method("one.userquota.info")
def default_quotas(world: World, caller: Caller, args: Args) -> Answer:
    return f"<DEFAULT_USER_QUOTAS>{Quotas().xml()}</DEFAULT_USER_QUOTAS>"


@method("one.grouppool.info")
def groups(world: World, caller: Caller, args: Args) -> Answer:
    """Those that the caller is in; admins see all."""
    inner = ""
    for group in sorted(world.groups.values(), key=lambda each: -each.id):
        if caller.is_admin or group.id in caller.groups:
            quotas = f"<QUOTAS><ID>{group.id}</ID>{group.quotas.xml()}</QUOTAS>"
            inner += f"<GROUP>{group.body()}</GROUP>{quotas}"
    default = f"<DEFAULT_GROUP_QUOTAS>{Quotas().xml()}</DEFAULT_GROUP_QUOTAS>"
    return f"<GROUP_POOL>{inner}{default}</GROUP_POOL>"


@method("one.group.allocate")
def allocate_group(world: World, caller: Caller, args: Args) -> Answer:
    """Such a group may create nothing until a rule says so (30)."""
    name = args.text(0)
    world.rights.check_create(caller, "GROUP")
    check_free(name, None, world.groups.values(), INTERNAL, "GROUP")
    return world.add_group(name).id


@method("one.acl.addrule")
def add_rule(world: World, caller: Caller, args: Args) -> Answer:
    """Numbers in hexadecimal: who, on what, which rights, in which zone."""
    numbers = [int(args.text(place), 16) for place in range(3)]
    if not caller.is_admin:
        raise _no_acl(caller)
    return world.add_rule(*numbers)


@method("one.acl.info")
def rules(world: World, caller: Caller, args: Args) -> Answer:
    if not caller.is_admin:
        raise _no_acl(caller)
    inner = "".join(
        f"<ACL><ID>{number}</ID><USER>{rule.user:x}</USER><RESOURCE>{rule.resource:x}</RESOURCE>"
        f"<RIGHTS>{rule.rights:x}</RIGHTS><ZONE>400000000</ZONE></ACL>"
        for number, rule in world.rights.rules.items()
    )
    return f"<ACL_POOL>{inner}</ACL_POOL>"


def _no_acl(caller: Caller) -> Refused:
    return unauthorized(caller.uid, "Not authorized to perform MANAGE ACL")
