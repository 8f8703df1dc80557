"""Ids: a prefix and at least eight decimal digits from a counter that never goes back.

`ami-00000001`, `i-00000015`. The short form that OpenNebula 3.0 printed (`i-15`, `ami-1`) is
read wherever an id is; what we write is always the long form. Ids of Amazon's 17-hex form are
well-formed and name nothing here, so they are looked for and not found.
"""

import re
from typing import Final

from econe.domain.faults import Malformed, Noun

PREFIXES: Final = {
    "ami": Noun.IMAGE,
    "eipalloc": Noun.ALLOCATION,
    "i": Noun.INSTANCE,
    "key": Noun.KEY_PAIR,
    "lt": Noun.LAUNCH_TEMPLATE,
    "eni": Noun.NETWORK_INTERFACE,
    "sg": Noun.SECURITY_GROUP,
    "snap": Noun.SNAPSHOT,
    "subnet": Noun.SUBNET,
    "vol": Noun.VOLUME,
    "vpc": Noun.VPC,
}
"""Prefix -> what it names. Reservations (`r`) and `eni-attach` are never asked for."""

_PREFIX_OF: Final = {noun: prefix for prefix, noun in PREFIXES.items()}
_WRITTEN: Final = {*PREFIXES, "r", "eni-attach"}
_DECIMAL: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]{8}|[0-9a-f]{17}", re.ASCII)


def write_id(prefix: str, number: int) -> str:
    return f"{prefix}-{number:08d}"


def read_id(noun: Noun, text: str) -> str:
    """The canonical form of `text`, an id of `noun`. Raises Malformed."""
    prefix = _PREFIX_OF[noun]
    head, dash, tail = text.rpartition("-")
    if dash and head == prefix:
        if _DECIMAL.fullmatch(tail) and len(tail) != 17:
            return write_id(prefix, int(tail))
        if _HEX.fullmatch(tail):
            return text
    raise Malformed(noun, text)


def in_full(text: str) -> str:
    """The long form of what may be one of our ids; any other text as it is."""
    head, dash, tail = text.rpartition("-")
    if dash and head in _WRITTEN and _DECIMAL.fullmatch(tail):
        return write_id(head, int(tail))
    return text


def noun_of(text: str) -> Noun | None:
    """What the id names by its prefix, or None."""
    head, _, _ = text.rpartition("-")
    return PREFIXES.get(head)
