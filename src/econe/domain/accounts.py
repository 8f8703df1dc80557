"""Accounts and their access keys."""

from dataclasses import dataclass, field
from datetime import datetime

from econe.domain.hidden import Hidden


@dataclass(frozen=True, slots=True)
class Account:
    """Who owns things. `number` is the API's ownerId: 12 decimal digits. `name` is unique."""

    number: str
    name: str
    created_at: datetime
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A public name and the secrets that prove it.

    Ordinary keys have one secret. The guide's pair (access key = user name) has two: SHA-1 and
    SHA-256 of the password in lower-case hex, because old tools compute the one and newer ones
    the other (facts/econe.md H8).
    """

    access_key: str
    account: str
    """The account's number."""
    secrets: tuple[Hidden[str], ...] = field(repr=False)
    created_at: datetime
    enabled: bool = True
