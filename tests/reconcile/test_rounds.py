"""Rounds over the real store and the simulator, in the test's own thread and time."""

import itertools
import logging
from dataclasses import replace

import pytest
from tests.support.machines import machine
from tests.support.site import Site

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused, Phase
from econe.domain.instances import InstanceState as S
from econe.domain.ports import StoreBusy


class Calls:
    """The engine calls that change something, in order."""

    def __init__(self, site: Site) -> None:
        self.made: list[str] = []
        site.world.script.boundaries.append(self._note)

    def _note(self, method: str, when: str) -> None:
        if when == "before" and not method.endswith(".look"):
            self.made.append(method)

    def take(self) -> list[str]:
        made, self.made = self.made, []
        return made


@pytest.fixture
def calls(site: Site) -> Calls:
    return Calls(site)


# --- launching ---------------------------------------------------------------------------


def test_one_round_makes_a_pending_instance_run(site: Site, calls: Calls):
    (id_,) = site.launch()
    site.loop.round()
    row = site.row(id_)
    assert row.state is S.RUNNING
    assert row.engine_ref == site.world.machines[id_].ref
    assert calls.take() == [
        "networks.ensure",
        "networks.admit",
        "machines.ensure",
        "machines.start",
    ]


def test_nothing_is_called_after_running_was_reported(site: Site, calls: Calls):
    site.running()
    calls.take()
    site.rounds(25)
    assert calls.take() == []


def test_the_store_is_not_written_while_nothing_happens(site: Site):
    site.running(3)
    site.settle()
    commits: list[str] = []
    site.store.boundary = lambda what, when: commits.append(when)
    site.rounds(25)
    assert commits == []


def test_a_launch_of_several_runs_them_all(site: Site):
    ids = site.running(5)
    assert {m.phase for m in site.world.machines.values()} == {Phase.RUNNING}
    assert len(site.world.machines) == len(ids) == site.world.made


def test_a_busy_engine_is_tried_again_with_growing_pauses(site: Site, calls: Calls):
    site.world.script.fail("machines.start", 5, with_=EngineBusy("no memory left"))
    (id_,) = site.launch()
    tried_at: list[float] = []
    begun = site.clock.now
    while site.state(id_) is S.PENDING:
        site.loop.round()
        if "machines.start" in calls.take():
            tried_at.append((site.clock.now - begun).total_seconds())
        site.clock.pass_s(0.25)
    pauses = [b - a for a, b in itertools.pairwise(tried_at)]
    assert pauses == [0.5, 1, 2, 4, 8]
    row = site.row(id_)
    assert (row.attempts, row.problem, row.retry_at) == (0, "", None)
    assert site.world.made == 1


def test_the_operator_reads_why_an_instance_waits(site: Site):
    site.world.script.fail("machines.start", 1, with_=EngineBusy("no memory left"))
    (id_,) = site.launch()
    site.loop.round()
    row = site.row(id_)
    assert row.problem == "Could not start the machine. The engine is busy: no memory left"
    assert row.attempts == 1


def test_an_answer_that_was_lost_makes_no_second_machine(site: Site):
    for method in ("machines.ensure", "machines.start", "networks.admit"):
        site.world.script.fail(method, 1, with_=EngineLost("no answer"), before=False)
    (id_,) = site.launch()
    site.settle()
    assert site.state(id_) is S.RUNNING
    assert site.world.made == 1
    assert site.world.machines[id_].boots == 1


def test_a_refused_launch_ends_terminated_with_what_may_be_said(site: Site):
    refusal = EngineRefused("The image is too large for this host.", hidden="/srv/blobs: 1 GiB")
    site.world.script.fail("machines.start", 1, with_=refusal)
    (id_,) = site.launch()
    site.loop.round()
    assert site.world.machines == {}  # taken back at once
    site.settle()
    row = site.row(id_)
    assert row.state is S.TERMINATED
    assert row.state_reason.message == "Server.InternalError: The image is too large for this host."
    assert (site.world.machines, site.world.disks) == ({}, {})


def test_a_refused_start_of_a_machine_that_ran_keeps_its_disk(site: Site):
    (id_,) = site.running()
    disks = dict(site.world.disks)
    site.stop(id_)
    site.settle()
    site.world.script.fail("machines.start", 1, with_=EngineRefused("No such CPU here."))
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.STOPPED
    assert site.world.disks == disks
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.RUNNING


def test_a_machine_that_dies_at_each_start_fails_the_launch(site: Site, calls: Calls):
    (id_,) = site.launch()
    starts = 0

    def die_at_once(method: str, when: str) -> None:
        nonlocal starts
        if (method, when) == ("machines.start", "after"):
            starts += 1
            site.world.die(id_, "exit status 1")

    site.world.script.boundaries.append(die_at_once)
    site.rounds(30, every_s=0.25)
    assert starts == site.work.start_tries
    row = site.row(id_)
    assert row.state is S.TERMINATED
    assert row.state_reason.code == "Server.InternalError"
    assert (site.world.machines, site.world.disks) == ({}, {})


def test_a_machine_that_dies_at_its_first_start_only_is_started_again(site: Site):
    (id_,) = site.launch()

    def die_once(method: str, when: str) -> None:
        if (method, when) == ("machines.start", "after"):
            site.world.script.boundaries.remove(die_once)
            site.world.die(id_, "exit status 1")

    site.world.script.boundaries.append(die_once)
    site.loop.round()
    assert site.row(id_).problem == "Could not start the machine. The machine ended: exit status 1"
    site.settle()
    assert site.state(id_) is S.RUNNING


def test_a_stop_that_is_asked_for_in_the_middle_of_a_start_is_done(site: Site):
    (id_,) = site.launch()
    site.settle()
    site.stop(id_)
    site.settle()
    site.start(id_)

    def ask(method: str, when: str) -> None:
        if (method, when) == ("machines.start", "before"):
            site.world.script.boundaries.remove(ask)
            site.stop(id_)

    site.world.script.boundaries.append(ask)
    site.loop.round()
    assert site.state(id_) is not S.RUNNING
    site.settle()
    assert site.state(id_) is S.STOPPED
    assert site.world.machines[id_].phase is Phase.DEFINED


def test_a_termination_in_the_middle_of_a_launch_leaves_nothing(site: Site):
    (id_,) = site.launch()

    def ask(method: str, when: str) -> None:
        if (method, when) == ("machines.ensure", "after"):
            site.world.script.boundaries.remove(ask)
            site.terminate(id_)

    site.world.script.boundaries.append(ask)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert (site.world.machines, site.world.disks) == ({}, {})


def test_where_a_machine_is_reached_is_known_while_it_runs(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    """As in QEMU's user-mode network, where ssh goes through a forwarded port."""
    look = site.engine.machines.look
    monkeypatch.setattr(
        site.engine.machines,
        "look",
        lambda ids=None: {i: replace(s, address="127.0.0.1:2201") for i, s in look(ids).items()},
    )
    (id_,) = site.running()
    assert site.row(id_).reach == "127.0.0.1:2201"
    site.stop(id_)
    site.settle()
    assert site.row(id_).reach == ""


# --- stopping ----------------------------------------------------------------------------


def test_an_obedient_guest_is_stopped_by_asking_once(site: Site, calls: Calls):
    (id_,) = site.running()
    calls.take()
    site.stop(id_)
    site.settle()
    assert site.state(id_) is S.STOPPED
    assert site.world.machines[id_].phase is Phase.DEFINED


def test_a_deaf_guest_is_asked_again_and_cut_off_when_its_grace_is_over(site: Site, calls: Calls):
    (id_,) = site.running()
    site.world.ignore_acpi(id_)
    calls.take()
    site.stop(id_)
    site.rounds(60)
    assert calls.take() == ["machines.shut_down"] * 12
    assert site.state(id_) is S.STOPPING
    site.loop.round()
    assert calls.take() == ["machines.power_off"]
    assert site.state(id_) is S.STOPPED


def test_a_forced_stop_does_not_ask(site: Site, calls: Calls):
    (id_,) = site.running()
    calls.take()
    site.stop(id_, forced=True)
    site.loop.round()
    assert calls.take() == ["machines.power_off"]
    assert site.state(id_) is S.STOPPED


def test_a_stop_that_is_forced_later_is_hurried(site: Site):
    (id_,) = site.running()
    site.world.ignore_acpi(id_)
    site.stop(id_)
    site.rounds(3)
    assert site.state(id_) is S.STOPPING
    site.stop(id_, forced=True)
    site.loop.round()
    assert site.state(id_) is S.STOPPED


def test_a_stopped_instance_starts_again_with_its_disk(site: Site):
    (id_,) = site.running()
    disks = dict(site.world.disks)
    site.stop(id_)
    site.settle()
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.RUNNING
    assert site.world.disks == disks
    assert site.world.machines[id_].boots == 2
    assert site.world.made == 1


# --- what guests and bad luck do ---------------------------------------------------------


def test_a_guest_that_switches_itself_off_is_stopped(site: Site):
    (id_,) = site.running()
    site.world.power_off_from_inside(id_)
    site.loop.round()
    row = site.row(id_)
    assert row.state is S.STOPPED
    assert row.state_reason.code == "Client.InstanceInitiatedShutdown"


def test_a_guest_that_switches_itself_off_is_terminated_if_it_was_launched_so(site: Site):
    (id_,) = site.running(shutdown_behavior="terminate")
    site.world.power_off_from_inside(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert (site.world.machines, site.world.disks) == ({}, {})


def test_a_machine_that_dies_is_stopped_and_never_terminated_for_it(site: Site):
    (id_,) = site.running(shutdown_behavior="terminate")
    site.world.die(id_)
    site.settle()
    row = site.row(id_)
    assert row.state is S.STOPPED
    assert row.state_reason.code == "Server.InternalError"
    site.start(id_)
    site.settle()
    assert site.state(id_) is S.RUNNING


def test_a_machine_that_vanished_is_stopped(site: Site):
    (id_,) = site.running()
    site.settle()
    del site.world.machines[id_]
    site.loop.round()
    assert site.state(id_) is S.STOPPED


def test_a_machine_that_vanished_while_no_server_ran_is_stopped(site: Site):
    (id_,) = site.running()
    del site.world.machines[id_]
    site.restart()
    site.loop.round()
    assert site.state(id_) is S.STOPPED


def test_after_a_host_reboot_all_are_stopped_and_can_be_started(site: Site):
    ids = site.running(3)
    site.world.reboot_host()
    site.restart()
    site.settle()
    assert {site.state(i) for i in ids} == {S.STOPPED}
    site.start(*ids)
    site.settle()
    assert {site.state(i) for i in ids} == {S.RUNNING}


def test_a_stopped_instance_whose_machine_runs_is_cut_off(site: Site):
    (id_,) = site.running()
    site.stop(id_)
    site.settle()
    site.world.boot(id_)
    site.loop.round()
    assert site.world.machines[id_].phase is Phase.DEFINED
    assert site.state(id_) is S.STOPPED


def test_a_failing_cut_after_a_halt_is_tried_again_though_the_row_is_settled(site: Site):
    (id_,) = site.running()
    site.settle()
    site.world.script.fail("machines.power_off", 2, with_=EngineBusy("later"))
    site.world.power_off_from_inside(id_)
    site.rounds(5, every_s=0.5)
    assert site.state(id_) is S.STOPPED


# --- reboots -----------------------------------------------------------------------------


def test_each_reboot_is_done_once(site: Site):
    (id_,) = site.running()
    for boots in (2, 3):
        site.reboot(id_)
        site.settle()
        assert site.world.machines[id_].boots == boots


def test_two_reboots_asked_for_at_once_are_one(site: Site):
    (id_,) = site.running()
    site.reboot(id_)
    site.reboot(id_)
    site.settle()
    assert site.world.machines[id_].boots == 2


def test_a_reboot_of_a_busy_engine_is_tried_again(site: Site):
    (id_,) = site.running()
    site.world.script.fail("machines.reset", 2, with_=EngineBusy("later"))
    site.reboot(id_)
    site.settle()
    assert site.world.machines[id_].boots == 2
    assert site.row(id_).settled


# --- terminating -------------------------------------------------------------------------


def test_a_termination_leaves_nothing_in_the_engine_but_the_console(site: Site):
    (id_,) = site.running()
    site.terminate(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert (site.world.machines, site.world.disks) == ({}, {})
    assert all(not admitted for admitted in site.world.networks.values())
    assert site.engine.consoles.output(id_) is not None


def test_a_termination_before_the_first_round_makes_no_machine(site: Site):
    (id_,) = site.launch()
    site.terminate(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    assert site.world.made == 0


def test_a_deaf_guest_is_destroyed_when_the_termination_has_waited(site: Site, calls: Calls):
    (id_,) = site.running()
    site.world.ignore_acpi(id_)
    calls.take()
    site.terminate(id_)
    site.rounds(10)
    assert set(calls.take()) == {"machines.shut_down"}
    site.loop.round()
    assert site.state(id_) is S.TERMINATED


def test_a_stopped_instance_is_terminated_without_asking(site: Site, calls: Calls):
    (id_,) = site.running()
    site.stop(id_)
    site.settle()
    calls.take()
    site.terminate(id_)
    site.loop.round()
    assert calls.take() == ["machines.destroy", "networks.dismiss", "disks.remove"]
    assert site.state(id_) is S.TERMINATED


def test_a_refusal_to_destroy_is_kept_as_a_problem_and_tried_again(site: Site):
    (id_,) = site.running()
    site.stop(id_)
    site.settle()
    site.world.script.fail("disks.remove", 1, with_=EngineRefused("no", hidden="read-only disk"))
    site.terminate(id_)
    site.loop.round()
    row = site.row(id_)
    assert row.state is S.SHUTTING_DOWN
    assert row.problem == "Could not remove vol-00000001. The engine refuses: read-only disk"
    site.settle()
    assert site.state(id_) is S.TERMINATED


# --- what no row knows -------------------------------------------------------------------


def test_a_machine_that_no_row_knows_is_destroyed(site: Site):
    site.running()
    site.settle()
    stray = machine(77)
    site.world.define(stray)
    site.world.boot(stray.id)
    site.loop.round()
    assert len(site.world.machines) == 1
    assert site.engine.consoles.output(stray.id) is None


def test_a_machine_of_a_terminated_row_is_destroyed(site: Site):
    (id_,) = site.running()
    spec = site.world.machines[id_].spec
    site.terminate(id_)
    site.settle()
    site.world.define(spec)
    site.loop.round()
    assert site.world.machines == {}


def test_an_unknown_machine_that_cannot_be_destroyed_is_tried_again(site: Site):
    site.world.define(machine(77))
    site.world.script.fail("machines.destroy", 2, with_=EngineBusy("later"))
    site.rounds(5, every_s=0.5)
    assert site.world.machines == {}


# --- networks ----------------------------------------------------------------------------


def test_a_network_goes_when_its_last_instance_has_been_gone_for_a_while(site: Site):
    (id_,) = site.running()
    site.terminate(id_)
    site.settle()
    assert site.world.networks
    site.rounds(site.work.network_quiet_s + 2 * site.work.round_every_s, every_s=10)
    assert site.world.networks == {}


def test_a_network_stays_while_a_stopped_instance_is_in_it(site: Site):
    (id_,) = site.running()
    site.stop(id_)
    site.settle()
    site.rounds(site.work.network_quiet_s * 2, every_s=10)
    assert site.world.networks


def test_a_launch_brings_a_removed_network_up_again(site: Site):
    (id_,) = site.running()
    site.terminate(id_)
    site.settle()
    site.rounds(site.work.network_quiet_s + 2 * site.work.round_every_s, every_s=10)
    site.running()
    assert site.world.networks


def test_a_server_that_starts_again_makes_sure_of_the_network_of_each_running_machine(
    site: Site, calls: Calls
):
    ids = site.running(2)
    site.restart()
    calls.take()
    site.loop.round()
    made = calls.take()
    assert made.count("networks.admit") == len(ids)
    assert "machines.start" not in made
    site.rounds(5)
    assert calls.take() == []


def test_a_network_that_vanished_under_running_machines_is_made_again(site: Site):
    ids = site.running(2)
    site.settle()
    site.world.networks.clear()
    site.rounds(site.work.round_every_s + 1)
    (admitted,) = site.world.networks.values()
    assert len(admitted) == len(ids)


def test_networks_that_cannot_be_looked_at_hold_no_machine_up(site: Site):
    site.world.script.fail("networks.look", 100, with_=EngineBusy("later"))
    (id_,) = site.launch()
    site.loop.round()
    assert site.state(id_) is S.RUNNING


# --- surprises ---------------------------------------------------------------------------


def test_a_surprise_is_logged_with_its_trace_and_the_instance_waits(
    site: Site, caplog: pytest.LogCaptureFixture
):
    site.world.script.fail("machines.ensure", 1, with_=ZeroDivisionError("oh"))
    (id_,) = site.launch()
    with caplog.at_level(logging.ERROR):
        site.loop.round()
    assert site.row(id_).problem == (
        "Could not define the machine. Unexpected ZeroDivisionError: oh"
    )
    assert any(record.exc_info for record in caplog.records)
    site.settle()
    assert site.state(id_) is S.RUNNING


def test_one_that_fails_does_not_hold_the_others(site: Site):
    site.world.script.fail("machines.ensure", 1, with_=EngineBusy("later"))
    first, *others = site.launch(4)
    site.loop.round()
    assert site.state(first) is S.PENDING
    assert {site.state(i) for i in others} == {S.RUNNING}


def test_a_store_that_is_locked_for_a_while_delays_and_breaks_nothing(site: Site):
    (id_,) = site.launch()

    def locked(what: str, when: str) -> None:
        if when == "before":
            raise StoreBusy("locked")

    site.store.boundary = locked
    site.loop.round()
    assert site.state(id_) is S.PENDING
    site.store.boundary = None
    site.settle()
    assert site.state(id_) is S.RUNNING
    assert site.world.machines[id_].boots == 1


def test_a_locked_store_is_not_hammered(site: Site):
    site.launch()
    tries = 0

    def locked(what: str, when: str) -> None:
        nonlocal tries
        tries += 1
        raise StoreBusy("locked")

    site.store.boundary = locked
    for _ in range(100):
        site.loop.round()
        site.clock.pass_s(0.01)
    assert tries < 10


def test_the_loop_knows_when_to_look_again(site: Site):
    site.loop.round()
    assert site.loop.round() == pytest.approx(site.work.round_every_s)
    (id_,) = site.running()
    site.settle()
    site.world.ignore_acpi(id_)
    site.stop(id_)
    assert site.loop.round() <= site.work.watch_every_s


def test_a_clock_that_is_set_back_does_not_put_off_the_next_try(site: Site):
    site.world.script.fail("machines.start", 1, with_=EngineBusy("no memory left"))
    (id_,) = site.launch()
    site.loop.round()
    assert site.row(id_).retry_at is not None
    site.clock.pass_s(-86_400)
    site.settle()
    assert site.state(id_) is S.RUNNING


def test_a_clock_that_is_set_back_does_not_stop_the_rounds(site: Site):
    (id_,) = site.running()
    site.settle()
    site.clock.pass_s(-86_400)
    assert site.loop.round() <= site.work.round_every_s
    site.terminate(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED


def test_a_changed_interface_is_admitted_anew_while_the_machine_runs(site: Site, calls: Calls):
    (id_,) = site.running()
    with site.store.writing() as tx:
        row = tx.instances.get(id_)
        nic = tx.interfaces.save(replace(row.interfaces[0], source_dest_check=False))
        tx.instances.save(replace(tx.instances.get(id_), reconnect=True))
    calls.take()
    site.settle()
    assert calls.take() == ["networks.ensure", "networks.admit"]
    admitted = site.world.networks[nic.vpc_id][nic.id]
    assert not admitted.source_dest_check
    assert not site.row(id_).reconnect
