"""Who asks: from the signature on a request to the account that it proves."""

import hashlib
from typing import Final

from econe.domain.ports import Transaction
from econe.front.memory import Identity
from econe.front.messages import Incoming, Pairs
from econe.wire.refusal import Refusal
from econe.wire.signatures import Claim, Request, read_claim, unproven
from econe.wire.signing import EMPTY_SHA256

_NOBODYS: Final = "the secret that is tried for access keys that do not exist"


def read(incoming: Incoming, query: Pairs, form: Pairs, public_host: str) -> Claim:
    """What the request claims of its sender. Raises Refusal."""
    claim = read_claim(
        Request(
            incoming.method,
            incoming.path,
            query,
            list(incoming.headers.items()),
            form,
            _body_sha256(incoming),
            public_host=public_host,
        )
    )
    if form and not _covers_form(claim, incoming):
        raise Refusal(
            "IncompleteSignature",
            "The signature does not cover the form's fields; put them into the query string.",
        )
    return claim


def _body_sha256(incoming: Incoming) -> str | None:
    """None for an upload: its body has not been read."""
    if incoming.is_upload:
        return None
    return hashlib.sha256(incoming.body).hexdigest() if incoming.body else EMPTY_SHA256


def _covers_form(claim: Claim, incoming: Incoming) -> bool:
    """Version 2 signs the form's fields, version 4 the body's hash. Of an upload that hash is known
    only when its fields have been believed already."""
    return claim.scheme == "v2" or (claim.body_is_signed and not incoming.is_upload)


def authenticate(tx: Transaction, claim: Claim) -> Identity:
    """Whose claim it is, proven. Raises Refusal.

    Unknown keys, disabled keys, keys of disabled accounts and wrong signatures get one answer, and
    for each a signature is computed, so that neither the words nor the time tell them apart.
    """
    key = tx.access_keys.get(claim.access_key)
    account = tx.accounts.get(key.account) if key is not None else None
    secrets = [hidden.reveal() for hidden in key.secrets] if key is not None else [_NOBODYS]
    proven = False
    for secret in secrets:
        proven |= claim.is_proven_by(secret)
    if key is None or account is None or not (proven and key.enabled and account.enabled):
        raise unproven()
    return key, account


def holds(identity: Identity, claim: Claim) -> bool:
    """Whether an identity that authenticate() gave before, and that is as it was, signed this."""
    return any(claim.is_proven_by(secret.reveal()) for secret in identity[0].secrets)
