"""Why an instance is in its state, told in EC2's words through all of its life."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.desk import Desk

from econe.domain import happenings
from econe.domain.reasons import Reason, reason_of, server_reason

SHUT_DOWN = "Client.UserInitiatedShutdown"
FIRST = "User initiated (2026-11-23 16:00:00 GMT)"


def told(desk: Desk, id_: str) -> tuple[str, str, str]:
    (view,) = desk.instances(InstanceIds=[id_])
    reason = view.get("StateReason", {"Code": "", "Message": ""})
    return reason["Code"], reason["Message"], view["StateTransitionReason"]


def stop(desk: Desk, id_: str) -> None:
    desk("StopInstances", InstanceIds=[id_])


def stop_while_it_starts(desk: Desk, id_: str) -> None:
    stop(desk, id_)
    desk.halted([id_])
    desk("StartInstances", InstanceIds=[id_])
    desk.passes(60)
    stop(desk, id_)


def fail(desk: Desk, id_: str) -> None:
    """A start that does not work, after one that did."""
    stop(desk, id_)
    desk.halted([id_])
    desk("StartInstances", InstanceIds=[id_])
    with desk.store.writing() as tx:
        generation = desk.row(id_).generation
        happenings.failed(tx, id_, generation, desk.now, reason_of("", ""))


def vanish(desk: Desk, id_: str) -> None:
    with desk.store.writing() as tx:
        happenings.gone(tx, id_, desk.now, by_others=True)


def hibernate(desk: Desk, id_: str) -> None:
    desk("StopInstances", InstanceIds=[id_], Hibernate=True)


def hibernate_in_vain(desk: Desk, id_: str) -> None:
    hibernate(desk, id_)
    with desk.store.writing() as tx:
        happenings.unsaved(tx, id_, desk.row(id_).generation, desk.now, "no room")


def hibernate_and_lose_patience(desk: Desk, id_: str) -> None:
    hibernate(desk, id_)
    desk.passes(60)
    desk("StopInstances", InstanceIds=[id_], Force=True)


def terminate(desk: Desk, id_: str) -> None:
    desk("TerminateInstances", InstanceIds=[id_])


STORIES: dict[str, tuple[Callable[[Desk, str], object], tuple[str, str, str]]] = {
    "it runs": (lambda *_: None, ("", "", "")),
    "stopped": (stop, (SHUT_DOWN, f"{SHUT_DOWN}: User initiated shutdown", FIRST)),
    "stopped while it starts": (
        stop_while_it_starts,
        (
            SHUT_DOWN,
            f"{SHUT_DOWN}: User initiated shutdown",
            "User initiated (2026-11-23 16:01:00 GMT)",
        ),
    ),
    "terminated": (terminate, (SHUT_DOWN, f"{SHUT_DOWN}: User initiated shutdown", FIRST)),
    "hibernated": (
        hibernate,
        (
            "Client.UserInitiatedHibernate",
            "Client.UserInitiatedHibernate: User initiated hibernate",
            FIRST,
        ),
    ),
    "hibernated in vain": (
        hibernate_in_vain,
        (
            SHUT_DOWN,
            f"{SHUT_DOWN}: User initiated hibernate, but the memory could not be saved",
            FIRST,
        ),
    ),
    "hibernated without patience": (
        hibernate_and_lose_patience,
        (SHUT_DOWN, f"{SHUT_DOWN}: User initiated shutdown", FIRST),
    ),
    "switched off by its guest": (
        lambda desk, id_: desk.halted([id_], by_guest=True),
        (
            "Client.InstanceInitiatedShutdown",
            "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
            "User initiated",
        ),
    ),
    "died": (
        lambda desk, id_: desk.halted([id_], died=True),
        (
            "Server.InternalError",
            "Server.InternalError: The machine ended unasked",
            "Server.InternalError",
        ),
    ),
    "not started": (
        fail,
        (
            "Server.InternalError",
            "Server.InternalError: Internal error on launch",
            "Server.InternalError",
        ),
    ),
    "ended by others": (
        vanish,
        (SHUT_DOWN, f"{SHUT_DOWN}: Shut down by other means than this API", "User initiated"),
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_each_end_has_its_words(helen: Desk, name: str):
    desk = helen.on(replace(helen.cloud.can, hibernation=True))
    (id_,) = desk.running(HibernationOptions={"Configured": True})
    play, wanted = STORIES[name]
    play(desk, id_)
    assert told(desk, id_) == wanted


def test_what_is_on_its_way_up_is_pending(helen: Desk):
    """So in the answers of RunInstances in Amazon's guides."""
    made = helen("RunInstances", ImageId=helen.image(), MinCount=1, MaxCount=1)
    (view,) = made["Instances"]
    assert view["StateReason"] == {"Code": "pending", "Message": "pending"}
    assert view["StateTransitionReason"] == ""
    id_ = view["InstanceId"]
    helen.started([id_])
    assert told(helen, id_) == ("", "", "")
    stop(helen, id_)
    helen.halted([id_])
    helen("StartInstances", InstanceIds=[id_])
    assert told(helen, id_) == ("pending", "pending", "")
    helen.started([id_])
    assert told(helen, id_) == ("", "", "")


def test_the_reason_lasts_until_the_end(helen: Desk):
    (id_,) = helen.running(InstanceInitiatedShutdownBehavior="terminate")
    helen.halted([id_], by_guest=True)
    before = told(helen, id_)
    helen.terminated()
    assert told(helen, id_) == before


@pytest.mark.parametrize("how", ["Force", "SkipOsShutdown"])
def test_a_stop_that_is_forced_from_the_first_is_told(helen: Desk, how: str):
    (forced,) = helen.running()
    (gentle,) = helen.running()
    helen("StopInstances", InstanceIds=[forced], **{how: True})
    stop(helen, gentle)
    assert told(helen, forced) == told(helen, gentle)


def test_hurrying_an_end_does_not_tell_it_anew(helen: Desk):
    (id_,) = helen.running()
    stop(helen, id_)
    before = told(helen, id_)
    helen.passes(60)
    helen("StopInstances", InstanceIds=[id_], Force=True)
    assert told(helen, id_) == before
    (failed,) = helen.launch()
    with helen.store.writing() as tx:
        happenings.failed(tx, failed, 1, helen.now, server_reason("no"))
    before = told(helen, failed)
    helen("TerminateInstances", InstanceIds=[failed], Force=True)
    assert helen.row(failed).forced
    assert told(helen, failed) == before


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        ("", "", Reason("Server.InternalError", "Server.InternalError: Internal error on launch")),
        ("", "No.", Reason("Server.InternalError", "Server.InternalError: No.")),
        (
            "InsufficientInstanceCapacity",
            "Full.",
            Reason(
                "Server.InsufficientInstanceCapacity", "Server.InsufficientInstanceCapacity: Full."
            ),
        ),
        (
            "VolumeLimitExceeded",
            "Full.",
            Reason("Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded: Full."),
        ),
    ],
)
def test_what_an_engine_refuses_says_whose_fault_it_is(code: str, said: str, reason: Reason):
    assert reason_of(code, said) == reason


def test_instances_are_found_by_it(helen: Desk):
    (pending,) = helen.launch()
    (id_,) = helen.running()
    stop(helen, id_)

    def found(name: str, value: str) -> list[str]:
        views = helen.instances(Filters=[{"Name": name, "Values": [value]}])
        return [view["InstanceId"] for view in views]

    assert found("state-reason-code", "Client.*") == [id_]
    assert found("state-reason-code", "pending") == [pending]
    assert found("reason", "User initiated (2026-11-23 *") == [id_]
