"""The methods of the API; importing this registers them all."""

from tests.support.oned.calls import (
    images,
    machine_devices,
    machine_pool,
    machines,
    networks,
    others,
    templates,
    users,
)

__all__ = [
    "images",
    "machine_devices",
    "machine_pool",
    "machines",
    "networks",
    "others",
    "templates",
    "users",
]
