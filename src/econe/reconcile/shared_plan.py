"""What to do about one instance whose machine others command too: plan.py for shared engines.

An administrator migrates it, its owner resumes it by the engine's own tools, the engine itself
moves it from state to state, and whatever is asked of it takes its time.

Rule 1: nothing is reported because it was asked for, only because it is seen. So a plan that asks
        ends with the asking, and the next look decides.
Rule 2: what others do is followed, not undone: a machine that runs although its row says `stopped`
        was started by somebody who may do so.
Rule 3: a machine that is not seen is gone only if the engine says so of that one machine.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from econe.domain.addresses import tellable
from econe.domain.engine_ports import Phase, Seen
from econe.domain.instances import Instance, InstanceState
from econe.reconcile.plan import NO_MEMORY, Case, Entry, Memory, Move, Plan, Rules, halt


def plan(
    row: Instance, seen: Seen | None, now: datetime, rules: Rules, memory: Memory = NO_MEMORY
) -> Plan:
    """What to do now for `row`, whose machine is `seen`; None: the engine shows none."""
    entry = TABLE[row.state, seen.phase if seen else None]
    if callable(entry):
        return entry(Case(row, seen, now, rules, memory))
    return Plan(entry)


def _absent(otherwise: tuple[Move, ...]) -> Callable[[Case], Plan]:
    """Of a machine that was seen before; `otherwise` there never was one."""

    def decide(case: Case) -> Plan:
        return Plan((Move.SAY_VANISHED,) if case.row.engine_ref else otherwise)

    return decide


def _launch(case: Case) -> Plan:
    """What others made and nobody here has asked anything of was never ours to start."""
    taken_up = case.row.adopted and case.row.asked_at is None
    return Plan((Move.SAY_HALTED,) if taken_up else (Move.LAUNCH,))


def _follow(case: Case) -> Plan:
    """Keep up with its name and addresses."""
    return Plan((Move.SAY_KNOWN,) if _tells_more(case) else ())


def _keep_running(case: Case) -> Plan:
    if case.row.reboots_asked > case.row.reboots_done:
        return Plan((Move.RESET, Move.SAY_REBOOTED))
    if case.row.reconnect:
        return Plan((Move.SAY_CONNECTED,))  # the engine's networks need not be told anything
    return _follow(case)


def _stop(case: Case) -> Plan:
    """Also of one that is halting already, or still on its way up: the engine does what its state
    allows, and cutting it may be allowed where asking is not."""
    return halt(case, case.rules.stop_grace_s, then=(Move.CUT,))


def _terminate(case: Case) -> Plan:
    grace_s = case.rules.terminate_grace_s if case.row.engine_ref else 0.0
    return halt(case, grace_s, then=(Move.DESTROY,))


def _terminate_on_its_way(case: Case) -> Plan:
    """A guest that was asked to halt has its grace; what is not up yet needs none."""
    if case.memory.asked_at is None or case.row.forced:
        return Plan((Move.DESTROY,))
    begun = case.row.asked_at or case.row.launched_at
    over_at = begun + timedelta(seconds=case.rules.terminate_grace_s)
    return Plan((Move.DESTROY,)) if case.now >= over_at else Plan(look_at=over_at)


def _end_what_came_late(case: Case) -> Plan:
    """A lost answer's machine is one that never ran. Any other that is taken for a terminated
    instance's is somebody's copy of it, mark and all, and none of ours to end."""
    return Plan((Move.DESTROY,) if case.seen and case.seen.never_ran else ())


def _tells_more(case: Case) -> bool:
    row, seen = case.row, case.seen
    if seen is None or seen.ref != row.engine_ref:
        return seen is not None
    if seen.nics is None:
        return False
    there = [(nic.mac, nic.private_ip) for nic in tellable(seen.nics)]
    return [(nic.mac, nic.private_ip) for nic in row.interfaces] != there


_S, _P = InstanceState, Phase

TABLE: Final[Mapping[tuple[InstanceState, Phase | None], Entry]] = MappingProxyType(
    {
        (_S.PENDING, None): _absent((Move.LAUNCH,)),
        (_S.PENDING, _P.DEFINED): _launch,
        (_S.PENDING, _P.HALTED): _launch,
        (_S.PENDING, _P.MOVING): _follow,
        (_S.PENDING, _P.RUNNING): (Move.SAY_STARTED,),
        (_S.PENDING, _P.DIED): (Move.SAY_FAILED,),
        (_S.PENDING, _P.FAILED): (Move.SAY_FAILED,),
        (_S.RUNNING, None): _absent((Move.SAY_DIED,)),
        (_S.RUNNING, _P.DEFINED): (Move.SAY_HALTED,),
        (_S.RUNNING, _P.HALTED): (Move.SAY_HALTED_BY_GUEST,),
        (_S.RUNNING, _P.MOVING): (),
        (_S.RUNNING, _P.RUNNING): _keep_running,
        (_S.RUNNING, _P.DIED): (Move.SAY_DIED,),
        (_S.RUNNING, _P.FAILED): (Move.SAY_DIED,),
        (_S.STOPPING, None): _absent((Move.SAY_HALTED,)),
        (_S.STOPPING, _P.DEFINED): (Move.SAY_HALTED,),
        (_S.STOPPING, _P.HALTED): (Move.SAY_HALTED,),
        (_S.STOPPING, _P.MOVING): _stop,
        (_S.STOPPING, _P.RUNNING): _stop,
        (_S.STOPPING, _P.DIED): (Move.SAY_HALTED,),
        (_S.STOPPING, _P.FAILED): (Move.SAY_HALTED,),
        (_S.STOPPED, None): _absent(()),
        (_S.STOPPED, _P.DEFINED): _follow,
        (_S.STOPPED, _P.HALTED): _follow,
        (_S.STOPPED, _P.MOVING): (),
        (_S.STOPPED, _P.RUNNING): (Move.SAY_STARTED,),
        (_S.STOPPED, _P.DIED): (),
        (_S.STOPPED, _P.FAILED): (),
        (_S.SHUTTING_DOWN, None): _absent((Move.DESTROY, Move.SAY_GONE)),
        (_S.SHUTTING_DOWN, _P.DEFINED): (Move.DESTROY,),
        (_S.SHUTTING_DOWN, _P.HALTED): (Move.DESTROY,),
        (_S.SHUTTING_DOWN, _P.MOVING): _terminate_on_its_way,
        (_S.SHUTTING_DOWN, _P.RUNNING): _terminate,
        (_S.SHUTTING_DOWN, _P.DIED): (Move.DESTROY,),
        (_S.SHUTTING_DOWN, _P.FAILED): (Move.DESTROY,),
        (_S.TERMINATED, None): (),
        (_S.TERMINATED, _P.DEFINED): _end_what_came_late,
        (_S.TERMINATED, _P.HALTED): (),
        (_S.TERMINATED, _P.MOVING): (),
        (_S.TERMINATED, _P.RUNNING): (),
        (_S.TERMINATED, _P.DIED): (),
        (_S.TERMINATED, _P.FAILED): (),
    }
)
