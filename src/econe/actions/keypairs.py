"""Key pairs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from econe.actions import views
from econe.actions.context import Context
from econe.actions.filters import Table, read_filters
from econe.actions.listing import check_ids, gather, read_ids
from econe.actions.pages import PageAsked
from econe.actions.registry import action
from econe.actions.tagspecs import read_specifications
from econe.domain.faults import Missing, Noun, all_missing
from econe.domain.keypairs import KeyPair
from econe.domain.ports import KnownKey
from econe.domain.queries import Criterion, Query, literally

KEY_FILTERS: Final = Table(
    pushed={"fingerprint": "fingerprint", "key-name": "name", "key-pair-id": "id"},
    shown={},
)


def _prepare(ctx: Context, asked: dict[str, Any]) -> Callable[[], KnownKey]:
    return ctx.cloud.key_pairs.prepare(ctx.tx, ctx.account.number, **_order(asked))


@action(
    "CreateKeyPair",
    writes=True,
    takes="KeyName KeyType KeyFormat TagSpecifications",
    prepares=_prepare,
)
def create_key_pair(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    row, private = ctx.cloud.key_pairs.create(
        ctx.tx, ctx.account.number, **_order(asked), now=ctx.now, made=ctx.prepared
    )
    return {**_named(row), "KeyMaterial": private.reveal()}


def _order(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": asked["KeyName"],
        "key_type": asked.get("KeyType", "rsa"),
        "key_format": asked.get("KeyFormat", "pem"),
        "tags": read_specifications(asked, ["key-pair"]).get("key-pair", {}),
    }


@action("ImportKeyPair", writes=True, takes="KeyName PublicKeyMaterial TagSpecifications")
def import_key_pair(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    tags = read_specifications(asked, ["key-pair"])
    row = ctx.cloud.key_pairs.take(
        ctx.tx,
        ctx.account.number,
        name=asked["KeyName"],
        material=asked["PublicKeyMaterial"],
        tags=tags.get("key-pair", {}),
        now=ctx.now,
    )
    return _named(row)


@action("DeleteKeyPair", writes=True, takes="KeyName KeyPairId")
def delete_key_pair(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """One that does not exist is deleted successfully, as in EC2."""
    name, key_id = asked.get("KeyName"), asked.get("KeyPairId")
    if not name and not key_id:
        raise Missing(Noun.PARAMETER, "KeyName")
    deleted = ctx.cloud.key_pairs.delete(ctx.tx, ctx.account.number, name, key_id)
    return {"Return": True} | ({"KeyPairId": deleted.id} if deleted else {})


@action("DescribeKeyPairs", takes="KeyNames KeyPairIds IncludePublicKey Filters")
def describe_key_pairs(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    sieve = read_filters(asked, KEY_FILTERS)
    rows = ctx.tx.key_pairs
    query = Query(
        account=ctx.account.number,
        ids=read_ids(Noun.KEY_PAIR, asked.get("KeyPairIds")),
    )
    if query.ids is not None:
        check_ids(rows, query, Noun.KEY_PAIR)
    criteria = sieve.criteria
    if names := asked.get("KeyNames"):
        by_name = Criterion("name", tuple(literally(name) for name in names))
        known = {row.name for row in rows.find(replace(query, criteria=(by_name,))).items}
        if missing := [name for name in names if name not in known]:
            raise all_missing(Noun.KEY_PAIR, missing)
        criteria = (*criteria, by_name)

    def show(row: KeyPair) -> dict[str, Any]:
        return views.key_pair(row, with_public_key=bool(asked.get("IncludePublicKey")))

    everything = PageAsked("DescribeKeyPairs", after=None, limit=None)
    query = replace(query, criteria=criteria)
    kept, _ = gather(ctx, rows, query, sieve=sieve, page=everything, show=show)
    return {"KeyPairs": kept}


def _named(row: KeyPair) -> dict[str, Any]:
    return {
        "KeyName": row.name,
        "KeyFingerprint": row.fingerprint,
        "KeyPairId": row.id,
        "Tags": views.tags(row.tags),
    }
