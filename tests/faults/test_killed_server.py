"""SIGKILL at any moment, with real machines: not between two lines as in test_power_cut, but in
the middle of what the engine does. Guests go on; the next server finishes the work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.eventually import eventually
from tests.support.guests import GREETING, Guest, write_disk
from tests.support.site import LOCATION, Site

from econe.domain.images import DiskFormat
from econe.domain.instances import InstanceState as S
from econe.engines.simulator.world import utc_now

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
MOMENTS_S = [n * 0.04 for n in range(9)]
"""How long each server lives, from when it begins to work."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.clock = utc_now  # type: ignore[assignment]
    write_disk(site.vault.path(LOCATION, DiskFormat.RAW), Guest.OBEDIENT)
    yield site
    for pid in machines_of(tmp_path):
        os.kill(pid, signal.SIGKILL)
    site.store.close()


@contextmanager
def server(directory: Path) -> Iterator[None]:
    """It works from the first line of the block, and is killed after the last."""
    command = [sys.executable, "-m", "tests.support.work_plane", str(directory)]
    log = (directory / "server.log").open("ab")
    with log, subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"working\n"
            yield
        finally:
            child.kill()


def machines_of(directory: Path) -> list[int]:
    """The QEMU processes that work in the directory."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            is_qemu = (process / "comm").read_text().startswith("qemu-system")
            if is_qemu and (process / "cwd").readlink().is_relative_to(directory):
                found.append(int(process.name))
        except OSError:
            continue  # no process, or one that has just ended
    return found


def killed_at_all_moments(directory: Path) -> None:
    for moment_s in MOMENTS_S:
        with server(directory):
            time.sleep(moment_s)


def finish(site: Site, directory: Path, id_: str, state: S) -> None:
    with server(directory):
        eventually(lambda: site.state(id_) is state, within_s=PATIENCE_S, every_s=0.1)


def test_a_launch_and_a_termination_survive_a_server_that_is_killed_all_the_time(
    site: Site, tmp_path: Path
):
    (id_,) = site.launch()
    killed_at_all_moments(tmp_path)
    finish(site, tmp_path, id_, S.RUNNING)
    (pid,) = machines_of(tmp_path)
    console = tmp_path / "state" / "instances" / id_ / "console.log"
    eventually(lambda: GREETING in console.read_bytes(), within_s=PATIENCE_S)
    killed_at_all_moments(tmp_path)
    assert machines_of(tmp_path) == [pid]  # unharmed
    assert console.read_bytes().count(GREETING) == 1

    site.terminate(id_)
    killed_at_all_moments(tmp_path)
    finish(site, tmp_path, id_, S.TERMINATED)
    assert machines_of(tmp_path) == []
    assert list((tmp_path / "state" / "volumes").iterdir()) == []


def test_stops_and_starts_survive_a_server_that_is_killed_all_the_time(site: Site, tmp_path: Path):
    (id_,) = site.launch()
    finish(site, tmp_path, id_, S.RUNNING)
    site.stop(id_)
    killed_at_all_moments(tmp_path)
    finish(site, tmp_path, id_, S.STOPPED)
    assert machines_of(tmp_path) == []
    site.start(id_)
    killed_at_all_moments(tmp_path)
    finish(site, tmp_path, id_, S.RUNNING)
    assert len(machines_of(tmp_path)) == 1
