"""Real boto3 against the real app on a loopback port, with the simulator as its engine.

One server serves all tests of a worker; each test has an account of its own in it, which sees
nothing of the others. A test that needs a server of its own makes it with support.cloud.serving.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import Cloud, make_caller, serving, simulator


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    state: Path = tmp_path_factory.mktemp("cloud")
    with serving(simulator(state)) as app_and_url:
        yield app_and_url


@pytest.fixture
def cloud(_server: Any) -> Cloud:
    """A running cloud, as a fresh account of it."""
    app, url = _server
    return Cloud(app, url, make_caller(app))


@pytest.fixture
def ec2(cloud: Cloud) -> Iterator[Any]:
    """boto3's EC2 client, as that account."""
    client = cloud.client()
    yield client
    client.close()
