"""What reports of the work plane change; read beside domain/happenings.py."""

import pytest

from econe.domain import happenings
from econe.domain.engine_ports import Phase, Seen
from econe.domain.instances import Firmware, InstanceState, Intent
from econe.domain.reasons import reason_of, server_reason
from econe.domain.volumes import VolumeState

UP = Seen(Phase.RUNNING, "ref")
NO = server_reason("no")

ALL_REPORTS = {
    "started": lambda tx, row, now: happenings.started(tx, row.id, row.generation - 1, now, UP),
    "halted": lambda tx, row, now: happenings.halted(tx, row.id, row.generation - 1, now),
    "failed": lambda tx, row, now: happenings.failed(tx, row.id, row.generation - 1, now, NO),
    "waits": lambda tx, row, now: happenings.waits(tx, row.id, row.generation - 1, "why", now),
}


@pytest.mark.parametrize("report", ALL_REPORTS.values(), ids=ALL_REPORTS)
def test_a_report_about_an_older_generation_changes_nothing(helen, report):
    (id_,) = helen.launch()
    before = helen.row(id_)
    with helen.store.writing() as tx:
        assert report(tx, before, helen.now) is None
    assert helen.row(id_) == before


def test_a_report_about_an_instance_that_is_forgotten_changes_nothing(helen):
    with helen.store.writing() as tx:
        assert happenings.started(tx, "i-00000099", 1, helen.now, UP) is None
        assert happenings.gone(tx, "i-00000099", helen.now) is None
        assert happenings.rebooted(tx, "i-00000099", 1) is None


def test_a_started_instance_runs_and_its_disk_is_in_use(helen):
    (id_,) = helen.launch()
    assert helen.row(id_).volumes[0].state is VolumeState.CREATING
    helen.started([id_])
    row = helen.row(id_)
    assert row.state is InstanceState.RUNNING
    assert row.volumes[0].state is VolumeState.IN_USE
    assert row.settled


def test_the_same_report_twice_is_one(helen):
    (id_,) = helen.running()
    before = helen.row(id_)
    with helen.store.writing() as tx:
        assert happenings.started(tx, id_, before.generation, helen.now, UP) is None
    assert helen.row(id_) == before


def test_success_forgets_the_failed_tries(helen):
    (id_,) = helen.launch()
    with helen.store.writing() as tx:
        happenings.waits(tx, id_, 1, "no memory", helen.now)
        happenings.waits(tx, id_, 1, "no memory", helen.now)
    waiting = helen.row(id_)
    assert (waiting.attempts, waiting.problem, waiting.retry_at) == (2, "no memory", helen.now)
    helen.started([id_])
    row = helen.row(id_)
    assert (row.attempts, row.problem, row.retry_at) == (0, "", None)


def test_a_guest_that_switches_itself_off_is_stopped(helen):
    (id_,) = helen.running()
    helen.halted([id_], by_guest=True)
    row = helen.row(id_)
    assert row.state is InstanceState.STOPPED
    assert row.state_reason.code == "Client.InstanceInitiatedShutdown"
    assert row.private_ip and row.volumes


def test_or_terminated_where_that_is_its_shutdown_behaviour(helen):
    (id_,) = helen.running(InstanceInitiatedShutdownBehavior="terminate")
    before = helen.row(id_)
    helen.halted([id_], by_guest=True)
    row = helen.row(id_)
    assert row.state is InstanceState.SHUTTING_DOWN
    assert row.generation == before.generation + 1
    assert row.state_reason.code == "Client.InstanceInitiatedShutdown"


def test_a_machine_that_died_is_never_terminated_for_it(helen):
    (id_,) = helen.running(InstanceInitiatedShutdownBehavior="terminate")
    helen.halted([id_], died=True)
    row = helen.row(id_)
    assert row.state is InstanceState.STOPPED
    assert row.state_reason.code == "Server.InternalError"


def test_a_stop_that_was_asked_for_keeps_the_users_reason(helen):
    (id_,) = helen.running(InstanceInitiatedShutdownBehavior="terminate")
    helen("StopInstances", InstanceIds=[id_])
    helen.halted([id_], by_guest=True)  # it heeded the ACPI button
    row = helen.row(id_)
    assert row.state is InstanceState.STOPPED
    assert row.state_reason.code == "Client.UserInitiatedShutdown"


def test_a_launch_that_fails_ends_in_termination_and_says_why(helen):
    (id_,) = helen.launch()
    with helen.store.writing() as tx:
        happenings.failed(tx, id_, 1, helen.now, server_reason("QEMU says no"))
    row = helen.row(id_)
    assert row.intent is Intent.TERMINATE
    assert row.generation == 2
    assert row.state_reason.message == "Server.InternalError: QEMU says no"


def test_without_a_sentence_it_says_what_ec2_says(helen):
    (id_,) = helen.launch()
    with helen.store.writing() as tx:
        row = happenings.failed(tx, id_, 1, helen.now, reason_of("", ""))
    assert row.state_reason.message == "Server.InternalError: Internal error on launch"


def test_a_start_that_fails_does_not_cost_the_disk(helen):
    (id_,) = helen.running()
    helen("StopInstances", InstanceIds=[id_])
    helen.halted([id_])
    helen("StartInstances", InstanceIds=[id_])
    row = helen.row(id_)
    assert row.state is InstanceState.PENDING
    with helen.store.writing() as tx:
        happenings.failed(tx, id_, row.generation, helen.now, NO)
    after = helen.row(id_)
    assert after.state is InstanceState.STOPPED
    assert after.volumes == row.volumes


def test_when_all_is_gone_the_rows_of_disk_and_interface_go_too(helen):
    (id_,) = helen.running()
    before = helen.row(id_)
    helen("TerminateInstances", InstanceIds=[id_])
    helen.passes(5)
    helen.gone([id_])
    row = helen.row(id_)
    assert row.state is InstanceState.TERMINATED
    assert row.terminated_at == helen.now
    assert row.volumes == () and row.interfaces == ()
    assert helen.find("volumes", before.volumes[0].id) is None
    assert helen.find("interfaces", before.interfaces[0].id) is None


def test_but_those_that_shall_outlive_it_are_detached(helen):
    (id_,) = helen.running(
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}],
        NetworkInterfaces=[{"DeviceIndex": 0, "DeleteOnTermination": False}],
    )
    before = helen.row(id_)
    helen("TerminateInstances", InstanceIds=[id_])
    helen.gone([id_])
    volume = helen.find("volumes", before.volumes[0].id)
    assert (volume.state, volume.instance_id, volume.device) == (VolumeState.AVAILABLE, None, None)
    interface = helen.find("interfaces", before.interfaces[0].id)
    assert (interface.instance_id, interface.attachment_id) == (None, None)
    assert interface.private_ip == before.private_ip
    assert helen.row(id_).volumes == ()


def test_reboots_that_were_asked_for_meanwhile_stay_owed(helen):
    (id_,) = helen.running()
    helen("RebootInstances", InstanceIds=[id_])
    helen("RebootInstances", InstanceIds=[id_])
    with helen.store.writing() as tx:
        assert happenings.rebooted(tx, id_, 1) is not None
    assert not helen.row(id_).settled
    with helen.store.writing() as tx:
        assert happenings.rebooted(tx, id_, 2) is not None
        assert happenings.rebooted(tx, id_, 2) is None
    assert helen.row(id_).settled


def test_a_machine_that_ends_owes_no_reboot(helen):
    (id_,) = helen.running()
    helen("RebootInstances", InstanceIds=[id_])
    helen.halted([id_], by_guest=True)
    assert helen.row(id_).settled


def test_the_engines_name_is_kept_while_there_is_a_machine(helen):
    (id_,) = helen.launch()
    with helen.store.writing() as tx:
        happenings.started(tx, id_, 1, helen.now, Seen(Phase.RUNNING, "one-42", "127.0.0.1:2201"))
    assert (helen.row(id_).engine_ref, helen.row(id_).reach) == ("one-42", "127.0.0.1:2201")
    helen("TerminateInstances", InstanceIds=[id_])
    helen.gone([id_])
    assert (helen.row(id_).engine_ref, helen.row(id_).reach) == ("", "")


def test_what_the_engine_boots_it_by_is_noted(helen):
    (told,), (untold,) = helen.launch(), helen.launch()
    by_uefi = Seen(Phase.RUNNING, "ref", firmware=Firmware.UEFI)
    with helen.store.writing() as tx:
        happenings.started(tx, told, 1, helen.now, by_uefi)
        happenings.started(tx, untold, 1, helen.now, UP)
    assert helen.row(told).firmware is Firmware.UEFI
    assert helen.row(untold).firmware is Firmware.BIOS
