"""Tags, and the kinds of thing that bear them."""

from dataclasses import dataclass

RESERVED = "aws:"
MOST = 50
LONGEST_KEY = 128
LONGEST_VALUE = 256


@dataclass(frozen=True, slots=True)
class Tag:
    resource_id: str
    resource_type: str
    """EC2's word: instance, image, key-pair, volume, network-interface, vpc, subnet,
    security-group."""
    key: str
    value: str
