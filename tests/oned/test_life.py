"""Machines from allocation to DONE, and what happens to them outside."""

import pytest
from tests.oned.conftest import User
from tests.support.oned import Prepared
from tests.support.oned.drivers import HANGING
from tests.support.oned.machine import Action


def start(helen: User, prepared: Prepared) -> int:
    number = helen.call("one.template.instantiate", 0, "i-1", False, 'EC2_X="1"', False)
    assert isinstance(number, int)
    prepared.world.settle()
    return number


def state(helen: User, number: int) -> tuple[str | None, str | None]:
    seen = helen.read("one.vm.info", number)
    return seen.findtext("STATE"), seen.findtext("LCM_STATE")


def test_a_machine_goes_through_all_its_states(helen: User, prepared: Prepared) -> None:
    number = helen.call("one.template.instantiate", 0, "i-1", False, "", False)
    assert isinstance(number, int)
    seen = [state(helen, number)]
    while prepared.world.step():
        seen.append(state(helen, number))
    assert seen == [("1", "0"), ("3", "1"), ("3", "2"), ("3", "3")]


@pytest.mark.parametrize(
    ("down", "name"),
    [
        ("poweroff", "POWEROFF"),
        ("poweroff-hard", "POWEROFF"),
        ("suspend", "SUSPENDED"),
        ("stop", "STOPPED"),
        ("undeploy", "UNDEPLOYED"),
    ],
)
def test_what_was_taken_down_can_be_resumed(
    helen: User, prepared: Prepared, down: str, name: str
) -> None:
    number = start(helen, prepared)
    helen.call("one.vm.action", down, number)
    prepared.world.settle()
    assert prepared.world.vm(number).state_name == name
    helen.call("one.vm.action", "resume", number)
    prepared.world.settle()
    assert prepared.world.vm(number).state_name == "RUNNING"


def test_a_guest_that_switches_itself_off_leaves_the_monitors_mark(
    helen: User, prepared: Prepared
) -> None:
    machine = prepared.world.vm(start(helen, prepared))
    prepared.world.guest_powers_off(machine)
    assert machine.state_name == "POWEROFF"
    assert (machine.record.action, machine.record.actor.uid) == (Action.MONITOR, -1)


def test_a_guest_that_ignores_acpi_runs_on_after_the_time_limit(
    helen: User, prepared: Prepared
) -> None:
    number = start(helen, prepared)
    prepared.world.guest_ignores_acpi(prepared.world.vm(number))
    helen.call("one.vm.action", "poweroff", number)
    prepared.world.pass_s(179)
    assert prepared.world.vm(number).state_name == "SHUTDOWN_POWEROFF"
    prepared.world.pass_s(2)
    assert prepared.world.vm(number).state_name == "RUNNING"
    helen.call("one.vm.action", "poweroff-hard", number)
    prepared.world.settle()
    assert prepared.world.vm(number).state_name == "POWEROFF"


def test_a_failed_boot_tells_why(helen: User, prepared: Prepared) -> None:
    prepared.world.next_deploy_fails("no such bridge")
    number = start(helen, prepared)
    seen = helen.read("one.vm.info", number)
    assert seen.findtext("LCM_STATE") == "36"
    assert (seen.findtext("USER_TEMPLATE/ERROR") or "").endswith(": no such bridge")


def test_a_driver_that_hangs_leaves_the_state(helen: User, prepared: Prepared) -> None:
    prepared.world.drivers.order("deploy", HANGING)
    assert prepared.world.vm(start(helen, prepared)).state_name == "BOOT"


def test_a_lost_host_comes_back(helen: User, prepared: Prepared) -> None:
    number = start(helen, prepared)
    prepared.world.host_lost()
    assert state(helen, number) == ("3", "16")
    prepared.world.host_back()
    assert state(helen, number) == ("3", "3")


def test_a_stalled_scheduler_says_nothing(helen: User, prepared: Prepared) -> None:
    prepared.world.stall_scheduler()
    number = start(helen, prepared)
    assert prepared.world.vm(number).state_name == "PENDING"
    assert "SCHED_MESSAGE" not in prepared.world.vm(number).user_template
    prepared.world.resume_scheduler()
    prepared.world.settle()
    assert prepared.world.vm(number).state_name == "RUNNING"


def test_without_capacity_it_waits_with_a_message(helen: User, prepared: Prepared) -> None:
    prepared.world.set_capacity(cpu_percent=5, memory_kib=1 << 30)
    number = start(helen, prepared)
    short = helen.read("one.vmpool.info", -2, -1, -1, -1)
    message = short.findtext("VM/USER_TEMPLATE/SCHED_MESSAGE") or ""
    assert "Not enough capacity" in message
    prepared.world.set_capacity(cpu_percent=100, memory_kib=1 << 30)
    prepared.world.settle()
    assert prepared.world.vm(number).state_name == "RUNNING"


def test_done_gives_back_all(helen: User, prepared: Prepared) -> None:
    number = start(helen, prepared)
    assert prepared.network.used == 1
    helen.call("one.vm.action", "terminate-hard", number)
    prepared.world.settle()
    assert prepared.network.used == 0
    assert prepared.helen.quotas.entries == {}
    assert prepared.world.vms() == []
    assert len(prepared.world.vms(done=True)) == 1


def test_a_list_shows_every_change(helen: User, prepared: Prepared) -> None:
    """Rendered machines are kept; each way to change one must drop what is kept."""
    number = start(helen, prepared)

    def listed() -> str | None:
        found = helen.read("one.vmpool.infoextended", -2, -1, -1, -1).find("VM/USER_TEMPLATE")
        assert found is not None
        return found.findtext("EC2_X")

    assert listed() == "1"
    helen.call("one.vm.update", number, 'EC2_X="2"', 1)
    assert listed() == "2"
    prepared.world.edit(number).user_template.set("EC2_X", "3")
    assert listed() == "3"
