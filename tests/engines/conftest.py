"""The tiny image, for tests that need a guest with an operating system."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory):
    """ECONE_TINY_IMAGE names one that is built; else it is built out of Debian's packages."""
    given = os.environ.get("ECONE_TINY_IMAGE")
    if given:
        return Path(given)
    built = tmp_path_factory.mktemp("tiny") / "disk.img"
    builder = ROOT / "tools/tiny_image/build.py"
    subprocess.run([sys.executable, str(builder), str(built)], check=True, capture_output=True)
    return built
