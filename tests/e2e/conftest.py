"""What the tests of this directory share: one disk a session, one server a module."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server import LIVE, ROOT, Account, Server, serving
from tests.support.guests import Guest, write_disk

MakeServer = Callable[..., Server]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """With a failure go the logs of the servers that were in use, and what their guests said."""
    report = yield
    if report.failed:
        for server in LIVE:
            report.sections.append((f"log of the server at {server.url}", server.log[-8000:]))
            for id_, said in server.consoles().items():
                report.sections.append((f"console of {id_}", said[-4000:]))
    return report


@pytest.fixture(scope="session")
def tiny_image() -> Path:
    """The 40 MB disk that boots in seconds, built of what is in the tree now."""
    return build_tiny("tiny")


@pytest.fixture(scope="session")
def tiny_uefi_image() -> Path:
    """The same, and it boots by UEFI, too."""
    return build_tiny("tiny-uefi", "--uefi")


def build_tiny(name: str, *options: str) -> Path:
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    image = cache / f"{name}-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}.img"
    with (cache / "tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build = [sys.executable, str(ROOT / "tools/tiny_image/build.py"), str(image), *options]
        subprocess.run(build, check=True, capture_output=True)
        return image.replace(cache / f"{name}.img")


@pytest.fixture(scope="session")
def debian_image() -> Path:
    """A stock Debian with cloud-init. Kept for the next time, as making it takes a minute."""
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    image = cache / "debian.img"
    with (cache / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build = [sys.executable, str(ROOT / "tools/debian_image/build.py"), str(image)]
        done = subprocess.run(build, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return image


@pytest.fixture(scope="session")
def sector_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of one sector, which boots in a tenth of a second and obeys ACPI."""
    disk = tmp_path_factory.mktemp("sector") / "sector.img"
    write_disk(disk, Guest.OBEDIENT)
    return disk


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """For the state of servers: short, as paths of sockets are, and readable by guests' users."""
    with tempfile.TemporaryDirectory(prefix="econe-e2e-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Servers of one test's own."""
    with ExitStack() as running:

        def make(**settings: Any) -> Server:
            """Keyword arguments are settings, with two underlines for the dot."""
            place = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="econe-e2e-")))
            said = {name.replace("__", "."): value for name, value in settings.items()}
            return running.enter_context(serving(place, settings=said))

        yield make


@pytest.fixture(scope="module")
def server(directory: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """One for the module, which may have SETTINGS and NETWORKS."""
    settings = getattr(request.module, "SETTINGS", {})
    networks = getattr(request.module, "NETWORKS", 1)
    with serving(directory, networks=networks, settings=settings) as started:
        yield started


@pytest.fixture(scope="module")
def helen(server: Server) -> Account:
    return server.account("helen")


@pytest.fixture(scope="module")
def tiny(helen: Account, tiny_image: Path) -> str:
    """The tiny image, registered."""
    return helen.image(tiny_image)


@pytest.fixture(scope="module")
def key(helen: Account) -> Path:
    return helen.key_pair()
