"""From a template to a machine: checks in oned's order, then leases, images, context.

VirtualMachineAllocate and VirtualMachine::insert at 7.0.2.
"""

import uuid
from typing import TYPE_CHECKING

from tests.support.oned import capacity, context, disks, nics
from tests.support.oned.errors import INTERNAL, Refused, unauthorized
from tests.support.oned.images import Image, ImageState
from tests.support.oned.machine import Machine, State
from tests.support.oned.names import checked_name
from tests.support.oned.networks import Network
from tests.support.oned.rights import RESTRICTED_VM, Caller, Op, restricted
from tests.support.oned.templates import Template, Vector

if TYPE_CHECKING:
    from tests.support.oned.world import World

# What goes to TEMPLATE; all else of the user's template lands in USER_TEMPLATE.
_KNOWN = [
    "CONTEXT",
    "CPU",
    "CPU_COST",
    "CPU_MODEL",
    "DISK",
    "DISK_COST",
    "EMULATOR",
    "FEATURES",
    "GRAPHICS",
    "INPUT",
    "MEMORY",
    "MEMORY_COST",
    "MEMORY_MAX",
    "MEMORY_RESIZE_MODE",
    "MEMORY_SLOTS",
    "NIC",
    "NIC_ALIAS",
    "NIC_DEFAULT",
    "NUMA_NODE",
    "OS",
    "PCI",
    "RAW",
    "SPICE_OPTIONS",
    "TEMPLATE_ID",
    "CLONING_TEMPLATE_ID",
    "TM_MAD_SYSTEM",
    "TOPOLOGY",
    "TPM",
    "VCPU",
    "VCPU_MAX",
    "VIDEO",
    "VMGROUP",
]


def allocate(world: "World", caller: Caller, template: Template, *, hold: bool) -> Machine:
    """Raises Refused, with everything given back that was taken before."""
    if not caller.is_admin:
        name = restricted(template, RESTRICTED_VM)
        if name is not None:
            text = f"VM Template includes a restricted attribute {name}"
            raise unauthorized(caller.uid, text)
    _check_rights(world, caller, template)
    check_quotas(world, caller, template)
    machine = _split(world, caller, template)
    try:
        _connect(world, caller, machine)
        _load(world, caller, machine)
    except Refused:
        nics.give_back_all(world, machine)
        raise
    machine.id = world.serial("vm")
    return _finish(world, machine, hold=hold)


def _check_rights(world: "World", caller: Caller, template: Template) -> None:
    world.rights.check_create(caller, "VM")
    for image in _known_images(world, caller, template):
        world.rights.check(caller, Op.USE, image)
    for network in _known_networks(world, caller, template):
        world.rights.check(caller, Op.USE, network)


def _known_images(world: "World", caller: Caller, template: Template) -> list[Image]:
    found = []
    for disk in template.vectors("DISK"):
        try:
            image = disks.image_of(world, caller, disk, INTERNAL)
        except Refused:  # told later, when the image is acquired
            continue
        if image is not None:
            found.append(image)
    return found


def _known_networks(world: "World", caller: Caller, template: Template) -> list[Network]:
    found = []
    for nic in template.vectors("NIC") + template.vectors("NIC_ALIAS"):
        try:
            found.append(nics.network_of(world, caller, nic, INTERNAL))
        except Refused:
            continue
    return found


def check_quotas(world: "World", caller: Caller, template: Template) -> None:
    copies = 0.0
    images = _known_images(world, caller, template)
    for disk in template.vectors("DISK"):
        copies += float(disk.get("SIZE", "0") or 0)
    copies += sum(image.size_mb for image in images if not image.persistent)
    capacity.check(world, caller, "VM", None, capacity.usage(template, copies))
    for network in _known_networks(world, caller, template):
        if network.parent is None:
            capacity.check(world, caller, "NETWORK", network.id, {"LEASES": 1})
    for image in images:
        capacity.check(world, caller, "IMAGE", image.id, {"RVMS": 1})


def _split(world: "World", caller: Caller, template: Template) -> Machine:
    """The machine without an id yet: what it would be is the next one."""
    number = world.next_serial("vm")
    machine = Machine(
        id=number, uid=caller.uid, gid=caller.gid, uname=caller.name, gname=caller.gname
    )
    user = template.copy()
    user.drop("VMID")
    prefix = user.get("TEMPLATE_NAME", "one")
    user.drop("TEMPLATE_NAME")
    name = user.get("NAME") or f"{prefix}-{number}"
    user.drop("NAME")
    machine.name = checked_name(name, INTERNAL)
    for known in _KNOWN:
        for value in user.drop(known):
            machine.template.add(known, value)
    _check_capacity(machine.template)
    machine.user_template = user
    machine.template.set("VMID", str(number))
    system = machine.template.vector("OS")
    if system is None:
        system = {}
        machine.template.set("OS", system)
    system.setdefault("UUID", str(uuid.uuid4()))
    return machine


def _check_capacity(template: Template) -> None:
    memory = template.number("MEMORY")
    if memory is None or memory <= 0 or memory != int(memory):
        raise Refused(INTERNAL, "MEMORY attribute must be a positive integer value.")
    cpu = template.number("CPU")
    if cpu is None or cpu <= 0:
        raise Refused(INTERNAL, "CPU attribute must be a positive float or integer value.")
    if "VCPU" in template:
        threads = template.number("VCPU")
        if threads is None or threads <= 0 or threads != int(threads):
            raise Refused(INTERNAL, "VCPU attribute must be a positive integer value.")


def _connect(world: "World", caller: Caller, machine: Machine) -> None:
    wanted: list[tuple[str, Vector]] = []
    for tag in ("NIC", "NIC_ALIAS"):
        values = machine.template.drop(tag)
        wanted += [(tag, dict(value)) for value in values if isinstance(value, dict)]
    for tag, nic in wanted:
        network = nics.network_of(world, caller, nic, INTERNAL)
        nics.add(world, machine, tag, nic, network, INTERNAL)


def _load(world: "World", caller: Caller, machine: Machine) -> None:
    taken: list[int] = []
    types: list[int] = []
    try:
        for number, disk in enumerate(machine.disks()):
            disk["DISK_ID"] = str(number)
            image = _taken(world, caller, machine, disk, number)
            if image is not None:
                taken.append(image.id)
            types.append(2 if image is None else image.type)
        disks.place_all(machine.template, types, INTERNAL)
    except Refused:
        for image_id in taken:
            world.image_life.release(image_id, machine.id)
        raise


def _taken(
    world: "World", caller: Caller, machine: Machine, disk: Vector, number: int
) -> Image | None:
    try:
        image = disks.image_of(world, caller, disk, INTERNAL)
        disks.take(world, machine, disk, image, attach=False, code=INTERNAL)
    except Refused as refused:
        raise Refused(INTERNAL, f"DISK {number}: {refused.text}") from refused
    return image


def _finish(world: "World", machine: Machine, *, hold: bool) -> Machine:
    machine.stime = world.now
    context.fill_variables(world, machine)
    context.fill_network(world, machine)
    require(machine)
    if hold:
        machine.template.set("SUBMIT_ON_HOLD", "YES")
    machine.become(State.HOLD if hold else State.PENDING)
    if any("CLONING" in disk for disk in machine.disks()):
        machine.become(State.CLONING)
    world.machines[machine.id] = machine
    taken = capacity.usage(machine.template, capacity.disk_mb(machine))
    capacity.charge(world, machine, "VM", None, taken)
    for disk in machine.disks():
        if "IMAGE_ID" in disk:
            capacity.charge(world, machine, "IMAGE", int(disk["IMAGE_ID"]), {"RVMS": 1})
    if machine.state == State.CLONING:
        _look_at_images(world, machine)
    world.life.born(machine)
    return machine


def _look_at_images(world: "World", machine: Machine) -> None:
    states = [world.images[int(disk["IMAGE_ID"])].state for disk in machine.disks()]
    if ImageState.ERROR in states:
        machine.become(State.CLONING_FAILURE)


def require(machine: Machine) -> None:
    """The requirements that oned works out by itself; there is one cluster."""
    stores = '("CLUSTERS/ID" @> 0)'
    if "TM_MAD_SYSTEM" in machine.template:
        stores += f' & (TM_MAD = "{machine.template.get("TM_MAD_SYSTEM")}")'
    machine.template.set("AUTOMATIC_DS_REQUIREMENTS", stores)
    machine.template.set("AUTOMATIC_NIC_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
    where = "(CLUSTER_ID = 0) & !(PIN_POLICY = PINNED)"
    machine.template.set("AUTOMATIC_REQUIREMENTS", where)
