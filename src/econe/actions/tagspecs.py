"""`TagSpecification.N` and `Tag.N`, as they are asked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from econe.domain.faults import Duplicate, Invalid, Missing, Noun


def read_whole_tags(given: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """As CreateTags takes them: the value must be said, and may be empty (API reference,
    CreateTags: "The value parameter is required")."""
    if any(tag.get("Value") is None for tag in given):
        raise Invalid(
            Noun.PARAMETER, "Tag.Value", "Tag value cannot be null. Use empty string instead."
        )
    return read_tags(given)


def read_tags(given: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """Key -> value; a tag without a value has an empty one. Raises Missing, Duplicate."""
    tags: dict[str, str] = {}
    for tag in given or ():
        key = tag.get("Key")
        if key is None:
            raise Missing(Noun.PARAMETER, "Tag.Key")
        if key in tags:
            raise Duplicate(Noun.TAG, key)
        tags[key] = tag.get("Value") or ""
    return tags


def read_specifications(
    asked: Mapping[str, Any], allowed: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Resource type -> tags. Raises Invalid for a type that the action does not create, and Missing
    for one without tags: EC2 keeps that in a launch template, and refuses a launch of it."""
    tags: dict[str, dict[str, str]] = {}
    for spec in asked.get("TagSpecifications") or ():
        kind = spec.get("ResourceType")
        if kind is None:
            raise Missing(Noun.PARAMETER, "TagSpecification.ResourceType")
        if kind not in allowed:
            raise Invalid(
                Noun.PARAMETER,
                kind,
                f"'{kind}' is not a valid taggable resource type for this operation.",
            )
        if kind in tags:
            raise Duplicate(
                Noun.PARAMETER, kind, f"The resource type '{kind}' is given more than once."
            )
        if not spec.get("Tags"):
            raise Missing(Noun.TAG, kind, "Tag specification must have at least one tag")
        tags[kind] = read_tags(spec["Tags"])
    return tags
