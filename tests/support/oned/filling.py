"""Many running machines at once, for lists of a realistic size."""

from typing import TYPE_CHECKING

from tests.support.oned import allocation
from tests.support.oned.machine import History, Lcm, State
from tests.support.oned.rights import Caller
from tests.support.oned.templates import Template

if TYPE_CHECKING:
    from tests.support.oned.machine import Machine
    from tests.support.oned.objects import User
    from tests.support.oned.world import World

# What econe writes into its machines is of this kind and size; user data of one KiB.
_EXTRA = """CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 helen",
USER_DATA="{user_data}",USERDATA_ENCODING="base64",TOKEN="NO"]
EC2_INSTANCE_TYPE="m1.small"
"""


def fill(world: "World", count: int, owner: "User", text: str) -> list["Machine"]:
    """Machines of the template `text`, RUNNING; the host's capacity grows as needed."""
    caller = Caller(owner.id, owner.gid, owner.name, owner.gname, owner.groups)
    template = Template.parse(text + _EXTRA.format(user_data="QUJD" * 341))
    made = [_running(world, caller, template, number) for number in range(count)]
    cpu = sum(100 * (each.template.number("CPU") or 0) for each in made)
    memory = sum(1024 * (each.template.number("MEMORY") or 0) for each in made)
    world.host.cpu_percent += int(cpu) + 1
    world.host.memory_kib += int(memory)
    return made


def _running(world: "World", caller: Caller, template: Template, number: int) -> "Machine":
    template.set("NAME", f"i-{number:08x}")
    machine = allocation.allocate(world, caller, template, hold=True)
    machine.template.drop("SUBMIT_ON_HOLD")
    machine.template.set("TM_MAD_SYSTEM", "dummy")
    now = world.now
    machine.history.append(History(0, now, prolog_start=now, prolog_end=now, running_start=now))
    machine.become(State.ACTIVE, Lcm.RUNNING)
    machine.deploy_id = f"{world.host.name}:{machine.name}:dummy"
    return machine
