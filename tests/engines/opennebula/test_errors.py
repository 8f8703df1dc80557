"""What oned's refusals mean, held to every refusal that was recorded."""

import re

import pytest
from tests.support.oned_recordings import exchanges

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.engines.opennebula.errors import (
    BY_CODE,
    RULES,
    Code,
    Failure,
    Meaning,
    OnedRefused,
    judge,
    meaning_of,
    rule_for,
)
from econe.engines.opennebula.rpc import read_answer

# Refusals that no rule's text fits: they are judged by oned's code. Only shrinks.
BY_CODE_ONLY: set[int] = set()


def said(code, text, method="one.vm.allocate"):
    return judge(Failure(code, f"[{method}] {text}"), method, is_read=".info" in method)


@pytest.mark.parametrize(
    ("code", "text", "ec2_code"),
    [
        (0x0200, "User [2] : user [2] limit of 4 reached for VMS quota in VM.", "Instance"),
        (0x0200, "User [2] : group [1] limit of 4 reached for CPU quota in VM.", "Instance"),
        (0x0200, "User [2] : user [2] limit of 600 reached for MEMORY quota in VM.", "Instance"),
        (0x0200, "user [2] limit of 1 reached for RUNNING_VMS quota in VM.", "Instance"),
        (0x0200, "user [2] limit of 1 reached for RVMS quota in IMAGE with ID: 3.", "Instance"),
        (0x0200, "user [2] limit of 1.5 reached for GPUS quota in VM.", "Instance"),
        (0x0200, "user [2] limit of 9 reached for SYSTEM_DISK_SIZE quota in VM.", "Volume"),
        (0x0200, "user [2] limit of 9 reached for SIZE quota in DATASTORE with ID: 1.", "Volume"),
        (0x0200, "limit of 1 reached for IMAGES quota in DATASTORE with ID: 1.", "Resource"),
        (0x0200, "limit of 1 reached for LEASES quota in NETWORK with ID: 0.", "Address"),
    ],
)
def test_each_quota_is_a_limit_of_its_noun(code, text, ec2_code):
    refused = said(code, text)
    assert isinstance(refused, OnedRefused)
    assert refused.code == f"{ec2_code}LimitExceeded"
    assert meaning_of(refused) is Meaning.QUOTA


@pytest.mark.parametrize(
    ("code", "text", "ec2_code"),
    [
        (0x0200, "User [3] : Not authorized to perform USE IMAGE [2].", "UnauthorizedOperation"),
        (
            0x0200,
            "User [2] : VM Template includes a restricted attribute MAC.",
            "UnauthorizedOperation",
        ),
        (0x0200, "User [2] not authorized to perform action on IMAGE.", "UnauthorizedOperation"),
        (0x0400, "Error getting image [4].", "InvalidAMIID.NotFound"),
        (0x0400, "Error getting virtual machine [4].", "InvalidInstanceID.NotFound"),
        (0x0400, "Error getting virtual machine template [4].", "InvalidInstanceType"),
        (0x0400, "Error getting virtual network [4].", "InvalidSubnetID.NotFound"),
        (0x0400, "Error getting datastore [999].", ""),
        (0x2000, "DISK 0: Image with ID: 99999 does not exist", "InvalidAMIID.NotFound"),
        (0x2000, "Virtual network with ID: 99999 does not exist", "InvalidSubnetID.NotFound"),
        (
            0x2000,
            "DISK 0: Cannot acquire image 17, it is in state: ERROR",
            "InvalidAMIID.Unavailable",
        ),
        (
            0x0800,
            "Cannot get IP/MAC lease from virtual network 0.",
            "InsufficientFreeAddressesInSubnet",
        ),
        (0x0800, "Not enough space in datastore", "InsufficientVolumeCapacity"),
        (
            0x4000,
            "Error allocating a new image. NAME is already taken by IMAGE 0.",
            "InvalidAMIName.Duplicate",
        ),
        (0x2000, "Parse error: syntax error, unexpected $end at line 942827056", ""),
        (0x2000, "Incompatible clusters in NIC. Network for NIC 0", "Unsupported"),
        (0x2000, "something new in OpenNebula 9", ""),
        (0x1000, "Incorrect filter_flag", ""),
    ],
)
def test_refusals_for_good(code, text, ec2_code):
    refused = said(code, text)
    assert isinstance(refused, EngineRefused)
    assert refused.code == ec2_code
    assert text in refused.hidden


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        (0x0100, "User couldn't be authenticated, aborting call.", Meaning.LOGIN),
        (0x0100, "in new words", Meaning.LOGIN),
        (
            0x0800,
            'Error performing action "terminate": Could not terminate VM 12, wrong state BOOT.',
            Meaning.WRONG_STATE,
        ),
        (
            0x0800,
            'Error performing action "resume": This action is not available for state RUNNING',
            Meaning.WRONG_STATE,
        ),
        (0x0800, "in new words", Meaning.UNKNOWN),
        (0x0800, "Cannot delete image. There are 1 VMs using it.", Meaning.IN_USE),
        (0x8000, "The resource VM is locked. [4].", Meaning.LOCKED),
        (0x2000, "Image locked, use --force flag to remove the image.", Meaning.LOCKED),
        (0x0800, "Cannot acquire image 3, it is locked", Meaning.LOCKED),
        (
            0x2000,
            "DISK 0: Cannot acquire image 17, it is in state: CLONE",
            Meaning.WRONG_STATE,
        ),
        (0x2000, "Cannot process request, oned cluster in election mode", Meaning.AWAY),
    ],
)
def test_what_may_pass_is_busy(code, text, meaning):
    busy = said(code, text)
    assert isinstance(busy, EngineBusy)
    assert meaning_of(busy) is meaning


def test_a_refused_login_tells_the_operator_where_to_look():
    busy = said(0x0100, "User couldn't be authenticated, aborting call.")
    assert "service account" in str(busy)


def test_what_oned_does_not_know_itself_is_lost():
    for code, text in (
        (0x2000, "RPC call timed out and aborted"),
        (0x2000, "libcurl failed to execute the HTTP POST transaction"),
        (0x10000, "Error replicating log entry 7: x."),
    ):
        assert isinstance(said(code, text), EngineLost)
        assert isinstance(said(code, text, "one.vm.info"), EngineBusy)


def test_a_bad_name_is_an_images_where_an_image_is_made():
    text = "Error allocating a new image. Invalid NAME, char '/' is not allowed"
    assert said(0x4000, text, "one.image.allocate").code == "InvalidAMIName.Malformed"
    assert said(0x4000, text, "one.vm.allocate").code == "InvalidParameterValue"


def test_meaning_is_of_oneds_refusals_only():
    assert meaning_of(EngineBusy("x")) is None
    assert meaning_of(ValueError()) is None


@pytest.mark.parametrize("rule", [*RULES, *BY_CODE.values()], ids=lambda rule: rule.text or "-")
def test_what_is_said_is_ours(rule):
    """No words of oned's trade, no numbers; a code has a sentence, a refusal says something."""
    assert not re.search(r"oned|OpenNebula|VM|datastore|LCM|template|\d", rule.said)
    assert not rule.code or rule.said.endswith(".")
    assert (rule.how == "refused") == bool(rule.said)
    assert re.fullmatch(r"|[A-Z][A-Za-z]+(\.[A-Z][A-Za-z]+)?", rule.code)


def recorded_refusals():
    return [exchange for exchange in exchanges() if exchange["outcome"].startswith("ERR")]


def test_every_recorded_refusal_is_known_by_its_text():
    unknown = set()
    for exchange in recorded_refusals():
        failure = read_answer(exchange["response"].encode())
        assert isinstance(failure, Failure)
        if rule_for(failure, exchange["method"]) is None:
            unknown.add(exchange["n"])
    assert unknown == BY_CODE_ONLY


def test_rules_that_are_in_no_recording_are_listed():
    """Their texts are read in the sources only."""
    used = {
        rule_for(read_answer(exchange["response"].encode()), exchange["method"])
        for exchange in recorded_refusals()
    }
    read_only = {rule.text for rule in RULES if rule not in used}
    assert read_only == {
        "oned cluster in election mode",
        "no leader found",
        "oned cluster is replicating log",
        "Cannot process request, zone disabled",
        "RPC call timed out and aborted",
        "libcurl|HTTP POST transaction",
        "Error replicating log entry",
        r"limit of \S+ reached for (SIZE|SYSTEM_DISK_SIZE) quota",
        r"Cannot acquire image \d+, it is in state: (CLONE|INIT)",
        "Invalid NAME,",
        "Incompatible cluster",
        "is less than the image",
    }


# oned's numbers of exchanges whose outcome passes by itself or by somebody's deed.
BUSY = re.compile(
    "couldn't be authenticated|wrong state|not available for state|VMs using it|Image locked"
    "|Image cannot be in state"
)


def test_every_recorded_refusal_is_refused_or_busy():
    for exchange in recorded_refusals():
        failure = read_answer(exchange["response"].encode())
        error = judge(failure, exchange["method"], is_read=False)
        is_busy = bool(BUSY.search(failure.text))
        assert isinstance(error, EngineBusy) == is_busy, exchange["n"]
        assert isinstance(error, EngineRefused) != is_busy, exchange["n"]


def test_all_codes_have_their_numbers():
    assert [int(code) for code in Code] == [
        *(0x0100, 0x0200, 0x0400, 0x0800, 0x1000, 0x2000, 0x4000, 0x8000, 0x10000),
    ]
