"""What the API can do: one module per noun. Importing this package registers every action."""

from econe.actions import (
    attachments,
    images,
    instances,
    keypairs,
    launching,
    networks,
    places,
    tags,
    types,
)

__all__ = [
    "attachments",
    "images",
    "instances",
    "keypairs",
    "launching",
    "networks",
    "places",
    "tags",
    "types",
]
