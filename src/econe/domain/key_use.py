"""When access keys were last used, written down now and then.

A request must not write to say that it was made: what is seen is kept in memory, and written once a
minute, and then only for keys whose time in their row is older than EXACT. So the answer may be
that much too old, and a server that is killed forgets a minute.
"""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from econe.domain.ports import Store, Transaction

EXACT: Final = timedelta(minutes=5)


class KeyUse:
    """For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, datetime] = {}

    def note(self, access_key: str, now: datetime) -> None:
        """It opened the door."""
        with self._lock:
            self._seen[access_key] = now

    def write_down(self, store: Store) -> None:
        """What was noted since the last time."""
        with self._lock:
            seen, self._seen = self._seen, {}
        if not seen:
            return
        with store.reading() as tx:
            due = _due(tx, seen)
        if due:
            with store.writing() as tx:
                for access_key, at in due.items():
                    tx.access_keys.used(access_key, at)


def _due(tx: Transaction, seen: Mapping[str, datetime]) -> dict[str, datetime]:
    due = {}
    for access_key, at in seen.items():
        key = tx.access_keys.get(access_key)
        if key is not None and (key.last_used_at is None or at - key.last_used_at >= EXACT):
            due[access_key] = at
    return due
