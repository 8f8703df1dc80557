"""Machines over the stand-in for oned: what the contract does not say, and oned does."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.opennebula import OpennebulaStand
from tests.support.eventually import eventually
from tests.support.oned import prepared_world
from tests.support.oned.images import ImageState
from tests.support.oned.machine import Lcm, State
from tests.support.oned.machine import Machine as OnedMachine

from econe.domain.accounts import number_of
from econe.domain.engine_ports import (
    Engine,
    EngineBusy,
    EngineLost,
    EngineRefused,
    MachineSpec,
    Phase,
)
from econe.domain.instances import Firmware
from econe.domain.ports import Known


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[OpennebulaStand]:
    stand = OpennebulaStand(tmp_path)
    yield stand
    stand.end()


@pytest.fixture
def engine(stand: OpennebulaStand) -> Engine:
    return stand.open()


@pytest.fixture
def spec(stand: OpennebulaStand) -> MachineSpec:
    return stand.spec()


def launch(engine: Engine, spec: MachineSpec) -> str:
    ref = engine.machines.ensure(spec)
    engine.machines.start(spec)
    return ref


def running(engine: Engine, spec: MachineSpec) -> str:
    ref = launch(engine, spec)
    wait_for(engine, spec, Phase.RUNNING)
    return ref


def phase(engine: Engine, spec: MachineSpec) -> Phase | None:
    seen = engine.machines.look().get(spec.id)
    return seen.phase if seen else None


def wait_for(engine: Engine, spec: MachineSpec, wanted: Phase | None) -> None:
    eventually(lambda: phase(engine, spec) is wanted, within_s=5)


def the(stand: OpennebulaStand, spec: MachineSpec) -> OnedMachine:
    (vm,) = stand.vms(spec.id)
    return vm


# --- whose deed it is --------------------------------------------------------------------


def test_whatever_changes_a_machine_is_done_as_its_owner(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    engine.machines.reset(spec.id)
    engine.machines.shut_down(spec.id)
    wait_for(engine, spec, Phase.DEFINED)
    engine.machines.destroy(spec.id)
    changing = [call for call in stand.oned.calls if ".info" not in call.method]
    assert {call.user for call in changing if call.method != "one.system.version"} == {
        "helen",
        "serveradmin",
    }
    assert [c.method for c in changing if c.user == "serveradmin"] == [
        "one.system.version",
        "one.user.update",
    ]


def test_a_token_is_made_once_for_each_user(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    """A new one costs oned 210 ms, and it keeps one of each user."""
    for _ in range(3):
        running(engine, spec)
        engine.machines.destroy(spec.id)
        wait_for(engine, spec, None)
        engine.machines.forget(spec.id)
    engine = stand.open()
    engine.machines.look()
    assert stand.world.sessions.checks == 2


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(lambda helen: setattr(helen, "enabled", False), "disabled", id="disabled"),
        pytest.param(lambda helen: setattr(helen, "driver", "x509"), "driver", id="driver"),
        pytest.param(lambda helen: setattr(helen, "name", "helen:0"), "acted for", id="colon"),
        pytest.param(lambda helen: setattr(helen, "name", "he len"), "acted for", id="blank"),
    ],
)
def test_nothing_is_done_for_a_user_who_may_not_be_served(
    stand: OpennebulaStand, spec: MachineSpec, spoil: Callable[[object], None], why: str
):
    """oned takes a delegation for the first two (recordings 21, 242)."""
    running(stand.open(), spec)
    spoil(stand.prepared.helen)
    engine = stand.open()
    stand.oned.calls.clear()
    for do in (
        lambda: engine.machines.ensure(stand.spec(2)),
        lambda: engine.machines.shut_down(spec.id),
        lambda: engine.machines.power_off(spec.id),
        lambda: engine.machines.destroy(spec.id),
        lambda: engine.machines.reset(spec.id),
    ):
        with pytest.raises(EngineBusy, match=why):
            do()
    assert engine.machines.look()[spec.id].phase is Phase.RUNNING
    assert {call.user for call in stand.oned.calls} == {"serveradmin"}


def test_an_account_that_is_no_user_of_oneds_is_refused(engine: Engine, spec: MachineSpec):
    with pytest.raises(EngineRefused, match="no user of OpenNebula") as refused:
        engine.machines.ensure(replace(spec, account="000000000001"))
    assert refused.value.code == "UnauthorizedOperation"


def test_a_user_cannot_make_his_machine_anothers_instance(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    ref = running(engine, spec)
    (forged,) = stand.world.fill(1, owner=stand.prepared.bob)
    hers = the(stand, spec).user_template
    for name in ("ECONE_ID", "ECONE_MARK"):
        stand.world.edit(forged.id).user_template.set(name, hers.get(name))
    assert {id_: seen.ref for id_, seen in engine.machines.look().items()} == {spec.id: ref}
    engine.machines.destroy(spec.id)
    wait_for(engine, spec, None)
    assert stand.world.vm(forged.id).is_in(Lcm.RUNNING)


def test_a_machine_that_is_given_away_ends_as_instance_and_goes_on(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    ref = running(engine, spec)
    stand.known[ref] = Known(spec.id, spec.account)
    assert engine.machines.ended(spec.id, ref) is False
    vm = stand.world.edit(int(ref))
    vm.uid, vm.uname = stand.prepared.bob.id, "bob"
    assert engine.machines.look() == {}
    assert engine.machines.look([spec.id]) == {}
    assert engine.machines.ended(spec.id, ref) is True
    engine.machines.destroy(spec.id)
    engine.machines.power_off(spec.id)
    assert stand.world.vm(int(ref)).is_in(Lcm.RUNNING)


# --- adoption ----------------------------------------------------------------------------


def test_a_machine_that_the_store_knows_is_commanded_without_a_mark(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    (made_by_hand,) = stand.world.fill(1, owner=stand.prepared.helen)
    stand.known[str(made_by_hand.id)] = Known(spec.id, spec.account)
    assert phase(engine, spec) is Phase.RUNNING
    engine.machines.shut_down(spec.id)
    wait_for(engine, spec, Phase.DEFINED)
    launch(engine, spec)
    wait_for(engine, spec, Phase.RUNNING)
    engine.machines.destroy(spec.id)
    wait_for(engine, spec, None)
    assert len(stand.world.vms(done=True)) == 1


def test_a_known_machine_that_is_gone_is_not_made_anew(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    """Whoever ended it wanted it so; ended() tells, and the instance is terminated."""
    ref = running(engine, spec)
    stand.known[ref] = Known(spec.id, spec.account)
    engine.machines.destroy(spec.id)
    wait_for(engine, spec, None)
    with pytest.raises(EngineBusy, match="not there any more"):
        engine.machines.ensure(spec)
    assert engine.machines.ended(spec.id, ref) is True


def test_machines_of_others_are_told_of(stand: OpennebulaStand, engine: Engine, spec: MachineSpec):
    running(engine, spec)
    (vm,) = stand.world.fill(1, owner=stand.prepared.bob)
    assert engine.machines.strangers() == ()  # type: ignore[attr-defined]
    engine.machines.look()
    (stranger,) = engine.machines.strangers()  # type: ignore[attr-defined]
    assert (stranger.ref, stranger.account) == (str(vm.id), number_of(str(stand.prepared.bob.id)))
    assert (stranger.instance_type, stranger.vcpus, stranger.memory_mib) == ("m1.small", 1, 128)
    assert stranger.seen.phase is Phase.RUNNING
    assert stranger.seen.nics[0].private_ip
    assert (stranger.root_gib, stranger.image_ref) == (1, str(stand.image.id))
    assert stranger.marked == ""


def test_a_stranger_without_a_type_gets_one_of_what_it_has(stand: OpennebulaStand, engine: Engine):
    (vm,) = stand.world.fill(1, owner=stand.prepared.bob)
    template = stand.world.edit(vm.id).user_template
    template.drop("EC2_INSTANCE_TYPE")
    template.set("EC2_TAGS", {"NAME": "web", "EMPTY": '""'})
    engine.machines.look()
    (stranger,) = engine.machines.strangers()  # type: ignore[attr-defined]
    assert stranger.instance_type == "one.1x128"
    assert stranger.tags == {"NAME": "web", "EMPTY": ""}


# --- looks -------------------------------------------------------------------------------


def test_a_look_is_one_call_however_many_users_and_machines(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    stand.world.fill(20, owner=stand.prepared.bob)
    stand.world.fill(20, owner=stand.prepared.helen)
    stand.oned.calls.clear()
    engine.machines.look()
    assert stand.oned.calls.counts() == {"one.vmpool.infoextended": 1}


def test_a_look_at_some_costs_nothing_for_the_others(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    ref = running(engine, spec)
    stand.known[ref] = Known(spec.id, spec.account)
    stand.oned.calls.clear()
    assert list(engine.machines.look([spec.id])) == [spec.id]
    (call,) = stand.oned.calls
    assert (call.method, call.args) == ("one.vmpool.infoset", (ref, True))


def test_the_console_tells_where_the_screen_is(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    stand.world.edit(int(engine.machines.look()[spec.id].ref)).template.vector("GRAPHICS")[
        "PORT"
    ] = "5900"
    engine.machines.look()
    text, at = engine.consoles.output(spec.id) or (b"", None)
    assert text.startswith(b"VNC console: ")
    assert b":5900" in text
    assert at is not None
    engine.machines.destroy(spec.id)
    wait_for(engine, spec, None)
    assert engine.consoles.output(spec.id) is None


# --- what oned does not let through ------------------------------------------------------


def test_a_machine_that_boots_is_ended_as_soon_as_it_may(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    """oned refuses terminate in BOOT (307, 356)."""
    stand.world.next_boot_takes(1000)
    launch(engine, spec)
    eventually(lambda: the(stand, spec).is_in(Lcm.BOOT), within_s=5)
    with pytest.raises(EngineBusy, match="no terminate-hard in the state BOOT"):
        engine.machines.destroy(spec.id)
    stand.world.settle()
    engine.machines.destroy(spec.id)
    wait_for(engine, spec, None)


def test_a_machine_that_waits_for_a_host_is_stopped_and_started(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    stand.world.stall_scheduler()
    launch(engine, spec)
    assert phase(engine, spec) is Phase.MOVING
    engine.machines.shut_down(spec.id)
    assert phase(engine, spec) is Phase.DEFINED
    stand.world.resume_scheduler()
    running(engine, spec)


def test_a_machine_that_waits_for_a_host_is_held_when_its_power_is_cut(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    stand.world.stall_scheduler()
    launch(engine, spec)
    engine.machines.power_off(spec.id)
    assert the(stand, spec).state == State.HOLD


def test_what_oned_took_and_failed_to_do_is_seen(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    stand.world.next_shutdown_fails()
    engine.machines.shut_down(spec.id)
    stand.world.settle()
    assert phase(engine, spec) is Phase.RUNNING
    engine.machines.shut_down(spec.id)
    wait_for(engine, spec, Phase.DEFINED)


def test_a_guest_that_does_not_halt_is_cut_in_the_middle_of_it(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    stand.world.pace.shutdown_timeout_s = 100.0
    stand.world.guest_ignores_acpi(the(stand, spec))
    engine.machines.shut_down(spec.id)
    assert the(stand, spec).is_in(Lcm.SHUTDOWN_POWEROFF)
    engine.machines.shut_down(spec.id)
    assert the(stand, spec).is_in(Lcm.SHUTDOWN_POWEROFF)
    engine.machines.power_off(spec.id)
    wait_for(engine, spec, Phase.DEFINED)


def test_a_guest_that_does_not_halt_at_its_end_is_cut_in_the_middle_of_it(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    stand.world.pace.shutdown_timeout_s = 100.0
    stand.world.guest_ignores_acpi(the(stand, spec))
    engine.machines.shut_down(spec.id, ending=True)
    assert phase(engine, spec) is Phase.MOVING
    engine.machines.destroy(spec.id)
    wait_for(engine, spec, None)


def test_a_guest_that_is_to_end_is_asked_first(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    engine.machines.shut_down(spec.id, ending=True)
    wait_for(engine, spec, None)
    assert [call.args[0] for call in stand.oned.calls.of("one.vm.action")] == [
        "release",
        "terminate",
    ]


def test_a_reboot_that_cannot_be_now_is_not_said_to_be_done(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    stand.world.edit(the(stand, spec).id).become(State.ACTIVE, Lcm.HOTPLUG)
    assert phase(engine, spec) is Phase.RUNNING
    with pytest.raises(EngineBusy, match="no reboot in the state HOTPLUG"):
        engine.machines.reset(spec.id)
    engine.machines.power_off(spec.id)  # the planner asks again
    assert the(stand, spec).is_in(Lcm.HOTPLUG)


def test_a_machine_that_cannot_be_brought_up_says_why(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    stand.world.next_deploy_fails("Error deploying virtual machine: no KVM")
    launch(engine, spec)
    wait_for(engine, spec, Phase.FAILED)
    seen = engine.machines.look()[spec.id]
    assert "BOOT_FAILURE" in seen.why
    assert "no KVM" in seen.why
    assert seen.reason.code == "Server.InternalError"
    with pytest.raises(EngineBusy, match="BOOT_FAILURE"):
        engine.machines.start(spec)
    engine.machines.destroy(spec.id)
    wait_for(engine, spec, None)


def test_a_machine_that_finds_no_host_says_why(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    stand.world.set_capacity(cpu_percent=0, memory_kib=0)
    launch(engine, spec)
    seen = eventually(
        lambda: next((s for s in engine.machines.look().values() if s.why), None), within_s=5
    )
    assert seen.phase is Phase.MOVING
    assert seen.reason.code == "Server.InsufficientInstanceCapacity"


def test_a_machine_of_an_image_on_its_way_waits_for_it(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    image = stand.world.add_image("new", stand.prepared.helen, state=ImageState.LOCKED)
    spec = replace(spec, image_ref=str(image.id))
    launch(engine, spec)
    assert the(stand, spec).state == State.CLONING
    assert phase(engine, spec) is Phase.MOVING


def test_a_machine_whose_host_is_silent_is_left_as_it_is(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, spec)
    stand.world.host_lost()
    seen = engine.machines.look()[spec.id]
    assert seen.phase is Phase.RUNNING
    assert "UNKNOWN" in seen.why
    stand.world.host_back()
    wait_for(engine, spec, Phase.RUNNING)
    assert engine.machines.look()[spec.id].why == ""


# --- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"image_ref": "999"}, "InvalidAMIID.NotFound"),
        ({"template_ref": "999"}, "InvalidInstanceType"),
    ],
)
def test_what_does_not_exist_is_refused_by_its_name(
    engine: Engine, spec: MachineSpec, changes: dict[str, str], code: str
):
    with pytest.raises(EngineRefused) as refused:
        engine.machines.ensure(replace(spec, **changes))
    assert refused.value.code == code


def test_an_image_that_the_user_may_not_use_is_refused(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    image = stand.world.add_image("bobs", stand.prepared.bob)
    with pytest.raises(EngineRefused) as refused:
        engine.machines.ensure(replace(spec, image_ref=str(image.id)))
    assert refused.value.code == "UnauthorizedOperation"
    assert stand.vms(spec.id) == []


def test_a_type_of_ours_needs_no_template(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    running(engine, replace(spec, template_ref="", vcpus=2, memory_mib=128))
    vm = the(stand, spec)
    assert (vm.template.get("VCPU"), vm.template.get("MEMORY")) == ("2", "128")
    assert vm.template.vector("NIC")["NETWORK_ID"] == str(stand.prepared.network.id)
    assert vm.uname == "helen"


# --- another oned ------------------------------------------------------------------------


def test_another_database_ends_nothing(stand: OpennebulaStand, engine: Engine, spec: MachineSpec):
    """oned was set up anew behind the same address: it knows no such machine."""
    ref = running(engine, spec)
    stand.known[ref] = Known(spec.id, spec.account)
    stand.oned.world = prepared_world().world
    with pytest.raises(EngineBusy, match=r"delete .*opennebula\.mark"):
        engine.machines.ended(spec.id, ref)
    engine = stand.open()
    with pytest.raises(EngineBusy, match="not the OpenNebula that it was"):
        engine.machines.look()
    with pytest.raises(EngineBusy, match="not the OpenNebula that it was"):
        engine.machines.destroy(spec.id)
    (stand.state / "opennebula.mark").unlink()
    engine = stand.open()
    assert engine.machines.look() == {}
    assert engine.machines.ended(spec.id, ref) is True


def test_while_oned_is_away_nothing_is_said(
    stand: OpennebulaStand, engine: Engine, spec: MachineSpec
):
    ref = running(engine, spec)
    stand.oned.stop()
    for ask in (
        engine.machines.look,
        lambda: engine.machines.look([spec.id]),
        lambda: engine.machines.ended(spec.id, ref),
        lambda: engine.machines.ensure(spec),
        lambda: engine.machines.destroy(spec.id),
    ):
        with pytest.raises((EngineBusy, EngineLost)):
            ask()
    engine.tidy()
    stand.oned.start()
    wait_for(engine, spec, Phase.RUNNING)


@pytest.mark.parametrize("version", ["6.0.0", "6.2.0"])
def test_older_ones_are_spoken_to_as_they_want(version: str, tmp_path: Path):
    stand = OpennebulaStand(tmp_path, version=version)
    try:
        engine, spec = stand.open(), stand.spec()
        running(engine, spec)
        engine.machines.destroy(spec.id)
        wait_for(engine, spec, None)
    finally:
        stand.end()


def test_the_operator_says_which_firmware_there_is(stand: OpennebulaStand):
    assert not stand.open().can.uefi
    stand.settings = replace(stand.settings, uefi_firmware="/usr/share/OVMF/OVMF_CODE_4M.fd")
    engine, spec = stand.open(), replace(stand.spec(), uefi=True)
    assert engine.can.uefi
    assert "uefi" not in engine.can.reasons
    launch(engine, spec)
    assert engine.machines.look()[spec.id].firmware is Firmware.UEFI
    other = stand.spec(2)
    launch(engine, other)
    assert engine.machines.look()[other.id].firmware is Firmware.BIOS
