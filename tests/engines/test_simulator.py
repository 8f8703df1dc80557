"""What the simulator has beyond the contract: its script, its world, its honesty."""

import time
from dataclasses import replace

import pytest
from tests.support.machines import machine

from econe.domain.engine_ports import Engine, EngineBusy, EngineLost, EngineRefused, Phase
from econe.engines.simulator import Simulator, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def engine(world: World) -> Engine:
    return Simulator(world)


def define(engine: Engine) -> str:
    spec = machine()
    (nic,) = spec.nics
    engine.networks.ensure(nic.network)
    engine.networks.admit(nic)
    engine.machines.ensure(spec)
    return spec.id


def test_a_fault_before_the_effect_comes_as_often_as_it_was_ordered(world: World, engine: Engine):
    id_ = define(engine)
    world.script.fail("machines.start", 2, with_=EngineBusy("no memory"))
    for _ in range(2):
        with pytest.raises(EngineBusy, match="no memory"):
            engine.machines.start(machine())
        assert engine.machines.look()[id_].phase is Phase.DEFINED
    engine.machines.start(machine())
    assert engine.machines.look()[id_].phase is Phase.RUNNING


def test_a_fault_after_the_effect_leaves_it_done(world: World, engine: Engine):
    id_ = define(engine)
    world.script.fail("machines.start", 1, with_=EngineLost("no answer"), before=False)
    with pytest.raises(EngineLost):
        engine.machines.start(machine())
    assert engine.machines.look()[id_].phase is Phase.RUNNING


def test_faults_that_are_cleared_do_not_come(world: World, engine: Engine):
    world.script.fail("networks.look", 5, with_=EngineBusy("later"))
    world.script.clear()
    assert engine.networks.look() == set()


def test_a_machine_boots_as_what_it_is_started_as(world: World, engine: Engine):
    """Its type may have been changed while it was off; one that was hibernated goes on."""
    id_ = define(engine)
    engine.machines.start(machine())
    engine.machines.power_off(id_)
    engine.machines.start(replace(machine(), vcpus=7, memory_mib=777))
    written, _ = engine.consoles.output(id_) or (b"", None)
    assert b"7 vCPU" in written.splitlines()[-2]
    engine.machines.hibernate(id_)
    engine.machines.start(replace(machine(), vcpus=9))
    assert world.machines[id_].spec == replace(machine(), vcpus=7, memory_mib=777)


def test_a_machine_cannot_be_started_before_its_network_knows_it(engine: Engine):
    engine.machines.ensure(machine())
    with pytest.raises(EngineRefused, match="network"):
        engine.machines.start(machine())


def test_its_console_says_that_nothing_runs(engine: Engine):
    id_ = define(engine)
    engine.machines.start(machine())
    text, _ = engine.consoles.output(id_) or (b"", None)
    assert b"no virtual machine runs behind this console" in text
    assert id_.encode() in text


def test_a_console_keeps_its_last_64_kib(world: World, engine: Engine):
    id_ = define(engine)
    world.write_console(id_, b"first" + b"x" * 65536)
    world.write_console(id_, b"last")
    text, _ = engine.consoles.output(id_) or (b"", None)
    assert len(text) == 65536
    assert text.endswith(b"last")
    assert b"first" not in text


def test_a_start_takes_as_long_as_it_is_set_to(world: World):
    engine = Simulator(world, start_delay_s=0.05)
    define(engine)
    begun = time.monotonic()
    engine.machines.start(machine())
    assert time.monotonic() - begun >= 0.05
    begun = time.monotonic()
    engine.machines.start(machine())  # it runs already
    assert time.monotonic() - begun < 0.05


def test_an_engine_that_is_closed_no_longer_pokes(world: World):
    pokes: list[str] = []
    engine = Simulator(world)
    engine.open(lambda: pokes.append("poke"))
    id_ = define(engine)
    engine.machines.start(machine())
    assert pokes
    engine.close()
    pokes.clear()
    world.die(id_)
    assert pokes == []


def test_a_host_reboot_ends_machines_and_networks_and_keeps_disks(world: World, engine: Engine):
    id_ = define(engine)
    engine.machines.start(machine())
    world.reboot_host()
    assert engine.machines.look()[id_].phase is Phase.DIED
    assert engine.machines.look()[id_].why == "the host was rebooted"
    assert engine.networks.look() == set()
    assert engine.disks.look()
