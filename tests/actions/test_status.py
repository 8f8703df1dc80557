"""How status checks are told; what they find is in reconcile/checkups.py."""

from datetime import timedelta

import pytest
from tests.support.desk import WELL, Desk

from econe.domain.health import Check, Outcome

ALL = {"IncludeAllInstances": True}


def status(desk: Desk, instance_id: str) -> tuple[object, object]:
    (told,) = desk.statuses(InstanceIds=[instance_id], **ALL)
    return told["SystemStatus"], told["InstanceStatus"]


def details(word: str, **more: object) -> list[dict[str, object]]:
    return [{"Name": "reachability", "Status": word, **more}]


@pytest.mark.parametrize(
    ("check", "summary", "word"),
    [
        (Check.INITIALIZING, "initializing", "initializing"),
        (Check.PASSED, "ok", "passed"),
        (Check.UNKNOWN, "insufficient-data", "insufficient-data"),
    ],
)
def test_each_outcome_has_its_words(helen: Desk, check: Check, summary: str, word: str):
    (id_,) = helen.running()
    helen.examined([id_], system=WELL, guest=Outcome(check))
    assert status(helen, id_) == (
        {"Status": "ok", "Details": details("passed")},
        {"Status": summary, "Details": details(word)},
    )


def test_what_fails_says_since_when(helen: Desk):
    (id_,) = helen.running()
    since = helen.now + timedelta(minutes=3)
    helen.examined([id_], system=Outcome(Check.FAILED, since))
    system, guest = status(helen, id_)
    assert system == {
        "Status": "impaired",
        "Details": details("failed", ImpairedSince=since),
    }
    assert guest == {"Status": "ok", "Details": details("passed")}


def test_a_guest_that_was_just_started_is_initializing(helen: Desk):
    (id_,) = helen.running()
    expected = {"Status": "initializing", "Details": details("initializing")}
    assert status(helen, id_) == (expected, expected)


def test_one_that_is_started_again_is_initializing_again(helen: Desk):
    (id_,) = helen.running()
    helen.examined([id_], guest=Outcome(Check.FAILED, helen.now))
    helen("StopInstances", InstanceIds=[id_])
    none = {"Status": "not-applicable", "Details": []}
    assert status(helen, id_) == (none, none)
    helen.halted([id_])
    assert status(helen, id_) == (none, none)
    helen("StartInstances", InstanceIds=[id_])
    assert status(helen, id_) == (none, none)
    helen.started([id_])
    assert [each["Status"] for each in status(helen, id_)] == ["initializing"] * 2
