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
    Text,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.util import ClauseAdapter

from econe.domain.queries import Criterion, Query
from econe.store import tables
from econe.store.mapping import Mapper
from econe.store.statements import DIALECT, Statement

Row = TypeVar("Row")

_Match = Callable[[ColumnElement[Any]], ColumnElement[bool]]
_TAG: Final = "tag:"


class Part(Protocol):
    """Rows that belong to other rows, by which those can be searched (`interfaces.mac`)."""

    def owners(self, field: str, match: _Match) -> Select[Any] | CompoundSelect[Any]:
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


class Leave:
    """Who may run an image beside its owner: `all`, or a grantee of its shares."""

    def owners(self, field: str, match: _Match) -> CompoundSelect[Any]:
        if field:
            raise ValueError(f"leave to run has no field {field!r} to search by")
        images, shares = tables.images.c, tables.image_shares.c
        public = select(images.id).where(
            images.public == literal_column("1"), match(literal_column("'all'", Text))
        )
        return public.union_all(select(shares.image_id).where(match(shares.grantee)))


@dataclass(frozen=True, slots=True, eq=False)
class Noun(Generic[Row]):
    """A kind of row: where it lies, what it is called in tags, what it can be searched by."""

    mapper: Mapper[Row]
    resource_type: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    """The column that becomes Key.group."""
    leads: frozenset[str] = frozenset()
    """Fields that an index leads from: better than going through all rows of the account."""

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
class Shape:
    """What of a query decides the statement's text."""

    account: bool
    viewer: bool
    ids: bool
    after: bool
    limit: bool
    criteria: tuple["Asked", ...]
    of_others: tuple["Asked", ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a criterion decides the statement's text."""

    name: str
    """Its parameters begin with this."""
    field: str
    """`tag:` for a tag by key; which key is a parameter."""
    exact: int
    """How many patterns are plain texts; 2 stands for more."""
    wild: bool
    """Whether others are."""

    def matches(self, value: ColumnElement[Any]) -> ColumnElement[bool]:
        ways: list[ColumnElement[bool]] = []
        if self.exact == 1:
            ways.append(value == bindparam(f"{self.name}_exact"))
        elif self.exact:
            ways.append(DIALECT.one_of(value, f"{self.name}_exact"))
        if self.wild:
            ways.append(DIALECT.like_any(value, f"{self.name}_wild"))
        return or_(*ways)

    @property
    def is_of_tags(self) -> bool:
        return self.field in (_TAG, "tag-key", "tag-value")

    @property
    def names_a_tag(self) -> bool:
        """Whether the index on tags leads to what it is asked for."""
        return self.field in (_TAG, "tag-key") and not self.wild

    @property
    def is_of_one_tag(self) -> bool:
        """The index then even gives the rows in the order of their ids."""
        return self.field == _TAG and self.exact == 1 and not self.wild


def read_query(query: Query) -> tuple[Shape, dict[str, Any]]:
    """The query's shape and the parameters of its statement."""
    given: dict[str, Any] = {"account": query.account, "viewer": query.viewer, "after": query.after}
    if query.viewer is not None:
        given["grantees"] = DIALECT.many((query.viewer, *query.viewer_groups))
    if query.ids is not None:
        given["ids"] = DIALECT.many(query.ids)
    if query.limit is not None:
        given["limit"] = query.limit + 1
    criteria = []
    for number, criterion in enumerate(query.criteria):
        criteria.append(_read_criterion(criterion, f"c{number}", given))
    of_others = [
        _read_criterion(criterion, f"o{number}", given)
        for number, criterion in enumerate(query.of_others)
    ]
    shape = Shape(
        query.account is not None,
        query.viewer is not None,
        query.ids is not None,
        query.after is not None,
        query.limit is not None,
        tuple(criteria),
        tuple(of_others),
    )
    return shape, given


def _read_criterion(criterion: Criterion, name: str, given: dict[str, Any]) -> Asked:
    exact: list[str] = []
    wild: list[str] = []
    for pattern in criterion.patterns:
        plain = _literal(pattern)
        if plain is None:
            wild.append(pattern)
        else:
            exact.append(plain)
    field = criterion.field
    if field.startswith(_TAG):
        given[f"{name}_key"] = field[len(_TAG) :]
        field = _TAG
    if wild:
        given[f"{name}_wild"] = DIALECT.patterns(wild)
    if len(exact) == 1:
        given[f"{name}_exact"] = exact[0]
    elif exact or not wild:
        given[f"{name}_exact"] = DIALECT.many(exact)
        return Asked(name, field, 2, bool(wild))
    return Asked(name, field, len(exact), bool(wild))


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


@lru_cache(maxsize=1024)
def listing(noun: Noun[Any], shape: Shape) -> Statement:
    """SELECT id, version, group of what fits, in the order of ids."""
    owned = "viewer" if shape.viewer else "account" if shape.account else ""
    fits: Select[Any] | CompoundSelect[Any] = _arm(noun, shape, owned)
    if shape.viewer:
        public = noun.table.c.public == literal_column("1")
        others = and_(
            noun.table.c.account != bindparam("viewer"),
            *(_condition(noun, asked, None, "") for asked in shape.of_others),
        )
        shares = tables.image_shares.c
        shared = select(shares.image_id).where(DIALECT.one_of(shares.grantee, "grantees"))
        # Arms that each follow an index and are merged; an OR would look at every row.
        fits = union_all(
            fits,
            _arm(noun, shape, "").where(public, others),
            _arm(noun, shape, "").where(~public, others, noun.table.c.id.in_(shared)),
        )
    fits = fits.order_by(literal_column("id"))
    return Statement(fits.limit(bindparam("limit")) if shape.limit else fits)


def _arm(noun: Noun[Any], shape: Shape, owned: str) -> Select[Any]:
    """The rows of the one account whose number is the parameter `owned`, or all if it is empty.

    One condition leads to the rows, by an index; the others test what it led to. Ids lead best,
    then the first tag or field that an index knows, else the account.
    """
    table = noun.table
    lead = None if shape.ids else _lead(noun, shape, owned)
    by_tag = lead is not None and lead.is_of_one_tag
    row_id: Column[Any] = tables.tags.c.resource_id if by_tag else table.c.id
    made = select(row_id.label("id"), table.c.version, _group(noun))
    if by_tag:
        made = made.select_from(tables.tags.join(table, table.c.id == row_id))
    for name in {"account" if shape.account else "", owned} - {""}:
        owner = table.c.account if lead is None else DIALECT.unled(table.c.account)
        made = made.where(owner == bindparam(name))
    if shape.ids:
        made = made.where(DIALECT.one_of(table.c.id, "ids"))
    if shape.after:
        made = made.where(row_id > bindparam("after"))
    return made.where(*(_condition(noun, asked, lead, owned) for asked in shape.criteria))


def _group(noun: Noun[Any]) -> ColumnElement[Any]:
    return noun.table.c[noun.group] if noun.group else literal_column("''")


def _lead(noun: Noun[Any], shape: Shape, owned: str) -> Asked | None:
    for asked in shape.criteria:
        if asked.names_a_tag and owned:
            return asked
        if asked.field in noun.leads and not asked.wild:
            return asked
    return None


def _condition(
    noun: Noun[Any], asked: Asked, lead: Asked | None, owned: str
) -> ColumnElement[bool]:
    tags = tables.tags
    if not asked.is_of_tags:
        return noun.matching(asked.field, asked.matches)
    if asked.field == _TAG:
        tagged = and_(tags.c.key == bindparam(f"{asked.name}_key"), asked.matches(tags.c.value))
    else:
        tagged = asked.matches(tags.c.key if asked.field == "tag-key" else tags.c.value)
    if asked is not lead:
        theirs = tags.alias(f"{asked.name}_tags")
        moved = ClauseAdapter(theirs).traverse(tagged)
        return exists(select(theirs.c.key).where(theirs.c.resource_id == noun.table.c.id, moved))
    led = and_(
        tags.c.account == bindparam(owned),
        tags.c.resource_type == literal_column(f"'{noun.resource_type}'"),
        tagged,
    )
    if asked.is_of_one_tag:
        return led
    return noun.table.c.id.in_(select(tags.c.resource_id).where(led))
