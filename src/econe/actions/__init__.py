"""What the API can do: one module per noun. Importing this package registers every action."""

from econe.actions import (
    addresses,
    attachments,
    attributes,
    image_attributes,
    images,
    instances,
    keypairs,
    launch_templates,
    launching,
    monitoring,
    networks,
    places,
    screenshots,
    tags,
    template_versions,
    types,
)

__all__ = [
    "addresses",
    "attachments",
    "attributes",
    "image_attributes",
    "images",
    "instances",
    "keypairs",
    "launch_templates",
    "launching",
    "monitoring",
    "networks",
    "places",
    "screenshots",
    "tags",
    "template_versions",
    "types",
]
