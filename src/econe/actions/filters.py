"""`Filter.N`: which rows a Describe shows.

Each noun has one table of every filter that the API reference lists for it. A filter is either
pushed down (the name of a field of the noun's dataclass, which the store compares), or a dotted
path into the noun's view, compared here. What is the same of all that is here is compared before
any row is read: NOTHING stands for what no resource of this cloud has (a Spot request, say), so
that such a filter truthfully matches nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from econe.domain.faults import Invalid, LimitExceeded, Noun
from econe.domain.ids import in_full
from econe.domain.queries import Criterion

MOST_FILTERS: Final = 50
MOST_VALUES: Final = 200
"""Of one filter (EC2 User Guide, "Filter your resources")."""
NOTHING: Final = ""
"""The path to what nothing here has."""
NO: Final = "=false"
"""The path to what is false of all that is here. `=` begins a text instead of a path."""


@dataclass(frozen=True, slots=True)
class Table:
    """A noun's filters: name -> field of the dataclass, name -> path into the view."""

    pushed: Mapping[str, str]
    shown: Mapping[str, str]
    tagged: bool = True
    coded: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    """Name -> field of the dataclass, and what is shown -> the pattern of what is kept: for what is
    shown as a number and kept as a word, or is the same of all rows that have something."""
    narrowed: Mapping[str, tuple[str, Callable[[str], str]]] = field(default_factory=dict)
    """Of `shown`: name -> field of the dataclass, and what it must be in rows whose view shows this
    text (empty: none does), so that the store can find those that are worth looking at."""

    def names(self) -> set[str]:
        return {*self.pushed, *self.shown, *self.coded}


@dataclass(frozen=True, slots=True)
class Sieve:
    """A request's filters, sorted out."""

    criteria: tuple[Criterion, ...] = ()
    """For the store."""
    paths: tuple[Criterion, ...] = ()
    """For keeps(); `field` is a path into the view."""
    never: bool = False
    """No row can pass."""

    @property
    def is_here(self) -> bool:
        """Whether there is more to it than the store can do."""
        return bool(self.paths) or self.never

    def keeps(self, view: Mapping[str, Any]) -> bool:
        return not self.never and all(
            any(matches(path.patterns, text) for text in texts_at(view, path.field))
            for path in self.paths
        )


def read_filters(asked: Mapping[str, Any], table: Table) -> Sieve:
    """The sieve of `asked["Filters"]`. Raises Invalid for a filter that the noun has not."""
    criteria: list[Criterion] = []
    paths: list[Criterion] = []
    never = False
    filters = asked.get("Filters") or ()
    if len(filters) > MOST_FILTERS:
        raise LimitExceeded(Noun.FILTER, said=f"The maximum number of filters is {MOST_FILTERS}.")
    for given in filters:
        name, values = _read_filter(given)
        if table.tagged and _is_of_tags(name):
            criteria.append(Criterion(name, values))
        elif name in table.pushed:
            criteria.append(Criterion(table.pushed[name], values))
        elif name in table.coded:
            kept_in, said = table.coded[name]
            kept = tuple(value for code, value in said.items() if matches(values, code))
            criteria.append(Criterion(kept_in, kept))
            never |= not kept
        elif name not in table.shown:
            raise Invalid(Noun.PARAMETER, name, f"The filter '{name}' is invalid")
        elif _is_of_all(table.shown[name]):
            never |= not any(matches(values, text) for text in texts_at({}, table.shown[name]))
        else:
            paths.append(Criterion(table.shown[name], values))
            criteria += _narrow(values, *table.narrowed[name]) if name in table.narrowed else ()
    return Sieve(tuple(criteria), tuple(paths), never)


def _read_filter(given: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    name, values = given.get("Name") or "", tuple(given.get("Values") or ())
    if not values:
        raise Invalid(Noun.PARAMETER, name, f"The filter '{name}' has no values")
    if len(values) > MOST_VALUES:
        raise LimitExceeded(
            Noun.FILTER,
            name,
            f"The maximum number of values of a filter is {MOST_VALUES}: '{name}'.",
        )
    if name.endswith("-id") and not _is_of_tags(name):
        values = tuple(in_full(value) for value in values)
    return name, values


def _narrow(
    values: Sequence[str], kept_in: str, kept_as: Callable[[str], str]
) -> tuple[Criterion, ...]:
    """Nothing for patterns, and for the empty text, which views show of rows that have nothing."""
    if any(not value or set(value) & _SIGNS for value in values):
        return ()
    return (Criterion(kept_in, tuple(filter(None, map(kept_as, values)))),)


def _is_of_all(path: str) -> bool:
    """Whether it leads to the same in every view."""
    return path == NOTHING or path.startswith("=")


def _is_of_tags(name: str) -> bool:
    return name in ("tag-key", "tag-value") or (name.startswith("tag:") and len(name) > 4)


def texts_at(view: Any, path: str) -> Iterator[str]:
    """What stands at the path, as EC2 writes it; several where lists are passed."""
    if path == NOTHING:
        return
    if path.startswith("="):
        yield path[1:]
        return
    head, _, rest = path.partition(".")
    value = view.get(head)
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        if rest:
            yield from texts_at(item, rest)
        else:
            yield text_of(item)


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return moment_text(value)
    return str(value)


def moment_text(moment: datetime) -> str:
    """`2026-11-23T16:00:00.000Z`: to the second, as answers have it (wire/xml.py)."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + ".000Z"


LONGEST_PATTERN: Final = 10_000
"""Longer ones match nothing, as in the store: no text here is that long."""


def matches(patterns: Sequence[str], text: str) -> bool:
    """Whether any of the patterns matches the whole text."""
    return any(
        _matches(_read_pattern(pattern), text)
        for pattern in patterns
        if len(pattern) <= LONGEST_PATTERN
    )


_SIGNS: Final = frozenset("*?\\")
_ANY, _ONE = object(), object()


@lru_cache(maxsize=256)  # of 80 kB each at most
def _read_pattern(pattern: str) -> tuple[object, ...]:
    """Characters, and marks for `*` and `?`; a backslash takes the next character literally."""
    made: list[object] = []
    literal = False
    for sign in pattern:
        if literal or sign not in "*?\\":
            made.append(sign)
            literal = False
        elif sign == "\\":
            literal = True
        elif sign == "?":
            made.append(_ONE)
        elif not made or made[-1] is not _ANY:
            made.append(_ANY)
    if literal:
        made.append("\\")
    return tuple(made)


def _matches(pattern: Sequence[object], text: str) -> bool:
    """The two-pointer match: time at most len(pattern) * len(text), whatever the pattern."""
    at = seen = 0
    star = resume = -1
    while seen < len(text):
        if at < len(pattern) and (pattern[at] is _ONE or pattern[at] == text[seen]):
            at, seen = at + 1, seen + 1
        elif at < len(pattern) and pattern[at] is _ANY:
            star, resume = at, seen
            at += 1
        elif star >= 0:
            resume += 1
            at, seen = star + 1, resume
        else:
            return False
    return all(mark is _ANY for mark in pattern[at:])
