"""From a Query to a statement.

Queries of the same shape (which conditions, not which values) share one compiled statement, so
lists travel as one parameter and tag keys are parameters too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Generic, Protocol, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    union_all,
)

from econe.domain.queries import Criterion, Query
from econe.store import tables
from econe.store.mapping import Mapper
from econe.store.statements import DIALECT, Statement

Row = TypeVar("Row")

_Match = Callable[[ColumnElement[Any]], ColumnElement[bool]]
_TAG: Final = "tag:"


class Part(Protocol):
    """Rows that belong to other rows, by which those can be searched (`interfaces.mac`)."""

    def owners(self, field: str, match: _Match) -> Select[Any]:
        """The ids of the rows they belong to, where `field` matches."""


@dataclass(frozen=True, slots=True)
class TablePart:
    """A part that is a table of text columns."""

    table: Table
    owner: str

    def owners(self, field: str, match: _Match) -> Select[Any]:
        if field not in self.table.c or field == self.owner:
            raise ValueError(f"{self.table.name} has no field {field!r} to search by")
        return select(self.table.c[self.owner]).where(match(self.table.c[field]))


@dataclass(frozen=True, slots=True)
class NounPart:
    """A part that is a noun of its own."""

    noun: "Noun[Any]"
    owner: str

    def owners(self, field: str, match: _Match) -> Select[Any]:
        owner: Column[Any] = self.noun.table.c[self.owner]
        return select(owner).where(self.noun.matching(field, match))


@dataclass(frozen=True, slots=True, eq=False)
class Noun(Generic[Row]):
    """A kind of row: where it lies, what it is called in tags, what it can be searched by."""

    mapper: Mapper[Row]
    resource_type: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    """The column that becomes Key.group."""

    @property
    def table(self) -> Table:
        return self.mapper.table

    def matching(self, field: str, match: _Match) -> ColumnElement[bool]:
        field = self.aliases.get(field, field)
        head, _, rest = field.partition(".")
        if head in self.parts:
            return self.table.c.id.in_(self.parts[head].owners(rest, match))
        return match(self.mapper.text(field))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a query decides the statement's text."""

    account: bool
    viewer: bool
    ids: bool
    after: bool
    limit: bool
    criteria: tuple[tuple[str, bool, bool], ...]
    """(field, whether exact values are among its patterns, whether others are)."""


def read(query: Query) -> tuple[_Shape, dict[str, Any]]:
    """The query's shape and the parameters of its statement."""
    given: dict[str, Any] = {"account": query.account, "viewer": query.viewer, "after": query.after}
    if query.ids is not None:
        given["ids"] = DIALECT.many(query.ids)
    if query.limit is not None:
        given["limit"] = query.limit + 1
    criteria = []
    for number, criterion in enumerate(query.criteria):
        criteria.append(_read_criterion(criterion, f"c{number}", given))
    shape = _Shape(
        query.account is not None,
        query.viewer is not None,
        query.ids is not None,
        query.after is not None,
        query.limit is not None,
        tuple(criteria),
    )
    return shape, given


def _read_criterion(
    criterion: Criterion, name: str, given: dict[str, Any]
) -> tuple[str, bool, bool]:
    exact = [plain for pattern in criterion.patterns if (plain := _literal(pattern)) is not None]
    wild = [pattern for pattern in criterion.patterns if _literal(pattern) is None]
    asked = criterion.field
    if asked.startswith(_TAG):
        given[f"{name}_key"] = asked[len(_TAG) :]
        asked = _TAG
    if exact or not wild:
        given[f"{name}_exact"] = DIALECT.many(exact)
    if wild:
        given[f"{name}_wild"] = DIALECT.patterns(wild)
    return asked, bool(exact or not wild), bool(wild)


def _literal(pattern: str) -> str | None:
    """The one text that the pattern matches, or None if it has wildcards."""
    if "\\" not in pattern:
        return None if "*" in pattern or "?" in pattern else pattern
    made: list[str] = []
    signs = iter(pattern)
    for sign in signs:
        if sign in "*?":
            return None
        made.append(next(signs, "\\") if sign == "\\" else sign)
    return "".join(made)


def match(name: str, exact: bool, wild: bool) -> _Match:
    """The test of one criterion's patterns, as a function of what is tested."""

    def test(value: ColumnElement[Any]) -> ColumnElement[bool]:
        ways = []
        if exact:
            ways.append(DIALECT.one_of(value, f"{name}_exact"))
        if wild:
            ways.append(DIALECT.like_any(value, f"{name}_wild"))
        return or_(*ways)

    return test


@lru_cache(maxsize=1024)
def listing(noun: Noun[Any], shape: _Shape) -> Statement:
    """SELECT id, version, group of what fits, in the order of ids."""
    columns: list[ColumnElement[Any]] = [noun.table.c.id, noun.table.c.version]
    if noun.group:
        columns.append(noun.table.c[noun.group])
    owned = "account" if shape.account else "viewer" if shape.viewer else ""
    fits: Select[Any] | CompoundSelect[Any] = _arm(noun, shape, columns, owned)
    if shape.viewer:
        public = noun.table.c.public == literal_column("1")
        others = noun.table.c.account != bindparam("viewer")
        # Two arms that each follow an index and are merged; an OR would look at every row.
        fits = union_all(fits, _arm(noun, shape, columns, "").where(public, others))
    fits = fits.order_by(noun.table.c.id)
    return Statement(fits.limit(bindparam("limit")) if shape.limit else fits)


def _arm(
    noun: Noun[Any], shape: _Shape, columns: list[ColumnElement[Any]], owned: str
) -> Select[Any]:
    table = noun.table
    made = select(*columns)
    if owned:
        made = made.where(table.c.account == bindparam(owned))
    if shape.account and shape.viewer:
        made = made.where(table.c.account == bindparam("account"))
    if shape.ids:
        made = made.where(DIALECT.one_of(table.c.id, "ids"))
    if shape.after:
        made = made.where(table.c.id > bindparam("after"))
    led = shape.ids or not owned  # whether something leads to the rows, other than a tag
    for number, (asked, exact, wild) in enumerate(shape.criteria):
        name = f"c{number}"
        test = match(name, exact, wild)
        if asked == _TAG or asked in ("tag-key", "tag-value"):
            tagged = _tagged(asked, name, test)
            if led or asked == "tag-value" or wild:
                made = made.where(_bears(noun, tagged))
            else:
                led = True
                made = made.where(table.c.id.in_(_bearers(noun, tagged, owned)))
        else:
            made = made.where(noun.matching(asked, test))
    return made


def _tagged(asked: str, name: str, test: _Match) -> ColumnElement[bool]:
    if asked == _TAG:
        return and_(tables.tags.c.key == bindparam(f"{name}_key"), test(tables.tags.c.value))
    return test(tables.tags.c.key if asked == "tag-key" else tables.tags.c.value)


def _bears(noun: Noun[Any], tagged: ColumnElement[bool]) -> ColumnElement[bool]:
    """Looks up the tags of a row that something else led to."""
    tags = tables.tags
    return exists(select(tags.c.key).where(tags.c.resource_id == noun.table.c.id, tagged))


def _bearers(noun: Noun[Any], tagged: ColumnElement[bool], owned: str) -> Select[Any]:
    """Leads from the tag to its rows, by the index on values."""
    tags = tables.tags
    return select(tags.c.resource_id).where(
        tags.c.account == bindparam(owned),
        tags.c.resource_type == literal_column(f"'{noun.resource_type}'"),
        tagged,
    )
