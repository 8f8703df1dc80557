"""What the API can do: one module per noun. Importing this package registers every action."""

from econe.actions import (
    attachments,
    attributes,
    image_attributes,
    images,
    instances,
    keypairs,
    launching,
    networks,
    places,
    screenshots,
    tags,
    types,
)

__all__ = [
    "attachments",
    "attributes",
    "image_attributes",
    "images",
    "instances",
    "keypairs",
    "launching",
    "networks",
    "places",
    "screenshots",
    "tags",
    "types",
]
