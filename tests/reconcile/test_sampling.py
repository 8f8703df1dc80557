"""Sampling in rounds: how often, of whom, and what becomes of monitoring that was asked for."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.site import ACCOUNT, Site

from econe.domain.engine_ports import EngineBusy
from econe.domain.instances import InstanceState as S
from econe.domain.instances import Monitoring
from econe.domain.monitoring import set_monitoring
from econe.domain.ports import StoreBroken
from econe.domain.samples import Reading
from econe.engines.simulator import Simulator
from econe.store.samples import FileSamples


class SampledSite(Site):
    def __init__(self, directory: Path) -> None:
        self.samples = FileSamples(directory)
        super().__init__(directory)
        self.fleet = replace(self.fleet, can=self.engine.can)

    def parts(self, engine: Simulator) -> dict[str, Any]:
        return {"samples": self.samples}

    def monitor(self, *ids: str, on: bool = True) -> list[Monitoring]:
        with self.store.writing() as tx:
            rows = set_monitoring(tx, ACCOUNT, ids, self.engine.can, on=on)
        return [row.monitoring for row in rows]

    def taken(self, instance_id: str) -> list[float]:
        """When it was sampled, in seconds from the first time on."""
        kept = self.samples.of(instance_id, self.clock.now - timedelta(days=30))
        return [(each.at - kept[0].at).total_seconds() for each in kept]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SampledSite]:
    site = SampledSite(tmp_path)
    yield site
    site.samples.close()
    site.store.close()


def test_what_runs_is_sampled_every_five_minutes(site: SampledSite):
    (id_,) = site.running()
    site.rounds(601)
    assert site.taken(id_) == [0, 300, 600]
    assert site.row(id_).monitoring is Monitoring.DISABLED


def test_what_is_monitored_is_sampled_every_minute_from_now_on(site: SampledSite):
    (id_,) = site.running()
    site.rounds(100)
    assert site.monitor(id_) == [Monitoring.PENDING]
    assert not site.row(id_).settled
    site.loop.round()
    assert site.row(id_).monitoring is Monitoring.ENABLED
    assert site.row(id_).settled
    site.rounds(121)
    assert site.taken(id_) == [0, 100, 160, 220]


def test_what_is_monitored_no_more_goes_back_to_five_minutes(site: SampledSite):
    (id_,) = site.running()
    site.monitor(id_)
    site.settle()
    assert site.monitor(id_, on=False) == [Monitoring.DISABLING]
    site.loop.round()
    assert site.row(id_).monitoring is Monitoring.DISABLED
    before = len(site.taken(id_))
    site.rounds(299)
    assert len(site.taken(id_)) == before


def test_asking_twice_is_not_an_error(site: SampledSite):
    (id_,) = site.running()
    assert [site.monitor(id_), site.monitor(id_)] == [[Monitoring.PENDING]] * 2
    site.settle()
    assert site.monitor(id_) == [Monitoring.ENABLED]
    site.monitor(id_, on=False)
    site.settle()
    assert site.monitor(id_, on=False) == [Monitoring.DISABLED]


def test_a_launch_that_asks_for_it_is_monitored_once_it_runs(site: SampledSite):
    (id_,) = site.launch(monitored=True)
    assert site.row(id_).monitoring is Monitoring.PENDING
    site.settle()
    assert (site.state(id_), site.row(id_).monitoring) == (S.RUNNING, Monitoring.ENABLED)


def test_what_does_not_run_is_not_sampled_and_changes_at_once(site: SampledSite):
    (id_,) = site.running()
    site.stop(id_)
    site.settle()
    before = site.taken(id_)
    assert site.monitor(id_) == [Monitoring.ENABLED]
    site.rounds(400)
    assert site.taken(id_) == before
    assert site.monitor(id_, on=False) == [Monitoring.DISABLED]


def test_an_engine_that_cannot_be_asked_leaves_it_pending(site: SampledSite):
    (id_,) = site.running()
    site.settle()
    site.world.script.fail("meters.read", 5, with_=EngineBusy("away"))
    site.monitor(id_)
    site.loop.round()
    assert site.row(id_).monitoring is Monitoring.PENDING
    site.settle()
    assert site.row(id_).monitoring is Monitoring.ENABLED


def test_samples_that_cannot_be_kept_hold_nothing_else_up(
    site: SampledSite, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise StoreBroken("full")

    monkeypatch.setattr(site.samples, "add", broken)
    (id_,) = site.running()
    site.rounds(100)
    assert site.row(id_).guest_check == "passed"
    assert site.samples.latest(site.clock.now - timedelta(days=1)) == {}


def test_samples_hold_what_was_read_and_are_kept_for_a_while(site: SampledSite):
    (id_,) = site.running()
    site.world.machines[id_].used = Reading(7.0, 1, 2, 3, 4)
    site.rounds(2)
    kept = site.samples.of(id_, site.clock.now - timedelta(days=1))
    assert [each.reading for each in kept] == [Reading(7.0, 1, 2, 3, 4)]
    site.clock.pass_s(site.work.samples_kept_s + 400)
    site.rounds(2)
    assert len(site.taken(id_)) == 1


def test_nothing_is_written_to_the_rows_by_ordinary_sampling(site: SampledSite):
    (id_,) = site.running()
    site.settle()
    before = site.row(id_)
    site.rounds(900)
    assert site.row(id_) == before
