"""Read beside domain/health.py: what a check becomes, by what is found and for how long."""

from datetime import UTC, datetime, timedelta

import pytest

from econe.domain.health import Check, Outcome, Patience, Pulse, judge

BEGAN = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
PATIENCE = Patience(boot=timedelta(seconds=300), silence=timedelta(seconds=60))

P = Pulse


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def after(before: Outcome, pulse: Pulse, now_s: float, silent_since_s: float) -> Outcome:
    return judge(
        before,
        pulse,
        now=at(now_s),
        began=BEGAN,
        silent_since=at(silent_since_s),
        patience=PATIENCE,
    )


@pytest.mark.parametrize(
    "before",
    [Outcome(), Outcome(Check.PASSED), Outcome(Check.UNKNOWN), Outcome(Check.FAILED, BEGAN)],
)
def test_who_answers_is_well_whatever_was_before(before: Outcome):
    assert after(before, P.BEATS, 1000, 1000) == Outcome(Check.PASSED)


@pytest.mark.parametrize("pulse", [P.STILL, P.UNHEARD])
def test_a_guest_has_time_to_boot(pulse: Pulse):
    assert after(Outcome(), pulse, 299, 2) == Outcome()


def test_a_guest_that_never_answered_fails_since_its_start():
    assert after(Outcome(), P.STILL, 300, 2) == Outcome(Check.FAILED, BEGAN)


def test_of_a_guest_that_was_never_heard_nothing_is_known():
    assert after(Outcome(), P.UNHEARD, 300, 2) == Outcome(Check.UNKNOWN)
    assert after(Outcome(Check.UNKNOWN), P.UNHEARD, 9999, 2) == Outcome(Check.UNKNOWN)


@pytest.mark.parametrize("pulse", [P.STILL, P.UNHEARD])
def test_who_answered_and_falls_silent_fails_after_a_while_since_then(pulse: Pulse):
    well = Outcome(Check.PASSED)
    assert after(well, pulse, 1059, 1000) == well
    assert after(well, pulse, 1060, 1000) == Outcome(Check.FAILED, at(1000))


def test_a_failure_keeps_its_date():
    failed = Outcome(Check.FAILED, at(1000))
    assert after(failed, P.STILL, 5000, 4000) == failed
    assert after(failed, P.UNHEARD, 5000, 4000) == failed


def test_one_of_whom_nothing_was_known_can_be_found_dead():
    unknown = Outcome(Check.UNKNOWN)
    assert after(unknown, P.STILL, 1059, 1000) == unknown
    assert after(unknown, P.STILL, 1060, 1000) == Outcome(Check.FAILED, at(1000))
