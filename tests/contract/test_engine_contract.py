"""One contract, every engine: what domain.ports promises, promised by each of them.

Guests are few and small, and every wait has a limit (`stand.patience_s`), so that the suite is
bearable where machines are real and emulated.

Where machines are shared (Capabilities.shared), what is asked for takes its time, so its effect is
waited for; everywhere else it is there when the call returns, and is asserted at once.
"""

from dataclasses import replace

import pytest
from tests.contract.engines import Stand
from tests.support.eventually import eventually
from tests.support.guests import GREETING, Guest

from econe.domain.engine_ports import Engine, EngineBusy, MachineSpec, Phase, Subject, Vitals
from econe.domain.health import Pulse

ABSENT = "i-00000099"
OFF = {Phase.DEFINED, Phase.HALTED}


@pytest.fixture
def engine(stand: Stand) -> Engine:
    return stand.open()


def connect(engine: Engine, spec: MachineSpec) -> None:
    for nic in spec.nics:
        engine.networks.ensure(nic.network)
        engine.networks.admit(nic)


def launch(engine: Engine, spec: MachineSpec) -> None:
    connect(engine, spec)
    engine.machines.ensure(spec)
    engine.machines.start(spec)


def phase(engine: Engine, spec: MachineSpec) -> Phase | None:
    seen = engine.machines.look().get(spec.id)
    return seen.phase if seen else None


def shown(engine: Engine, ids: list[str] | None = None) -> dict[str, tuple[Phase, str]]:
    return {id_: (seen.phase, seen.ref) for id_, seen in engine.machines.look(ids).items()}


def expect(stand: Stand, engine: Engine, spec: MachineSpec, *wanted: Phase | None) -> None:
    """What was asked of the machine is done, or, where that takes its time, will be."""
    if engine.can.shared:
        eventually(lambda: phase(engine, spec) in wanted, within_s=stand.patience_s)
    else:
        assert phase(engine, spec) in wanted


def wait_for(stand: Stand, engine: Engine, spec: MachineSpec, *wanted: Phase) -> None:
    """What nobody who calls the engine has in hand."""
    eventually(lambda: phase(engine, spec) in wanted, within_s=stand.patience_s)


def expect_off(stand: Stand, engine: Engine, spec: MachineSpec) -> None:
    """After power_off(): in order, where the engine keeps that apart from a guest's own end."""
    expect(stand, engine, spec, *(OFF if engine.can.shared else {Phase.DEFINED}))


def wait_until_halted(stand: Stand, engine: Engine, spec: MachineSpec) -> None:
    """After shut_down(): the same."""
    wait_for(stand, engine, spec, *(OFF if engine.can.shared else {Phase.HALTED}))


def disks(engine: Engine, *specs: MachineSpec) -> set[str]:
    """What Disks.look() must say while these machines have theirs."""
    return {spec.disks[0].volume_id for spec in specs} if engine.can.keeps_disks else set()


def only_with_serial_output(engine: Engine) -> None:
    if engine.can.console != "serial":
        pytest.skip("what its guests write is not kept")


def wait_until_booted(stand: Stand, engine: Engine, spec: MachineSpec) -> None:
    """Until the guest hears the power button."""
    expect(stand, engine, spec, Phase.RUNNING, Phase.HALTED)
    if engine.can.console == "serial":
        eventually(lambda: engine.consoles.output(spec.id), within_s=stand.patience_s)
    if stand.speaks:
        eventually(
            lambda: GREETING in (engine.consoles.output(spec.id) or (b"",))[0],
            within_s=stand.patience_s,
        )


# --- machines ----------------------------------------------------------------------------


def test_an_engine_without_machines_shows_none(engine: Engine):
    assert engine.machines.look() == {}
    assert engine.disks.look() == set()
    assert engine.networks.look() == set()


def test_ensuring_a_machine_twice_makes_one(stand: Stand, engine: Engine):
    spec = stand.spec()
    connect(engine, spec)
    ref = engine.machines.ensure(spec)
    assert engine.machines.ensure(spec) == ref
    assert shown(engine) == {spec.id: (Phase.DEFINED, ref)}
    assert shown(engine, [spec.id, "i-99999999"]) == {spec.id: (Phase.DEFINED, ref)}
    assert engine.machines.look(["i-99999999"]) == {}
    assert engine.disks.look() == disks(engine, spec)


def test_a_started_machine_runs_and_starting_it_again_does_nothing(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)
    before = engine.machines.look()
    wait_until_booted(stand, engine, spec)
    output = engine.consoles.output(spec.id)
    engine.machines.ensure(spec)
    engine.machines.start(spec)
    assert engine.machines.look() == before
    if engine.can.console == "serial":
        assert engine.consoles.output(spec.id) == output  # it did not boot again


def test_a_guest_that_is_asked_to_halt_does_so_and_is_seen_halted(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    wait_until_booted(stand, engine, spec)
    engine.machines.shut_down(spec.id)
    wait_until_halted(stand, engine, spec)


def test_a_halted_machine_can_be_cut_and_is_in_order_then(stand: Stand, engine: Engine):
    spec = stand.spec(guest=Guest.HALTING)
    launch(engine, spec)
    wait_for(stand, engine, spec, Phase.HALTED)
    for _ in range(2):
        engine.machines.power_off(spec.id)
        expect_off(stand, engine, spec)


def test_a_halted_machine_starts_afresh(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    wait_until_booted(stand, engine, spec)
    engine.machines.shut_down(spec.id)
    wait_until_halted(stand, engine, spec)
    engine.machines.start(spec)
    expect(stand, engine, spec, Phase.RUNNING)


def test_a_deaf_guest_goes_on_until_power_is_cut(stand: Stand, engine: Engine):
    spec = stand.spec(guest=Guest.DEAF)
    launch(engine, spec)
    wait_until_booted(stand, engine, spec)
    engine.machines.shut_down(spec.id)
    engine.machines.shut_down(spec.id)
    expect(stand, engine, spec, Phase.RUNNING)
    engine.machines.power_off(spec.id)
    expect_off(stand, engine, spec)


def test_a_killed_machine_is_seen_dead_and_starts_afresh(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)
    stand.kill(spec.id)
    wait_for(stand, engine, spec, stand.death)
    engine.machines.start(spec)
    expect(stand, engine, spec, Phase.RUNNING)


def test_a_dead_machine_is_in_order_once_it_is_cut(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)
    stand.kill(spec.id)
    wait_for(stand, engine, spec, stand.death)
    engine.machines.power_off(spec.id)
    expect_off(stand, engine, spec)


def test_a_machine_that_is_reset_runs_on_and_its_guest_boots_again(stand: Stand, engine: Engine):
    only_with_serial_output(engine)
    spec = stand.spec(guest=Guest.DEAF)
    launch(engine, spec)
    wait_until_booted(stand, engine, spec)
    before = len(engine.consoles.output(spec.id)[0])
    engine.machines.reset(spec.id)
    eventually(lambda: len(engine.consoles.output(spec.id)[0]) > before, within_s=stand.patience_s)
    assert phase(engine, spec) is Phase.RUNNING


def test_what_is_off_stays_off_whatever_but_start_is_called(stand: Stand, engine: Engine):
    spec = stand.spec()
    connect(engine, spec)
    engine.machines.ensure(spec)
    engine.machines.shut_down(spec.id)
    engine.machines.reset(spec.id)
    engine.machines.power_off(spec.id)
    expect(stand, engine, spec, Phase.DEFINED)


def test_nothing_happens_to_a_machine_that_is_absent(engine: Engine):
    engine.machines.shut_down(ABSENT)
    engine.machines.reset(ABSENT)
    engine.machines.power_off(ABSENT)
    engine.machines.destroy(ABSENT)
    engine.machines.forget(ABSENT)
    engine.disks.remove("vol-00000099")
    assert engine.machines.look() == {}
    assert engine.consoles.output(ABSENT) is None


def test_a_running_machine_is_destroyed_and_its_disk_is_left_to_be_removed(
    stand: Stand, engine: Engine
):
    spec = stand.spec()
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)
    for _ in range(2):
        engine.machines.destroy(spec.id)
        expect(stand, engine, spec, None)
    assert engine.machines.look() == {}
    assert engine.disks.look() == disks(engine, spec)
    for _ in range(2):
        engine.disks.remove(spec.disks[0].volume_id)
        assert engine.disks.look() == set()


def test_a_machine_that_only_was_defined_is_destroyed(stand: Stand, engine: Engine):
    spec = stand.spec()
    connect(engine, spec)
    engine.machines.ensure(spec)
    engine.machines.destroy(spec.id)
    expect(stand, engine, spec, None)


def test_a_machine_can_be_made_again_after_it_was_destroyed(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)
    engine.machines.destroy(spec.id)
    expect(stand, engine, spec, None)
    engine.machines.forget(spec.id)
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)


def test_machines_do_not_touch_each_other(stand: Stand, engine: Engine):
    first, second = stand.spec(1), stand.spec(2)
    launch(engine, first)
    launch(engine, second)
    expect(stand, engine, first, Phase.RUNNING)
    expect(stand, engine, second, Phase.RUNNING)
    assert engine.machines.look().keys() == {first.id, second.id}
    engine.machines.destroy(first.id)
    expect(stand, engine, first, None)
    engine.networks.dismiss(first.nics[0].network, first.nics[0].interface_id)
    engine.disks.remove(first.disks[0].volume_id)
    assert phase(engine, second) is Phase.RUNNING
    assert engine.disks.look() == disks(engine, second)


def test_a_machine_that_is_hibernated_is_off_and_goes_on_without_a_boot(
    stand: Stand, engine: Engine
):
    if not engine.can.hibernation:
        return
    spec = stand.spec()
    launch(engine, spec)
    wait_until_booted(stand, engine, spec)
    output = engine.consoles.output(spec.id)
    for _ in range(2):
        engine.machines.hibernate(spec.id)
        assert phase(engine, spec) is Phase.DEFINED
    engine = stand.open()
    assert phase(engine, spec) is Phase.DEFINED
    connect(engine, spec)
    for _ in range(2):
        engine.machines.start(spec)
        assert phase(engine, spec) is Phase.RUNNING
    assert engine.consoles.output(spec.id) == output
    engine.machines.hibernate(ABSENT)
    engine.machines.destroy(spec.id)
    assert engine.machines.look() == {}


# --- consoles ----------------------------------------------------------------------------


def test_a_machine_that_never_ran_has_no_console(stand: Stand, engine: Engine):
    spec = stand.spec()
    connect(engine, spec)
    engine.machines.ensure(spec)
    shown = engine.consoles.output(spec.id)
    assert shown is None or shown[0] == b""


def test_the_console_outlives_the_machine_until_it_is_forgotten(stand: Stand, engine: Engine):
    only_with_serial_output(engine)
    spec = stand.spec()
    launch(engine, spec)
    wait_until_booted(stand, engine, spec)
    engine.machines.destroy(spec.id)
    text, at = engine.consoles.output(spec.id)
    assert text
    assert at.tzinfo is not None
    for _ in range(2):
        engine.machines.forget(spec.id)
        assert engine.consoles.output(spec.id) is None


# --- screens -----------------------------------------------------------------------------


def test_a_running_machine_has_a_screen_and_one_that_is_off_has_none(stand: Stand, engine: Engine):
    if engine.screens is None:
        return  # its machines' screens are elsewhere
    spec = stand.spec()
    launch(engine, spec)
    picture = engine.screens.picture(spec.id, wake=True)
    assert len(picture.rgb) == 3 * picture.width * picture.height > 0
    engine.machines.power_off(spec.id)
    for absent in (spec.id, ABSENT):
        with pytest.raises(EngineBusy):
            engine.screens.picture(absent)


# --- status checks -----------------------------------------------------------------------


def vitals(engine: Engine, *specs: MachineSpec) -> dict[str, Vitals]:
    refs = {id_: seen.ref for id_, seen in engine.machines.look().items()}
    subjects = {spec.id: Subject(refs.get(spec.id, ""), spec.nics) for spec in specs}
    return dict(engine.checks.look(subjects))


def test_a_machine_that_runs_is_found_well_and_others_are_not_there(stand: Stand, engine: Engine):
    running, defined, absent = (stand.spec(number) for number in (1, 2, 3))
    launch(engine, running)
    connect(engine, defined)
    engine.machines.ensure(defined)
    wait_for(stand, engine, running, Phase.RUNNING)
    found = vitals(engine, running, defined, absent)
    assert found[running.id].machine is Pulse.BEATS
    assert absent.id not in found
    assert defined.id not in found or found[defined.id].machine is Pulse.STILL
    assert vitals(engine) == {}


def test_a_guest_that_halted_is_not_found_alive(stand: Stand, engine: Engine):
    spec = stand.spec(guest=Guest.HALTING)
    launch(engine, spec)
    wait_for(stand, engine, spec, *OFF)
    found = vitals(engine, spec).get(spec.id)
    assert found is None or found.guest is not Pulse.BEATS


# --- what machines use -------------------------------------------------------------------


def test_what_a_running_machine_uses_is_measured_where_the_engine_can(stand: Stand, engine: Engine):
    assert engine.can.meters is (engine.meters is not None)
    if engine.meters is None:
        return
    running, off = stand.spec(1), stand.spec(2)
    launch(engine, running)
    connect(engine, off)
    engine.machines.ensure(off)
    subjects = {spec.id: Subject(spec.id, spec.nics) for spec in (running, off)}
    wait_until_booted(stand, engine, running)
    first = engine.meters.read(subjects)
    assert list(first) == [running.id]
    assert engine.meters.read({}) == {}
    again = engine.meters.read(subjects)[running.id]
    assert again.cpu_s >= first[running.id].cpu_s >= 0
    if stand.speaks:
        assert again.cpu_s > 0
        assert again.disk_reads > 0  # the firmware has read the first sector
        assert again.disk_read_bytes >= 512
        assert (again.network_in_bytes is None) is (engine.can.network != "vpc")


# --- networks ----------------------------------------------------------------------------


def test_networks_come_and_go_however_often_it_is_said(stand: Stand, engine: Engine):
    (nic,) = stand.spec().nics
    for _ in range(2):
        engine.networks.ensure(nic.network)
        assert engine.networks.look() == {nic.network.vpc_id}
    for _ in range(2):
        engine.networks.admit(nic)
    for _ in range(2):
        engine.networks.dismiss(nic.network, nic.interface_id)
    for _ in range(2):
        engine.networks.remove(nic.network.vpc_id)
        assert engine.networks.look() == set()
    engine.networks.dismiss(nic.network, nic.interface_id)  # after its network is gone


# --- life --------------------------------------------------------------------------------


def test_a_server_that_starts_again_finds_all_as_it_was(stand: Stand):
    engine = stand.open()
    running, defined = stand.spec(1), stand.spec(2)
    launch(engine, running)
    connect(engine, defined)
    engine.machines.ensure(defined)
    wait_until_booted(stand, engine, running)
    before = engine.machines.look(), engine.disks.look()
    networks, output = engine.networks.look(), engine.consoles.output(running.id)

    again = stand.open()
    assert (again.machines.look(), again.disks.look()) == before
    if not again.can.gives_addresses:  # else there is nothing to be found
        assert again.networks.look() == networks
    if again.can.console == "serial":
        assert again.consoles.output(running.id) == output
    connect(again, running)
    again.machines.ensure(running)
    again.machines.start(running)
    assert again.machines.look() == before[0]
    if again.can.console == "serial":
        assert again.consoles.output(running.id) == output  # it did not boot again


def test_a_server_that_starts_again_commands_what_an_earlier_one_started(stand: Stand):
    spec = stand.spec()
    engine = stand.open()
    launch(engine, spec)
    wait_until_booted(stand, engine, spec)
    again = stand.open()
    again.machines.shut_down(spec.id)
    wait_until_halted(stand, again, spec)
    again.machines.destroy(spec.id)
    expect(stand, again, spec, None)


def test_what_happens_while_no_server_runs_is_seen_by_the_next(stand: Stand):
    halted, dead = stand.spec(1, Guest.HALTING), stand.spec(2)
    engine = stand.open()
    launch(engine, halted)
    launch(engine, dead)
    expect(stand, engine, dead, Phase.RUNNING)
    engine.close()
    stand.kill(dead.id)
    again = stand.open()
    wait_for(stand, again, halted, Phase.HALTED)
    wait_for(stand, again, dead, stand.death)


def test_the_engine_says_when_a_guest_leaves(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)
    before = stand.pokes()
    stand.kill(spec.id)
    eventually(lambda: stand.pokes() > before, within_s=stand.patience_s)


def test_upkeep_changes_nothing_that_is_seen(stand: Stand, engine: Engine):
    spec = stand.spec()
    launch(engine, spec)
    expect(stand, engine, spec, Phase.RUNNING)
    before = engine.machines.look()
    engine.tidy()
    assert engine.machines.look() == before


def test_an_engine_says_what_it_can_do(engine: Engine):
    assert engine.can.name
    assert engine.can.network in {"vpc", "user", "none", "opennebula"}
    assert engine.can.console in {"serial", "vnc"}


# --- UEFI --------------------------------------------------------------------------------


def test_uefi_variables_last_as_long_as_their_machine(stand: Stand, engine: Engine):
    if engine.firmware is None or not engine.can.uefi:
        assert engine.can.uefi or engine.can.reasons["uefi"]
        pytest.skip("it has no variables to tell")
    spec = replace(stand.spec(), uefi=True, memory_mib=256)
    with pytest.raises(EngineBusy):
        engine.firmware.variables(spec.id)
    launch(engine, spec)
    if stand.speaks:  # the firmware really runs, and notes what it has found to boot from
        eventually(lambda: "BootOrder" in variables(engine, spec), within_s=3 * stand.patience_s)
    engine.machines.power_off(spec.id)
    kept = variables(engine, spec)
    again = stand.open()
    assert variables(again, spec) == kept
    connect(again, spec)
    again.machines.start(spec)
    expect(stand, again, spec, Phase.RUNNING)
    assert kept <= variables(again, spec)
    again.machines.destroy(spec.id)
    with pytest.raises(EngineBusy):
        again.firmware.variables(spec.id)


def variables(engine: Engine, spec: MachineSpec) -> set[str]:
    assert engine.firmware is not None
    return {each.name for each in engine.firmware.variables(spec.id)}


def test_a_machine_that_boots_by_bios_has_no_variables(stand: Stand, engine: Engine):
    if engine.firmware is None:
        pytest.skip("none of its machines has")
    launch(engine, stand.spec())
    with pytest.raises(EngineBusy):
        engine.firmware.variables(stand.spec().id)
