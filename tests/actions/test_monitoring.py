import pytest
from tests.support.desk import SHARED, Desk, refused

from econe.domain.faults import NotFound, Noun, Unsupported, WrongState

STATES = {"MonitorInstances": "pending", "UnmonitorInstances": "disabled"}


def told(answer: dict[str, list[dict[str, object]]]) -> dict[str, str]:
    return {
        each["InstanceId"]: each["Monitoring"]["State"]  # type: ignore[misc,index]
        for each in answer["InstanceMonitorings"]
    }


def shown(desk: Desk, id_: str) -> str:
    (view,) = desk.instances(InstanceIds=[id_])
    return view["Monitoring"]["State"]  # type: ignore[no-any-return]


def test_monitoring_is_pending_until_the_first_sample(meter: Desk):
    ids = meter.running(2)
    assert told(meter("MonitorInstances", InstanceIds=ids)) == dict.fromkeys(ids, "pending")
    assert shown(meter, ids[0]) == "pending"
    meter.sampled(ids[:1])
    assert (shown(meter, ids[0]), shown(meter, ids[1])) == ("enabled", "pending")
    assert told(meter("UnmonitorInstances", InstanceIds=ids[:1])) == {ids[0]: "disabling"}
    meter.sampled(ids[:1])
    assert shown(meter, ids[0]) == "disabled"


def test_a_launch_may_ask_for_it(meter: Desk):
    (with_it,) = meter.launch(Monitoring={"Enabled": True})
    (without,) = meter.launch(Monitoring={"Enabled": False})
    assert (shown(meter, with_it), shown(meter, without)) == ("pending", "disabled")


def test_several_are_monitored_together_or_not_at_all(meter: Desk):
    (running,), (ended,) = meter.running(), meter.terminated()
    with refused(WrongState, Noun.INSTANCE, ended):
        meter("MonitorInstances", InstanceIds=[running, ended])
    assert shown(meter, running) == "disabled"


@pytest.mark.parametrize("action", STATES)
def test_unknown_instances_are_refused(meter: Desk, action: str):
    with refused(NotFound, Noun.INSTANCE):
        meter(action, InstanceIds=["i-99"])


@pytest.mark.parametrize("action", STATES)
def test_an_engine_that_measures_nothing_refuses(helen: Desk, action: str):
    ids = helen.running()
    with refused(Unsupported, Noun.REQUEST, "measure"):
        helen.on(SHARED)(action, InstanceIds=ids)


def test_a_launch_on_such_an_engine_may_say_no_but_not_yes(helen: Desk):
    image = helen.image()
    bare = helen.on(helen.cloud.can)
    with refused(Unsupported, Noun.PARAMETER, "Monitoring.Enabled"):
        bare.launch(ImageId=image, Monitoring={"Enabled": True})
    bare.launch(ImageId=image, Monitoring={"Enabled": False})
