"""What machines take: of the host, and of their owners' quotas."""

from typing import TYPE_CHECKING

from tests.support.oned.errors import unauthorized
from tests.support.oned.machine import Lcm, Machine, State
from tests.support.oned.objects import Owned
from tests.support.oned.quotas import Usage
from tests.support.oned.rights import Caller
from tests.support.oned.templates import Template

if TYPE_CHECKING:
    from tests.support.oned.world import World

_NOT_ON_A_HOST = (
    State.INIT,
    State.PENDING,
    State.HOLD,
    State.STOPPED,
    State.DONE,
    State.UNDEPLOYED,
    State.CLONING,
    State.CLONING_FAILURE,
)
_NOT_RUNNING = (State.STOPPED, State.SUSPENDED, State.POWEROFF, State.UNDEPLOYED, State.DONE)
_NOT_RUNNING_LCM = (Lcm.HOTPLUG_PROLOG_POWEROFF, Lcm.HOTPLUG_EPILOG_POWEROFF)


def fits(world: "World", machine: Machine) -> bool:
    cpu = memory = 0.0
    for each in [*world.machines.values(), machine]:
        if each is not machine and each.state in _NOT_ON_A_HOST:
            continue
        cpu += 100 * (each.template.number("CPU") or 0)
        memory += 1024 * (each.template.number("MEMORY") or 0)
    return cpu <= world.host.cpu_percent and memory <= world.host.memory_kib


def usage(template: Template, disk_mb: float) -> dict[str, float]:
    cpu, memory = template.number("CPU") or 0, template.number("MEMORY") or 0
    return {
        "VMS": 1,
        "CPU": cpu,
        "MEMORY": memory,
        "SYSTEM_DISK_SIZE": disk_mb,
        "RUNNING_VMS": 1,
        "RUNNING_CPU": cpu,
        "RUNNING_MEMORY": memory,
    }


def exceeded(
    world: "World", caller: Caller, section: str, number: int | None, more: Usage
) -> str | None:
    """What oned says of the first limit that would be passed; admins have none."""
    if caller.is_admin:
        return None
    owners = (("user", world.users[caller.uid]), ("group", world.groups.get(caller.gid)))
    for whose, owner in owners:
        over = owner.quotas.exceeded(section, number, more) if owner is not None else None
        if owner is not None and over is not None:
            return over.text(whose, owner.id)
    return None


def check(world: "World", caller: Caller, section: str, number: int | None, more: Usage) -> None:
    """Raises Refused as soon as one limit would be passed."""
    text = exceeded(world, caller, section, number, more)
    if text is not None:
        raise unauthorized(caller.uid, text)


def charge(world: "World", thing: Owned, section: str, number: int | None, more: Usage) -> None:
    """To the owner and the group of what uses it; oneadmin and his group are not counted."""
    if thing.uid in world.users and thing.uid != 0:
        world.users[thing.uid].quotas.use(section, number, more)
    if thing.gid in world.groups and thing.gid != 0:
        world.groups[thing.gid].quotas.use(section, number, more)


def is_charged_as_running(machine: Machine) -> bool:
    if machine.state in _NOT_RUNNING:
        return False
    return not machine.is_in(*_NOT_RUNNING_LCM)


def running_share(machine: Machine) -> dict[str, float]:
    taken = usage(machine.template, 0)
    return {name: taken[name] for name in taken if name.startswith("RUNNING_")}


def stopped(world: "World", machine: Machine) -> None:
    back = {name: -amount for name, amount in running_share(machine).items()}
    charge(world, machine, "VM", None, back)


def started(world: "World", machine: Machine) -> None:
    charge(world, machine, "VM", None, running_share(machine))


def gone(world: "World", machine: Machine, *, running: bool) -> None:
    taken = usage(machine.template, disk_mb(machine))
    for name in list(taken):
        if name.startswith("RUNNING_") and not running:
            del taken[name]
    charge(world, machine, "VM", None, {name: -amount for name, amount in taken.items()})
    for disk in machine.disks():
        if "IMAGE_ID" in disk:
            charge(world, machine, "IMAGE", int(disk["IMAGE_ID"]), {"RVMS": -1})


def drop_system_snapshots(world: "World", machine: Machine) -> None:
    """They go when the machine leaves its memory (KEEP_SNAPSHOTS is not on for the dummy)."""
    for snapshot in machine.template.drop("SNAPSHOT"):
        assert isinstance(snapshot, dict)
        back = {"SYSTEM_DISK_SIZE": -float(snapshot["SYSTEM_DISK_SIZE"])}
        charge(world, machine, "VM", None, back)


def disk_mb(machine: Machine) -> float:
    """What counts as SYSTEM_DISK_SIZE: copies and volatile disks, and all snapshots."""
    total = 0.0
    for disk in machine.disks():
        total += disk_share(disk) + float(disk.get("DISK_SNAPSHOT_TOTAL_SIZE", "0"))
    for snapshot in machine.template.vectors("SNAPSHOT"):
        total += float(snapshot["SYSTEM_DISK_SIZE"])
    return total


def disk_share(disk: dict[str, str]) -> float:
    if disk.get("PERSISTENT") == "YES":
        return 0.0
    return float(disk.get("SIZE", "0"))
