"""Accounts and their access keys."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from econe.domain.hidden import Hidden

FIRST_NUMBER: Final = 10**11
"""Smallest of 12 digits: programs that take it for a number must not shorten it."""


UNLIMITED: Final = -1
"""In an account's own limits: no limit, whatever is usual."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an account may have of things. In an account's row None means what is usual;
    in what is usual, and in what holds for an account (limits.limits_of), no limit."""

    instances: int | None = None
    """Those that are not terminated."""
    vcpus: int | None = None
    memory_mib: int | None = None
    """Of instances that are on, or about to be; of an engine's users as the engine counts."""
    images: int | None = None
    storage_gib: int | None = None
    """Disks of instances, and what images unfold to; of an engine's users images alone."""


@dataclass(frozen=True, slots=True)
class MetadataDefaults:
    """What launches that say nothing of the metadata service get; empty and 0: as EC2 has it."""

    http_tokens: str = ""
    hop_limit: int = 0
    http_endpoint: str = ""
    instance_tags: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """Who owns things. `number` is the API's ownerId: 12 decimal digits. `name` is unique."""

    number: str
    name: str
    created_at: datetime
    enabled: bool = True
    engine_ref: str = ""
    """The engine's own id of the user, where the engine has users; empty for accounts of ours."""
    groups: tuple[str, ...] = ()
    """The engine's ids of the groups that the user is in."""
    limits: Limits = Limits()
    metadata_defaults: MetadataDefaults = MetadataDefaults()

    @property
    def viewer_groups(self) -> tuple[str, ...]:
        """What in Image.shares means this account beside its number."""
        return tuple(f"group:{group}" for group in self.groups)


def number_of(engine_ref: str) -> str:
    """The account number of an engine's user, made of its id: the same in every server, and after
    the loss of a database. Raises ValueError for what is no number of at most 11 digits."""
    number = int(engine_ref)
    if not 0 <= number < FIRST_NUMBER:
        raise ValueError(engine_ref)
    return str(FIRST_NUMBER + number)


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
    is_password: bool = False
    """Whether it is the guide's pair, which the user's password makes and changes."""
    last_used_at: datetime | None = None
    """To some minutes (key_use.py); written by AccessKeys.used() alone."""


def root_arn(number: str) -> str:
    """The principal that an account as a whole is. There are no users inside accounts."""
    return f"arn:aws:iam::{number}:root"
