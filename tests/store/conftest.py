from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.store import made

from econe.store import open_store
from econe.store.sqlite import DatabaseStore


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> Iterator[DatabaseStore]:
    """With two accounts and a default network in it."""
    store = open_store(state)
    with store.writing() as tx:
        made.found(tx)
    yield store
    store.close()
