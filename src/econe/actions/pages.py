"""MaxResults and NextToken.

A token is opaque to callers: the id after which the next page begins, and a proof that this
server wrote it for this account, this action and what it was asked besides (the filters, say): the
rest of a list is of that list alone. It stays good for as long as the server's key does, and
whatever is deleted meanwhile: the next page begins after the id, not at it.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from econe.actions.context import Context
from econe.domain.faults import Conflict, Invalid, Noun

_PROOF_BYTES: Final = 16
_OF_A_PAGE: Final = frozenset({"MaxResults", "NextToken", "DryRun"})
"""What may differ between the pages of one list."""


@dataclass(frozen=True, slots=True)
class PageAsked:
    """Where a page begins and how long it may be; None: everything."""

    action: str
    after: str | None
    limit: int | None
    asked: Mapping[str, Any] = field(default_factory=dict)

    def token(self, ctx: Context, last: str) -> str:
        """What brings the page after the one that ends with `last`."""
        place = last.encode()
        proof = _proof(ctx, self.action, self.asked, place)
        return base64.urlsafe_b64encode(proof + place).decode()


def read_page(
    ctx: Context,
    asked: Mapping[str, Any],
    action: str,
    *,
    least: int = 5,
    most: int = 1000,
    alone: tuple[str, ...] = (),
) -> PageAsked:
    """`alone` are members that may not be given together with MaxResults."""
    limit = asked.get("MaxResults")
    if limit is not None:
        _check_limit(limit, least, most)
        for member in alone:
            if asked.get(member):
                raise Conflict(
                    Noun.PARAMETER,
                    member,
                    f"The parameter {member} cannot be used with the parameter maxResults",
                )
    token = asked.get("NextToken")
    after = _read_token(ctx, action, asked, token) if token else None
    return PageAsked(action, after, limit, asked)


def _check_limit(limit: int, least: int, most: int) -> None:
    if limit < least:
        raise Invalid(
            Noun.PARAMETER,
            "MaxResults",
            f"Value ( {limit} ) for parameter maxResults is invalid. "
            f"Expecting a value greater than {least - 1}.",
        )
    if limit > most:
        raise Invalid(
            Noun.PARAMETER,
            "MaxResults",
            f"Value ( {limit} ) for parameter maxResults is invalid. "
            f"Expecting a value less than {most + 1}.",
        )


def _read_token(ctx: Context, action: str, asked: Mapping[str, Any], token: str) -> str:
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        proof, place = raw[:_PROOF_BYTES], raw[_PROOF_BYTES:]
        if hmac.compare_digest(proof, _proof(ctx, action, asked, place)):
            return place.decode()
    except (binascii.Error, UnicodeError):
        pass
    raise Invalid(Noun.PARAMETER, "NextToken", "The token specified is not valid.")


def _proof(ctx: Context, action: str, asked: Mapping[str, Any], place: bytes) -> bytes:
    list_of = {name: value for name, value in asked.items() if name not in _OF_A_PAGE}
    text = json.dumps([action, ctx.account.number, list_of], sort_keys=True, default=repr)
    said = b"\0".join((b"page", text.encode("utf-8", "surrogatepass"), place))
    key = ctx.cloud.page_key.reveal()
    return hmac.new(key, said, hashlib.sha256).digest()[:_PROOF_BYTES]
