"""Who may do what: permission bits, ACL rules, locks and restricted attributes."""

from dataclasses import dataclass, field
from enum import IntEnum

from tests.support.oned.errors import Refused, unauthorized
from tests.support.oned.objects import Owned
from tests.support.oned.templates import Template

_ONE = 0x100000000
_GROUP = 0x200000000
_ALL = 0x400000000
_LOW = 0xFFFFFFFF

TYPES = {
    "VM": 0x1000000000,
    "HOST": 0x2000000000,
    "NET": 0x4000000000,
    "IMAGE": 0x8000000000,
    "USER": 0x10000000000,
    "TEMPLATE": 0x20000000000,
    "GROUP": 0x40000000000,
    "ACL": 0x80000000000,
    "DATASTORE": 0x100000000000,
    "CLUSTER": 0x200000000000,
    "DOCUMENT": 0x400000000000,
    "ZONE": 0x800000000000,
    "SECGROUP": 0x1000000000000,
}


class Op(IntEnum):
    USE = 1
    MANAGE = 2
    ADMIN = 4
    CREATE = 8


@dataclass
class Caller:
    """Who acts: the user that the session stands for, with the groups that it gives him."""

    uid: int
    gid: int
    name: str
    gname: str
    groups: list[int] = field(default_factory=list)
    request: int = -1

    @property
    def is_admin(self) -> bool:
        return self.uid == 0 or 0 in self.groups


@dataclass(frozen=True)
class Rule:
    """Three numbers as one.acl.addrule takes them; the fourth, the zone, is always this one."""

    user: int
    resource: int
    rights: int

    def allows(self, caller: Caller, kind: str, thing: Owned | None, op: Op) -> bool:
        if not self.rights & op or not self.resource & TYPES[kind]:
            return False
        return self._names_user(caller) and self._names(thing)

    def _names_user(self, caller: Caller) -> bool:
        number = self.user & _LOW
        if self.user & _ALL:
            return True
        if self.user & _GROUP:
            return number in caller.groups
        return number == caller.uid

    def _names(self, thing: Owned | None) -> bool:
        if self.resource & _ALL:
            return True
        if thing is None:
            return False
        number = self.resource & _LOW
        return number == (thing.gid if self.resource & _GROUP else thing.id)


def for_group(gid: int, kinds: str, op: Op) -> Rule:
    """`@gid KIND+KIND/* op`"""
    resource = _ALL
    for kind in kinds.split("+"):
        resource |= TYPES[kind]
    return Rule(_GROUP | gid, resource, op)


# What a fresh oned has (AclManager::bootstrap); group 1 is `users`.
FIRST_RULES = (
    for_group(1, "VM+IMAGE+TEMPLATE+DOCUMENT+SECGROUP", Op.CREATE),
    Rule(_ALL, _ALL | TYPES["ZONE"], Op.USE),
)


@dataclass
class Rights:
    rules: dict[int, Rule] = field(default_factory=lambda: dict(enumerate(FIRST_RULES)))
    next_rule: int = len(FIRST_RULES)

    def add(self, rule: Rule) -> int:
        number = self.next_rule
        self.next_rule += 1
        self.rules[number] = rule
        return number

    def check(self, caller: Caller, op: Op, thing: Owned, *, despite_lock: bool = False) -> None:
        """Raises Refused. The name of a right and a kind in it is what clients tell it by."""
        if not self.allowed(caller, op, thing, despite_lock=despite_lock):
            raise self.refusal(caller, op, thing.kind, thing.id)

    def allowed(self, caller: Caller, op: Op, thing: Owned, *, despite_lock: bool = False) -> bool:
        if caller.is_admin:
            return True
        if thing.lock is not None and not despite_lock and thing.lock.level <= op:
            return False
        if self._by_bits(caller, op, thing):
            return True
        return thing.obeys_rules and any(
            rule.allows(caller, thing.kind, thing, op) for rule in self.rules.values()
        )

    def check_create(self, caller: Caller, kind: str) -> None:
        if caller.is_admin:
            return
        if not any(rule.allows(caller, kind, None, Op.CREATE) for rule in self.rules.values()):
            raise self.refusal(caller, Op.CREATE, kind, None)

    @staticmethod
    def refusal(caller: Caller, op: Op, kind: str, number: int | None) -> Refused:
        which = "" if number is None else f" [{number}]"
        return unauthorized(caller.uid, f"Not authorized to perform {op.name} {kind}{which}")

    @staticmethod
    def _by_bits(caller: Caller, op: Op, thing: Owned) -> bool:
        if thing.kind == "USER" and thing.id == caller.uid:
            # A user's own object: use and manage, as UserPool gives them.
            return op in (Op.USE, Op.MANAGE)
        place = {Op.USE: 0, Op.MANAGE: 1, Op.ADMIN: 2}[op]
        return bool(
            (thing.uid == caller.uid and thing.rights[place])
            or (thing.gid in caller.groups and thing.rights[3 + place])
            or thing.rights[6 + place]
        )


# oned.conf of 7.0.2: what only admins may set. Those of disks and NICs are the ones that clients
# of ours could be thought to send; the list of oned is longer.
RESTRICTED_VM = {
    "CONTEXT": ("FILES",),
    "NIC": ("MAC", "BRIDGE", "VLAN_ID", "FILTER", "EXTERNAL"),
    "NIC_ALIAS": ("MAC", "BRIDGE", "VLAN_ID"),
    "NIC_DEFAULT": ("MAC", "BRIDGE", "VLAN_ID", "FILTER", "EXTERNAL"),
    "DISK": ("ORIGINAL_SIZE", "SIZE_PREV", "TOTAL_BYTES_SEC", "READ_IOPS_SEC", "WRITE_IOPS_SEC"),
    "RAW": ("DATA",),
    "CPU_COST": (),
    "DISK_COST": (),
    "MEMORY_COST": (),
    "DEPLOY_ID": (),
    "EMULATOR": (),
    "PCI": (),
    "USER_PRIORITY": (),
}
RESTRICTED_IMAGE: dict[str, tuple[str, ...]] = {"SOURCE": ()}


def restricted(template: Template, names: dict[str, tuple[str, ...]]) -> str | None:
    """The first attribute that an ordinary user may not set."""
    for name, inner in names.items():
        if not inner and name in template:
            return name
        for vector in template.vectors(name):
            for each in inner:
                if each in vector:
                    return each
    return None
