"""Inputs and outputs made from the model's shapes, for the laws over all operations."""

from datetime import UTC, datetime
from typing import Any

import pytest

_SCALARS: dict[str, Any] = {
    "boolean": True,
    "integer": 7,
    "long": 7_000_000_000,
    "float": 1.5,
    "double": 2.25,
    "timestamp": datetime(2026, 11, 23, 16, 0, 0, tzinfo=UTC),
    "blob": b"\x00\xffblob",
}


def _string(shape: Any) -> str:
    rules = shape.metadata
    if rules.get("enum"):
        return str(rules["enum"][-1])
    text = f"{shape.name} <&+ é 漢>"
    return text * (rules.get("min", 0) // len(text) + 1)


def make(shape: Any) -> Any:
    """A value for every member; lists have two items."""
    if shape is None:
        return {}
    if shape.type_name == "structure":
        return {name: make(member) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return [make(shape.member), make(shape.member)]
    return _string(shape) if shape.type_name == "string" else _SCALARS[shape.type_name]


@pytest.fixture(scope="session")
def sample_for() -> Any:
    return make
