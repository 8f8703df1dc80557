"""Counters, as QEMU and the kernel tell them."""

import os

import pytest

from econe.engines.qemu.meters import processor_time_s, total
from econe.engines.qemu.netns_links import read_counters
from econe.engines.qemu.nic import Traffic
from econe.engines.qemu.processes import Process

DEV = """\
Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo
    lo:    1000  10   0   0   0   0   0   0   1000   10   0   0   0   0   0   0
eni-00000001: 1234567 890   0   0   0   0   0   0 7654321   98   0   5   0   0   0   0
"""


def test_what_a_tap_receives_its_guest_has_sent():
    found = read_counters(DEV)
    assert found["eni-00000001"] == Traffic(
        bytes_in=7654321, bytes_out=1234567, packets_in=98, packets_out=890
    )
    assert set(found) == {"lo", "eni-00000001"}


def test_the_disks_of_a_machine_are_added_up():
    disks = [{"stats": {"rd_bytes": 512}}, {"stats": {"rd_bytes": 1024, "wr_bytes": 7}}]
    assert (total(disks, "rd_bytes"), total(disks, "wr_bytes")) == (1536, 7)


@pytest.mark.parametrize(
    "answer", [None, {}, "x", [None], [{}], [{"stats": {}}], [{"stats": {"rd_bytes": "7"}}]]
)
def test_an_answer_of_another_form_counts_nothing(answer: object):
    assert total(answer, "rd_bytes") == 0


def test_the_processor_time_of_a_process_is_the_kernels():
    own = Process(os.getpid(), os.pidfd_open(os.getpid()))
    before = processor_time_s(own)
    used = sum(number * number for number in range(3_000_000))
    assert used
    assert 0.01 <= processor_time_s(own) - before < 30
