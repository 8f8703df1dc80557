"""ClientToken: a request that is sent again is answered again, and not done again.

The answer is kept as the document with two stand-ins, for what is new in each telling: the request
id and the API version. Both stand in the first line of every document, before anything that a user
wrote, so the first place where they are found is theirs.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from econe.domain.faults import Conflict, Noun
from econe.domain.ports import Answered
from econe.wire.refusal import Refusal

TAKEN: Final = frozenset({"ClientToken"})
LONGEST: Final = 64
"""API reference, RunInstances: "Maximum 64 ASCII characters"."""
LONGER: Final = {
    "CreateLaunchTemplate": 128,
    "CreateLaunchTemplateVersion": 128,
    "ModifyLaunchTemplate": 128,
}
"""Actions that the API reference lets take more."""

KEPT_ID: Final = "00000000-0000-0000-0000-000000000000"
KEPT_VERSION: Final = "0000-00-00"

_HOW, _WHAT = "ClientToken", "DryRun"


def check(asked: Mapping[str, Any], action: str) -> None:
    """Raises Refusal for a token that EC2 would not take."""
    token = asked.get(_HOW, "")
    longest = LONGER.get(action, LONGEST)
    if len(token) > longest or not token.isascii():
        raise Refusal(
            "InvalidParameterValue",
            f"Value for parameter {_HOW} is invalid. Must be at most {longest} ASCII characters.",
        )


def digest(asked: Mapping[str, Any]) -> str:
    """Of what was asked, however it was spelled: order and numbering do not count."""
    counted = {name: value for name, value in asked.items() if name not in (_HOW, _WHAT)}
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def again(kept: Answered, asked: Mapping[str, Any], token: str) -> bytes:
    """The document kept under `token`. Raises Conflict if it was for another request."""
    if kept.digest != digest(asked):
        raise Conflict(Noun.REQUEST, token)
    return kept.answer


def told(document: bytes, request_id: str, version: str) -> bytes:
    """A kept document with its stand-ins filled in."""
    filled = document.replace(KEPT_VERSION.encode(), version.encode(), 1)
    return filled.replace(KEPT_ID.encode(), request_id.encode(), 1)
