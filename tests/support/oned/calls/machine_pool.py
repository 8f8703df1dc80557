"""one.vmpool.*: lists, short and whole."""

from tests.support.oned.calls.finding import cut, visible
from tests.support.oned.errors import INTERNAL, XML_RPC_API, Refused
from tests.support.oned.machine import Machine, State
from tests.support.oned.protocol import Answer, Args, Rendered
from tests.support.oned.registry import method
from tests.support.oned.rights import Caller
from tests.support.oned.world import World

_ANY, _NOT_DONE = -2, -1


def _pool(machines: list[Machine], kind: str) -> Answer:
    pieces = [b"&lt;VM_POOL&gt;", *(machine.wire(kind) for machine in machines)]
    return Rendered((*pieces, b"&lt;/VM_POOL&gt;"))


def _listed(world: World, caller: Caller, args: Args, kind: str) -> Answer:
    flag, start, end = args.integer(0), args.integer(1), args.integer(2)
    state = args.integer(3)
    if args.text(4, ""):
        raise Refused(INTERNAL, "JSON query search is not supported by the SQL backend")
    if flag < -4:
        raise Refused(XML_RPC_API, "Incorrect filter_flag")
    if state < _ANY or state > max(State):
        raise Refused(XML_RPC_API, "Incorrect filter_flag, state")
    wanted = (each for each in world.machines.values() if _is_in(each, state))
    return _pool(cut(visible(world, caller, flag, wanted), start, end), kind)


def _is_in(machine: Machine, state: int) -> bool:
    if state == _ANY:
        return True
    if state == _NOT_DONE:
        return machine.state != State.DONE
    return machine.state == state


@method("one.vmpool.info")
def info(world: World, caller: Caller, args: Args) -> Answer:
    """The short form, without most of the user's template (facts, 4)."""
    return _listed(world, caller, args, "short")


@method("one.vmpool.infoextended")
def info_extended(world: World, caller: Caller, args: Args) -> Answer:
    return _listed(world, caller, args, "extended")


@method("one.vmpool.infoset")
def info_set(world: World, caller: Caller, args: Args) -> Answer:
    """Those of the given ids that there are and that the caller may use; no word of the others."""
    numbers = {int(each) for each in args.text(0).split(",") if each.strip().isdigit()}
    kind = "extended" if args.yes(1) else "short"
    wanted = (world.machines[number] for number in numbers if number in world.machines)
    return _pool(cut(visible(world, caller, _ANY, wanted), -1, -1), kind)


@method("one.vmpool.accounting")
def accounting(world: World, caller: Caller, args: Args) -> Answer:
    """Records with their machine as it is now; oned keeps it as it was at some moment of each."""
    flag, start, end = args.integer(0), args.integer(1), args.integer(2)
    records = ""
    for machine in sorted(visible(world, caller, flag, world.machines.values()), key=_by_id):
        for record in machine.history:
            after_start = start == -1 or record.end == 0 or record.end > start
            if after_start and (end == -1 or record.start < end):
                records += record.xml(machine.id, machine.xml_with(""))
    return f"<HISTORY_RECORDS>{records}</HISTORY_RECORDS>"


@method("one.vmpool.monitoring")
def monitoring(world: World, caller: Caller, args: Args) -> Answer:
    seen = sorted(visible(world, caller, args.integer(0), world.machines.values()), key=_by_id)
    inner = "".join(machine.monitoring_xml() for machine in seen)
    return f"<MONITORING_DATA>{inner}</MONITORING_DATA>"


def _by_id(machine: Machine) -> int:
    return machine.id
