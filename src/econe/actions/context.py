"""What a handler has besides the parameters."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from econe.actions.fragments import Rendered
from econe.domain.accounts import Account
from econe.domain.cloud import Cloud
from econe.domain.faults import Fault
from econe.domain.images import Content
from econe.domain.ports import Transaction
from econe.domain.queries import Key


class Fragments(Protocol):
    """Parts of answers that are rendered already."""

    def known(self, keys: Iterable[Key]) -> Mapping[Key, Rendered]:
        """Those of `keys` that are rendered. Cheap: it is on the path of every listing."""


@dataclass(frozen=True, slots=True)
class Context:
    """One request. The pipeline opens and ends the transaction; a handler never does."""

    account: Account
    cloud: Cloud
    tx: Transaction
    now: datetime
    request_id: str
    fragments: Fragments
    words: Callable[[Fault], tuple[str, str, int]]
    """EC2's code and sentence for a fault, and its status: for answers that tell of faults in
    passing. The table is the door's (front/faults.py)."""
    content: Content | None = None
    """UploadImage only: the body, already received and proven."""
    access_key: str = ""
    """The access key that proved the caller."""
    prepared: Any = None
    """Of handlers that prepare: what was made before the transaction. None where nothing was."""
