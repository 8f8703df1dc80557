"""OpenNebula's state numbers: their names, what they mean for us, and what oned allows in them.

A virtual machine has two numbers. STATE is the coarse one; while it is ACTIVE (3), LCM_STATE says
more. `state_name` joins them: names of both are distinct, so one name says all.

Rule 1: oned alone changes states. We look, and ask only what the tables below let through; it
        answers anything else with 0x0800.
Rule 2: a number that is not in the tables (a newer oned) is `unknown` and allows nothing. It never
        raises, and is never taken for gone.

Names and numbers are those of include/VirtualMachine.h, include/Image.h and, for retired numbers,
virtual_machine.rb of OpenNebula 7.0.2; 7.4.0 has the same. What is allowed is read in
src/dm/DispatchManagerActions.cc and src/image/ImageManagerActions.cc, and partly seen
(facts/opennebula.md 4).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Standing(StrEnum):
    """What a state of a virtual machine means for us."""

    PENDING = "pending"
    """It waits for the scheduler."""
    ARRIVING = "arriving"
    """Its disks are copied, or it boots; it will run, or wait for the scheduler again."""
    RUNNING = "running"
    BUSY_RUNNING = "busy-running"
    """It runs, or will in a moment on another host; oned refuses actions meanwhile."""
    HALTING = "halting"
    """On its way to be off."""
    OFF = "off"
    """Off, with its disks kept. In some of these states oned is busy and refuses to resume it."""
    LEAVING = "leaving"
    """On its way to be gone."""
    FAILED = "failed"
    """oned gave up on the last action; only terminate (or an administrator's recover) helps."""
    UNKNOWN = "unknown"
    """oned does not know, or we do not know what it says."""
    GONE = "gone"


P, A, R, B = Standing.PENDING, Standing.ARRIVING, Standing.RUNNING, Standing.BUSY_RUNNING
H, O, L, F, U = (  # noqa: E741 - one letter each keeps the tables readable
    Standing.HALTING,
    Standing.OFF,
    Standing.LEAVING,
    Standing.FAILED,
    Standing.UNKNOWN,
)

ACTIVE: Final = 3

VM_STATES: Final[Mapping[int, tuple[str, Standing]]] = {
    0: ("INIT", P),
    1: ("PENDING", P),
    2: ("HOLD", O),  # allocated and kept from the scheduler: what we define and do not start
    # 3 is ACTIVE: the other table.
    4: ("STOPPED", O),
    5: ("SUSPENDED", O),
    6: ("DONE", Standing.GONE),
    7: ("FAILED", F),  # retired before 5.0
    8: ("POWEROFF", O),
    9: ("UNDEPLOYED", O),
    10: ("CLONING", A),  # waits for an image that is LOCKED, then goes to PENDING or HOLD
    11: ("CLONING_FAILURE", F),
}

LCM_STATES: Final[Mapping[int, tuple[str, Standing]]] = {
    0: ("LCM_INIT", A),
    1: ("PROLOG", A),
    2: ("BOOT", A),
    3: ("RUNNING", R),
    4: ("MIGRATE", B),
    5: ("SAVE_STOP", H),
    6: ("SAVE_SUSPEND", H),
    7: ("SAVE_MIGRATE", B),
    8: ("PROLOG_MIGRATE", B),
    9: ("PROLOG_RESUME", A),
    10: ("EPILOG_STOP", H),
    11: ("EPILOG", L),
    12: ("SHUTDOWN", L),
    13: ("CANCEL", L),  # retired
    14: ("FAILURE", F),  # retired
    15: ("CLEANUP_RESUBMIT", A),  # delete-recreate: on its way back to PENDING
    16: ("UNKNOWN", U),
    17: ("HOTPLUG", B),
    18: ("SHUTDOWN_POWEROFF", H),
    19: ("BOOT_UNKNOWN", A),
    20: ("BOOT_POWEROFF", A),
    21: ("BOOT_SUSPENDED", A),
    22: ("BOOT_STOPPED", A),
    23: ("CLEANUP_DELETE", L),
    24: ("HOTPLUG_SNAPSHOT", B),
    25: ("HOTPLUG_NIC", B),
    26: ("HOTPLUG_SAVEAS", B),
    27: ("HOTPLUG_SAVEAS_POWEROFF", O),
    28: ("HOTPLUG_SAVEAS_SUSPENDED", O),
    29: ("SHUTDOWN_UNDEPLOY", H),
    30: ("EPILOG_UNDEPLOY", H),
    31: ("PROLOG_UNDEPLOY", A),
    32: ("BOOT_UNDEPLOY", A),
    33: ("HOTPLUG_PROLOG_POWEROFF", O),
    34: ("HOTPLUG_EPILOG_POWEROFF", O),
    35: ("BOOT_MIGRATE", B),
    36: ("BOOT_FAILURE", F),
    37: ("BOOT_MIGRATE_FAILURE", F),
    38: ("PROLOG_MIGRATE_FAILURE", F),
    39: ("PROLOG_FAILURE", F),
    40: ("EPILOG_FAILURE", F),
    41: ("EPILOG_STOP_FAILURE", F),
    42: ("EPILOG_UNDEPLOY_FAILURE", F),
    43: ("PROLOG_MIGRATE_POWEROFF", O),
    44: ("PROLOG_MIGRATE_POWEROFF_FAILURE", F),
    45: ("PROLOG_MIGRATE_SUSPEND", O),
    46: ("PROLOG_MIGRATE_SUSPEND_FAILURE", F),
    47: ("BOOT_UNDEPLOY_FAILURE", F),
    48: ("BOOT_STOPPED_FAILURE", F),
    49: ("PROLOG_RESUME_FAILURE", F),
    50: ("PROLOG_UNDEPLOY_FAILURE", F),
    51: ("DISK_SNAPSHOT_POWEROFF", O),
    52: ("DISK_SNAPSHOT_REVERT_POWEROFF", O),
    53: ("DISK_SNAPSHOT_DELETE_POWEROFF", O),
    54: ("DISK_SNAPSHOT_SUSPENDED", O),
    55: ("DISK_SNAPSHOT_REVERT_SUSPENDED", O),  # retired
    56: ("DISK_SNAPSHOT_DELETE_SUSPENDED", O),
    57: ("DISK_SNAPSHOT", B),
    58: ("DISK_SNAPSHOT_REVERT", B),  # retired
    59: ("DISK_SNAPSHOT_DELETE", B),
    60: ("PROLOG_MIGRATE_UNKNOWN", U),
    61: ("PROLOG_MIGRATE_UNKNOWN_FAILURE", F),
    62: ("DISK_RESIZE", B),
    63: ("DISK_RESIZE_POWEROFF", O),
    64: ("DISK_RESIZE_UNDEPLOYED", O),
    65: ("HOTPLUG_NIC_POWEROFF", O),
    66: ("HOTPLUG_RESIZE", B),
    67: ("HOTPLUG_SAVEAS_UNDEPLOYED", O),
    68: ("HOTPLUG_SAVEAS_STOPPED", O),
    69: ("BACKUP", B),
    70: ("BACKUP_POWEROFF", O),
    71: ("RESTORE", O),  # from a backup, onto the disks of a machine that is off
}

# vm.action by name, and the states in which oned takes it.
_RESTING: Final = frozenset({"SUSPENDED", "POWEROFF", "STOPPED", "UNDEPLOYED"})
_FAILURES: Final = frozenset(
    name for name, standing in LCM_STATES.values() if standing is F and name != "FAILURE"
)
_TERMINATE: Final = (
    _RESTING
    | _FAILURES
    | {"INIT", "PENDING", "HOLD", "CLONING", "CLONING_FAILURE", "DONE", "RUNNING", "UNKNOWN"}
)

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "terminate": _TERMINATE,
    "terminate-hard": _TERMINATE | {"SHUTDOWN"},  # in SHUTDOWN from 6.0 on
    "poweroff": frozenset({"RUNNING", "UNKNOWN"}),
    "poweroff-hard": frozenset({"RUNNING", "UNKNOWN", "SHUTDOWN_POWEROFF"}),  # the last: 6.0
    "resume": _RESTING | {"UNKNOWN"},
    "reboot": frozenset({"RUNNING"}),
    "reboot-hard": frozenset({"RUNNING"}),
    "hold": frozenset({"PENDING"}),
    "release": frozenset({"HOLD"}),
}


def state_name(state: int, lcm_state: int) -> str:
    """`RUNNING`, `POWEROFF`; for numbers that we do not know `STATE 12` or `ACTIVE 99`."""
    if state == ACTIVE:
        return LCM_STATES.get(lcm_state, (f"ACTIVE {lcm_state}", U))[0]
    return VM_STATES.get(state, (f"STATE {state}", U))[0]


def standing(state: int, lcm_state: int) -> Standing:
    """What the two numbers mean for us. `lcm_state` counts in ACTIVE only."""
    if state == ACTIVE:
        return LCM_STATES.get(lcm_state, ("", U))[1]
    return VM_STATES.get(state, ("", U))[1]


def may(action: str, state: int, lcm_state: int) -> bool:
    """Whether oned takes this vm.action now. KeyError for an action that is not in ALLOWED."""
    return state_name(state, lcm_state) in ALLOWED[action]


class ImageStanding(StrEnum):
    """What a state of an image means for us."""

    ARRIVING = "arriving"
    """Its content is being copied; a machine may be made of it and waits (CLONING)."""
    READY = "ready"
    """Machines can be made of it; it may be in use by some."""
    TAKEN = "taken"
    """A persistent image that a machine has."""
    BUSY = "busy"
    """It is there, and cannot be used in this moment (another image is copied from it)."""
    DISABLED = "disabled"
    LEAVING = "leaving"
    FAILED = "failed"
    UNKNOWN = "unknown"


IMAGE_STATES: Final[Mapping[int, tuple[str, ImageStanding]]] = {
    0: ("INIT", ImageStanding.ARRIVING),
    1: ("READY", ImageStanding.READY),
    2: ("USED", ImageStanding.READY),
    3: ("DISABLED", ImageStanding.DISABLED),
    4: ("LOCKED", ImageStanding.ARRIVING),
    5: ("ERROR", ImageStanding.FAILED),
    6: ("CLONE", ImageStanding.BUSY),
    7: ("DELETE", ImageStanding.LEAVING),
    8: ("USED_PERS", ImageStanding.TAKEN),
    9: ("LOCKED_USED", ImageStanding.ARRIVING),
    10: ("LOCKED_USED_PERS", ImageStanding.ARRIVING),
}

# image.delete without force. LOCKED needs force by 6.10; LOCKED_USED and CLONE are refused anyway
# (src/image/ImageManagerActions.cc delete_image, src/rm/RequestManagerDelete.cc).
_MAY_DELETE_IMAGE: Final = frozenset({"INIT", "READY", "DISABLED", "ERROR", "DELETE"})


def image_state_name(state: int) -> str:
    """`READY`; for a number that we do not know `STATE 11`."""
    return IMAGE_STATES.get(state, (f"STATE {state}", ImageStanding.UNKNOWN))[0]


def image_standing(state: int) -> ImageStanding:
    return IMAGE_STATES.get(state, ("", ImageStanding.UNKNOWN))[1]


def may_delete_image(state: int) -> bool:
    """Whether image.delete is taken now, if no machine uses the image."""
    return image_state_name(state) in _MAY_DELETE_IMAGE
