"""The loop in its own thread. Time is real here; limits are wide, since machines are shared."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.eventually import eventually
from tests.support.site import Site

from econe.domain.engine_ports import EngineBusy
from econe.domain.instances import InstanceState as S
from econe.domain.ports import StoreBusy
from econe.engines.simulator.world import utc_now
from econe.settings import Work

PATIENCE_S = 10.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, Work(watch_every_s=0.05, retry_first_s=0.05))
    site.clock = utc_now  # type: ignore[assignment]
    site.world.clock = utc_now
    site.restart()
    yield site
    site.loop.stop()
    site.store.close()


def wait_for(site: Site, id_: str, state: S) -> None:
    eventually(lambda: site.state(id_) is state, within_s=PATIENCE_S)


def test_an_instance_lives_and_dies_by_pokes_alone(tmp_path: Path):
    """No period is short enough to have helped."""
    site = Site(tmp_path, Work(watch_every_s=60.0))
    site.clock = utc_now  # type: ignore[assignment]
    site.restart()
    site.loop.start()
    try:
        (id_,) = site.launch()
        site.loop.poke()
        wait_for(site, id_, S.RUNNING)
        site.world.power_off_from_inside(id_)
        wait_for(site, id_, S.STOPPED)
        site.start(id_)
        site.loop.poke()
        wait_for(site, id_, S.RUNNING)
        site.terminate(id_)
        site.loop.poke()
        wait_for(site, id_, S.TERMINATED)
    finally:
        site.loop.stop()
        site.store.close()


def test_a_launch_reaches_the_engine_at_once(site: Site):
    """The best of a few: what is in the way is ours, what is beside it is not."""
    site.loop.start()
    started: list[float] = []

    def note(method: str, when: str) -> None:
        if (method, when) == ("machines.start", "before"):
            started.append(time.monotonic())

    site.world.script.boundaries.append(note)
    delays = []
    for _ in range(5):
        (id_,) = site.launch()
        asked_at = time.monotonic()
        site.loop.poke()
        wait_for(site, id_, S.RUNNING)
        delays.append(started[-1] - asked_at)
    assert min(delays) < 0.05


def test_a_slow_machine_does_not_hold_the_others(site: Site):
    gate = threading.Event()
    first = threading.Lock()

    def hold_the_first(method: str, when: str) -> None:
        if (method, when) == ("machines.start", "before") and first.acquire(blocking=False):
            assert gate.wait(PATIENCE_S)

    site.world.script.boundaries.append(hold_the_first)
    site.loop.start()
    ids = site.launch(6)
    site.loop.poke()
    try:
        eventually(
            lambda: sum(site.state(i) is S.RUNNING for i in ids) == len(ids) - 1,
            within_s=PATIENCE_S,
        )
    finally:
        gate.set()
    for id_ in ids:
        wait_for(site, id_, S.RUNNING)
    assert site.world.made == len(ids)


def test_many_at_once_all_run_and_all_end(site: Site):
    site.loop.start()
    ids = site.launch(40)
    site.loop.poke()
    for id_ in ids:
        wait_for(site, id_, S.RUNNING)
    assert {machine.boots for machine in site.world.machines.values()} == {1}
    site.terminate(*ids)
    site.loop.poke()
    for id_ in ids:
        wait_for(site, id_, S.TERMINATED)
    assert (site.world.machines, site.world.disks) == ({}, {})


def test_it_is_known_whether_the_engine_answers(site: Site):
    assert site.loop.sees is None
    site.world.script.fail("machines.look", 1000, with_=EngineBusy("away"))
    site.loop.start()
    eventually(lambda: site.loop.sees is False, within_s=PATIENCE_S)
    assert not site.loop.goes_on
    site.world.script.clear()
    site.loop.poke()
    eventually(lambda: site.loop.sees is True, within_s=PATIENCE_S)


@pytest.mark.parametrize("surprise", [EngineBusy("away"), RuntimeError("oh"), StoreBusy("locked")])
def test_no_failing_look_ends_the_thread(site: Site, surprise: Exception):
    site.world.script.fail("machines.look", 3, with_=surprise)
    site.loop.start()
    (id_,) = site.launch()
    site.loop.poke()
    wait_for(site, id_, S.RUNNING)
    assert site.loop.goes_on


def test_stopping_waits_for_the_job_under_way_and_machines_go_on(site: Site):
    begun, gate = threading.Event(), threading.Event()

    def hold(method: str, when: str) -> None:
        if (method, when) == ("machines.start", "before"):
            begun.set()
            assert gate.wait(PATIENCE_S)

    site.world.script.boundaries.append(hold)
    site.loop.start()
    (id_,) = site.launch()
    site.loop.poke()
    assert begun.wait(PATIENCE_S)
    stopper = threading.Thread(target=site.loop.stop)
    stopper.start()
    stopper.join(0.1)
    assert stopper.is_alive()
    gate.set()
    stopper.join(PATIENCE_S)
    assert not stopper.is_alive()
    assert site.state(id_) is S.RUNNING
    assert site.world.machines[id_].boots == 1
