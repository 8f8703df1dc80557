"""Tags of anything that bears them."""

from collections.abc import Sequence
from typing import Any, Final

from econe.actions import views
from econe.actions.context import Context
from econe.actions.filters import Table, read_filters
from econe.actions.listing import answer
from econe.actions.pages import read_page
from econe.actions.registry import action
from econe.actions.tagspecs import read_whole_tags
from econe.domain.faults import LimitExceeded, Missing, Noun
from econe.domain.queries import Criterion, Query, literally
from econe.domain.tagging import drop_tags, put_tags

MOST_AT_ONCE: Final = 1000
TAG_FILTERS: Final = Table(
    pushed={
        "key": "key",
        "resource-id": "resource_id",
        "resource-type": "resource_type",
        "value": "value",
    },
    shown={},
)


@action("CreateTags", writes=True, takes="Resources Tags")
def create_tags(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    _check_count("ResourceId", asked["Resources"])
    if not asked.get("Tags"):
        raise Missing(Noun.TAG, said="You must specify one or more tags to create")
    put_tags(ctx.tx, ctx.account.number, asked["Resources"], read_whole_tags(asked["Tags"]))
    return {}


@action("DeleteTags", writes=True, takes="Resources Tags")
def delete_tags(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """With a value the tag goes only if it has that value (an empty one counts); without Tags
    all of the resources' tags go."""
    given = asked.get("Tags")
    _check_count("ResourceId", asked["Resources"])
    _check_count("Tag", given or ())
    tags = None if given is None else [_named(tag) for tag in given]
    drop_tags(ctx.tx, ctx.account.number, asked["Resources"], tags)
    return {}


@action("DescribeTags", takes="Filters MaxResults NextToken")
def describe_tags(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    sieve = read_filters(asked, TAG_FILTERS)
    page = read_page(ctx, asked, "DescribeTags")
    found = ctx.tx.tags.find(
        Query(
            account=ctx.account.number,
            criteria=tuple(part for each in sieve.criteria for part in _of_tag(each)),
            after=page.after,
            limit=page.limit,
        )
    )
    token = None
    if found.more:
        last = found.items[-1]
        token = page.token(ctx, f"{last.resource_id}\0{last.key}")
    return answer("Tags", [views.tag(row) for row in found.items], token)


def _of_tag(given: Criterion) -> list[Criterion]:
    """`tag:Owner=TeamA` asks for the tag with that key and value (API reference, DescribeTags)."""
    if given.field.startswith("tag:"):
        key = given.field.removeprefix("tag:")
        return [Criterion("key", (literally(key),)), Criterion("value", given.patterns)]
    if given.field.startswith("tag-"):
        return [Criterion(given.field.removeprefix("tag-"), given.patterns)]
    return [given]


def _check_count(name: str, given: Sequence[Any]) -> None:
    """API reference, CreateTags and DeleteTags."""
    if len(given) > MOST_AT_ONCE:
        raise LimitExceeded(
            Noun.PARAMETER, name, f"At most {MOST_AT_ONCE} of {name} can be given in a request."
        )


def _named(tag: dict[str, Any]) -> tuple[str, str | None]:
    if tag.get("Key") is None:
        raise Missing(Noun.PARAMETER, "Tag.Key")
    return tag["Key"], tag.get("Value")
