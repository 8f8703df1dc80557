"""What to do about one instance: a pure function, and at its heart one table.

This is the table for engines whose machines nobody else commands; for the others there is
shared_plan.py.

Two things decide: the state of the row, which is what users asked for and what was last
reported, and the phase of the machine, which is what the engine shows. Time decides only how
long a guest may take to halt.

Rule 1: a plan says everything that is to be done now; the plan after a crash is made afresh, and
        finishes what the earlier one began.
Rule 2: power is cut before a halt is reported, so that a machine whose row says `stopped` is off
        and in order. A machine that died is reported first: cutting it would hide that it died,
        and a guest's own power-off may mean termination, a death never does.
Rule 3: reporting comes last. Whatever stands before a report can be done twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from econe.domain.engine_ports import Capabilities, Phase, Seen
from econe.domain.instances import Instance, InstanceState
from econe.settings import Work


class Move(StrEnum):
    """What can be done to a machine, and what can be reported of it."""

    LAUNCH = "launch"
    """Network, interfaces, machine, power; then look again."""
    CONNECT = "connect"
    """Network and interfaces of a machine that runs already: after a restart of the server."""
    ASK = "ask the guest to halt"
    CUT = "cut power"
    SAVE = "save its memory and cut power"
    RESET = "reset"
    DESTROY = "destroy"
    """The machine, its interfaces' places in the network, the volumes that go with it."""

    SAY_STARTED = "report started"
    SAY_HALTED = "report halted"
    SAY_HALTED_BY_GUEST = "report halted by the guest"
    SAY_DIED = "report died"
    SAY_REBOOTED = "report rebooted"
    SAY_CONNECTED = "report connected"
    SAY_FAILED = "report failed"
    SAY_GONE = "report gone"
    SAY_KNOWN = "report what it is called and where it is reached"
    SAY_VANISHED = "report that the engine has it no more"
    TRY_LATER = "try later"
    """Count the try, and wait."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that plans depend on, and what the engine can do."""

    stop_grace_s: float
    terminate_grace_s: float
    ask_again_s: float
    start_tries: int
    graceful: bool = True

    @classmethod
    def of(cls, work: Work, can: Capabilities) -> "Rules":
        return cls(
            stop_grace_s=work.stop_grace_s,
            terminate_grace_s=work.terminate_grace_s,
            ask_again_s=work.ask_again_s,
            start_tries=work.start_tries,
            graceful=can.graceful_stop,
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process remembers of an instance. Losing it costs one repeated call."""

    asked_at: datetime | None = None
    """When the guest was last asked to halt, for the row's present generation."""
    launched: bool = False
    """Whether this process tried to start it, for the row's present generation."""
    connected: bool = False
    """Whether its network was made sure of since this process began."""


NO_MEMORY: Final = Memory()


@dataclass(frozen=True, slots=True)
class Plan:
    moves: tuple[Move, ...] = ()
    look_at: datetime | None = None
    """When there may be more to do although nothing moves; None: when something moves."""
    why: str = ""
    """For the log, where it is not plain from the moves."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that a plan is made of."""

    row: Instance
    seen: Seen | None
    now: datetime
    rules: Rules
    memory: Memory


def plan(
    row: Instance, seen: Seen | None, now: datetime, rules: Rules, memory: Memory = NO_MEMORY
) -> Plan:
    """What to do now for `row`, whose machine is `seen`; None: the engine has none."""
    entry = TABLE[row.state, seen.phase if seen else None]
    if callable(entry):
        return entry(Case(row, seen, now, rules, memory))
    return Plan(entry)


def _keep_running(case: Case) -> Plan:
    connect = () if case.memory.connected else (Move.CONNECT,)
    if case.row.reboots_asked > case.row.reboots_done:
        return Plan((*connect, Move.RESET, Move.SAY_REBOOTED))
    if case.row.reconnect:
        return Plan((Move.CONNECT, Move.SAY_CONNECTED))
    return Plan(connect)


def _died_at_start(case: Case) -> Plan:
    """Cutting first makes its phase `defined`, so that each death is counted once. One that an
    earlier server left, killed in the middle of a start perhaps, is not counted."""
    if not case.memory.launched:
        return Plan((Move.CUT, Move.LAUNCH))
    if case.row.attempts + 1 < case.rules.start_tries:
        return Plan((Move.CUT, Move.TRY_LATER), why="it ended right after its start")
    return Plan((Move.CUT, Move.SAY_FAILED), why="it ended right after each start")


def _stop(case: Case) -> Plan:
    if case.row.hibernating:
        return Plan((Move.SAVE, Move.SAY_HALTED))
    return halt(case, case.rules.stop_grace_s, then=(Move.CUT, Move.SAY_HALTED))


def _stop_half_started(case: Case) -> Plan:
    """Mostly it is off. One that was being woken from its saved memory may stand still."""
    return Plan((Move.SAVE if case.row.hibernating else Move.CUT, Move.SAY_HALTED))


def _terminate(case: Case) -> Plan:
    """A machine that was never reported running has no guest worth waiting for."""
    grace_s = case.rules.terminate_grace_s if case.row.engine_ref else 0.0
    return halt(case, grace_s, then=(Move.DESTROY, Move.SAY_GONE))


def halt(case: Case, grace_s: float, then: tuple[Move, ...]) -> Plan:
    """Ask the guest every few seconds until the grace is over; then end it."""
    begun = case.row.asked_at or case.row.launched_at
    over_at = begun + timedelta(seconds=grace_s)
    if case.row.forced or not case.rules.graceful:
        return Plan(then)
    set_back = case.now + timedelta(seconds=grace_s) < begun  # the clock: no grace lasts longer
    if case.now >= over_at or set_back:
        return Plan(then, why=f"the guest did not halt within {grace_s:g} s")
    again = timedelta(seconds=case.rules.ask_again_s)
    asked_at = case.memory.asked_at
    if asked_at is None or case.now >= asked_at + again:
        return Plan((Move.ASK,), look_at=min(over_at, case.now + again))
    return Plan(look_at=min(over_at, asked_at + again))


_S, _P = InstanceState, Phase

Entry = tuple[Move, ...] | Callable[[Case], Plan]

TABLE: Final[Mapping[tuple[InstanceState, Phase | None], Entry]] = MappingProxyType(
    {
        (_S.PENDING, None): (Move.LAUNCH,),
        (_S.PENDING, _P.DEFINED): (Move.LAUNCH,),
        (_S.PENDING, _P.RUNNING): (Move.SAY_STARTED,),
        (_S.PENDING, _P.HALTED): (Move.CUT, Move.SAY_HALTED_BY_GUEST),
        (_S.PENDING, _P.DIED): _died_at_start,
        (_S.RUNNING, None): (Move.SAY_DIED,),
        (_S.RUNNING, _P.DEFINED): (Move.SAY_HALTED_BY_GUEST,),  # Rule 2, cut short by a crash
        (_S.RUNNING, _P.RUNNING): _keep_running,
        (_S.RUNNING, _P.HALTED): (Move.CUT, Move.SAY_HALTED_BY_GUEST),
        (_S.RUNNING, _P.DIED): (Move.SAY_DIED, Move.CUT),
        (_S.STOPPING, None): (Move.SAY_HALTED,),
        (_S.STOPPING, _P.DEFINED): _stop_half_started,
        (_S.STOPPING, _P.RUNNING): _stop,
        (_S.STOPPING, _P.HALTED): (Move.CUT, Move.SAY_HALTED),
        (_S.STOPPING, _P.DIED): (Move.CUT, Move.SAY_HALTED),
        (_S.STOPPED, None): (),
        (_S.STOPPED, _P.DEFINED): (),
        (_S.STOPPED, _P.RUNNING): (Move.CUT,),
        (_S.STOPPED, _P.HALTED): (Move.CUT,),
        (_S.STOPPED, _P.DIED): (Move.CUT,),
        (_S.SHUTTING_DOWN, None): (Move.DESTROY, Move.SAY_GONE),
        (_S.SHUTTING_DOWN, _P.DEFINED): (Move.DESTROY, Move.SAY_GONE),
        (_S.SHUTTING_DOWN, _P.RUNNING): _terminate,
        (_S.SHUTTING_DOWN, _P.HALTED): (Move.DESTROY, Move.SAY_GONE),
        (_S.SHUTTING_DOWN, _P.DIED): (Move.DESTROY, Move.SAY_GONE),
        (_S.TERMINATED, None): (),
        (_S.TERMINATED, _P.DEFINED): (Move.DESTROY,),
        (_S.TERMINATED, _P.RUNNING): (Move.DESTROY,),
        (_S.TERMINATED, _P.HALTED): (Move.DESTROY,),
        (_S.TERMINATED, _P.DIED): (Move.DESTROY,),
    }
)


def retry_after_s(attempts: int, work: Work) -> float:
    """How long to wait after the try that follows `attempts` failed ones. Doubles, without jitter:
    one server works alone, and tests count on it."""
    doublings = min(attempts, 30)  # beyond, a float would only grow past every limit
    return float(min(work.retry_first_s * 2**doublings, work.retry_most_s))
