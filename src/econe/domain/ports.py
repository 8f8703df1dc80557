"""What the domain needs of the world, as Protocols: a store, content, keys, time. What it needs of
engines has a file of its own (engine_ports.py). Adapters live in store/, engines/ and actions/.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from econe.domain.accounts import AccessKey, Account
from econe.domain.faults import Broken, Noun, Unavailable
from econe.domain.hidden import Hidden
from econe.domain.images import Content, DiskFormat, Image
from econe.domain.instances import Instance
from econe.domain.keypairs import KeyPair
from econe.domain.launch_templates import LaunchTemplate, TemplateVersion
from econe.domain.networks import NetworkInterface, SecurityGroup, Subnet, Vpc
from econe.domain.queries import Key, Page, Query
from econe.domain.samples import Reading, Sample
from econe.domain.sizes import Size
from econe.domain.tags import Tag
from econe.domain.uefi import UefiVariable
from econe.domain.volumes import Volume

Row = TypeVar("Row")

# --- the store ---------------------------------------------------------------------------


class Stale(Exception):  # noqa: N818
    """The row changed since it was read, or is gone. Read it again."""


class Taken(Exception):  # noqa: N818
    """A constraint says no: `what` names it (`key_pairs.name`, `volumes.device`), or is
    `foreign key` where a row names one that is not there, or is still named by another. The
    statement changed nothing and the transaction may go on.

    Attachments to an instance are only checked when the transaction ends.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class StoreBusy(Unavailable):
    """Another process holds the database longer than we wait. Trying again later may do."""

    def __init__(self, hidden: str) -> None:
        super().__init__(Noun.REQUEST, said="The server is busy; try again.", hidden=hidden)


class StoreBroken(Broken):
    """The database cannot do its work: a full or failing disk, or a mistake of ours."""

    def __init__(self, hidden: str) -> None:
        super().__init__(Noun.REQUEST, hidden=hidden)


class StoreUnusable(Exception):  # noqa: N818
    """The state directory cannot be opened as it is. The text tells the operator why."""


class Rows(Protocol, Generic[Row]):
    """The rows of one noun."""

    def get(self, row_id: str) -> Row | None: ...

    def many(self, ids: Iterable[str]) -> list[Row]:
        """Those that exist, in the order of `ids`; a fixed number of statements however many."""

    def find(self, query: Query) -> Page[Row]: ...

    def keys(self, query: Query) -> Page[Key]:
        """As find, but only what names a view."""

    def add(self, row: Row) -> None:
        """Raises Taken."""

    def add_all(self, rows: Sequence[Row]) -> None:
        """As add() of each, at less cost. Raises Taken, and then none of them was added."""

    def save(self, row: Row) -> Row:
        """Write it over the version it was read at; the answer carries the new version.

        Raises Stale, and Taken. Tags, and the interfaces and volumes of an instance, are not
        written here: they have rows of their own.
        """

    def remove(self, row_id: str) -> None:
        """Nothing happens if it is not there. Its tags go with it."""


class Accounts(Protocol):
    def get(self, number: str) -> Account | None: ...
    def named(self, name: str) -> Account | None: ...
    def all(self) -> list[Account]: ...
    def add(self, account: Account) -> None: ...
    def save(self, account: Account) -> None: ...


class AccessKeys(Protocol):
    """Secrets are sealed on the way in and opened on the way out."""

    def get(self, access_key: str) -> AccessKey | None: ...
    def of(self, account: str) -> list[AccessKey]: ...

    def passwords(self) -> list[AccessKey]:
        """All that are users' passwords (AccessKey.is_password)."""

    def add(self, key: AccessKey) -> None: ...
    def save(self, key: AccessKey) -> None: ...
    def used(self, access_key: str, at: datetime) -> None:
        """Nothing happens if it is not there, or was used later."""

    def remove(self, access_key: str) -> None: ...


class Tags(Protocol):
    def of(self, resource_id: str) -> dict[str, str]: ...

    def put(
        self, account: str, resource_id: str, resource_type: str, tags: Mapping[str, str]
    ) -> None:
        """Add them, or give present keys their new values."""

    def drop(self, resource_id: str, key: str, value: str | None = None) -> None:
        """Remove the tag; with `value`, only if that is its value."""

    def find(self, query: Query) -> Page[Tag]:
        """Criteria may name resource_id, resource_type, key, value. `after` and order: resource id
        and key, joined by a NUL."""


class Instances(Rows[Instance], Protocol):
    def waiting(self) -> list[Instance]:
        """All unsettled ones, whenever their next try is, in the order in which they were asked."""

    def live(self) -> list[Instance]:
        """All that are not terminated: what the engine should hold."""

    def terminated_before(self, moment: datetime) -> list[str]: ...

    def at(self, vpc_id: str, private_ip: str) -> Instance | None:
        """The instance that has this address now (terminated ones have none)."""

    def of_reservation(self, reservation_id: str) -> list[Instance]:
        """All that were launched together, in order of launch index."""

    def known(self) -> dict[str, "Known"]:
        """Of all that are not terminated and have a name in the engine: by that name."""

    def usage(self, account: str, *, on: bool = False) -> "Usage":
        """Of all of the account that are not terminated; with `on` of those that are not stopped
        either."""

    def load(self) -> "Usage":
        """Of all, of whatever account, that are on or about to be: neither stopped nor
        terminated."""


class Volumes(Rows[Volume], Protocol):
    def total_gib(self, account: str) -> int:
        """The sizes of all of the account together."""


@dataclass(frozen=True, slots=True)
class Known:
    """Which of our rows a thing of the engine is, and whose it is."""

    id: str
    account: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What instances take up. Those of old databases count with 0 vCPUs and memory."""

    instances: int
    vcpus: int
    memory_mib: int


class Sizes(Protocol):
    """Instance types that the engine has; those of the catalogue have no rows."""

    def all(self) -> list[Size]:
        """By name and owner."""

    def replace(self, sizes: Iterable[Size]) -> bool:
        """Make these all that there are. Whether that changed anything."""


class TemplateVersions(Protocol):
    """The versions of launch templates. None is ever changed; all go with their template."""

    def numbers(self, template_id: str) -> list[int]:
        """Of all that there are, ascending."""

    def get(self, template_id: str, number: int) -> TemplateVersion | None: ...

    def add(self, version: TemplateVersion) -> None:
        """Raises Taken."""

    def remove(self, template_id: str, number: int) -> None:
        """Nothing happens if it is not there."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was done under a client token, and what it was answered."""

    digest: str
    """Of the request's parameters: the same token with others is a mistake."""
    answer: bytes


class Tokens(Protocol):
    """ClientToken's memory: one answer for each (account, action, token)."""

    def get(self, account: str, action: str, token: str) -> Answered | None: ...
    def put(
        self, account: str, action: str, token: str, answered: Answered, now: datetime
    ) -> None: ...
    def forget_before(self, moment: datetime) -> int: ...


class Transaction(Protocol):
    """What one transaction sees. Nothing is written until it ends without an exception."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def access_keys(self) -> AccessKeys: ...
    @property
    def images(self) -> Rows[Image]: ...
    @property
    def instances(self) -> Instances: ...
    @property
    def key_pairs(self) -> Rows[KeyPair]: ...
    @property
    def launch_templates(self) -> Rows[LaunchTemplate]: ...
    @property
    def template_versions(self) -> TemplateVersions: ...
    @property
    def volumes(self) -> Volumes: ...
    @property
    def interfaces(self) -> Rows[NetworkInterface]: ...
    @property
    def vpcs(self) -> Rows[Vpc]: ...
    @property
    def subnets(self) -> Rows[Subnet]: ...
    @property
    def security_groups(self) -> Rows[SecurityGroup]: ...
    @property
    def sizes(self) -> Sizes: ...
    @property
    def tags(self) -> Tags: ...
    @property
    def tokens(self) -> Tokens: ...

    def next_ids(self, prefix: str, count: int = 1) -> Sequence[str]:
        """Fresh ids; a number is never given twice, also after deletes."""

    def claim_id(self, prefix: str, number: int) -> str:
        """The id with this number if it is greater than all that were ever given, else a fresh
        one: things that had a number before econe knew them keep it where they can."""

    def undo(self) -> None:
        """Let nothing of this transaction be written (DryRun)."""


class Store(Protocol):
    def reading(self) -> AbstractContextManager[Transaction]:
        """A consistent view; writes in it are errors."""

    def writing(self) -> AbstractContextManager[Transaction]:
        """The one writer. Commits at the end of the block, unless it raised or called undo()."""

    def mark(self) -> Hashable:
        """Differs after every commit, of any process. What was read in a transaction that began
        after the mark was taken is true as long as the mark is the same. Microseconds; raises
        StoreBusy rather than wait."""

    def close(self) -> None: ...


class Samples(Protocol):
    """Readings over time, kept for some days. May be lost. Raises StoreBroken."""

    def add(self, at: datetime, readings: Mapping[str, Reading]) -> None: ...

    def of(self, instance_id: str, since: datetime) -> list[Sample]:
        """In order of time."""

    def latest(self, since: datetime) -> Mapping[str, Sample]:
        """The newest of each instance that has one from then or later."""

    def forget_before(self, moment: datetime) -> None: ...

    def close(self) -> None: ...


# --- content -----------------------------------------------------------------------------


class Upload(Protocol):
    """A file that is being received. Left unfinished it is swept away."""

    def write(self, chunk: bytes) -> None:
        """Raises Fault when the limit is passed or the disk is full."""

    def finish(self) -> Content:
        """Make it durable, prove that it is a disk image, and keep it under its hash.

        The proof runs in a child process with limits on memory, time and size. Raises Invalid
        when it is not an image, or one that names other files. Blocks: seconds to minutes.
        """

    def abort(self) -> None:
        """Forget it. Nothing happens if it was finished or aborted before."""


class Vault(Protocol):
    """Where image content is kept."""

    def receive(self) -> Upload: ...
    def path(self, location: str, disk_format: DiskFormat) -> Path: ...
    def locations(self) -> set[str]: ...
    def forget(self, location: str) -> None: ...

    def sweep(self, older_than_s: float) -> int:
        """Remove leavings of uploads that nobody writes to any more; how many."""


class Consoles(Protocol):
    """What guests have written to their serial ports, as far as it is kept.

    Reads a local record and never asks a hypervisor, so the request plane may call it.
    """

    def output(self, instance_id: str) -> tuple[bytes, datetime] | None:
        """The last 64 KiB and when they were last added to; None before there is any."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows of pixels from the top, each pixel three bytes: red, green, blue."""

    width: int
    height: int
    rgb: bytes


class Screens(Protocol):
    """What guests show on their screens, asked of the emulator itself.

    The one port that requests call although it asks an engine: after their transaction, in
    threads of their own, and for a few seconds at most (decision 30). Raises EngineBusy and
    EngineRefused.
    """

    def picture(self, instance_id: str, *, wake: bool = False) -> Picture:
        """As it is now. `wake` presses a key first, for a guest that has blanked its screen."""


class Firmware(Protocol):
    """The UEFI variables of machines that boot by UEFI, running or not.

    Asked as Screens is: after a request's transaction, in threads of their own.
    """

    def variables(self, instance_id: str) -> Sequence[UefiVariable]:
        """Those that last, as they are now. Raises EngineBusy where there are none yet, or none
        any more, and EngineRefused where the guest has left nothing that can be read."""


# --- keys --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A public key that was made or read, and its fingerprint as EC2 computes it."""

    type: str
    """`rsa` or `ed25519`."""
    public_key: str
    """OpenSSH's one line without a comment."""
    fingerprint: str
    private: Hidden[str] | None = None
    """Only of a key that was just made."""


class KeyMaker(Protocol):
    """SSH keys: making them and reading them needs more than the standard library."""

    def make(self, key_type: str, *, key_format: str = "pem", comment: str = "") -> KnownKey:
        """A new pair, `rsa` (2048 bits) or `ed25519`. rsa takes about a tenth of a second.

        The private half is written as `pem`, or as a `ppk` of PuTTY's, which bears the comment.
        """

    def read(self, material: bytes) -> KnownKey:
        """A public key as ImportKeyPair takes it: OpenSSH's line, DER in base64, PEM, RFC 4716.

        Raises Invalid for what is none of these or of another kind or length.
        """


# --- everybody's ------------------------------------------------------------------------


class Poke(Protocol):
    """Something changed; look soon. Cheap, thread-safe, carries no hint of what."""

    def __call__(self) -> None: ...


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, in UTC with its zone."""
