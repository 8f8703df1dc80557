"""One stand-in and one server a module; where the log of the server goes with a failure."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.story.cluster import Cluster, stand_in
from tests.story.server import Server, User
from tests.support.guests import Guest, write_disk

LIVE: list[Server] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        for server in LIVE:
            report.sections.append((f"log of the server at {server.url}", server.log[-8000:]))
    return report


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="econe-story-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Cluster]:
    upload_dir = place / "upload"
    upload_dir.mkdir()
    with stand_in(upload_dir) as cluster:
        yield cluster


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    LIVE.append(server)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        LIVE.remove(server)


@pytest.fixture(scope="module")
def server(place: Path, cluster: Cluster) -> Iterator[Server]:
    with serving(Server(place, cluster)) as server:
        yield server


def hashed(password: str, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, password.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def helen(server: Server) -> Iterator[User]:
    """With the pair that her ONE_AUTH stands for."""
    user = server.user("helen")
    user.keys = ("helen", hashed(server.cluster.passwords["helen"]))
    yield user
    user.close()


@pytest.fixture(scope="module")
def disk(place: Path) -> Path:
    path = place / "disk.img"
    write_disk(path, Guest.OBEDIENT)
    return path


@pytest.fixture(scope="module")
def image(helen: User, disk: Path) -> str:
    """Uploaded, registered, and ready in oned."""
    image_id = helen.said("econe-upload", str(disk)).split()[-1]
    helen.said("econe-register", image_id)
    helen.until("econe-describe-images", expect=f"{image_id} +available")
    return image_id
