"""Members that may be said only where they say what is so anyway.

EC2's clients send many members with the value that changes nothing (`EbsOptimized=false`). Such a
value is accepted; any other asks for something that this cloud has not, and is refused.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from econe.actions.filters import text_of
from econe.domain.faults import Noun, Unsupported

So: TypeAlias = Mapping[str, Collection[Any]]
"""Dotted member path -> the values that are so."""


def insist(asked: Mapping[str, Any], so: So) -> None:
    """Raises Unsupported for other values. The registry does it for what a handler declares; it is
    for parameters that do not come as a request's own (those of a launch template)."""
    for path, values in so.items():
        for given in _at(asked, path.split(".")):
            if given not in values:
                allowed = " or ".join(f"'{text_of(value)}'" for value in values)
                raise Unsupported(
                    Noun.PARAMETER,
                    path,
                    f"The value '{text_of(given)}' of {path} is not supported by this cloud; "
                    f"it may be {allowed}.",
                )


def _at(value: Any, path: list[str]) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        return [found for item in value for found in _at(item, path)]
    if not path:
        return [value]
    return _at(value.get(path[0]), path[1:])
