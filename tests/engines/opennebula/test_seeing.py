"""What a look says of each state."""

import pytest
from tests.engines.opennebula.vm_xml import vm

from econe.domain.engine_ports import Phase, SeenNic
from econe.engines.opennebula.consoles import VncConsoles, screen_of
from econe.engines.opennebula.seeing import Sight
from econe.engines.opennebula.states import LCM_STATES, VM_STATES, Standing, standing

MONITOR = "<HISTORY><ACTION>19</ACTION></HISTORY><HISTORY><ACTION>44</ACTION></HISTORY>"
NIC = (
    "<NIC><MAC>02:00:0A:63:00:{0:02X}</MAC><IP>10.99.0.{0}</IP><NETWORK_ID>0</NETWORK_ID>{1}</NIC>"
)


@pytest.mark.parametrize(
    ("state", "lcm", "phase"),
    [
        pytest.param(1, 0, Phase.MOVING, id="PENDING"),
        pytest.param(2, 0, Phase.DEFINED, id="HOLD"),
        pytest.param(10, 0, Phase.MOVING, id="CLONING"),
        pytest.param(3, 1, Phase.MOVING, id="PROLOG"),
        pytest.param(3, 2, Phase.MOVING, id="BOOT"),
        pytest.param(3, 3, Phase.RUNNING, id="RUNNING"),
        pytest.param(3, 17, Phase.RUNNING, id="HOTPLUG"),
        pytest.param(3, 16, Phase.RUNNING, id="UNKNOWN"),
        pytest.param(3, 18, Phase.MOVING, id="SHUTDOWN_POWEROFF"),
        pytest.param(8, 0, Phase.DEFINED, id="POWEROFF"),
        pytest.param(5, 0, Phase.DEFINED, id="SUSPENDED"),
        pytest.param(3, 11, Phase.MOVING, id="EPILOG"),
        pytest.param(3, 36, Phase.FAILED, id="BOOT_FAILURE"),
        pytest.param(11, 0, Phase.FAILED, id="CLONING_FAILURE"),
        pytest.param(3, 99, Phase.RUNNING, id="of a newer oned"),
    ],
)
def test_states_are_phases(state: int, lcm: int, phase: Phase):
    assert Sight().seen(vm(1, state=state, lcm=lcm)).phase is phase


@pytest.mark.parametrize(
    ("said", "firmware"),
    [("", "legacy-bios"), ("bios", "legacy-bios"), ("UEFI", "uefi"), ("/usr/share/x.fd", "uefi")],
)
def test_what_it_boots_by_is_told(said: str, firmware: str):
    template = f"<OS><FIRMWARE>{said}</FIRMWARE></OS>"
    assert Sight().seen(vm(1, template=template)).firmware == firmware
    assert Sight().seen(vm(1)).firmware == "legacy-bios"


def test_every_state_that_is_not_done_has_a_phase():
    for state in VM_STATES:
        if standing(state, 0) is not Standing.GONE:
            assert Sight().seen(vm(1, state=state, lcm=0)).phase
    for lcm in LCM_STATES:
        assert Sight().seen(vm(1, lcm=lcm)).phase


def test_a_guest_that_switched_itself_off_is_halted():
    """The last record counts: the one before is of an earlier stop."""
    assert Sight().seen(vm(1, state=8, lcm=0, history=MONITOR)).phase is Phase.HALTED
    before = MONITOR + "<HISTORY><ACTION>19</ACTION></HISTORY>"
    assert Sight().seen(vm(1, state=8, lcm=0, history=before)).phase is Phase.DEFINED


def test_a_machine_whose_host_was_lost_did_not_switch_itself_off():
    sight, off = Sight(), vm(1, state=8, lcm=0, history=MONITOR)
    sight.remember([vm(1, lcm=16)])
    sight.remember([off])
    assert sight.seen(off).phase is Phase.DEFINED
    sight.remember([vm(1)])  # started again, and seen running
    sight.remember([off])
    assert sight.seen(off).phase is Phase.HALTED


def test_why_is_what_oned_says():
    waiting = vm(1, state=1, lcm=0, user={"SCHED_MESSAGE": "No host with enough capacity"})
    seen = Sight().seen(waiting)
    assert seen.why == "No host with enough capacity"
    assert seen.reason.code == "Server.InsufficientInstanceCapacity"
    failed = vm(1, lcm=36, user={"ERROR": "Error deploying virtual machine"})
    assert "BOOT_FAILURE: Error deploying virtual machine" in Sight().seen(failed).why
    assert Sight().seen(failed).reason.code == "Server.InternalError"
    assert "node1" in Sight().seen(vm(1, lcm=16)).why
    assert Sight().seen(vm(1, user={"SCHED_MESSAGE": "of before"})).why == ""


def test_nics_come_in_order_without_aliases():
    nics = NIC.format(11, "<NIC_ID>1</NIC_ID>") + NIC.format(10, "<NIC_ID>0</NIC_ID>")
    alias = "<NIC_ALIAS><NIC_ID>2</NIC_ID><IP>10.99.0.9</IP></NIC_ALIAS>"
    assert Sight().seen(vm(1, template=nics + alias)).nics == (
        SeenNic("02:00:0a:63:00:0a", "10.99.0.10", "0"),
        SeenNic("02:00:0a:63:00:0b", "10.99.0.11", "0"),
    )


def test_a_machine_without_a_network_has_no_nics():
    assert Sight().seen(vm(1)).nics == ()


# --- consoles ----------------------------------------------------------------------------

SCREEN = "<GRAPHICS><TYPE>{}</TYPE><PORT>5905</PORT><LISTEN>{}</LISTEN></GRAPHICS>"


def test_a_screen_is_where_its_host_has_it():
    assert screen_of(vm(1, template=SCREEN.format("VNC", "0.0.0.0"))) == (
        "VNC console: node1:5905\r\n"
    )
    assert screen_of(vm(1, template=SCREEN.format("spice", "127.0.0.1"))) == (
        "SPICE console: node1:5905 (it listens on 127.0.0.1 there)\r\n"
    )


def test_a_machine_that_was_on_no_host_has_no_screen():
    assert screen_of(vm(1, template=SCREEN.format("VNC", ""), history="")) == ""
    assert screen_of(vm(1)) == ""


def test_consoles_tell_what_the_last_look_saw():
    from datetime import UTC, datetime

    now = datetime(2026, 11, 26, tzinfo=UTC)
    consoles, shown = VncConsoles(), vm(1, template=SCREEN.format("VNC", ""))
    consoles.saw({"i-1": shown, "i-2": vm(2)}, now, all_of_them=True)
    assert consoles.output("i-1") == (b"VNC console: node1:5905\r\n", now)
    assert consoles.output("i-2") is None
    consoles.saw({"i-3": shown}, now, all_of_them=False)
    assert consoles.output("i-1") is not None
    consoles.forget("i-1")
    assert consoles.output("i-1") is None
    consoles.saw({}, now, all_of_them=True)
    assert consoles.output("i-3") is None
