"""Tags, and the kinds of thing that bear them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

RESERVED = "aws:"
"""What keys of the cloud's own tags begin with; users neither set nor remove such, and they do not
count towards MOST (User Guide, "Tag restrictions")."""
MOST = 50
LONGEST_KEY = 128
LONGEST_VALUE = 256

TELLABLE: Final = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}")
"""Keys that the metadata service can tell, where each is a name in a path (User Guide, "View tags
for your EC2 instances using instance metadata")."""
_OF_PATHS: Final = (".", "..", "_index")


@dataclass(frozen=True, slots=True)
class Tag:
    resource_id: str
    resource_type: str
    """EC2's word: instance, image, key-pair, launch-template, volume, network-interface, vpc,
    subnet, security-group."""
    key: str
    value: str


def is_reserved(key: str) -> bool:
    return key.lower().startswith(RESERVED)


def of_users(tags: Mapping[str, str]) -> dict[str, str]:
    """Those that are not the cloud's own."""
    return {key: value for key, value in tags.items() if not is_reserved(key)}


def is_tellable(key: str) -> bool:
    return TELLABLE.fullmatch(key) is not None and key not in _OF_PATHS
