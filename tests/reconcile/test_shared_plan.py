"""The table for machines that others command too, walked whole; read beside shared_plan.py."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.reconcile.test_plan import EVENT_OF, NOW, row

from econe.domain.engine_ports import Capabilities, Phase, Seen, SeenNic
from econe.domain.instances import TRANSITIONS, Event, InstanceState
from econe.reconcile.plan import NO_MEMORY, Memory, Move, Rules
from econe.reconcile.shared_plan import TABLE, plan
from econe.settings import Work

S, P, M = InstanceState, Phase, Move
RULES = Rules.of(Work(), Capabilities(name="test", network="none", shared=True))
EVENTS = EVENT_OF | {M.SAY_VANISHED: Event.GONE}
CASES = [(state, phase) for state in S for phase in (None, *P)]
ASKINGS = {M.LAUNCH, M.ASK, M.CUT, M.DESTROY, M.RESET}


def moves(
    state: InstanceState,
    phase: Phase | None,
    *,
    after_s: float = 0,
    memory: Memory = NO_MEMORY,
    **changes: object,
) -> tuple[Move, ...]:
    seen = Seen(phase, "ref") if phase else None
    return plan(row(state, **changes), seen, NOW + timedelta(seconds=after_s), RULES, memory).moves


def varied(state: InstanceState, phase: Phase | None) -> list[tuple[Move, ...]]:
    return [
        moves(state, phase, after_s=after_s, reboots_asked=reboots, memory=memory, **known)
        for after_s in (0, 1000)
        for reboots in (0, 1)
        for memory in (Memory(), Memory(asked_at=NOW))
        for known in ({}, {"engine_ref": ""}, {"engine_ref": "ref"})
    ]


def test_the_table_has_an_answer_for_every_state_and_phase():
    assert set(TABLE) == set(CASES)


@pytest.mark.parametrize(("state", "phase"), CASES)
def test_every_report_is_one_that_the_state_allows(state: InstanceState, phase: Phase | None):
    for made in varied(state, phase):
        for move in made:
            if move in EVENTS:
                assert (state, EVENTS[move]) in TRANSITIONS


@pytest.mark.parametrize(("state", "phase"), CASES)
def test_what_is_asked_is_reported_only_when_it_is_seen(state: InstanceState, phase: Phase | None):
    """Rule 1. Only a reboot shows nothing, and of a machine that never was nothing is left."""
    for made in varied(state, phase):
        if ASKINGS & set(made) and M.RESET not in made and phase is not None:
            assert not EVENTS.keys() & set(made)


@pytest.mark.parametrize("state", [s for s in S if s is not S.TERMINATED])
def test_a_machine_that_is_not_seen_any_more_is_asked_for_by_name(state: InstanceState):
    assert moves(state, None, engine_ref="ref") == (M.SAY_VANISHED,)


@pytest.mark.parametrize(
    ("state", "phase", "expected"),
    [
        (S.PENDING, None, (M.LAUNCH,)),
        (S.PENDING, P.DEFINED, (M.LAUNCH,)),
        (S.PENDING, P.MOVING, (M.SAY_KNOWN,)),
        (S.PENDING, P.RUNNING, (M.SAY_STARTED,)),
        (S.PENDING, P.FAILED, (M.SAY_FAILED,)),
        (S.RUNNING, P.RUNNING, ()),
        (S.RUNNING, P.MOVING, ()),
        (S.RUNNING, P.DEFINED, (M.SAY_HALTED,)),
        (S.RUNNING, P.HALTED, (M.SAY_HALTED_BY_GUEST,)),
        (S.RUNNING, P.FAILED, (M.SAY_DIED,)),
        (S.STOPPING, P.RUNNING, (M.ASK,)),
        (S.STOPPING, P.MOVING, (M.ASK,)),
        (S.STOPPING, P.DEFINED, (M.SAY_HALTED,)),
        (S.STOPPED, P.RUNNING, (M.SAY_STARTED,)),
        (S.STOPPED, P.DEFINED, ()),
        (S.SHUTTING_DOWN, P.RUNNING, (M.ASK,)),
        (S.SHUTTING_DOWN, P.MOVING, (M.DESTROY,)),
        (S.SHUTTING_DOWN, P.DEFINED, (M.DESTROY,)),
        (S.SHUTTING_DOWN, P.FAILED, (M.DESTROY,)),
        (S.TERMINATED, P.RUNNING, ()),
        (S.TERMINATED, P.DEFINED, ()),
        (S.TERMINATED, None, ()),
    ],
)
def test_what_is_done(state: InstanceState, phase: Phase | None, expected: tuple[Move, ...]):
    assert moves(state, phase) == expected


def test_a_stop_asks_then_cuts_and_waits_to_see_it_off():
    asked = Memory(asked_at=NOW)
    assert moves(S.STOPPING, P.RUNNING, after_s=1, memory=asked) == ()
    assert moves(S.STOPPING, P.RUNNING, after_s=5, memory=asked) == (M.ASK,)
    assert moves(S.STOPPING, P.RUNNING, after_s=60, memory=asked) == (M.CUT,)
    assert moves(S.STOPPING, P.RUNNING, forced=True) == (M.CUT,)
    assert moves(S.STOPPING, P.MOVING, after_s=5, memory=asked) == (M.ASK,)
    assert moves(S.STOPPING, P.MOVING, after_s=60, memory=asked) == (M.CUT,)
    assert moves(S.STOPPING, P.MOVING, forced=True) == (M.CUT,)


def test_a_termination_gives_a_running_guest_its_grace_also_while_it_halts():
    asked = Memory(asked_at=NOW)
    assert moves(S.SHUTTING_DOWN, P.MOVING, after_s=3, memory=asked) == ()
    assert moves(S.SHUTTING_DOWN, P.MOVING, after_s=10, memory=asked) == (M.DESTROY,)
    assert moves(S.SHUTTING_DOWN, P.RUNNING, after_s=10, memory=asked) == (M.DESTROY,)


def test_unless_its_part_is_to_be_skipped():
    asked = Memory(asked_at=NOW)
    assert moves(S.SHUTTING_DOWN, P.RUNNING, forced=True) == (M.DESTROY,)
    assert moves(S.SHUTTING_DOWN, P.MOVING, forced=True, memory=asked) == (M.DESTROY,)


def test_new_addresses_are_reported_once():
    nic = SeenNic("02:00:c0:a8:00:05", "192.168.0.5", "0")
    running = row(S.RUNNING)
    seen = Seen(P.RUNNING, running.engine_ref, nics=(nic,))
    assert plan(running, seen, NOW, RULES).moves == (M.SAY_KNOWN,)
    without = replace(seen, nics=())
    assert plan(running, without, NOW, RULES).moves == ()


def test_of_a_terminated_instance_only_what_never_ran_is_ended():
    """Users copy machines with all that is written on them."""
    late = Seen(P.DEFINED, "ref", never_ran=True)
    assert plan(row(S.TERMINATED), late, NOW, RULES).moves == (M.DESTROY,)
    copy = replace(late, never_ran=False)
    assert plan(row(S.TERMINATED), copy, NOW, RULES).moves == ()
