"""one.vm.*: disks, NICs, snapshots, saved disks, security groups of a machine."""

from tests.support.oned import capacity, context, disks, nics
from tests.support.oned.calls.finding import found
from tests.support.oned.calls.machines import actor, machine_for
from tests.support.oned.drivers import Outcome
from tests.support.oned.errors import ACTION, ALLOCATE, INTERNAL, Refused, missing, unauthorized
from tests.support.oned.images import Image
from tests.support.oned.machine import Action, Lcm, Machine, State
from tests.support.oned.names import check_free, checked_name
from tests.support.oned.objects import SecurityGroup
from tests.support.oned.protocol import Answer, Args
from tests.support.oned.registry import method
from tests.support.oned.rights import RESTRICTED_VM, Caller, Op, restricted
from tests.support.oned.templates import Template, Vector
from tests.support.oned.world import World


def _given(caller: Caller, text: str, *tags: str) -> tuple[str, Vector]:
    """The one vector that the template is about. Raises Refused."""
    template = Template.parse(text)
    if not caller.is_admin and (name := restricted(template, RESTRICTED_VM)) is not None:
        raise unauthorized(caller.uid, f"{tags[0]} includes a restricted attribute {name}")
    for tag in tags:
        vector = template.vector(tag)
        if vector is not None:
            return tag, vector
    if len(tags) > 1:
        raise Refused(ACTION, "Wrong format or missing NIC/NIC_ALIAS/PCI attribute")
    raise Refused(ACTION, f"Internal error parsing {tags[0]} attribute")


def _plug(
    world: World,
    machine: Machine,
    caller: Caller,
    action: Action,
    states: tuple[Lcm, Lcm],
) -> None:
    """To the state for a change while RUNNING, or for one while POWEROFF; a new record."""
    while_off = machine.state == State.POWEROFF
    machine.record.act(action, actor(caller))
    machine.become(State.ACTIVE, states[1] if while_off else states[0])
    record = world.life.new_record(machine)
    if while_off:
        record.act(Action.POWEROFF)


def _unplug(world: World, machine: Machine) -> None:
    """Back to where `_plug` came from."""
    if machine.lcm in (Lcm.HOTPLUG, Lcm.HOTPLUG_NIC, Lcm.DISK_SNAPSHOT, Lcm.HOTPLUG_SNAPSHOT):
        machine.become(State.ACTIVE, Lcm.RUNNING)
    else:
        world.life.powered_off(machine)


def _check_plug(machine: Machine, text: str) -> None:
    if not machine.is_in(Lcm.RUNNING) and machine.state != State.POWEROFF:
        raise Refused(ACTION, f"{text}, wrong state {machine.state_name}.")


@method("one.vm.attach")
def attach(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    machine = machine_for(world, caller, number, Op.MANAGE)
    if not machine.history:
        raise Refused(ACTION, "VM is not running in any host")
    _, disk = _given(caller, args.text(1), "DISK")
    image = _usable(world, caller, disk)
    _check_plug(machine, f"Could not attach a new disk to VM {number}")
    image = disks.image_of(world, caller, disk, ACTION)
    disk.setdefault("DEV_PREFIX", image.template.get("DEV_PREFIX", "sd") if image else "sd")
    disks.place_one(machine, disk, ACTION)
    disks.take(world, machine, disk, image, attach=True, code=ACTION)
    capacity.charge(world, machine, "VM", None, {"SYSTEM_DISK_SIZE": capacity.disk_share(disk)})
    if image is not None:
        capacity.charge(world, machine, "IMAGE", image.id, {"RVMS": 1})
    disk["ATTACH"] = "YES"
    machine.template.add("DISK", disk)
    states = (Lcm.HOTPLUG, Lcm.HOTPLUG_PROLOG_POWEROFF)
    _plug(world, machine, caller, Action.DISK_ATTACH, states)

    def end(now: Machine, outcome: Outcome) -> None:
        disk.pop("ATTACH", None)
        if outcome.fails:
            _drop_disk(world, now, disk)
        _unplug(world, now)

    world.life.driver(machine, "attach_disk", world.pace.hotplug_s, end)
    return number


def _usable(world: World, caller: Caller, disk: Vector) -> Image | None:
    """Rights and quotas. An image that there is not is told later, after the state."""
    try:
        image = disks.image_of(world, caller, disk, ACTION)
    except Refused:
        return None
    size = float(disk.get("SIZE") or "0")
    if image is not None:
        world.rights.check(caller, Op.USE, image)
        capacity.check(world, caller, "IMAGE", image.id, {"RVMS": 1})
        size = 0.0 if image.persistent else image.size_mb
    capacity.check(world, caller, "VM", None, {"SYSTEM_DISK_SIZE": size})
    return image


def _drop_disk(world: World, machine: Machine, disk: Vector) -> None:
    machine.template.remove_vector("DISK", disk)
    machine.snapshots.pop(int(disk["DISK_ID"]), None)
    capacity.charge(world, machine, "VM", None, {"SYSTEM_DISK_SIZE": -capacity.disk_share(disk)})
    if "IMAGE_ID" in disk:
        image_id = int(disk["IMAGE_ID"])
        world.image_life.release(image_id, machine.id)
        capacity.charge(world, machine, "IMAGE", image_id, {"RVMS": -1})


@method("one.vm.detach")
def detach(world: World, caller: Caller, args: Args) -> Answer:
    number, disk_id = args.integer(0), args.integer(1)
    machine = machine_for(world, caller, number, Op.MANAGE)
    _check_plug(machine, f"Could not detach disk from VM {number}")
    disk = machine.disk(disk_id)
    if disk is None:
        text = f"Could not detach disk with DISK_ID {disk_id}, it does not exist."
        raise Refused(ACTION, text)
    disk["ATTACH"] = "YES"
    states = (Lcm.HOTPLUG, Lcm.HOTPLUG_EPILOG_POWEROFF)
    _plug(world, machine, caller, Action.DISK_DETACH, states)

    def end(now: Machine, outcome: Outcome) -> None:
        disk.pop("ATTACH", None)
        if not outcome.fails:
            _drop_disk(world, now, disk)
        _unplug(world, now)

    world.life.driver(machine, "detach_disk", world.pace.hotplug_s, end)
    return number


@method("one.vm.attachnic")
def attach_nic(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    machine = machine_for(world, caller, number, Op.MANAGE)
    tag, nic = _given(caller, args.text(1), "NIC", "NIC_ALIAS")
    _check_network(world, caller, nic)
    _check_plug(machine, f"Could not add a new NIC to VM {number}")
    parents = [each["NAME"] for each in machine.nics()]
    if tag == "NIC_ALIAS" and nic.get("PARENT") not in parents:
        raise Refused(ACTION, "Alias not found.")
    network = nics.network_of(world, caller, nic, ACTION)
    nics.add(world, machine, tag, nic, network, ACTION)
    nic["ATTACH"] = "YES"
    is_alias = tag == "NIC_ALIAS"
    action = Action.ALIAS_ATTACH if is_alias else Action.NIC_ATTACH
    _plug(world, machine, caller, action, (Lcm.HOTPLUG_NIC, Lcm.HOTPLUG_NIC_POWEROFF))

    def end(now: Machine, outcome: Outcome) -> None:
        nic.pop("ATTACH", None)
        if outcome.fails:
            nics.drop(world, now, nic)
        elif now.lcm == Lcm.HOTPLUG_NIC:
            # While POWEROFF the context waits for the next boot (seen at a real oned).
            context.fill_network(world, now)
        _unplug(world, now)

    world.life.driver(machine, "attach_nic", world.pace.hotplug_s, end)
    return number


def _check_network(world: World, caller: Caller, nic: Vector) -> None:
    try:
        network = nics.network_of(world, caller, nic, ACTION)
    except Refused:
        return
    world.rights.check(caller, Op.USE, network)
    if network.parent is None:
        capacity.check(world, caller, "NETWORK", network.id, {"LEASES": 1})


@method("one.vm.detachnic")
def detach_nic(world: World, caller: Caller, args: Args) -> Answer:
    number, nic_id = args.integer(0), args.integer(1)
    machine = machine_for(world, caller, number, Op.MANAGE)
    _check_plug(machine, f"Could not detach NIC from VM {number}")
    nic = machine.nic(nic_id)
    if nic is None:
        text = f"Could not detach NIC with NIC_ID {nic_id}, it does not exist."
        raise Refused(ACTION, text)
    nic["ATTACH"] = "YES"
    action = Action.ALIAS_DETACH if "PARENT_ID" in nic else Action.NIC_DETACH
    _plug(world, machine, caller, action, (Lcm.HOTPLUG_NIC, Lcm.HOTPLUG_NIC_POWEROFF))

    def end(now: Machine, outcome: Outcome) -> None:
        nic.pop("ATTACH", None)
        if not outcome.fails:
            nics.drop(world, now, nic)
        _unplug(world, now)

    world.life.driver(machine, "detach_nic", world.pace.hotplug_s, end)
    return number


_SAVING = {
    Lcm.RUNNING: Lcm.HOTPLUG_SAVEAS,
    State.POWEROFF: Lcm.HOTPLUG_SAVEAS_POWEROFF,
    State.SUSPENDED: Lcm.HOTPLUG_SAVEAS_SUSPENDED,
    State.UNDEPLOYED: Lcm.HOTPLUG_SAVEAS_UNDEPLOYED,
    State.STOPPED: Lcm.HOTPLUG_SAVEAS_STOPPED,
}


@method("one.vm.disksaveas")
def save_as(world: World, caller: Caller, args: Args) -> Answer:
    number, disk_id, name = args.integer(0), args.integer(1), args.text(2)
    kind, snapshot = args.text(3), args.integer(4)
    machine = machine_for(world, caller, number, Op.MANAGE)
    before = (machine.state, machine.lcm)
    key = machine.lcm if machine.state == State.ACTIVE else machine.state
    lcm = next((_SAVING[each] for each in _SAVING if each is key), None)
    if lcm is None:
        text = "VM has to be RUNNING, POWEROFF or SUSPENDED to save disks."
        raise Refused(INTERNAL, text)
    disk = machine.disk(disk_id)
    if disk is None or "IMAGE_ID" not in disk:
        why = "DISK does not exist." if disk is None else "Disk is volatile"
        raise Refused(INTERNAL, f"Cannot use DISK. {why}")
    if snapshot != -1 and disk_id not in machine.snapshots:
        raise Refused(INTERNAL, "Cannot use DISK. Snapshot does not exist.")
    image = _saved(world, caller, machine, disk, name, kind)
    world.image_life.add(image)
    disk.update(SAVE_AS=str(image.id), SAVE_AS_SOURCE="")
    machine.become(State.ACTIVE, lcm)

    def end(now: Machine, outcome: Outcome) -> None:
        for name in ("SAVE_AS", "SAVE_AS_SOURCE", "HOTPLUG_SAVE_AS"):
            disk.pop(name, None)
        if outcome.fails:
            world.image_life.not_copied(image.id, outcome.text or "Error saving the disk")
        else:
            is_dummy = world.datastores[image.datastore_id].ds_mad == "dummy"
            world.image_life.copied(image.id, "dummy_path" if is_dummy else None, image.format)
        now.become(*before)

    world.life.driver(machine, "saveas", world.pace.copy_s, end)
    return image.id


def _saved(
    world: World, caller: Caller, machine: Machine, disk: Vector, name: str, kind: str
) -> Image:
    original = world.images.get(int(disk["IMAGE_ID"]))
    if original is None:
        raise missing("image", int(disk["IMAGE_ID"]))
    datastore = world.datastores[original.datastore_id]
    size = int(disk["SIZE"])
    if size > datastore.free_mb:
        raise Refused(ACTION, "Not enough space in datastore")
    world.rights.check_create(caller, "IMAGE")
    world.rights.check(caller, Op.USE, datastore)
    more = {"IMAGES": 1, "SIZE": size}
    capacity.check(world, caller, "DATASTORE", datastore.id, more)
    before = "Error allocating a new image. "
    checked_name(name, ALLOCATE, before)
    check_free(name, caller.uid, world.images.values(), ALLOCATE, "IMAGE", before)
    template = Template()
    for key, value in (
        ("DEV_PREFIX", original.template.get("DEV_PREFIX", "sd")),
        ("SAVED_DISK_ID", disk["DISK_ID"]),
        ("SAVED_IMAGE_ID", str(original.id)),
        ("SAVED_VM_ID", str(machine.id)),
    ):
        template.set(key, value)
    return Image(
        **world.owned_by(caller, "image"),
        name=name,
        type=2 if kind == "DATABLOCK" else original.type,
        registered=world.now,
        format=original.format,
        size_mb=size,
        datastore_id=datastore.id,
        datastore=datastore.name,
        template=template,
    )


@method("one.vm.disksnapshotcreate")
def create_disk_snapshot(world: World, caller: Caller, args: Args) -> Answer:
    number, disk_id, name = args.integer(0), args.integer(1), args.text(2)
    machine = machine_for(world, caller, number, Op.MANAGE)
    disk = machine.disk(disk_id)
    if disk is None:
        raise Refused(ACTION, "VM disk does not exist")
    if "IMAGE_ID" not in disk:
        raise Refused(ACTION, "Cannot make snapshots on volatile disks")
    suspended = machine.state == State.SUSPENDED
    if not suspended:
        _check_plug(machine, f"Could not create a new snapshot for VM {number}")
    kept = machine.snapshots.setdefault(disk_id, _no_snapshots(disk_id))
    snapshot_id = int(kept.get("NEXT_SNAPSHOT"))
    parents = [each for each in kept.vectors("SNAPSHOT") if each.get("ACTIVE") == "YES"]
    for each in parents:
        del each["ACTIVE"]
        each["CHILDREN"] = ",".join([*filter(None, [each.get("CHILDREN")]), str(snapshot_id)])
    values = {"ACTIVE": "YES", "DATE": str(world.now), "ID": str(snapshot_id), "NAME": name}
    values["PARENT"] = parents[0]["ID"] if parents else "-1"
    kept.add("SNAPSHOT", {**values, "SIZE": disk["SIZE"]})
    kept.set("NEXT_SNAPSHOT", str(snapshot_id + 1))
    total = int(disk.get("DISK_SNAPSHOT_TOTAL_SIZE", "0")) + int(disk["SIZE"])
    disk["DISK_SNAPSHOT_TOTAL_SIZE"] = str(total)
    capacity.charge(world, machine, "VM", None, {"SYSTEM_DISK_SIZE": int(disk["SIZE"])})
    wait = world.pace.hotplug_s
    if suspended:
        _snapshot_suspended(world, machine, caller)
        return snapshot_id
    states = (Lcm.DISK_SNAPSHOT, Lcm.DISK_SNAPSHOT_POWEROFF)
    _plug(world, machine, caller, Action.DISK_SNAPSHOT_CREATE, states)
    world.life.driver(machine, "snapshot", wait, lambda now, _: _unplug(world, now))
    return snapshot_id


def _snapshot_suspended(world: World, machine: Machine, caller: Caller) -> None:
    machine.record.act(Action.DISK_SNAPSHOT_CREATE, actor(caller))
    world.life.new_record(machine).act(Action.SUSPEND)
    machine.become(State.ACTIVE, Lcm.DISK_SNAPSHOT_SUSPENDED)

    def end(now: Machine, _: Outcome) -> None:
        now.become(State.SUSPENDED)
        now.record.running_end = world.now

    world.life.driver(machine, "snapshot", world.pace.hotplug_s, end)


def _no_snapshots(disk_id: int) -> Template:
    template = Template()
    template.set("ALLOW_ORPHANS", "NO")
    template.set("CURRENT_BASE", "-1")
    template.set("DISK_ID", str(disk_id))
    template.set("NEXT_SNAPSHOT", "0")
    return template


@method("one.vm.snapshotcreate")
def create_system_snapshot(world: World, caller: Caller, args: Args) -> Answer:
    number, name = args.integer(0), args.text(1)
    machine = machine_for(world, caller, number, Op.MANAGE)
    if not machine.is_in(Lcm.RUNNING):
        text = f"Could not create a new snapshot for VM {number}"
        raise Refused(ACTION, f"{text}, wrong state {machine.state_name}.")
    snapshot_id = len(machine.template.vectors("SNAPSHOT"))
    snapshot = {
        "HYPERVISOR_ID": "dummy-snap",
        "NAME": name or f"snapshot-{snapshot_id}",
        "SNAPSHOT_ID": str(snapshot_id),
        "SYSTEM_DISK_SIZE": machine.template.get("MEMORY"),
        "TIME": str(world.now),
    }
    machine.template.add("SNAPSHOT", snapshot)
    more = float(snapshot["SYSTEM_DISK_SIZE"])
    capacity.charge(world, machine, "VM", None, {"SYSTEM_DISK_SIZE": more})
    machine.become(State.ACTIVE, Lcm.HOTPLUG_SNAPSHOT)
    wait = world.pace.hotplug_s
    world.life.driver(machine, "snapshot", wait, lambda now, _: _unplug(world, now))
    return snapshot_id


@method("one.vm.attachsg")
def attach_group(world: World, caller: Caller, args: Args) -> Answer:
    return _change_groups(world, caller, args, attached=True)


@method("one.vm.detachsg")
def detach_group(world: World, caller: Caller, args: Args) -> Answer:
    return _change_groups(world, caller, args, attached=False)


def _change_groups(world: World, caller: Caller, args: Args, *, attached: bool) -> Answer:
    number, nic_id, group_id = args.integer(0), args.integer(1), args.integer(2)
    machine = machine_for(world, caller, number, Op.MANAGE)
    found(world, caller, world.security_groups, SecurityGroup, group_id, Op.USE)
    nic = machine.nic(nic_id)
    if nic is None:
        raise Refused(ACTION, f"VM {number}: NIC {nic_id} does not exist")
    groups = [each for each in nic.get("SECURITY_GROUPS", "").split(",") if each]
    if attached and str(group_id) not in groups:
        groups.append(str(group_id))
    if not attached and str(group_id) in groups:
        groups.remove(str(group_id))
    nic["SECURITY_GROUPS"] = ",".join(groups)
    nics.apply_security_groups(world, machine)
    return number
