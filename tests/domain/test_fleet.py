"""Start, stop, reboot, terminate: what they answer and what they write."""

import pytest
from tests.support.desk import refused

from econe.domain.faults import Malformed, NotFound, Noun, WrongState
from econe.domain.instances import InstanceState

DEEDS = ("StartInstances", "StopInstances", "RebootInstances", "TerminateInstances")


def names(answer):
    (changes,) = answer.values()
    return [
        (c["InstanceId"], c["PreviousState"]["Name"], c["CurrentState"]["Name"]) for c in changes
    ]


def stopped(desk, **asked):
    ids = desk.running(**asked)
    desk("StopInstances", InstanceIds=ids)
    desk.halted(ids)
    return ids


def test_a_stop_answers_both_states_and_says_who_asked(helen):
    (id_,) = helen.running()
    assert names(helen("StopInstances", InstanceIds=[id_])) == [(id_, "running", "stopping")]
    row = helen.row(id_)
    assert row.transition_reason == "User initiated (2026-11-23 16:00:00 GMT)"
    assert row.state_reason.code == "Client.UserInitiatedShutdown"
    assert row.state_reason.message == "Client.UserInitiatedShutdown: User initiated shutdown"
    assert (row.generation, row.asked_at, row.forced) == (2, helen.now, False)


def test_a_stop_can_be_forced_from_the_first(helen):
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_], SkipOsShutdown=True)
    assert helen.row(id_).forced


def test_force_alone_leaves_one_that_is_to_stop_its_time(helen):
    """API reference, StopInstances: "will first attempt a graceful shutdown"."""
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_], Force=True)
    assert not helen.row(id_).forced


@pytest.mark.parametrize("how", ["Force", "SkipOsShutdown"])
def test_or_while_it_is_under_way(helen, how):
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_])
    answer = helen("StopInstances", InstanceIds=[id_], **{how: True})
    assert names(answer) == [(id_, "stopping", "stopping")]
    row = helen.row(id_)
    assert (row.forced, row.generation) == (True, 3)


def test_a_gentle_stop_does_not_take_force_back(helen):
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_], SkipOsShutdown=True)
    before = helen.row(id_)
    helen("StopInstances", InstanceIds=[id_])
    assert helen.row(id_) == before


def test_a_start_is_a_new_launch_in_its_time(helen):
    (id_,) = stopped(helen)
    helen.passes(60)
    assert names(helen("StartInstances", InstanceIds=[id_])) == [(id_, "stopped", "pending")]
    row = helen.row(id_)
    assert row.launched_at == helen.now
    assert (row.state_reason.code, row.transition_reason) == ("pending", "")
    assert row.generation == 3
    assert row.private_ip == "172.31.0.4"


@pytest.mark.parametrize(
    ("action", "prepare", "before"),
    [
        ("StartInstances", lambda desk: desk.launch(), "pending"),
        ("StartInstances", lambda desk: desk.running(), "running"),
        ("StopInstances", stopped, "stopped"),
        ("TerminateInstances", lambda desk: desk.terminated(), "terminated"),
    ],
)
def test_asking_for_what_is_so_changes_nothing(helen, action, prepare, before):
    (id_,) = prepare(helen)
    row = helen.row(id_)
    helen.passes(60)
    assert names(helen(action, InstanceIds=[id_])) == [(id_, before, before)]
    assert helen.row(id_) == row


def test_terminating_twice_is_not_an_error(helen):
    (id_,) = helen.running()
    answers = [names(helen("TerminateInstances", InstanceIds=[id_])) for _ in range(2)]
    assert answers == [
        [(id_, "running", "shutting-down")],
        [(id_, "shutting-down", "shutting-down")],
    ]
    assert helen.row(id_).generation == 2


def test_a_termination_can_skip_the_guests_part_of_it(helen):
    (id_,) = helen.running()
    helen("TerminateInstances", InstanceIds=[id_], SkipOsShutdown=True)
    assert helen.row(id_).forced


@pytest.mark.parametrize("how", ["Force", "SkipOsShutdown"])
def test_or_be_hurried_while_it_is_under_way(helen, how):
    (id_,) = helen.running()
    helen("TerminateInstances", InstanceIds=[id_])
    assert not helen.row(id_).forced
    answer = helen("TerminateInstances", InstanceIds=[id_], **{how: True})
    assert names(answer) == [(id_, "shutting-down", "shutting-down")]
    row = helen.row(id_)
    assert (row.forced, row.generation) == (True, 3)
    helen("TerminateInstances", InstanceIds=[id_], **{how: True})
    assert helen.row(id_) == row


def test_force_alone_leaves_a_running_guest_its_time(helen):
    (id_,) = helen.running()
    helen("TerminateInstances", InstanceIds=[id_], Force=True)
    assert not helen.row(id_).forced


def test_one_that_never_started_can_be_terminated(helen):
    (id_,) = helen.launch()
    helen("TerminateInstances", InstanceIds=[id_])
    helen.gone([id_])
    assert helen.row(id_).state is InstanceState.TERMINATED


@pytest.mark.parametrize("action", ["StartInstances", "StopInstances"])
def test_a_terminated_one_can_only_be_terminated(helen, action):
    (id_,) = helen.terminated()
    with refused(WrongState, Noun.INSTANCE, id_):
        helen(action, InstanceIds=[id_])


def test_a_reboot_of_a_terminated_one_is_ignored(helen):
    """API reference, RebootInstances; the others that were asked for are rebooted."""
    (gone,) = helen.terminated()
    (id_,) = helen.running()
    before = helen.row(gone)
    assert helen("RebootInstances", InstanceIds=[gone, id_]) == {}
    assert helen.row(gone) == before
    assert helen.row(id_).reboots_asked == 1


def test_only_a_running_one_can_be_rebooted(helen):
    (id_,) = helen.launch()
    with refused(WrongState, Noun.INSTANCE):
        helen("RebootInstances", InstanceIds=[id_])
    helen.started([id_])
    assert helen("RebootInstances", InstanceIds=[id_]) == {}
    row = helen.row(id_)
    assert (row.reboots_asked, row.reboots_done, row.generation) == (1, 0, 1)
    assert row.state is InstanceState.RUNNING


def test_one_that_is_stopping_cannot_be_started(helen):
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_])
    with refused(WrongState, Noun.INSTANCE, "stopping"):
        helen("StartInstances", InstanceIds=[id_])


@pytest.mark.parametrize("action", DEEDS)
def test_several_are_done_together_or_not_at_all(helen, paris, action):
    ids = helen.running(2)
    before = [helen.row(id_) for id_ in ids]
    with refused(NotFound, Noun.INSTANCE, "i-00000077"):
        helen(action, InstanceIds=[*ids, "i-77"])
    with refused(NotFound, Noun.INSTANCE):
        helen(action, InstanceIds=[*ids, *paris.launch()])
    with refused(Malformed, Noun.INSTANCE):
        helen(action, InstanceIds=[*ids, "ami-00000001"])
    assert [helen.row(id_) for id_ in ids] == before


def test_one_in_the_wrong_state_keeps_the_others_as_they_are(helen):
    (running,), (gone,) = helen.running(), helen.terminated()
    with refused(WrongState, Noun.INSTANCE, gone):
        helen("StopInstances", InstanceIds=[running, gone])
    assert helen.row(running).state is InstanceState.RUNNING


def test_all_that_are_missing_are_named(helen):
    with refused(NotFound, Noun.INSTANCE, "i-00000008, i-00000009"):
        helen("StopInstances", InstanceIds=["i-8", "i-00000009"])


def test_an_id_given_twice_counts_once(helen):
    (id_,) = helen.running()
    answer = helen("RebootInstances", InstanceIds=[id_, "i-1"])
    assert answer == {}
    assert helen.row(id_).reboots_asked == 1


@pytest.mark.parametrize("action", ["StopInstances", "TerminateInstances"])
def test_a_new_wish_is_tried_at_once(helen, action):
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_])
    helen.halted([id_])
    helen("StartInstances", InstanceIds=[id_])
    from econe.domain import happenings

    generation = helen.row(id_).generation
    with helen.store.writing() as tx:
        happenings.waits(tx, id_, generation, "no memory", helen.now.replace(year=2030))
    assert helen.row(id_).problem == "no memory"
    helen(action, InstanceIds=[id_])
    row = helen.row(id_)
    assert (row.attempts, row.retry_at, row.problem) == (0, None, "")
    with helen.store.reading() as tx:
        assert [row.id for row in tx.instances.waiting()] == [id_]
