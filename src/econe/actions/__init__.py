"""What the API can do: one module per noun. Importing this package registers every action."""

from econe.actions import (
    images,
    instances,
    keypairs,
    launching,
    places,
    tags,
    types,
)

__all__ = ["images", "instances", "keypairs", "launching", "places", "tags", "types"]
