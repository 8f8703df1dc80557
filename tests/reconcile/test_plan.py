"""The planner's table, walked. Times are of 16:00 on one day; the grace of a stop is 60 s."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from econe.domain.engine_ports import Capabilities, Phase, Seen
from econe.domain.instances import TRANSITIONS, Event, Instance, InstanceState
from econe.reconcile.plan import TABLE, Memory, Move, Rules, plan, retry_after_s
from econe.settings import Work

S, P, M = InstanceState, Phase, Move
NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
RULES = Rules.of(Work(), Capabilities(name="test", network="none"))
KNOWN = Memory(connected=True)

EVENT_OF = {
    M.SAY_STARTED: Event.STARTED,
    M.SAY_HALTED: Event.HALTED,
    M.SAY_HALTED_BY_GUEST: Event.HALTED,
    M.SAY_DIED: Event.HALTED,
    M.SAY_FAILED: Event.FAILED,
    M.SAY_GONE: Event.GONE,
}
REPORTS = {*EVENT_OF, M.SAY_REBOOTED, M.SAY_CONNECTED}

OF_OTHERS = {P.MOVING, P.FAILED}
"""Phases that only shared machines have."""
CASES = [(state, phase) for state in S for phase in (None, *P) if phase not in OF_OTHERS]


def row(state: InstanceState, **changes: object) -> Instance:
    made = Instance(
        id="i-00000001",
        account="000000000001",
        reservation_id="r-00000001",
        launch_index=0,
        image_id="ami-00000001",
        image_location="a" * 32,
        instance_type="m1.small",
        vpc_id="vpc-00000001",
        subnet_id="subnet-00000001",
        zone="us-east-1a",
        launched_at=NOW,
        state=state,
        asked_at=NOW,
        engine_ref="ref" if state is not S.PENDING else "",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def seen(phase: Phase | None) -> Seen | None:
    return Seen(phase, "ref") if phase else None


def moves(
    state: InstanceState,
    phase: Phase | None,
    *,
    after_s: float = 0,
    memory: Memory = KNOWN,
    rules: Rules = RULES,
    **changes: object,
) -> tuple[Move, ...]:
    now = NOW + timedelta(seconds=after_s)
    return plan(row(state, **changes), seen(phase), now, rules, memory).moves


def varied(state: InstanceState, phase: Phase | None) -> list[tuple[Move, ...]]:
    """All that may be planned for them: soon and late, first try and last, known and unknown."""
    return [
        moves(
            state, phase, after_s=after_s, attempts=attempts, reboots_asked=reboots, memory=memory
        )
        for after_s in (0, 1000)
        for attempts in (0, 9)
        for reboots in (0, 1)
        for memory in (Memory(), Memory(asked_at=NOW, launched=True, connected=True))
    ]


def test_the_table_has_an_answer_for_every_state_and_phase():
    assert set(TABLE) == set(CASES)


@pytest.mark.parametrize(("state", "phase"), CASES)
def test_every_report_is_one_that_the_state_allows(state: InstanceState, phase: Phase | None):
    for made in varied(state, phase):
        for move in made:
            if move in EVENT_OF:
                assert (state, EVENT_OF[move]) in TRANSITIONS


@pytest.mark.parametrize(("state", "phase"), CASES)
def test_reports_come_last_but_for_a_death(state: InstanceState, phase: Phase | None):
    for made in varied(state, phase):
        if M.SAY_DIED not in made:
            assert not REPORTS & set(made[:-1])


@pytest.mark.parametrize(
    ("state", "phase", "expected"),
    [
        (S.PENDING, None, (M.LAUNCH,)),
        (S.PENDING, P.DEFINED, (M.LAUNCH,)),
        (S.PENDING, P.RUNNING, (M.SAY_STARTED,)),
        (S.PENDING, P.HALTED, (M.CUT, M.SAY_HALTED_BY_GUEST)),
        (S.RUNNING, P.RUNNING, ()),
        (S.RUNNING, P.HALTED, (M.CUT, M.SAY_HALTED_BY_GUEST)),
        (S.RUNNING, P.DIED, (M.SAY_DIED, M.CUT)),
        (S.RUNNING, None, (M.SAY_DIED,)),
        (S.STOPPING, None, (M.SAY_HALTED,)),
        (S.STOPPING, P.DEFINED, (M.CUT, M.SAY_HALTED)),
        (S.STOPPING, P.HALTED, (M.CUT, M.SAY_HALTED)),
        (S.STOPPED, None, ()),
        (S.STOPPED, P.DEFINED, ()),
        (S.STOPPED, P.DIED, (M.CUT,)),
        (S.SHUTTING_DOWN, None, (M.DESTROY, M.SAY_GONE)),
        (S.SHUTTING_DOWN, P.DEFINED, (M.DESTROY, M.SAY_GONE)),
        (S.TERMINATED, None, ()),
        (S.TERMINATED, P.RUNNING, (M.DESTROY,)),
    ],
)
def test_what_is_done(state: InstanceState, phase: Phase | None, expected: tuple[Move, ...]):
    assert moves(state, phase) == expected


def test_a_settled_machine_is_connected_once_by_each_server():
    assert moves(S.RUNNING, P.RUNNING, memory=Memory()) == (M.CONNECT,)
    assert moves(S.RUNNING, P.RUNNING, memory=KNOWN) == ()


def test_a_reboot_that_is_owed_is_one_reset():
    assert moves(S.RUNNING, P.RUNNING, reboots_asked=3, reboots_done=1) == (
        M.RESET,
        M.SAY_REBOOTED,
    )
    assert moves(S.RUNNING, P.RUNNING, reboots_asked=3, reboots_done=3) == ()


def test_an_interface_that_changed_is_told_to_the_network_once():
    assert moves(S.RUNNING, P.RUNNING, reconnect=True) == (M.CONNECT, M.SAY_CONNECTED)
    assert moves(S.STOPPED, P.DEFINED, reconnect=True) == ()


def test_a_machine_that_dies_at_its_start_is_started_three_times():
    again = (M.CUT, M.TRY_LATER)
    ours = Memory(launched=True)
    assert [moves(S.PENDING, P.DIED, attempts=n, memory=ours) for n in range(3)] == [
        again,
        again,
        (M.CUT, M.SAY_FAILED),
    ]


def test_a_dead_machine_that_an_earlier_server_left_is_launched_at_once():
    """That server may have been killed in the middle of starting it, and the machine with it."""
    assert moves(S.PENDING, P.DIED, attempts=9) == (M.CUT, M.LAUNCH)


def test_a_stop_asks_every_few_seconds_and_cuts_when_the_grace_is_over():
    asked: list[int] = []
    memory = KNOWN
    for second in range(59):
        made = moves(S.STOPPING, P.RUNNING, after_s=second, memory=memory)
        if made:
            assert made == (M.ASK,)
            asked.append(second)
            memory = replace(memory, asked_at=NOW + timedelta(seconds=second))
    assert asked == list(range(0, 59, 5))
    assert moves(S.STOPPING, P.RUNNING, after_s=60, memory=memory) == (M.CUT, M.SAY_HALTED)


def test_a_stop_wakes_the_loop_for_the_next_asking_and_for_the_end_of_its_grace():
    first = plan(row(S.STOPPING), seen(P.RUNNING), NOW, RULES, KNOWN)
    assert first.look_at == NOW + timedelta(seconds=5)
    late = NOW + timedelta(seconds=58)
    last = plan(row(S.STOPPING), seen(P.RUNNING), late, RULES, Memory(asked_at=late))
    assert last.look_at == NOW + timedelta(seconds=60)


def test_a_clock_that_was_set_back_lets_no_guest_take_longer_than_its_grace():
    assert moves(S.STOPPING, P.RUNNING, after_s=-61) == (M.CUT, M.SAY_HALTED)
    assert moves(S.STOPPING, P.RUNNING, after_s=-5) == (M.ASK,)


def test_a_forced_stop_cuts_at_once():
    assert moves(S.STOPPING, P.RUNNING, forced=True) == (M.CUT, M.SAY_HALTED)
    assert moves(S.SHUTTING_DOWN, P.RUNNING, forced=True) == (M.DESTROY, M.SAY_GONE)


def test_an_engine_without_a_power_button_cuts_at_once():
    blunt = replace(RULES, graceful=False)
    assert moves(S.STOPPING, P.RUNNING, rules=blunt) == (M.CUT, M.SAY_HALTED)
    assert moves(S.SHUTTING_DOWN, P.RUNNING, rules=blunt) == (M.DESTROY, M.SAY_GONE)


def test_a_termination_waits_a_shorter_grace():
    assert moves(S.SHUTTING_DOWN, P.RUNNING) == (M.ASK,)
    assert moves(S.SHUTTING_DOWN, P.RUNNING, after_s=10) == (M.DESTROY, M.SAY_GONE)


def test_a_termination_does_not_wait_for_a_guest_that_was_never_reported_running():
    assert moves(S.SHUTTING_DOWN, P.RUNNING, engine_ref="") == (M.DESTROY, M.SAY_GONE)


def test_backoff_doubles_up_to_its_limit_without_chance():
    work = Work(retry_first_s=0.5, retry_most_s=60.0)
    waits = [retry_after_s(n, work) for n in range(9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert retry_after_s(10_000, work) == 60
