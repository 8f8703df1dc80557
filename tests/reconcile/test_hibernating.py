"""Stops that keep memory, in rounds, over the simulator: its machines know that they slept."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.site import ACCOUNT, Site

from econe.domain.engine_ports import EngineBusy, EngineRefused, Phase
from econe.domain.instances import InstanceState as S


class SleepingSite(Site):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.fleet = replace(self.fleet, can=self.engine.can)

    def hibernate(self, *ids: str) -> None:
        with self.store.writing() as tx:
            self.fleet.stop(tx, ACCOUNT, ids, self.clock(), hibernate=True)


@pytest.fixture
def site(tmp_path: Path) -> SleepingSite:
    return SleepingSite(tmp_path)


def running(site: SleepingSite) -> str:
    (id_,) = site.launch(hibernation=True)
    site.settle()
    assert site.state(id_) is S.RUNNING
    return id_


def test_it_falls_asleep_and_wakes_without_a_boot(site: SleepingSite):
    id_ = running(site)
    site.hibernate(id_)
    site.settle()
    machine = site.world.machines[id_]
    assert (site.state(id_), machine.phase, machine.asleep) == (S.STOPPED, Phase.DEFINED, True)
    assert site.row(id_).state_reason.code == "Client.UserInitiatedHibernate"
    site.start(id_)
    site.settle()
    machine = site.world.machines[id_]
    assert (site.state(id_), machine.boots, machine.asleep) == (S.RUNNING, 1, False)


def test_one_whose_memory_cannot_be_saved_is_shut_down_instead(site: SleepingSite):
    id_ = running(site)
    site.world.script.fail("machines.hibernate", 1, with_=EngineRefused("No room."))
    site.hibernate(id_)
    site.loop.round()
    row = site.row(id_)
    assert (row.state, row.hibernating) == (S.STOPPING, False)
    assert "No room." in row.problem
    assert row.state_reason.code == "Client.UserInitiatedShutdown"
    assert site.world.machines[id_].phase is Phase.RUNNING
    site.settle()
    assert (site.state(id_), site.world.machines[id_].asleep) == (S.STOPPED, False)
    site.start(id_)
    site.settle()
    assert site.world.machines[id_].boots == 2


def test_a_deaf_one_has_its_whole_grace_from_then_on(site: SleepingSite):
    id_ = running(site)
    site.world.ignore_acpi(id_)
    site.world.script.fail("machines.hibernate", 1, with_=EngineRefused("No room."))
    site.clock.pass_s(1000)
    site.hibernate(id_)
    site.rounds(site.work.stop_grace_s - 5)
    assert site.state(id_) is S.STOPPING
    site.rounds(20)
    assert site.state(id_) is S.STOPPED


def test_a_busy_engine_is_asked_again(site: SleepingSite):
    id_ = running(site)
    site.world.script.fail("machines.hibernate", 3, with_=EngineBusy("later"))
    site.hibernate(id_)
    site.settle()
    assert (site.state(id_), site.world.machines[id_].asleep) == (S.STOPPED, True)


def test_one_that_dies_meanwhile_is_stopped(site: SleepingSite):
    id_ = running(site)
    site.hibernate(id_)
    site.world.die(id_)
    site.settle()
    assert (site.state(id_), site.world.machines[id_].phase) == (S.STOPPED, Phase.DEFINED)


def test_a_refused_start_takes_no_memory_away(site: SleepingSite):
    id_ = running(site)
    site.hibernate(id_)
    site.settle()
    site.world.script.fail("machines.start", 1, with_=EngineRefused("No."))
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.STOPPED
    assert site.world.machines[id_].asleep
    site.start(id_)
    site.settle()
    assert (site.state(id_), site.world.machines[id_].boots) == (S.RUNNING, 1)


def test_it_is_terminated_in_its_sleep(site: SleepingSite):
    id_ = running(site)
    site.hibernate(id_)
    site.settle()
    site.terminate(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert site.world.machines == {}
