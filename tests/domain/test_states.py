"""The table of states, walked whole."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from econe.domain.faults import Noun, WrongState
from econe.domain.instances import (
    INTENT_OF,
    SETTLED,
    STATE_CODES,
    TRANSITIONS,
    Event,
    Instance,
    InstanceState,
    Intent,
    advance,
)

ROW = Instance(
    id="i-00000001",
    account="111122223333",
    reservation_id="r-00000001",
    launch_index=0,
    image_id="ami-00000001",
    image_location="19ead5de585f43282acab4060bfb7a07",
    instance_type="m1.small",
    vpc_id="vpc-00000001",
    subnet_id="subnet-00000001",
    zone="us-east-1a",
    launched_at=datetime(2026, 11, 23, tzinfo=UTC),
)
EVERY = [(state, event) for state in InstanceState for event in Event]


@pytest.mark.parametrize(("state", "event"), EVERY)
def test_every_pair_moves_as_the_table_says_or_is_refused(state, event):
    row = replace(ROW, state=state)
    if (state, event) in TRANSITIONS:
        assert advance(row, event) == replace(row, state=TRANSITIONS[state, event])
    else:
        with pytest.raises(WrongState) as caught:
            advance(row, event)
        assert caught.value.noun is Noun.INSTANCE
        assert state.value in caught.value.said


def test_every_state_has_ec2s_code_and_an_intent():
    assert set(STATE_CODES) == set(INTENT_OF) == set(InstanceState)
    assert sorted(STATE_CODES.values()) == [0, 16, 32, 48, 64, 80]


@pytest.mark.parametrize("state", InstanceState)
def test_every_state_can_be_terminated(state):
    assert INTENT_OF[TRANSITIONS[state, Event.TERMINATE]] is Intent.TERMINATE


def test_nothing_leads_away_from_the_end():
    ends = {InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED}
    assert all(after in ends for (before, _), after in TRANSITIONS.items() if before in ends)
    assert all(
        after is InstanceState.TERMINATED
        for (before, _), after in TRANSITIONS.items()
        if before is InstanceState.TERMINATED
    )


@pytest.mark.parametrize("state", [s for s in InstanceState if s not in SETTLED])
def test_every_unsettled_state_has_a_happening_that_settles_it(state):
    asked = {Event.START, Event.STOP, Event.REBOOT, Event.TERMINATE}
    reported = set(Event) - asked
    reachable = {state}
    while True:
        more = {
            after
            for (before, event), after in TRANSITIONS.items()
            if before in reachable and event in reported
        } - reachable
        if not more:
            break
        reachable |= more
    assert reachable & SETTLED


@pytest.mark.parametrize(
    ("event", "intent"),
    [
        (Event.START, Intent.RUN),
        (Event.STOP, Intent.STOP),
        (Event.REBOOT, Intent.RUN),
        (Event.TERMINATE, Intent.TERMINATE),
    ],
)
def test_what_is_asked_becomes_the_intent(event, intent):
    for (_, asked), after in TRANSITIONS.items():
        if asked is event:
            assert INTENT_OF[after] is intent


def test_a_reboot_that_is_owed_unsettles_a_running_instance():
    running = replace(ROW, state=InstanceState.RUNNING)
    assert running.settled
    assert not replace(running, reboots_asked=1).settled
