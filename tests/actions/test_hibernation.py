"""Hibernation as users ask for it; what an engine does is in tests/engines/qemu."""

from dataclasses import replace

import pytest
from tests.support.desk import Desk, refused

from econe.domain.faults import Conflict, Noun, Unsupported, WrongState

ASKED = {"HibernationOptions": {"Configured": True}}


@pytest.fixture
def desk(helen: Desk) -> Desk:
    """Over an engine that can keep memory."""
    return helen.on(replace(helen.cloud.can, hibernation=True))


def reason(desk: Desk, id_: str) -> str:
    (view,) = desk.instances(InstanceIds=[id_])
    return str(view.get("StateReason", {}).get("Code", ""))


def test_one_that_was_launched_for_it_is_hibernated(desk: Desk):
    (id_,) = desk.running(**ASKED)
    (view,) = desk.instances(InstanceIds=[id_])
    assert view["HibernationOptions"] == {"Configured": True}
    (moved,) = desk("StopInstances", InstanceIds=[id_], Hibernate=True)["StoppingInstances"]
    assert moved["CurrentState"]["Name"] == "stopping"
    assert desk.row(id_).hibernating
    desk.halted([id_])
    assert reason(desk, id_) == "Client.UserInitiatedHibernate"
    desk("StartInstances", InstanceIds=[id_])
    assert not desk.row(id_).hibernating
    desk.started([id_])
    assert reason(desk, id_) == ""


def test_it_may_be_stopped_in_the_ordinary_way_too(desk: Desk):
    (id_,) = desk.running(**ASKED)
    desk("StopInstances", InstanceIds=[id_], Hibernate=False)
    assert not desk.row(id_).hibernating
    assert reason(desk, id_) == "Client.UserInitiatedShutdown"


def test_one_that_was_not_launched_for_it_is_not(desk: Desk):
    ready, plain = desk.running(**ASKED) + desk.running()
    with refused(Unsupported, Noun.HIBERNATION, plain):
        desk("StopInstances", InstanceIds=[ready, plain], Hibernate=True)
    assert desk.row(ready).state == "running"


def test_one_that_does_not_run_yet_is_not(desk: Desk):
    (id_,) = desk.running(**ASKED)
    desk("StopInstances", InstanceIds=[id_])
    desk.halted([id_])
    desk("StartInstances", InstanceIds=[id_])
    with refused(WrongState, Noun.INSTANCE, "does not run yet"):
        desk("StopInstances", InstanceIds=[id_], Hibernate=True)


def test_one_that_is_stopped_stays_so(desk: Desk):
    (id_,) = desk.running(**ASKED)
    desk("StopInstances", InstanceIds=[id_])
    desk.halted([id_])
    before = desk.row(id_)
    desk("StopInstances", InstanceIds=[id_], Hibernate=True)
    assert desk.row(id_) == before


@pytest.mark.parametrize("how", ["Force", "SkipOsShutdown"])
def test_power_cannot_be_cut_and_memory_kept(desk: Desk, how: str):
    ids = desk.running(**ASKED)
    with refused(Conflict, Noun.PARAMETER, "Hibernate"):
        desk("StopInstances", InstanceIds=ids, Hibernate=True, **{how: True})
    assert desk("StopInstances", InstanceIds=ids, Hibernate=False, **{how: True})


def test_a_forced_stop_overrides_one_that_keeps_memory(desk: Desk):
    (id_,) = desk.running(**ASKED)
    desk("StopInstances", InstanceIds=[id_], Hibernate=True)
    desk("StopInstances", InstanceIds=[id_], Force=True)
    row = desk.row(id_)
    assert (row.hibernating, row.forced) == (False, True)
    assert reason(desk, id_) == "Client.UserInitiatedShutdown"


def test_its_type_cannot_change(desk: Desk):
    (id_,) = desk.running(**ASKED)
    desk("StopInstances", InstanceIds=[id_], Hibernate=True)
    desk.halted([id_])
    with refused(Unsupported, Noun.HIBERNATION, "type cannot change"):
        desk("ModifyInstanceAttribute", InstanceId=id_, InstanceType={"Value": "m1.large"})


def test_an_engine_that_cannot_keep_memory_refuses(helen: Desk):
    image = helen.image()
    with refused(Unsupported, Noun.HIBERNATION, "Configured must be false"):
        helen.launch(ImageId=image, **ASKED)
    helen.launch(ImageId=image, HibernationOptions={"Configured": False})
    (told,) = helen("DescribeInstanceTypes", InstanceTypes=["m1.small"])["InstanceTypes"]
    assert told["HibernationSupported"] is False


def test_types_say_whether_it_can_be_had(desk: Desk):
    (told,) = desk("DescribeInstanceTypes", InstanceTypes=["m1.small"])["InstanceTypes"]
    assert told["HibernationSupported"] is True
