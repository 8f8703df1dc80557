import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.engines import QemuStand, QemuUserStand

from econe.domain.engine_ports import Engine

ROOT = Path(__file__).parents[3]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[QemuStand]:
    stand = QemuUserStand(tmp_path)
    yield stand
    stand.end()


@pytest.fixture
def engine(stand: QemuStand) -> Engine:
    return stand.open()


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk that boots a real Linux in a few seconds."""
    image = tmp_path_factory.mktemp("tiny") / "disk.raw"
    build = ROOT / "tools" / "tiny_image" / "build.py"
    subprocess.run([sys.executable, build, image], check=True, capture_output=True, timeout=300)
    return image
