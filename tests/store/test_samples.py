"""Samples: kept beside the rows, told again, and never a reason to fail."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from econe.domain.ports import StoreBroken
from econe.domain.samples import Reading, Sample
from econe.store.samples import FILE, FileSamples

AT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
FULL = Reading(1.5, 10, 20, 1, 2, 30, 40, 3, 4)
POOR = Reading(0.0, 0, 0, 0, 0)


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[FileSamples]:
    made = FileSamples(tmp_path)
    yield made
    made.close()


def minutes(count: int) -> datetime:
    return AT + timedelta(minutes=count)


def test_what_was_added_is_told_in_order_of_time(samples: FileSamples):
    samples.add(minutes(1), {"i-00000001": POOR, "i-00000002": FULL})
    samples.add(AT, {"i-00000001": FULL})
    assert samples.of("i-00000001", AT) == [
        Sample("i-00000001", AT, FULL),
        Sample("i-00000001", minutes(1), POOR),
    ]
    assert samples.of("i-00000001", minutes(1)) == [Sample("i-00000001", minutes(1), POOR)]
    assert samples.of("i-00000003", AT) == []


def test_the_newest_of_each_is_told(samples: FileSamples):
    samples.add(AT, {"i-00000001": POOR, "i-00000002": POOR})
    samples.add(minutes(1), {"i-00000001": FULL})
    assert samples.latest(AT) == {
        "i-00000001": Sample("i-00000001", minutes(1), FULL),
        "i-00000002": Sample("i-00000002", AT, POOR),
    }
    assert set(samples.latest(minutes(1))) == {"i-00000001"}


def test_a_sample_of_the_same_moment_takes_the_place_of_the_one_before(samples: FileSamples):
    samples.add(AT, {"i-00000001": POOR})
    samples.add(AT, {"i-00000001": FULL})
    assert [each.reading for each in samples.of("i-00000001", AT)] == [FULL]


def test_old_ones_are_forgotten(samples: FileSamples):
    for count in range(5):
        samples.add(minutes(count), {"i-00000001": POOR})
    samples.forget_before(minutes(3))
    assert [each.at for each in samples.of("i-00000001", AT)] == [minutes(3), minutes(4)]


def test_another_process_reads_what_was_added(samples: FileSamples, tmp_path: Path):
    samples.add(AT, {"i-00000001": FULL})
    other = FileSamples(tmp_path)
    assert len(other.of("i-00000001", AT)) == 1
    other.close()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_any_thread_may_use_it(samples: FileSamples):
    threads = [
        threading.Thread(target=samples.add, args=(minutes(n), {f"i-{n:08d}": POOR}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(samples.latest(AT)) == 8


@pytest.mark.parametrize(
    "content", [b"this is no database" * 100, b"SQLite format 3\0" + b"x" * 4096]
)
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes):
    (tmp_path / FILE).write_bytes(content)
    samples = FileSamples(tmp_path)
    assert samples.latest(AT) == {}
    samples.add(AT, {"i-00000001": FULL})
    assert len(samples.latest(AT)) == 1
    samples.close()


def test_samples_of_another_version_are_dropped(samples: FileSamples, tmp_path: Path):
    samples.add(AT, {"i-00000001": FULL})
    samples.close()
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert samples.latest(AT) == {}


def test_a_file_that_is_damaged_meanwhile_is_told_once_and_then_begun_anew(
    samples: FileSamples, tmp_path: Path
):
    many = {f"i-{n:08d}": replace(FULL, cpu_s=float(n)) for n in range(2000)}
    samples.add(AT, many)
    samples.close()
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreBroken):
        samples.latest(AT)
    assert samples.latest(AT) == {}


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path):
    (tmp_path / FILE).mkdir()
    samples = FileSamples(tmp_path)
    with pytest.raises(StoreBroken):
        samples.add(AT, {"i-00000001": FULL})
