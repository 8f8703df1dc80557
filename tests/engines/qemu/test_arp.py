"""Frames of ARP, and whom they are told apart by; real ones are in test_network_hearing.py."""

import pytest

from econe.engines.qemu.arp import Whom, read_reply, request

ROUTER = Whom("06:ec:01:02:03:04", "172.31.0.1")
GUEST = Whom("02:00:00:00:00:07", "172.31.0.10")
REQUEST = bytes.fromhex(
    "020000000007 06ec01020304 0806"  # to the guest's MAC alone, from the bridge's
    "0001 0800 06 04 0001 06ec01020304 ac1f0001 000000000000 ac1f000a"
)
REPLY = bytes.fromhex(
    "06ec01020304 020000000007 08060001 0800 06 04 0002 020000000007 ac1f000a 06ec01020304 ac1f0001"
)


def test_a_request_goes_to_one_guest_and_asks_for_its_address():
    assert request(ROUTER, GUEST) == REQUEST


def test_a_reply_tells_who_sent_it():
    assert read_reply(REPLY, ROUTER) == GUEST
    assert read_reply(REPLY + bytes(18), ROUTER) == GUEST  # as short frames are filled up


@pytest.mark.parametrize(
    ("at", "byte"),
    [
        pytest.param(21, 1, id="a request"),
        pytest.param(15, 6, id="not of Ethernet"),
        pytest.param(32, 7, id="to another MAC"),
        pytest.param(41, 9, id="to another address"),
    ],
)
def test_what_is_no_answer_to_us_is_left_alone(at: int, byte: int):
    frame = bytearray(REPLY)
    frame[at] = byte
    assert read_reply(bytes(frame), ROUTER) is None


def test_half_a_frame_is_no_answer():
    for length in range(len(REPLY)):
        assert read_reply(REPLY[:length], ROUTER) is None
