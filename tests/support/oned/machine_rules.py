"""What one.vm.action may do in which state, as a table; what then happens is in `life`.

Read from DispatchManagerActions.cc at 7.0.2; the refusals are recorded for RUNNING, POWEROFF,
HOLD, BOOT, HOTPLUG, SHUTDOWN and DONE.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.oned import allocation, capacity
from tests.support.oned.errors import ACTION, Refused, wrong_state
from tests.support.oned.machine import Action, Actor, Lcm, Machine, State
from tests.support.oned.rights import Caller

if TYPE_CHECKING:
    from tests.support.oned.world import World

_Rule = frozenset[State | Lcm]


def _rule(*states: State | Lcm) -> _Rule:
    return frozenset(states)


_UP = (Lcm.RUNNING, Lcm.UNKNOWN)
_FAILURES = tuple(lcm for lcm in Lcm if lcm.name.endswith("_FAILURE"))
_OFF = (State.SUSPENDED, State.POWEROFF, State.STOPPED, State.UNDEPLOYED)
_UNBORN = (State.INIT, State.PENDING, State.HOLD, State.CLONING, State.CLONING_FAILURE)

ALLOWED: dict[str, _Rule] = {
    "terminate": _rule(*_UP, *_FAILURES, *_OFF, *_UNBORN, State.DONE),
    "terminate-hard": _rule(*_UP, Lcm.SHUTDOWN, *_FAILURES, *_OFF, *_UNBORN, State.DONE),
    "undeploy": _rule(*_UP, State.POWEROFF),
    "undeploy-hard": _rule(*_UP, Lcm.SHUTDOWN_UNDEPLOY, State.POWEROFF),
    "poweroff": _rule(*_UP),
    "poweroff-hard": _rule(*_UP, Lcm.SHUTDOWN_POWEROFF),
    "reboot": _rule(Lcm.RUNNING),
    "reboot-hard": _rule(Lcm.RUNNING),
    "hold": _rule(State.PENDING),
    "release": _rule(State.HOLD),
    "stop": _rule(Lcm.RUNNING, State.SUSPENDED),
    "suspend": _rule(Lcm.RUNNING),
    "resume": _rule(*_OFF, Lcm.UNKNOWN),
    "resched": _rule(*_UP, State.POWEROFF),
    "unresched": _rule(*_UP, State.POWEROFF),
}


def act(world: "World", machine: Machine, name: str, caller: Caller, actor: Actor) -> None:
    """Raises Refused in a state that the table does not name."""
    state = machine.lcm if machine.state == State.ACTIVE else machine.state
    # As types: State.HOLD and Lcm.BOOT are both 2.
    if not any(each is state for each in ALLOWED[name]):
        text = f"This action is not available for state {machine.state_name}"
        if name.startswith("terminate"):
            text = f"Could not terminate VM {machine.id}, wrong state {machine.state_name}."
        raise wrong_state(name, text)
    _DEEDS[name.removesuffix("-hard")](world, machine, name, caller, actor)


_Deed = Callable[["World", Machine, str, Caller, Actor], None]


def _terminate(world: "World", machine: Machine, name: str, _caller: Caller, actor: Actor) -> None:
    life = world.life
    if machine.state == State.DONE:
        return
    if machine.state in _UNBORN:
        life.done(machine)
    elif machine.state in _OFF:
        capacity.started(world, machine)
        machine.record.act(Action.TERMINATE, actor)
        machine.record.epilog_start = world.now
        life.epilog(machine, Lcm.EPILOG)
    elif machine.lcm in _FAILURES:
        life.deleted(machine, actor)
    else:
        hard = name.endswith("-hard")
        action = Action.TERMINATE_HARD if hard else Action.TERMINATE
        # uid and gid are the owner's here (a shadowed variable in trigger_shutdown).
        owner = Actor(machine.uid, machine.gid, actor.request)
        life.shut_down(machine, Lcm.SHUTDOWN, action, owner)


def _undeploy(world: "World", machine: Machine, name: str, _caller: Caller, actor: Actor) -> None:
    action = Action.UNDEPLOY_HARD if name.endswith("-hard") else Action.UNDEPLOY
    if machine.state == State.POWEROFF:
        capacity.started(world, machine)
        machine.record.act(action, actor)
        machine.record.epilog_start = world.now
        world.life.epilog(machine, Lcm.EPILOG_UNDEPLOY)
        return
    world.life.shut_down(machine, Lcm.SHUTDOWN_UNDEPLOY, action, actor)


def _power_off(world: "World", machine: Machine, name: str, _caller: Caller, actor: Actor) -> None:
    action = Action.POWEROFF_HARD if name.endswith("-hard") else Action.POWEROFF
    world.life.shut_down(machine, Lcm.SHUTDOWN_POWEROFF, action, actor)


def _reboot(world: "World", _machine: Machine, name: str, _caller: Caller, _actor: Actor) -> None:
    """The driver is told and the state stays; its failure is only logged."""
    world.drivers.next("reset" if name.endswith("-hard") else "reboot")


def _hold(_world: "World", machine: Machine, _name: str, _caller: Caller, _actor: Actor) -> None:
    machine.become(State.HOLD)


def _release(world: "World", machine: Machine, _name: str, _caller: Caller, _actor: Actor) -> None:
    machine.become(State.PENDING)
    world.life.wait_for_place(machine)


def _stop(world: "World", machine: Machine, _name: str, _caller: Caller, actor: Actor) -> None:
    if machine.state == State.SUSPENDED:
        capacity.started(world, machine)
        machine.record.act(Action.STOP, actor)
        machine.record.epilog_start = world.now
        world.life.epilog(machine, Lcm.EPILOG_STOP)
        return
    world.life.save(machine, Lcm.SAVE_STOP, Action.STOP, actor)


def _suspend(world: "World", machine: Machine, _name: str, _caller: Caller, actor: Actor) -> None:
    world.life.save(machine, Lcm.SAVE_SUSPEND, Action.SUSPEND, actor)


def _resume(world: "World", machine: Machine, _name: str, caller: Caller, actor: Actor) -> None:
    life = world.life
    if machine.is_in(Lcm.UNKNOWN):
        life.boot(machine, Lcm.BOOT_UNKNOWN)
        return
    over = capacity.exceeded(world, caller, "VM", None, capacity.running_share(machine))
    if over is not None:
        # Not 0x0200 as everywhere else (seen at a real oned).
        raise Refused(ACTION, over)
    capacity.started(world, machine)
    if machine.state in (State.STOPPED, State.UNDEPLOYED):
        allocation.require(machine)
        machine.become(State.PENDING)
        life.wait_for_place(machine)
        return
    lcm = Lcm.BOOT_SUSPENDED if machine.state == State.SUSPENDED else Lcm.BOOT_POWEROFF
    life.new_record(machine).act(Action.RESUME, actor)
    life.boot(machine, lcm)


def _resched(_world: "World", machine: Machine, name: str, _caller: Caller, _actor: Actor) -> None:
    machine.resched = int(name == "resched")


_DEEDS: dict[str, _Deed] = {
    "terminate": _terminate,
    "undeploy": _undeploy,
    "poweroff": _power_off,
    "reboot": _reboot,
    "hold": _hold,
    "release": _release,
    "stop": _stop,
    "suspend": _suspend,
    "resume": _resume,
    "resched": _resched,
    "unresched": _resched,
}
