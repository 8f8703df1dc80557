"""one.vn.*, one.vnpool.info, one.secgroup.*, one.secgrouppool.info."""

from ipaddress import IPv4Address

from tests.support.oned import capacity
from tests.support.oned.calls import changing
from tests.support.oned.calls.finding import found, page
from tests.support.oned.errors import ACTION, INTERNAL, Refused
from tests.support.oned.names import check_free, checked_name
from tests.support.oned.networks import HELD, LOCK_CREATE, READY, AddressRange, Holder, Network
from tests.support.oned.objects import SecurityGroup
from tests.support.oned.protocol import Answer, Args
from tests.support.oned.registry import method
from tests.support.oned.rights import Caller, Op
from tests.support.oned.templates import Template
from tests.support.oned.world import World

_NOT_FREE = "Address is not part of the address range or in use."


def network_for(
    world: World, caller: Caller, number: int, op: Op, *, despite_lock: bool = False
) -> Network:
    return found(world, caller, world.networks, Network, number, op, despite_lock=despite_lock)


@method("one.vn.info")
def info(world: World, caller: Caller, args: Args) -> Answer:
    return network_for(world, caller, args.integer(0), Op.USE, despite_lock=True).xml()


@method("one.vnpool.info")
def pool(world: World, caller: Caller, args: Args) -> Answer:
    listed = page(world, caller, args, world.networks.values())
    return f"<VNET_POOL>{''.join(each.pool_xml() for each in listed)}</VNET_POOL>"


@method("one.vn.hold")
def hold(world: World, caller: Caller, args: Args) -> Answer:
    number, ip = args.integer(0), _leased_ip(args)
    network = network_for(world, caller, number, Op.MANAGE)
    if not ip or network.lease(HELD, ip) is None:
        raise Refused(INTERNAL, _NOT_FREE)
    return number


@method("one.vn.release")
def release(world: World, caller: Caller, args: Args) -> Answer:
    """Of an address that is not on hold, OK as well (172)."""
    number, ip = args.integer(0), _leased_ip(args)
    network_for(world, caller, number, Op.MANAGE).give_back(ip, HELD)
    return number


def _leased_ip(args: Args) -> str:
    lease = Template.parse(args.text(1)).vector("LEASES")
    if lease is None:
        raise Refused(INTERNAL, "Empty lease description.")
    return lease.get("IP", "")


@method("one.vn.reserve")
def reserve(world: World, caller: Caller, args: Args) -> Answer:
    """A network of the caller's own, or more for one, cut out of this one; USE is enough."""
    number = args.integer(0)
    asked = Template.parse(args.text(1))
    parent = network_for(world, caller, number, Op.USE)
    size = int(asked.number("SIZE") or 0)
    if size <= 0:
        raise Refused(ACTION, "Reservation SIZE must be a greater than 0")
    if parent.parent is not None:
        raise Refused(ACTION, "Cannot reserve addresses from a reserved VNET")
    own = asked.get("NETWORK_ID")
    if not own and not asked.get("NAME"):
        raise Refused(ACTION, "NAME for reservation has to be set")
    target = network_for(world, caller, int(own), Op.MANAGE) if own else None
    capacity.check(world, caller, "NETWORK", number, {"LEASES": size})
    if target is None:
        target = _reservation(world, caller, parent, asked.get("NAME"))
    each, first = _free_part(parent, asked, size)
    part = AddressRange(target.next_range_id(), IPv4Address(each.ip(first)), size, each.id)
    for index in range(first, first + size):
        each.taken[index] = Holder(target.id, is_network=True)
    target.ranges.append(part)
    world.networks[target.id] = target
    capacity.charge(world, target, "NETWORK", number, {"LEASES": size})
    return target.id


def _reservation(world: World, caller: Caller, parent: Network, name: str) -> Network:
    """Its number is used up even when no address is found (178, 179)."""
    network = Network(
        **world.owned_by(caller, "network"),
        name=name,
        template=parent.template.copy(),
        parent=parent.id,
        state=LOCK_CREATE,
    )
    check_free(name, caller.uid, world.networks.values(), INTERNAL, "NET")

    def end() -> None:
        network.state = READY

    world.agenda.after(world.pace.hotplug_s, end)
    checked_name(name, INTERNAL)
    return network


def _free_part(parent: Network, asked: Template, size: int) -> tuple[AddressRange, int]:
    wanted, ip = asked.get("AR_ID"), asked.get("IP")
    for each in parent.ranges:
        if wanted and str(each.id) != wanted:
            continue
        first = each.index_of(ip) if ip else each.free(size)
        if first is None or first + size > each.size:
            continue
        if not any(index in each.taken for index in range(first, first + size)):
            return each, first
    text = "Not enough free addresses in an address range"
    if wanted:
        text = f"Not enough free addresses in address range {wanted}, or it does not exist"
    raise Refused(ACTION, text)


@method("one.vn.delete")
def delete(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    network = network_for(world, caller, number, Op.MANAGE)
    if network.used:
        text = "Can not remove a virtual network with leases in use"
        raise Refused(ACTION, f"Cannot delete virtual network. {text}")
    del world.networks[number]
    if network.parent is not None and network.parent in world.networks:
        _give_back(world, network, world.networks[network.parent])
    return number


def _give_back(world: World, network: Network, parent: Network) -> None:
    for each in parent.ranges:
        for index, holder in list(each.taken.items()):
            if holder.is_network and holder.id == network.id:
                del each.taken[index]
    size = sum(each.size for each in network.ranges)
    capacity.charge(world, network, "NETWORK", parent.id, {"LEASES": -size})


@method("one.vn.rm_ar")
def remove_range(world: World, caller: Caller, args: Args) -> Answer:
    number, range_id = args.integer(0), args.integer(1)
    network = network_for(world, caller, number, Op.ADMIN)
    found_range = next((each for each in network.ranges if each.id == range_id), None)
    if found_range is None:
        raise Refused(INTERNAL, "Address Range does not exist")
    if found_range.taken:
        raise Refused(INTERNAL, "Address Range has leases in use")
    network.ranges.remove(found_range)
    return number


@method("one.vn.update")
def update(world: World, caller: Caller, args: Args) -> Answer:
    network = network_for(world, caller, args.integer(0), Op.MANAGE)
    network.template = changing.update(network.template, args)
    return network.id


# Security groups.

_PROTOCOLS = ("TCP", "UDP", "ICMP", "ICMPV6", "IPSEC", "ALL")


def group_for(world: World, caller: Caller, number: int, op: Op) -> SecurityGroup:
    return found(world, caller, world.security_groups, SecurityGroup, number, op)


def _check_rules(template: Template, before: str) -> None:
    for rule in template.vectors("RULE"):
        if rule.get("PROTOCOL", "").upper() not in _PROTOCOLS:
            text = f"Wrong PROTOCOL in rule. Valid options: {', '.join(_PROTOCOLS)}."
            raise Refused(INTERNAL, f"{before}{text}")
        if rule.get("RULE_TYPE", "").upper() not in ("INBOUND", "OUTBOUND"):
            text = "Wrong RULE_TYPE in rule. Valid options: INBOUND, OUTBOUND."
            raise Refused(INTERNAL, f"{before}{text}")
        for part in rule.get("RANGE", "").replace(":", ",").split(","):
            if part and (not part.isdigit() or int(part) > 65536):
                raise Refused(INTERNAL, f"{before}RANGE out of bounds 0-65536.")


@method("one.secgroup.allocate")
def allocate_group(world: World, caller: Caller, args: Args) -> Answer:
    template = Template.parse(args.text(0))
    world.rights.check_create(caller, "SECGROUP")
    name = checked_name(template.get("NAME"), INTERNAL)
    pool = world.security_groups.values()
    check_free(name, caller.uid, pool, INTERNAL, "SecurityGroup")
    _check_rules(template, "")
    template.drop("NAME")
    group = SecurityGroup(**world.owned_by(caller, "secgroup"), name=name, template=template)
    world.security_groups[group.id] = group
    return group.id


@method("one.secgroup.info")
def group_info(world: World, caller: Caller, args: Args) -> Answer:
    return group_for(world, caller, args.integer(0), Op.USE).xml()


@method("one.secgrouppool.info")
def group_pool(world: World, caller: Caller, args: Args) -> Answer:
    listed = page(world, caller, args, world.security_groups.values())
    return f"<SECURITY_GROUP_POOL>{''.join(each.xml() for each in listed)}</SECURITY_GROUP_POOL>"


@method("one.secgroup.update")
def update_group(world: World, caller: Caller, args: Args) -> Answer:
    group = group_for(world, caller, args.integer(0), Op.MANAGE)
    changed = changing.update(group.template, args)
    _check_rules(changed, "Cannot update template. ")
    group.template = changed
    group.outdated = list(group.machines)
    return group.id


@method("one.secgroup.commit")
def commit_group(world: World, caller: Caller, args: Args) -> Answer:
    group = group_for(world, caller, args.integer(0), Op.MANAGE)
    args.yes(1)
    group.outdated = []
    return group.id


@method("one.secgroup.delete")
def delete_group(world: World, caller: Caller, args: Args) -> Answer:
    group = group_for(world, caller, args.integer(0), Op.MANAGE)
    if group.id == 0 or group.machines:
        text = "The security group has VMs using it"
        raise Refused(ACTION, f"Cannot delete security group. {text}")
    del world.security_groups[group.id]
    return group.id
