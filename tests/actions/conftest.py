from dataclasses import replace

import pytest
from hypothesis import settings
from tests.support.desk import Desk, cloud, helen, paris, store

__all__ = ["cloud", "helen", "paris", "store"]

# The machine is shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


@pytest.fixture
def meter(helen: Desk) -> Desk:
    """Over an engine that measures what machines use."""
    return helen.on(replace(helen.cloud.can, meters=True))
