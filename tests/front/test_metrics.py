"""/metrics: its text, and who may read it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.front.test_asgi import sent
from tests.support.cloud import simulator
from tests.support.desk import Desk, cloud, helen, store
from tests.support.memory_vault import MemoryVault

from econe.app import build
from econe.domain.health import Check, Outcome
from econe.domain.samples import Reading
from econe.front.metrics import MetricsPage
from econe.store.samples import FileSamples

__all__ = ["cloud", "helen", "store"]

READING = Reading(1.25, 10, 20, 1, 2, 30, 40, 3, 4)
LINE = re.compile(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\} (\S+)')


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[FileSamples]:
    made = FileSamples(tmp_path)
    yield made
    made.close()


@pytest.fixture
def page(helen: Desk, samples: FileSamples) -> MetricsPage:
    return MetricsPage(
        helen.store, samples, lambda: helen.now, sampled_within=timedelta(minutes=10)
    )


def read(page: MetricsPage) -> dict[str, list[tuple[dict[str, str], float]]]:
    """As a reader of the format does it: every line is a comment or a figure."""
    figures: dict[str, list[tuple[dict[str, str], float]]] = {}
    text = page.text().decode()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) econe_[a-z_]+ .+", line)
            continue
        found = LINE.fullmatch(line)
        assert found, line
        labels = dict(re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', found[2]))
        figures.setdefault(found[1], []).append((labels, float(found[3])))
    return figures


def test_instances_are_counted_by_state(helen: Desk, page: MetricsPage):
    helen.running(2)
    helen.launch()
    counts = {labels["state"]: value for labels, value in read(page)["econe_instances"]}
    assert (counts["running"], counts["pending"], counts["terminated"]) == (2, 1, 0)


def test_what_was_last_read_is_shown(helen: Desk, page: MetricsPage, samples: FileSamples):
    (id_,) = helen.running()
    samples.add(helen.now - timedelta(minutes=1), {id_: Reading(0.0, 0, 0, 0, 0)})
    samples.add(helen.now, {id_: READING})
    figures = read(page)
    labels = {"instance": id_, "account": helen.account.number, "type": "m1.small"}
    assert figures["econe_instance_cpu_seconds_total"] == [(labels, 1.25)]
    assert figures["econe_instance_disk_written_bytes_total"] == [(labels, 20)]
    assert figures["econe_instance_network_receive_bytes_total"] == [(labels, 30)]
    assert figures["econe_instance_network_transmit_packets_total"] == [(labels, 4)]
    assert figures["econe_instance_vcpus"] == [(labels, 1)]
    assert figures["econe_instance_memory_bytes"] == [(labels, 1740 << 20)]
    (moment,) = figures["econe_instance_sample_timestamp_seconds"]
    assert moment == (labels, helen.now.timestamp())


def test_what_is_not_counted_is_not_shown(helen: Desk, page: MetricsPage, samples: FileSamples):
    (id_,) = helen.running()
    samples.add(helen.now, {id_: replace(READING, network_in_bytes=None)})
    assert "econe_instance_network_receive_bytes_total" not in read(page)


def test_status_checks_are_shown_once_something_is_known(
    helen: Desk, page: MetricsPage, samples: FileSamples
):
    (id_,) = helen.running()
    samples.add(helen.now, {id_: READING})
    assert "econe_instance_check" not in read(page)
    helen.examined([id_], guest=Outcome(Check.FAILED, helen.now))
    checks = {labels["check"]: value for labels, value in read(page)["econe_instance_check"]}
    assert checks == {"system": 1, "instance": 0}


def test_what_does_not_run_or_was_not_read_for_long_is_not_shown(
    helen: Desk, page: MetricsPage, samples: FileSamples
):
    (stopped,), (silent,) = helen.running(), helen.running()
    samples.add(helen.now, {stopped: READING})
    samples.add(helen.now - timedelta(minutes=11), {silent: READING})
    helen("StopInstances", InstanceIds=[stopped])
    assert set(read(page)) == {"econe_instances"}


@pytest.mark.parametrize(
    ("mode", "client", "headers", "status"),
    [
        ("off", ("127.0.0.1", 1), {}, 404),
        ("loopback", ("127.0.0.1", 1), {}, 200),
        ("loopback", ("::1", 1), {}, 200),
        ("loopback", ("10.0.0.9", 1), {}, 404),
        ("loopback", None, {}, 404),
        ("loopback", ("127.0.0.1", 1), {"x-forwarded-for": "10.0.0.9"}, 404),
        ("loopback", ("127.0.0.1", 1), {"Forwarded": "for=10.0.0.9"}, 404),
        ("open", ("10.0.0.9", 1), {}, 200),
    ],
)
def test_who_may_read_it(
    tmp_path: Path, mode: str, client: Any, headers: dict[str, str], status: int
):
    settings = simulator(tmp_path / "state")
    settings = replace(settings, server=replace(settings.server, metrics=mode))
    app = build(settings, vault=MemoryVault())
    try:
        seen_from = _From(app.asgi, client)
        asked = {"method": "GET", "path": "/metrics", "headers": {"host": "h", **headers}}
        answer = sent(seen_from, **asked)
        assert answer.status == status
        if status == 200:
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert b'econe_instances{state="running"} 0\n' in answer.body
            assert sent(seen_from, **{**asked, "method": "POST"}).status == 405
    finally:
        app.close()


class _From:
    """The application, for a caller at that address."""

    def __init__(self, app: Any, client: Any) -> None:
        self._app, self._client = app, client

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "client": self._client}, receive, send)


def test_samples_that_cannot_be_read_are_told_as_that(tmp_path: Path):
    settings = simulator(tmp_path / "state")
    settings = replace(settings, server=replace(settings.server, metrics="open"))
    app = build(settings, vault=MemoryVault())
    (tmp_path / "state" / "metrics.db").mkdir()
    try:
        assert sent(app.asgi, method="GET", path="/metrics").status == 503
    finally:
        app.close()


def test_figures_are_not_cut(helen: Desk, page: MetricsPage, samples: FileSamples):
    (id_,) = helen.running()
    helen.now = datetime(2026, 11, 23, 16, 0, 1, 500000, tzinfo=UTC)
    samples.add(helen.now, {id_: replace(READING, disk_read_bytes=2**53)})
    figures = read(page)
    assert figures["econe_instance_disk_read_bytes_total"][0][1] == 2**53
    assert figures["econe_instance_sample_timestamp_seconds"][0][1] == helen.now.timestamp()
