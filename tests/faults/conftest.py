from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.site import Site

MakeSite = Callable[[], Site]


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Sites of their own, as many as are asked for."""
    made: list[Site] = []

    def make() -> Site:
        site = Site(tmp_path / f"site-{len(made)}")
        made.append(site)
        return site

    yield make
    for site in made:
        site.store.close()
