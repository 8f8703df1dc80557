from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.engines import STANDS, Stand


@pytest.fixture(params=STANDS)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    stand = request.param(tmp_path)
    yield stand
    stand.end()
