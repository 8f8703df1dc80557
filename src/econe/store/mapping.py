"""Rows to dataclasses and back, derived from the dataclasses' annotations.

A field is one column of its name; a nested dataclass is one column for each of its fields
(`state_reason.code` is `state_reason_code`). Fields that have rows of their own (tags, groups,
shares, interfaces, volumes) are left to the caller.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import Column, ColumnElement, Table, case, func

from econe.domain.hidden import Hidden
from econe.store.statements import DIALECT

Row = TypeVar("Row")

ELSEWHERE: Final = frozenset({"tags", "groups", "interfaces", "volumes", "shares"})

_Convert = Callable[[Any], Any]


@lru_cache(maxsize=1024)
def write_moment(moment: datetime) -> str:
    """`2026-11-23T16:00:00.000000Z`. Raises ValueError for one without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


read_moment: Final = lru_cache(maxsize=1024)(datetime.fromisoformat)
"""Rows that were made together have the same moments."""


def _same(value: Any) -> Any:
    return value


def _or_none(convert: _Convert) -> _Convert:
    return lambda value: None if value is None else convert(value)


def _codec(kind: Any) -> tuple[_Convert, _Convert]:
    """(to the database, from the database) for one annotation. What reads is not given None."""
    if get_origin(kind) in (Union, types.UnionType):
        (inner,) = (part for part in get_args(kind) if part is not type(None))
        write, read = _codec(inner)
        return (_same if write is _same else _or_none(write)), read
    if get_origin(kind) is Hidden:
        return Hidden.reveal, Hidden
    if kind is datetime:
        return write_moment, read_moment
    if kind is bool:
        return int, bool
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return str, {member.value: member for member in kind}.__getitem__
    if kind in (str, int, bytes):
        return _same, _same
    raise TypeError(f"no column holds a {kind}")


class Mapper(Generic[Row]):
    """How one dataclass lies in one table."""

    def __init__(self, cls: type[Row], table: Table) -> None:
        self.cls, self.table = cls, table
        self.kinds: dict[str, Any] = {}
        """Field (dotted if nested) -> annotation, for criteria."""
        self._writers: list[tuple[str, Callable[[Any], Any]]] = []
        self._plain: list[tuple[str, int]] = []
        """(field, place among the columns) of what is one column."""
        self._readers: list[tuple[str, _Convert]] = []
        self._nested: list[tuple[str, Callable[..., Any], slice]] = []
        hints = get_type_hints(cls)
        for name in (field.name for field in fields(cls) if field.name not in ELSEWHERE):  # type: ignore[arg-type]
            kind = hints[name]
            if is_dataclass(kind) and get_origin(kind) is None and kind is not Hidden:
                self._nest(name, kind)
            else:
                write, read = _codec(kind)
                self.kinds[name] = kind
                self._plain.append((name, len(self._writers)))
                self._writers.append((name, _get(name, write)))
                if read is not _same:
                    self._readers.append((name, read))
        self._names = [name for name, _ in self._plain]
        self._pick = itemgetter(*(place for _, place in self._plain))
        self.columns: list[Column[Any]] = [table.c[name] for name, _ in self._writers]

    def _nest(self, name: str, kind: Any) -> None:
        inner = [(field.name, get_type_hints(kind)[field.name]) for field in fields(kind)]
        at = len(self._writers)
        for part, part_kind in inner:
            if part_kind not in (str, int):
                raise TypeError(f"{name}.{part}: no column holds a nested {part_kind}")
            self.kinds[f"{name}.{part}"] = part_kind
            self._writers.append((f"{name}_{part}", _get_nested(name, part)))
        many_say_the_same = lru_cache(maxsize=1024)(kind)
        self._nested.append((name, many_say_the_same, slice(at, at + len(inner))))

    def values(self, row: Row) -> dict[str, Any]:
        """Column -> value."""
        return {column: get(row) for column, get in self._writers}

    def row(self, values: Sequence[Any], elsewhere: Mapping[str, Any]) -> Row:
        """`values` in the order of `columns`; `elsewhere` are the fields that lie elsewhere."""
        made = dict(zip(self._names, self._pick(values), strict=True))
        for name, read in self._readers:
            value = made[name]
            if value is not None:
                made[name] = read(value)
        for name, make, places in self._nested:
            made[name] = make(*values[places])
        return self.cls(**made, **elsewhere)

    def text(self, field: str) -> ColumnElement[Any]:
        """The field as EC2 writes it, for criteria. Raises ValueError if it has none."""
        kind = self.kinds.get(field)
        if kind is None:
            raise ValueError(f"{self.cls.__name__} has no field {field!r} to search by")
        column = self.table.c[field.replace(".", "_")]
        held = set(get_args(kind)) or {kind}
        if bool in held:
            return case((column == 1, "true"), else_="false")
        if datetime in held:
            return func.substr(column, 1, 19) + ".000Z"  # to the second, as EC2 writes times
        if bytes in held or get_origin(kind) is Hidden or any(get_args(part) for part in held):
            raise ValueError(f"{self.cls.__name__}.{field} cannot be searched by")
        return DIALECT.as_text(column)


def _get(name: str, write: _Convert) -> _Convert:
    if write is _same:
        return lambda row: getattr(row, name)
    return lambda row: write(getattr(row, name))


def _get_nested(name: str, part: str) -> _Convert:
    return lambda row: getattr(getattr(row, name), part)
