from hypothesis import settings
from tests.support.desk import cloud, helen, paris, store

__all__ = ["cloud", "helen", "paris", "store"]

# The machine is shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
