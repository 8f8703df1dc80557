from dataclasses import replace
from datetime import UTC, datetime, timedelta

from econe.domain.samples import Reading, Sample, usage

AT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
FIRST = Sample("i-00000001", AT, Reading(10.0, 1000, 2000, 10, 20, 300, 400, 3, 4))


def later(seconds: float, **counters: float | None) -> Sample:
    reading = replace(FIRST.reading, **counters)  # type: ignore[arg-type]
    return Sample(FIRST.instance_id, AT + timedelta(seconds=seconds), reading)


def test_what_was_used_between_two_samples_is_told_by_second():
    after = later(60, cpu_s=70.0, disk_read_bytes=61000, network_out_bytes=6400)
    used = usage(FIRST, after, vcpus=2)
    assert used is not None
    assert (used.at, used.seconds, used.cpu_percent) == (after.at, 60, 50.0)
    assert (used.disk_read_bytes_s, used.disk_written_bytes_s) == (1000, 0)
    assert (used.network_in_bytes_s, used.network_out_bytes_s) == (0, 100)


def test_nothing_is_told_over_a_new_start():
    assert usage(FIRST, later(60, cpu_s=1.0), vcpus=1) is None


def test_nothing_is_told_of_no_time():
    assert usage(FIRST, later(0), vcpus=1) is None
    assert usage(FIRST, later(-60), vcpus=1) is None


def test_a_network_that_counts_nothing_is_told_as_that():
    used = usage(FIRST, later(60, network_in_bytes=None), vcpus=1)
    assert used is not None
    assert (used.network_in_bytes_s, used.network_out_bytes_s) == (None, 0)
