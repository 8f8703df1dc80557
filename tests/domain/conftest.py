from tests.support.desk import cloud, helen, paris, store

__all__ = ["cloud", "helen", "paris", "store"]
