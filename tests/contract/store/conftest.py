"""The stores that the contract suite is held against. A new one is done when it has a stand here
and the suite passes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.store import made

from econe.domain.ports import Store
from econe.store import open_store

Stand = Callable[[Path], Store]
"""Opens the store whose state is in the directory, and makes it where there is none."""


def sqlite_file(state: Path) -> Store:
    return open_store(state)


@pytest.fixture(scope="session", params=[sqlite_file], ids=lambda stand: stand.__name__)
def stand(request: pytest.FixtureRequest) -> Stand:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def opening(stand: Stand, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store each time it is called, as one process after another would."""
    opened: list[Store] = []

    def open_again() -> Store:
        opened.append(stand(tmp_path / "state"))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(opening: Callable[[], Store]) -> Store:
    """With two accounts and a default network in it."""
    store = opening()
    with store.writing() as tx:
        made.found(tx)
    return store
