"""Tags: rules, and what may bear them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from econe.domain.faults import Invalid, LimitExceeded, Malformed, Noun, Unavailable, all_missing
from econe.domain.ids import noun_of, read_id
from econe.domain.images import ImageState
from econe.domain.ports import Rows, Transaction
from econe.domain.tags import (
    LONGEST_KEY,
    LONGEST_VALUE,
    MOST,
    RESERVED,
    is_reserved,
    is_tellable,
    of_users,
)

TAGGABLE = frozenset(
    {
        Noun.IMAGE,
        Noun.INSTANCE,
        Noun.KEY_PAIR,
        Noun.LAUNCH_TEMPLATE,
        Noun.NETWORK_INTERFACE,
        Noun.SECURITY_GROUP,
        Noun.SUBNET,
        Noun.VOLUME,
        Noun.VPC,
    }
)
"""A noun's value is EC2's word for the resource type."""


def check_tags(tags: Mapping[str, str]) -> None:
    """EC2's limits on keys and values (User Guide, "Tag restrictions")."""
    for key, value in tags.items():
        check_key(key)
        if not key:
            raise Invalid(Noun.TAG, key, "Tag key cannot be null or empty.")
        if len(value) > LONGEST_VALUE:
            raise Invalid(
                Noun.TAG, key, f"Tag value exceeds the maximum length of {LONGEST_VALUE} characters"
            )
    if len(tags) > MOST:
        raise LimitExceeded(Noun.TAG, said=f"You have reached the maximum of {MOST} tags.")


def usable_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those that could have been put here, of tags that come from elsewhere."""
    fit = {
        key: value
        for key, value in tags.items()
        if 0 < len(key) <= LONGEST_KEY
        and len(value) <= LONGEST_VALUE
        and not key.lower().startswith(RESERVED)
    }
    return dict(list(fit.items())[:MOST])


def check_key(key: str) -> None:
    if is_reserved(key):
        raise Invalid(
            Noun.TAG,
            key,
            f"Value ( {key} ) for parameter key is invalid. Tag keys starting with '{RESERVED}' "
            "are reserved for internal use",
        )
    if len(key) > LONGEST_KEY:
        raise Invalid(
            Noun.TAG, key, f"Tag key exceeds the maximum length of {LONGEST_KEY} characters"
        )


def check_tellable(keys: Iterable[str]) -> None:
    """Of an instance whose guest may read its tags (User Guide, "View tags for your EC2 instances
    using instance metadata": else the launch, or the change, fails)."""
    for key in keys:
        if not is_tellable(key):
            raise Invalid(
                Noun.TAG,
                key,
                f"'{key}' is not a valid tag key. Tag keys must match pattern "
                r"([0-9a-zA-Z\\-_+=,.@:]{1,255}), "
                "and must not be a reserved name ('.', '..', '_index')",
            )


def put_tags(tx: Transaction, account: str, asked: Sequence[str], tags: Mapping[str, str]) -> None:
    """The same tags on each resource, or on none where one of them cannot bear them."""
    check_tags(tags)
    targets = _owned(tx, account, asked)
    for noun, rows in targets.items():
        for row in rows:
            if noun is Noun.INSTANCE and row.metadata_options.tells_tags:
                check_tellable(tags)
            if len(of_users(row.tags).keys() | tags.keys()) > MOST:
                raise LimitExceeded(
                    Noun.TAG, row.id, f"The resource '{row.id}' would have more than {MOST} tags."
                )
    for noun, rows in targets.items():
        for row in rows:
            tx.tags.put(account, row.id, noun.value, tags)


def drop_tags(
    tx: Transaction,
    account: str,
    asked: Sequence[str],
    tags: Sequence[tuple[str, str | None]] | None,
) -> None:
    """Those of the keys; with a value only where it is the tag's; None drops all that are the
    users' (API reference, DeleteTags: "We do not delete Amazon Web Services-generated tags")."""
    for key, _ in tags or ():
        check_key(key)
    for rows in _owned(tx, account, asked).values():
        for row in rows:
            for key, value in _of_users(row) if tags is None else tags:
                tx.tags.drop(row.id, key, value)


def drop_all_tags(tx: Transaction, row_id: str) -> None:
    """Of a thing that users see no more, and whose row stays."""
    for key in tx.tags.of(row_id):
        tx.tags.drop(row_id, key)


def _of_users(row: Any) -> list[tuple[str, str | None]]:
    return [(key, None) for key in of_users(row.tags)]


def _owned(tx: Transaction, account: str, asked: Sequence[str]) -> dict[Noun, list[Any]]:
    """The account's resources of these ids, each once, by their kind. Raises Malformed, NotFound,
    and Unavailable for an image that was deregistered."""
    ids: dict[Noun, dict[str, None]] = {}
    for text in asked:
        noun = noun_of(text)
        if noun is None:
            raise Malformed(Noun.RESOURCE, text, f"The ID '{text}' is not valid")
        ids.setdefault(noun, {})[read_id(noun, text)] = None
    return {noun: _owned_of(tx, account, noun, list(theirs)) for noun, theirs in ids.items()}


def _owned_of(tx: Transaction, account: str, noun: Noun, ids: Sequence[str]) -> list[Any]:
    found = _rows(tx)[noun].many(ids) if noun in TAGGABLE else []
    owned = [row for row in found if row.account == account]
    known = {row.id for row in owned}
    if missing := [row_id for row_id in ids if row_id not in known]:
        raise all_missing(noun, missing)
    for row in owned:
        if noun is Noun.IMAGE and row.state is ImageState.DEREGISTERED:
            raise Unavailable(noun, row.id, f"The image id '[{row.id}]' is no longer available")
    return owned


def _rows(tx: Transaction) -> Mapping[Noun, Rows[Any]]:
    return {
        Noun.IMAGE: tx.images,
        Noun.INSTANCE: tx.instances,
        Noun.KEY_PAIR: tx.key_pairs,
        Noun.LAUNCH_TEMPLATE: tx.launch_templates,
        Noun.NETWORK_INTERFACE: tx.interfaces,
        Noun.SECURITY_GROUP: tx.security_groups,
        Noun.SUBNET: tx.subnets,
        Noun.VOLUME: tx.volumes,
        Noun.VPC: tx.vpcs,
    }
