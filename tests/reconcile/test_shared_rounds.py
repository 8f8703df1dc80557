"""Rounds over machines that others command too, which take their time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.site import ACCOUNT, Site

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused, Phase
from econe.domain.instances import InstanceState as S
from econe.engines.simulator.shared import SharedSimulator


class SharedSite(Site):
    simulator = SharedSimulator


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SharedSite]:
    site = SharedSite(tmp_path)
    yield site
    site.engine.close()
    site.store.close()


def running(site: Site, count: int = 1, **more: str) -> list[str]:
    ids = site.launch(count, **more)
    site.settle()
    assert [site.state(i) for i in ids] == [S.RUNNING] * count
    return ids


def test_a_launch_is_pending_until_it_is_seen_running(site: SharedSite):
    (id_,) = site.launch()
    site.loop.round()
    assert site.world.machines[id_].phase is Phase.MOVING
    assert site.state(id_) is S.PENDING
    site.settle()
    row = site.row(id_)
    assert row.state is S.RUNNING
    assert row.engine_ref == site.world.machines[id_].ref
    assert [nic.private_ip for nic in row.interfaces] == ["10.99.0.1"]


def test_its_name_in_the_engine_is_known_before_it_runs(site: SharedSite):
    """So that a machine which others end meanwhile is not made a second time."""
    (id_,) = site.launch()
    site.loop.round()
    assert site.row(id_).engine_ref
    site.world.drop(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert site.world.made == 1


def test_a_stop_is_done_when_it_is_seen(site: SharedSite):
    (id_,) = running(site)
    site.stop(id_)
    site.loop.round()
    assert site.state(id_) is S.STOPPING
    site.settle()
    assert site.state(id_) is S.STOPPED
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.RUNNING
    assert site.world.made == 1


def test_a_guest_that_does_not_hear_is_cut_after_its_grace(site: SharedSite):
    (id_,) = running(site)
    site.world.ignore_acpi(id_)
    site.stop(id_)
    site.rounds(site.work.stop_grace_s - 1)
    assert site.state(id_) is S.STOPPING
    site.settle()
    assert site.state(id_) is S.STOPPED


def test_a_termination_ends_when_nothing_is_seen(site: SharedSite):
    (id_,) = running(site)
    site.terminate(id_)
    site.loop.round()
    assert site.state(id_) is S.SHUTTING_DOWN
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert site.world.machines == {}


def test_a_termination_asked_for_too_early_is_asked_for_again(site: SharedSite):
    (id_,) = site.launch()
    site.loop.round()
    site.terminate(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert site.world.machines == {}


def test_what_others_start_and_stop_is_followed(site: SharedSite):
    (id_,) = running(site)
    site.world.cut(id_)
    site.settle()
    row = site.row(id_)
    assert (row.state, row.state_reason.code) == (S.STOPPED, "Client.UserInitiatedShutdown")
    before = site.row(id_).generation
    site.clock.pass_s(60)
    site.world.boot(id_)
    site.settle()
    row = site.row(id_)
    assert (row.state, row.state_reason.code) == (S.RUNNING, "")
    assert row.generation > before
    assert row.launched_at > row.interfaces[0].created_at


def test_a_guest_that_switches_itself_off_is_stopped_or_ends(site: SharedSite):
    (stays,) = running(site)
    (ends,) = running(site, shutdown_behavior="terminate")
    site.world.power_off_from_inside(stays)
    site.world.power_off_from_inside(ends)
    site.settle()
    assert site.state(stays) is S.STOPPED
    assert site.state(ends) is S.TERMINATED


@pytest.mark.parametrize("state", [S.RUNNING, S.STOPPED])
def test_what_others_end_is_terminated(site: SharedSite, state: S):
    (id_,) = running(site)
    if state is S.STOPPED:
        site.stop(id_)
        site.settle()
    site.world.drop(id_)
    site.settle()
    row = site.row(id_)
    assert (row.state, row.engine_ref) == (S.TERMINATED, "")
    assert "other means" in row.state_reason.message


def test_an_engine_that_shows_nothing_ends_nothing(site: SharedSite):
    """A pool that comes back empty says nothing of one machine."""
    (id_,) = running(site)
    machine = site.world.machines.pop(id_)
    site.world.script.fail("machines.ended", 1000, with_=EngineBusy("rubbish"))
    site.rounds(60)
    assert site.state(id_) is S.RUNNING
    site.world.machines[id_] = machine
    site.world.script.clear()
    site.settle()
    assert site.state(id_) is S.RUNNING


def test_a_lost_answer_makes_no_second_machine(site: SharedSite):
    site.world.script.fail("machines.ensure", 1, with_=EngineLost("timeout"), before=False)
    (id_,) = running(site)
    assert site.world.made == 1
    assert site.row(id_).attempts == 0


def test_a_refusal_says_in_ec2s_words_why_the_launch_failed(site: SharedSite):
    refused = EngineRefused("You may have 4 instances.", code="InstanceLimitExceeded")
    site.world.script.fail("machines.ensure", 1, with_=refused)
    (id_,) = site.launch()
    site.settle()
    row = site.row(id_)
    assert row.state is S.TERMINATED
    assert row.state_reason.code == "Client.InstanceLimitExceeded"
    assert row.state_reason.message.endswith("You may have 4 instances.")


def at_least(site: Site, least: int, most: int) -> list[str]:
    from econe.domain.launch import LaunchOrder

    order = LaunchOrder(image="ami-00000001", at_least=least, at_most=most)
    with site.store.writing() as tx:
        return [row.id for row in site.fleet.launch(tx, ACCOUNT, order, site.clock())]


def test_a_start_that_is_refused_costs_nobody_their_machine(site: SharedSite):
    """A full quota, say. Its disks would go with it."""
    (id_,) = running(site)
    site.stop(id_)
    site.settle()
    refused = EngineRefused("Too many.", code="InstanceLimitExceeded")
    site.world.script.fail("machines.start", 1, with_=refused)
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.STOPPED
    assert site.row(id_).state_reason.code == "Client.InstanceLimitExceeded"
    assert list(site.world.machines) == [id_]
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.RUNNING


@pytest.mark.parametrize(("least", "left"), [(1, 2), (2, 2), (3, 0)])
def test_a_launch_of_too_few_is_taken_back(site: SharedSite, least: int, left: int):
    refused = EngineRefused("No more.", code="InstanceLimitExceeded")
    site.world.script.fail("machines.ensure", 1, with_=refused)
    ids = at_least(site, least, 3)
    site.settle()
    states = [site.state(i) for i in ids]
    assert states.count(S.RUNNING) == left
    assert states.count(S.TERMINATED) == 3 - left
    reasons = {site.row(i).state_reason.code for i in ids if site.state(i) is S.TERMINATED}
    assert reasons == {"Client.InstanceLimitExceeded"}


def test_a_reboot_is_asked_for_once(site: SharedSite):
    (id_,) = running(site)
    site.reboot(id_)
    site.settle()
    assert site.world.machines[id_].boots == 2
