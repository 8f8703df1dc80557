"""What a listing asks of the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Criterion:
    """A field and the patterns of which any may match.

    `field` is a name of the noun's dataclass whose value is a string, number, bool or moment
    (compared as EC2 writes it: `true`, `2026-11-23T16:00:00.000Z`), dotted where it is nested
    (`state_reason.code`), or `tag:<key>`, `tag-key`, `tag-value`. Instances also have
    `private_ip`, `interfaces.<field>` and `volumes.<field>`, interfaces `groups.id` and
    `groups.name`, images `executable_by` (`all` for public ones, else as in Image.shares); any of
    several may match. In patterns `*` is any run, `?` any one character and
    a backslash takes the next one literally; comparing is case-sensitive (EC2 User Guide,
    "Filter your resources").
    """

    field: str
    patterns: tuple[str, ...]


def literally(text: str) -> str:
    """The pattern that matches `text` and nothing else."""
    return "".join("\\" + char if char in "*?\\" else char for char in text)


@dataclass(frozen=True, slots=True)
class Query:
    """All conditions must hold. Answers come in the order of ids."""

    account: str | None = None
    """Rows of this account only."""
    viewer: str | None = None
    """For images: rows of this account, public ones, and those shared with it."""
    viewer_groups: tuple[str, ...] = ()
    """What else in Image.shares means the viewer: `group:<id>` for each of its groups."""
    of_others: tuple[Criterion, ...] = ()
    """With `viewer`: what rows of other accounts must fulfil besides."""
    ids: tuple[str, ...] | None = None
    criteria: tuple[Criterion, ...] = ()
    after: str | None = None
    """Only ids greater than this: where the page before ended."""
    limit: int | None = None


class Key(NamedTuple):
    """An id and the version of its row: together they name what a view of it shows.

    A tuple, because listings make, hash and compare these by the hundred.
    """

    id: str
    version: int
    group: str = ""
    """For instances the reservation id."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    more: bool
    """Whether rows follow the last item."""
