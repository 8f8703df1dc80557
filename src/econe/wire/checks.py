"""What the model says of a request beyond its form: required members, ranges, lengths, enums.

Names in messages are those that the caller would write: `BlockDeviceMapping.1.Ebs.VolumeSize`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, Final

from botocore.model import OperationModel, Shape

from econe.wire.query import wire_name
from econe.wire.refusal import Refusal, shown

# Enumerations that are not the model's to say: which types there are is the cloud's own, and of the
# account attributes in the API reference the model knows two.
_OPEN_ENUMS: Final = frozenset({"AccountAttributeName", "InstanceType"})
# Names for which EC2 has an error code of its own: their noun's rule is the one that refuses.
_OPEN_NAMES: Final = frozenset({"LaunchTemplateName"})
_MOST_LISTED: Final = 12


def check(asked: Mapping[str, Any], operation: OperationModel) -> None:
    """Raises Refusal: MissingParameter or InvalidParameterValue; the first thing that is wrong."""
    if operation.input_shape is not None:
        _check_structure(asked, operation.input_shape, "")


def _check(value: Any, shape: Shape, path: str) -> None:
    if shape.type_name == "structure":
        _check_structure(value, shape, path)
    elif shape.type_name == "list":
        _check_size(len(value), shape, path, "items", value=None)
        member = shape.member
        for number, item in enumerate(value, 1):
            _check(item, member, f"{path}.{number}")
    else:
        _check_scalar(value, shape, path)


def _check_structure(value: Mapping[str, Any], shape: Shape, path: str) -> None:
    members = shape.members
    for name in shape.required_members:
        if name not in value or value[name] == []:
            missing = _join(path, wire_name(members[name], name))
            raise Refusal("MissingParameter", f"The request must contain the parameter {missing}")
    for name, item in value.items():
        member = members[name]
        _check(item, member, _join(path, wire_name(member, name)))


def _check_scalar(value: Any, shape: Shape, path: str) -> None:
    rules = shape.metadata
    if not rules or shape.name in _OPEN_NAMES:
        return
    text = None if "sensitive" in rules or shape.type_name == "blob" else str(value)
    if isinstance(value, str | bytes):
        _check_size(len(value), shape, path, "characters", value=text)
    elif isinstance(value, int | float):
        _check_size(value, shape, path, "", value=text)
    if not isinstance(value, str):
        return
    allowed = rules.get("enum", ())
    if allowed and value not in allowed and shape.name not in _OPEN_ENUMS:
        raise _invalid(path, text, f"Must be {_one_of(allowed)}.")
    if "pattern" in rules and not _pattern(rules["pattern"]).fullmatch(value):
        raise _invalid(path, text, f"Must match {rules['pattern']}.")


def _check_size(size: float, shape: Shape, path: str, unit: str, *, value: str | None) -> None:
    """The model's `min` and `max` are of a number, of a text's length or of a list's."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    what = f" {unit}" if unit else ""
    if least is not None and size < least:
        raise _invalid(path, value, f"Must be at least {least}{what}.")
    if most is not None and size > most:
        raise _invalid(path, value, f"Must be at most {most}{what}.")


def _invalid(path: str, value: str | None, must: str) -> Refusal:
    given = "" if value is None else f" ({shown(value)})"
    return Refusal("InvalidParameterValue", f"Value{given} for parameter {path} is invalid. {must}")


def _one_of(allowed: Collection[str]) -> str:
    if len(allowed) > _MOST_LISTED:
        return "one of the values that the API reference lists"
    return "one of " + ", ".join(allowed) if len(allowed) > 1 else next(iter(allowed))


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# --- what a handler does not take ----------------------------------------------------------


def refuse_unsupported(
    asked: Mapping[str, Any], operation: OperationModel, takes: Collection[str]
) -> None:
    """Refuse what the model allows and the handler does not support.

    `takes` are dotted paths of member names (`BlockDeviceMappings.Ebs.VolumeSize`; items of lists
    have no part of their own); a path covers all below it, and DryRun is always taken. Raises
    Refusal (UnsupportedOperation) that names the first such parameter.
    """
    for said, path in _leaves(asked, operation.input_shape, "", "", takes):
        if path != "DryRun":
            raise Refusal(
                "UnsupportedOperation", f"The parameter {said} is not supported by this cloud."
            )


def _leaves(
    value: Any, shape: Shape | None, said: str, path: str, takes: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The values that no path covers: as the caller names each, and its path."""
    if path in takes:
        return
    if isinstance(value, Mapping) and shape is not None:
        for name, item in value.items():
            member = shape.members[name]
            yield from _leaves(
                item, member, _join(said, wire_name(member, name)), _join(path, name), takes
            )
    elif isinstance(value, list) and shape is not None:
        for number, item in enumerate(value, 1):
            yield from _leaves(item, shape.member, f"{said}.{number}", path, takes)
    else:
        yield said, path
