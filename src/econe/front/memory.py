"""What reading requests were answered, while the database stays as it was.

Waiters and plans ask the same again and again, and mostly nothing has happened in between. The
store has a mark that differs after every commit, of any process; what was read at one mark is true
as long as it is the mark. So a whole answer may be given again, and an access key believed again,
without a transaction, and without leaving the event loop. With the first commit all is forgotten.

Only what depends on nothing but the request and the database may be kept: a handler that looks at a
clock or a file says so (Handler.lasting).
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from econe.domain.accounts import AccessKey, Account

MOST_BYTES: Final = 32 << 20
COST_OF_KEEPING: Final = 400
"""Bytes that a kept answer takes beside its document, about."""
LARGEST: Final = 4 << 20
"""Bytes of the largest answer that is kept."""
MOST_IDENTITIES: Final = 1000

Identity = tuple[AccessKey, Account]


@dataclass(slots=True)
class Memory:
    """For any number of threads."""

    _mark: Hashable = None
    _answers: dict[Hashable, tuple[bytes, bytes]] = field(default_factory=dict)
    _identities: dict[str, Identity] = field(default_factory=dict)
    _bytes: int = 0
    _lock: Lock = field(default_factory=Lock)

    def identity(self, mark: Hashable, access_key: str) -> Identity | None:
        """Whose key it is; the signature is yet to be proven."""
        with self._lock:
            return self._identities.get(access_key) if mark == self._mark else None

    def answer(self, mark: Hashable, asked: Hashable, request_id: str) -> bytes | None:
        """The document that answered the same request before, under a request id of its own."""
        with self._lock:
            kept = self._answers.get(asked) if mark == self._mark else None
        return None if kept is None else request_id.encode().join(kept)

    def keep_identity(self, mark: Hashable, identity: Identity) -> None:
        """Only once it is proven, so that strangers fill nothing."""
        with self._lock:
            self._turn_to(mark)
            if len(self._identities) < MOST_IDENTITIES:
                self._identities[identity[0].access_key] = identity

    def keep_answer(self, mark: Hashable, asked: Hashable, request_id: str, body: bytes) -> None:
        """`mark` is from before the transaction in which the answer was read; `asked` is small,
        however much was asked."""
        head, found, tail = body.partition(request_id.encode())
        if not found or len(body) > LARGEST:
            return
        with self._lock:
            self._turn_to(mark)
            cost = len(body) + COST_OF_KEEPING
            if asked not in self._answers and self._bytes + cost <= MOST_BYTES:
                self._answers[asked] = (head, tail)
                self._bytes += cost

    def _turn_to(self, mark: Hashable) -> None:
        if mark != self._mark:
            self._mark, self._bytes = mark, 0
            self._answers, self._identities = {}, {}
