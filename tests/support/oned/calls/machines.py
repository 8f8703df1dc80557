"""one.vm.*: made, asked, told what to do. Devices are in `machine_devices`."""

from tests.support.oned import allocation, capacity, context
from tests.support.oned.calls.changing import change_rights, lock, rename, unlock
from tests.support.oned.calls.finding import found
from tests.support.oned.errors import ACTION, INTERNAL, XML_RPC_API, Refused, wrong_state
from tests.support.oned.machine import Action, Actor, Lcm, Machine, State
from tests.support.oned.machine_rules import act
from tests.support.oned.protocol import Answer, Args
from tests.support.oned.registry import method
from tests.support.oned.rights import RESTRICTED_VM, Caller, Op, restricted
from tests.support.oned.templates import Template, Vector
from tests.support.oned.world import World

ACTIONS = frozenset(
    [
        "terminate",
        "terminate-hard",
        "undeploy",
        "undeploy-hard",
        "poweroff",
        "poweroff-hard",
        "reboot",
        "reboot-hard",
        "hold",
        "release",
        "stop",
        "suspend",
        "resume",
        "resched",
        "unresched",
    ]
)


def machine_for(
    world: World, caller: Caller, number: int, op: Op, *, despite_lock: bool = False
) -> Machine:
    machine = found(world, caller, world.machines, Machine, number, op, despite_lock=despite_lock)
    return world.edit(machine.id) if op != Op.USE else machine


def actor(caller: Caller) -> Actor:
    return Actor(caller.uid, caller.gid, caller.request)


@method("one.vm.allocate")
def allocate(world: World, caller: Caller, args: Args) -> Answer:
    template = Template.parse(args.text(0))
    return allocation.allocate(world, caller, template, hold=args.yes(1, default=False)).id


@method("one.vm.info")
def info(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    return machine_for(world, caller, number, Op.USE, despite_lock=True).xml()


@method("one.vm.action")
def action(world: World, caller: Caller, args: Args) -> Answer:
    name, number = args.text(0), args.integer(1)
    if name not in ACTIONS:
        raise Refused(ACTION, f'Action "{name}" is not supported')
    op = Op.ADMIN if name in ("resched", "unresched") else Op.MANAGE
    machine = machine_for(world, caller, number, op)
    act(world, machine, name, caller, actor(caller))
    return number


@method("one.vm.deploy")
def deploy(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    machine = machine_for(world, caller, number, Op.ADMIN)
    args.integer(1)
    waiting = (State.PENDING, State.HOLD, State.STOPPED, State.UNDEPLOYED)
    if machine.state not in waiting:
        text = f"Deploy action is not available for state {machine.state_name}"
        raise Refused(ACTION, text)
    world.life.deploy(machine)
    return number


@method("one.vm.recover")
def recover(world: World, caller: Caller, args: Args) -> Answer:
    number, operation = args.integer(0), args.integer(1)
    machine = machine_for(world, caller, number, Op.ADMIN)
    if operation in (0, 1, 2):
        world.life.recovered(machine, operation)
    elif operation == 3:
        _delete(world, machine, caller)
    elif operation == 4:
        _recreate(world, machine, caller)
    else:
        raise Refused(ACTION, "Wrong recovery operation code")
    return number


def _delete(world: World, machine: Machine, caller: Caller) -> None:
    if machine.state == State.ACTIVE:
        world.life.deleted(machine, actor(caller))
    elif machine.state != State.DONE:
        world.life.done(machine)


def _recreate(world: World, machine: Machine, caller: Caller) -> None:
    if machine.state == State.DONE:
        raise wrong_state("recover", f"wrong state {machine.state_name}")
    if machine.history:
        machine.record.act(Action.DELETE_RECREATE, actor(caller))
        machine.record.end = world.now
    machine.become(State.PENDING)
    world.life.wait_for_place(machine)


@method("one.vm.update")
def update(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    machine = machine_for(world, caller, number, Op.MANAGE)
    # The code of a parse error is another than image.update's (119).
    given, kind = Template.parse(args.text(1), ACTION), args.integer(2, 0)
    if kind not in (0, 1):
        raise Refused(XML_RPC_API, "Wrong update type")
    if not caller.is_admin and (name := restricted(given, RESTRICTED_VM)) is not None:
        text = f"User Template includes a restricted attribute {name}"
        raise Refused(INTERNAL, f"Cannot update template. {text}")
    if kind == 1:
        machine.user_template.merge(given)
    else:
        machine.user_template = given
    return number


@method("one.vm.updateconf")
def update_conf(world: World, caller: Caller, args: Args) -> Answer:
    number, append = args.integer(0), args.integer(2, 0)
    if append not in (0, 1):
        raise Refused(XML_RPC_API, "Wrong update type")
    machine = machine_for(world, caller, number, Op.MANAGE)
    given = Template.parse(args.text(1))
    changeable = (State.INIT, State.PENDING, State.HOLD, State.POWEROFF, State.UNDEPLOYED)
    if machine.state not in changeable and not machine.is_in(Lcm.RUNNING, Lcm.BOOT_FAILURE):
        text = f"configuration cannot be updated in state {machine.state_name}"
        raise Refused(INTERNAL, text)
    for name in ("OS", "FEATURES", "INPUT", "GRAPHICS", "VIDEO", "RAW", "CPU_MODEL"):
        if name in given:
            kept = machine.template.vector(name) or {}
            new = given.vector(name) or {}
            machine.template.set(name, {**kept, **new} if append else new)
    new_context = given.vector("CONTEXT")
    if new_context is not None:
        _change_context(world, machine, new_context, append=append == 1)
    return number


def _change_context(world: World, machine: Machine, given: Vector, *, append: bool) -> None:
    """Its place among the disks stays; without `append` the network's variables are made anew."""
    kept = machine.template.vector("CONTEXT") or {}
    place: Vector = {name: kept[name] for name in ("DISK_ID", "TARGET") if name in kept}
    machine.template.set("CONTEXT", {**(kept if append else {}), **given, **place})
    context.fill_variables(world, machine)
    if not append:
        context.fill_network(world, machine)


@method("one.vm.resize")
def resize(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    given = Template.parse(args.text(1))
    machine = machine_for(world, caller, number, Op.MANAGE)
    if machine.is_in(Lcm.RUNNING):
        raise Refused(ACTION, "Hotplug resize not supported by driver dummy")
    resizable = (State.PENDING, State.HOLD, State.POWEROFF, State.UNDEPLOYED, State.CLONING)
    if machine.state not in resizable:
        raise Refused(ACTION, f"Cannot resize a VM in state {machine.state_name}")
    # What is no number is passed over, and nothing to change is no error (seen at a real oned).
    wanted = machine.template.copy()
    for name in ("CPU", "MEMORY", "VCPU"):
        if given.number(name):
            wanted.set(name, given.get(name))
    more = _difference(machine, wanted)
    if not any(more.values()):
        return number
    capacity.check(world, caller, "VM", None, more)
    capacity.charge(world, machine, "VM", None, more)
    machine.template = wanted
    if machine.state == State.POWEROFF:
        machine.record.act(Action.RESIZE, actor(caller))
        record = world.life.new_record(machine)
        record.running_end = world.now
        record.act(Action.POWEROFF)
    return number


def _difference(machine: Machine, wanted: Template) -> dict[str, float]:
    before, after = capacity.usage(machine.template, 0), capacity.usage(wanted, 0)
    running = capacity.is_charged_as_running(machine)
    names = [name for name in after if running or not name.startswith("RUNNING_")]
    return {name: after[name] - before[name] for name in names}


@method("one.vm.rename")
def rename_machine(world: World, caller: Caller, args: Args) -> Answer:
    machine = machine_for(world, caller, args.integer(0), Op.MANAGE)
    return rename(machine, args, {})


@method("one.vm.chmod")
def chmod(world: World, caller: Caller, args: Args) -> Answer:
    return change_rights(world, caller, world.edit_all(), Machine, args)


@method("one.vm.lock")
def lock_machine(world: World, caller: Caller, args: Args) -> Answer:
    return lock(world, caller, world.edit_all(), Machine, args)


@method("one.vm.unlock")
def unlock_machine(world: World, caller: Caller, args: Args) -> Answer:
    return unlock(world, caller, world.edit_all(), Machine, args)


@method("one.vm.monitoring")
def monitoring(world: World, caller: Caller, args: Args) -> Answer:
    """Nothing is collected in the model but what a test put into `Machine.monitoring`."""
    machine = machine_for(world, caller, args.integer(0), Op.USE, despite_lock=True)
    return f"<MONITORING_DATA>{machine.monitoring_xml()}</MONITORING_DATA>"


@method("one.vm.schedadd")
def add_scheduled(world: World, caller: Caller, args: Args) -> Answer:
    """Kept and shown by its number; the model does not run it."""
    machine = machine_for(world, caller, args.integer(0), Op.MANAGE)
    given = Template.parse(args.text(1)).vector("SCHED_ACTION")
    if given is None or given.get("ACTION") not in ACTIONS:
        raise Refused(INTERNAL, "Wrong or missing SCHED_ACTION")
    number = world.serial("scheduled")
    machine.scheduled.append(number)
    return number
