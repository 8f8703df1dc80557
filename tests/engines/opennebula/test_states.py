"""The tables of states, walked number by number."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.oned_recordings import exchanges

from econe.engines.opennebula import states
from econe.engines.opennebula.states import ALLOWED, ImageStanding, Standing

VM_NUMBERS = [number for number in range(12) if number != states.ACTIVE]
ANY_NUMBER = st.integers(-(2**31), 2**31)


def test_every_number_has_a_name_of_its_own():
    assert sorted(states.VM_STATES) == VM_NUMBERS
    assert sorted(states.LCM_STATES) == list(range(72))
    assert sorted(states.IMAGE_STATES) == list(range(11))
    names = [name for name, _ in [*states.VM_STATES.values(), *states.LCM_STATES.values()]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("number", range(72))
def test_lcm_states_mean_what_their_names_say(number):
    name, standing = states.LCM_STATES[number]
    assert states.state_name(3, number) == name
    assert states.standing(3, number) is standing
    if name.endswith("FAILURE"):
        assert standing is Standing.FAILED
    elif name.endswith(("_POWEROFF", "_SUSPENDED", "_UNDEPLOYED", "_STOPPED", "_SUSPEND")):
        assert standing in {Standing.OFF, Standing.HALTING, Standing.ARRIVING}
        assert (standing is Standing.ARRIVING) == name.startswith("BOOT_")
        assert (standing is Standing.HALTING) == name.startswith(("SHUTDOWN_", "SAVE_"))
    elif name.startswith(("HOTPLUG", "DISK_", "BACKUP", "MIGRATE")):
        assert standing is Standing.BUSY_RUNNING


@given(ANY_NUMBER, ANY_NUMBER)
def test_no_number_raises_and_unknown_ones_allow_nothing(state, lcm_state):
    known = state in VM_NUMBERS or (state == 3 and lcm_state in range(72))
    assert states.state_name(state, lcm_state)
    if not known:
        assert states.standing(state, lcm_state) is Standing.UNKNOWN
        assert not any(states.may(action, state, lcm_state) for action in ALLOWED)


@given(ANY_NUMBER)
def test_no_image_number_raises(state):
    assert states.image_state_name(state)
    known = 0 <= state <= 10
    assert (states.image_standing(state) is ImageStanding.UNKNOWN) != known
    assert known or not states.may_delete_image(state)


def test_the_lcm_number_counts_in_active_only():
    assert states.standing(8, 3) is Standing.OFF
    assert states.state_name(8, 3) == "POWEROFF"
    assert not states.may("reboot", 8, 3)


def test_only_done_is_gone():
    everything = [(state, 0) for state in VM_NUMBERS] + [(3, lcm) for lcm in range(72)]
    assert [place for place in everything if states.standing(*place) is Standing.GONE] == [(6, 0)]


def test_what_is_allowed_names_states_that_there_are():
    names = {name for name, _ in [*states.VM_STATES.values(), *states.LCM_STATES.values()]}
    for action, allowed in ALLOWED.items():
        assert allowed <= names, action


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("terminate", "INIT PENDING HOLD CLONING CLONING_FAILURE DONE RUNNING UNKNOWN"),
        ("terminate-hard", "SHUTDOWN RUNNING POWEROFF BOOT_FAILURE EPILOG_FAILURE"),
        ("poweroff", "RUNNING UNKNOWN"),
        ("poweroff-hard", "RUNNING UNKNOWN SHUTDOWN_POWEROFF"),
        ("resume", "POWEROFF SUSPENDED STOPPED UNDEPLOYED UNKNOWN"),
        ("reboot", "RUNNING"),
        ("hold", "PENDING"),
        ("release", "HOLD"),
    ],
)
def test_each_action_is_let_through_where_oned_takes_it(action, allowed):
    places = {states.state_name(3, lcm): (3, lcm) for lcm in range(72)}
    places |= {states.state_name(number, 0): (number, 0) for number in VM_NUMBERS}
    for name in allowed.split():
        assert states.may(action, *places[name])
    for name in ["BOOT", "PROLOG", "HOTPLUG", "EPILOG", "MIGRATE", "CLEANUP_DELETE"]:
        assert not states.may(action, *places[name])


def test_every_recorded_refusal_for_a_state_is_foretold():
    names = set()
    for exchange in exchanges():
        found = re.search(
            r'action "([a-z-]+)": .*(?:wrong state|for state) (\w+)', exchange["outcome"]
        )
        if found:
            action, name = found.groups()
            assert name not in ALLOWED[action], exchange["n"]
            names.add(name)
    assert names >= {"BOOT", "HOTPLUG", "SHUTDOWN", "DONE", "HOLD"}


@pytest.mark.parametrize(
    ("number", "standing"),
    [
        (1, ImageStanding.READY),
        (2, ImageStanding.READY),
        (4, ImageStanding.ARRIVING),
        (5, ImageStanding.FAILED),
        (8, ImageStanding.TAKEN),
        (9, ImageStanding.ARRIVING),
    ],
)
def test_image_states(number, standing):
    assert states.image_standing(number) is standing


def test_images_in_use_may_not_be_deleted():
    """Recordings 145, 282."""
    refused = {"USED", "USED_PERS", "LOCKED", "LOCKED_USED", "LOCKED_USED_PERS", "CLONE"}
    for number in range(11):
        assert states.may_delete_image(number) != (states.image_state_name(number) in refused)
