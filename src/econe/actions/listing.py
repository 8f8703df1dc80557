"""What all Describes of rows share: ids, filters, pages, views."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from econe.actions.context import Context
from econe.actions.filters import Sieve, Table, read_filters
from econe.actions.pages import PageAsked, read_page
from econe.domain.faults import Noun, all_missing
from econe.domain.ids import read_id
from econe.domain.ports import Rows, Transaction
from econe.domain.queries import Criterion, Query

Row = TypeVar("Row")
View = dict[str, Any]
Show = Callable[[Row], View]

_BATCH: Final = 250
"""Rows read at once where views have to be looked into."""

MANAGED: Final = {
    "IncludeManagedResources": "nothing here is managed by a service, so nothing is left out"
}
"""What many Describes take, and why it makes no difference."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """How one noun is described."""

    noun: Noun
    action: str
    ids: str
    """The member that carries ids."""
    rows: Callable[[Transaction], Rows[Row]]
    table: Table
    extra: tuple[Criterion, ...] = ()
    """Further conditions of one request."""
    ids_alone: bool = False
    """Whether ids and MaxResults exclude each other (API reference, "MaxResults")."""


def describe(
    ctx: Context, asked: Mapping[str, Any], listing: Listing[Row], show: Show[Row]
) -> tuple[list[View], str | None]:
    """The views of the account's rows that the request asks for, and the token of the next page."""
    sieve = read_filters(asked, listing.table)
    page = read_page(ctx, asked, listing.action, alone=(listing.ids,) if listing.ids_alone else ())
    query = Query(
        account=ctx.account.number,
        ids=read_ids(listing.noun, asked.get(listing.ids)),
    )
    if query.ids is not None:
        check_ids(listing.rows(ctx.tx), query, listing.noun)
    query = replace(query, criteria=(*sieve.criteria, *listing.extra))
    return gather(ctx, listing.rows(ctx.tx), query, sieve=sieve, page=page, show=show)


def read_ids(noun: Noun, asked: Sequence[str] | None) -> tuple[str, ...] | None:
    """Canonical, each once; None where none are asked for."""
    if not asked:
        return None
    return tuple(dict.fromkeys(read_id(noun, text) for text in asked))


def check_ids(rows: Rows[Any], query: Query, noun: Noun) -> None:
    """Raises NotFound unless each of the query's ids names a row that the query finds."""
    ids = query.ids or ()
    known = {key.id for key in rows.keys(query).items}
    if missing := [row_id for row_id in ids if row_id not in known]:
        raise all_missing(noun, missing)


def gather(
    ctx: Context,
    rows: Rows[Row],
    query: Query,
    *,
    sieve: Sieve,
    page: PageAsked,
    show: Show[Row],
) -> tuple[list[View], str | None]:
    """A page of views. Rows are read in batches until enough of them pass the sieve."""
    kept: list[View] = []
    after = page.after
    limit = page.limit
    batch = max(limit or 0, _BATCH) if sieve.paths else limit
    if sieve.never:
        return kept, None
    while True:
        found = rows.find(replace(query, after=after, limit=batch))
        for place, row in enumerate(found.items, start=1):
            after = row.id  # type: ignore[attr-defined]
            view = show(row)
            if not sieve.keeps(view):
                continue
            kept.append(view)
            if len(kept) == limit:
                more = found.more or place < len(found.items)
                return kept, page.token(ctx, after) if more else None
        if not found.more:
            return kept, None


def answer(member: str, views: Sequence[Any], token: str | None) -> View:
    """The answer of a Describe; NextToken only where there is a next page."""
    made: View = {member: views}
    if token is not None:
        made["NextToken"] = token
    return made
