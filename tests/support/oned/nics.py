"""A machine's NICs: their leases, their place in the context, its screen."""

from typing import TYPE_CHECKING

from tests.support.oned import capacity, context
from tests.support.oned.errors import Refused
from tests.support.oned.machine import Machine
from tests.support.oned.networks import Network
from tests.support.oned.rights import Caller
from tests.support.oned.templates import Vector

if TYPE_CHECKING:
    from tests.support.oned.world import World


def network_of(world: "World", caller: Caller, nic: Vector, code: int) -> Network:
    """By id, or by name and owner. Raises Refused with `code`."""
    if "NETWORK_ID" in nic:
        number = nic["NETWORK_ID"]
        if not number.isdigit() or int(number) not in world.networks:
            raise Refused(code, f"Virtual network with ID: {number} does not exist")
        return world.networks[int(number)]
    name = nic.get("NETWORK", "")
    uid = owner_id(world, caller, nic, "NETWORK")
    for network in world.networks.values():
        if network.name == name and network.uid == uid:
            return network
    raise Refused(
        code,
        f"User {uid} does not own a network with name: {name} . Set NETWORK_UNAME or NETWORK_UID"
        " of owner in NIC.",
    )


def owner_id(world: "World", caller: Caller, vector: Vector, what: str) -> int:
    """Whose object a name means: `<what>_UID`, `<what>_UNAME`, or the caller's own."""
    if vector.get(f"{what}_UID", "").isdigit():
        return int(vector[f"{what}_UID"])
    user = world.user_named(vector.get(f"{what}_UNAME", ""))
    return user.id if user is not None else caller.uid


def lease(world: "World", machine: Machine, nic: Vector, network: Network, code: int) -> None:
    """Give it an address and all that follows of its network."""
    found = network.lease(machine.id, nic.get("IP", ""))
    if found is None:
        text = f"Cannot get IP/MAC lease from virtual network {network.id}."
        raise Refused(code, text)
    groups = [nic.get("SECURITY_GROUPS", ""), network.template.get("SECURITY_GROUPS")]
    numbers = {number for text in groups for number in text.split(",") if number}
    nic.update(network.nic(found))
    nic["SECURITY_GROUPS"] = ",".join(sorted(numbers, key=int))
    nic["TARGET"] = f"one-{machine.id}-{nic['NIC_ID']}"
    if network.parent is not None:
        nic["PARENT_NETWORK_ID"] = str(network.parent)
    else:
        capacity.charge(world, machine, "NETWORK", network.id, {"LEASES": 1})


def add(
    world: "World", machine: Machine, tag: str, nic: Vector, network: Network, code: int
) -> None:
    """Lease it, name it and put it into the template: `tag` is NIC or NIC_ALIAS."""
    every = machine.nics() + machine.aliases()
    number = max((int(each["NIC_ID"]) for each in every), default=-1) + 1
    nic["NIC_ID"] = str(number)
    if tag == "NIC_ALIAS":
        _join_parent(machine, nic, code)
    lease(world, machine, nic, network, code)
    if tag == "NIC":
        nic.setdefault("NAME", f"NIC{number}")
    machine.template.add(tag, nic)
    apply_security_groups(world, machine)


def _join_parent(machine: Machine, nic: Vector, code: int) -> None:
    wanted = nic.get("PARENT", "")
    parent = next((each for each in machine.nics() if each["NAME"] == wanted), None)
    if parent is None:
        raise Refused(code, f"NIC named {wanted} not found for alias")
    siblings = [each for each in machine.aliases() if each["PARENT_ID"] == parent["NIC_ID"]]
    number = max((int(each["ALIAS_ID"]) for each in siblings), default=-1) + 1
    nic["PARENT_ID"] = parent["NIC_ID"]
    nic["ALIAS_ID"] = str(number)
    nic.setdefault("NAME", f"{wanted}_ALIAS{nic['NIC_ID']}")
    ids = [each["NIC_ID"] for each in siblings] + [nic["NIC_ID"]]
    parent["ALIAS_IDS"] = ",".join(ids)


def drop(world: "World", machine: Machine, nic: Vector) -> None:
    """Take it away, and the aliases that are on it."""
    for alias in machine.aliases():
        if alias is not nic and alias["PARENT_ID"] == nic["NIC_ID"] and "PARENT_ID" not in nic:
            drop(world, machine, alias)
    give_back(world, machine, nic)
    if "PARENT_ID" in nic:
        parent = machine.nic(int(nic["PARENT_ID"]))
        if parent is not None and "ALIAS_IDS" in parent:
            left = [each for each in parent["ALIAS_IDS"].split(",") if each != nic["NIC_ID"]]
            parent["ALIAS_IDS"] = ",".join(left)
        machine.template.remove_vector("NIC_ALIAS", nic)
    else:
        machine.template.remove_vector("NIC", nic)
    context.clear(machine, nic)
    apply_security_groups(world, machine)


def give_back(world: "World", machine: Machine, nic: Vector) -> None:
    network = world.networks.get(int(nic.get("NETWORK_ID", "-1")))
    if network is None or not network.give_back(nic["IP"], machine.id):
        return
    if network.parent is None:
        capacity.charge(world, machine, "NETWORK", network.id, {"LEASES": -1})


def give_back_all(world: "World", machine: Machine) -> None:
    for nic in machine.nics() + machine.aliases():
        give_back(world, machine, nic)
    for group in world.security_groups.values():
        if machine.id in group.machines:
            group.machines.remove(machine.id)


def apply_security_groups(world: "World", machine: Machine) -> None:
    """TEMPLATE/SECURITY_GROUP_RULE: the rules of every group that a NIC is in."""
    numbers: set[int] = set()
    for nic in machine.nics() + machine.aliases():
        numbers |= {int(each) for each in nic.get("SECURITY_GROUPS", "").split(",") if each}
    machine.template.drop("SECURITY_GROUP_RULE")
    for number, group in world.security_groups.items():
        if number not in numbers:
            if machine.id in group.machines:
                group.machines.remove(machine.id)
            continue
        if machine.id not in group.machines:
            group.machines.append(machine.id)
        for rule in group.template.vectors("RULE"):
            of_group = {"SECURITY_GROUP_ID": str(number), "SECURITY_GROUP_NAME": group.name}
            machine.template.add("SECURITY_GROUP_RULE", {**rule, **of_group})


def close_screen(machine: Machine) -> None:
    """The port goes back when the machine leaves its host for good."""
    graphics = machine.template.vector("GRAPHICS")
    if graphics is not None:
        graphics.pop("PORT", None)


def open_screen(machine: Machine) -> None:
    """A VNC port is given at deployment: 5900 and the machine's id (VNC_PORTS START)."""
    graphics = machine.template.vector("GRAPHICS")
    if graphics is not None and graphics.get("TYPE", "").upper() in ("VNC", "SPICE"):
        graphics.setdefault("PORT", str(5900 + machine.id))
        graphics.setdefault("LISTEN", "0.0.0.0")
