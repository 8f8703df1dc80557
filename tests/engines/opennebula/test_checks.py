"""How machines are, by oned's states and its monitor's figures."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.opennebula import OpennebulaStand
from tests.support.eventually import eventually
from tests.support.oned.machine import Lcm

from econe.domain.engine_ports import Engine, MachineSpec, Phase, Subject, Vitals
from econe.domain.health import Pulse


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[OpennebulaStand]:
    stand = OpennebulaStand(tmp_path)
    yield stand
    stand.end()


@pytest.fixture
def engine(stand: OpennebulaStand) -> Engine:
    return stand.open()


def run(engine: Engine, spec: MachineSpec) -> None:
    engine.machines.ensure(spec)
    engine.machines.start(spec)
    eventually(lambda: engine.machines.look()[spec.id].phase is Phase.RUNNING, within_s=5)


def found(engine: Engine, spec: MachineSpec) -> Vitals:
    return engine.checks.look({spec.id: Subject("", spec.nics)})[spec.id]


def monitor(stand: OpennebulaStand, spec: MachineSpec, sent: str, after_s: int = 30) -> None:
    """The monitor's figures, so long after the machine was started."""
    (vm,) = stand.vms(spec.id)
    taken_at = str(int(vm.history[-1].running_start) + after_s)
    vm.monitoring = {"ID": str(vm.id), "NETTX": sent, "TIMESTAMP": taken_at}


def test_a_guest_that_has_sent_something_is_there(stand: OpennebulaStand, engine: Engine):
    spec = stand.spec()
    run(engine, spec)
    assert found(engine, spec) == Vitals(Pulse.BEATS, Pulse.UNHEARD)
    monitor(stand, spec, "4949")
    assert found(engine, spec) == Vitals(Pulse.BEATS, Pulse.BEATS)


@pytest.mark.parametrize(("sent", "after_s"), [("0", 30), ("", 30), ("x", 30), ("4949", -5)])
def test_one_that_has_sent_nothing_since_its_start_is_not_heard(
    stand: OpennebulaStand, engine: Engine, sent: str, after_s: int
):
    spec = stand.spec()
    run(engine, spec)
    monitor(stand, spec, sent, after_s)
    assert found(engine, spec).guest is Pulse.UNHEARD


def test_a_machine_whose_host_is_lost_is_not_found(stand: OpennebulaStand, engine: Engine):
    spec = stand.spec()
    run(engine, spec)
    (vm,) = stand.vms(spec.id)
    vm.lcm = Lcm.UNKNOWN
    vm.kept.clear()
    assert found(engine, spec).machine is Pulse.STILL


def test_two_calls_ask_for_all(stand: OpennebulaStand, engine: Engine):
    specs = [stand.spec(number) for number in (1, 2, 3)]
    for spec in specs:
        run(engine, spec)
    before = len(stand.oned.calls)
    engine.checks.look({spec.id: Subject("", spec.nics) for spec in specs})
    assert [call.method for call in stand.oned.calls[before:]] == [
        "one.vmpool.infoset",
        "one.vmpool.monitoring",
    ]
