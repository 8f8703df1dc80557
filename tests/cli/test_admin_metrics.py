"""`econe-admin metrics`: what an instance used, read beside a server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.test_admin import Operator, run
from tests.contract.store import made

from econe.domain.samples import Reading
from econe.store import open_store
from econe.store.samples import FileSamples

__all__ = ["run"]

ID = "i-00000001"
NOW = datetime.now(UTC)
READING = Reading(0.0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture
def state(run: Operator) -> Path:
    """With one instance of two virtual processors."""
    store = open_store(run.state)
    with store.writing() as tx:
        made.found(tx)
        tx.instances.add(replace(made.instance(ID), vcpus=2))
    store.close()
    return run.state


def sample(state: Path, minutes_ago: int, **counters: float | None) -> None:
    samples = FileSamples(state)
    reading = replace(READING, **counters)  # type: ignore[arg-type]
    samples.add(NOW - timedelta(minutes=minutes_ago), {ID: reading})
    samples.close()


def test_what_was_used_is_a_table(run: Operator, state: Path):
    sample(state, 3)
    sample(state, 2, cpu_s=60.0, disk_read_bytes=60 * 2048)
    sample(state, 1, cpu_s=60.0, disk_read_bytes=60 * 2048, network_in_bytes=None)
    head, first, second = run("metrics", "i-1").splitlines()
    assert head.split()[:4] == ["UNTIL", "SECONDS", "CPU", "%"]
    assert first.split()[1:] == ["60", "50.0", "2.0", "0.0", "0.0", "0.0"]
    assert second.split()[1:] == ["60", "0.0", "0.0", "0.0", "-", "0.0"]


def test_programs_read_the_counters(run: Operator, state: Path):
    sample(state, 1, cpu_s=1.5, network_out_bytes=7)
    told = run.json("metrics", ID)
    assert (told["instance"], told["monitoring"], told["vcpus"]) == (ID, "disabled", 2)
    (one,) = told["samples"]
    assert (one["cpu_s"], one["network_out_bytes"], one["disk_reads"]) == (1.5, 7, 0)


def test_one_sample_tells_nothing_yet(run: Operator, state: Path):
    assert "not two samples of i-00000001 yet" in run("metrics", ID)
    sample(state, 1)
    assert "not two samples" in run("metrics", ID)


def test_what_is_no_instance_is_said(run: Operator, state: Path):
    assert "no instance i-9" in run("metrics", "i-9", status=1)
    assert "no instance x" in run("metrics", "x", status=1)
    run("metrics", status=2)
