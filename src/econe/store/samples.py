"""Samples of what machines used, in a database of their own: `metrics.db`.

Beside econe.db and not in it, for two reasons. Every commit there forgets the answers that requests
are given again (decision 10), and samples come every minute. And they may be lost: a file that
cannot be read is begun anew.
"""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Final

from econe.domain.ports import StoreBroken
from econe.domain.samples import COUNTERS, Reading, Sample
from econe.store.mapping import read_moment, write_moment

_log = logging.getLogger(__name__)

FILE: Final = "metrics.db"
_BUSY_S: Final = 5.0
_VERSION: Final = 1
"""Of the table. Samples of another version are dropped."""
_COLUMNS: Final = ", ".join(("instance_id", "at", *COUNTERS))
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS samples (instance_id TEXT NOT NULL, at TEXT NOT NULL, "
    "cpu_s REAL NOT NULL, disk_read_bytes INTEGER NOT NULL, disk_written_bytes INTEGER NOT NULL, "
    "disk_reads INTEGER NOT NULL, disk_writes INTEGER NOT NULL, network_in_bytes INTEGER, "
    "network_out_bytes INTEGER, network_packets_in INTEGER, network_packets_out INTEGER, "
    "PRIMARY KEY (instance_id, at)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS samples_at ON samples (at)",
)
_ADD: Final = (
    f"INSERT OR REPLACE INTO samples ({_COLUMNS}) "  # noqa: S608 - names of our own fields
    f"VALUES ({', '.join('?' * (2 + len(COUNTERS)))})"
)
_OF: Final = f"SELECT {_COLUMNS} FROM samples WHERE instance_id = ? AND at >= ? ORDER BY at"  # noqa: S608
_LATEST: Final = (
    f"SELECT {_COLUMNS} FROM samples JOIN "  # noqa: S608
    "(SELECT instance_id AS newest_of, max(at) AS newest FROM samples WHERE at >= ? "
    "GROUP BY instance_id) ON instance_id = newest_of AND at = newest"
)


class FileSamples:
    """domain.ports.Samples. May be used by any thread; opens the file when it is first needed."""

    def __init__(self, state: Path) -> None:
        self._path, self._lock = state / FILE, Lock()
        self._connection: sqlite3.Connection | None = None

    def add(self, at: datetime, readings: Mapping[str, Reading]) -> None:
        moment = write_moment(at)
        rows = [
            (instance_id, moment, *(getattr(reading, name) for name in COUNTERS))
            for instance_id, reading in readings.items()
        ]
        with self._database() as database:
            database.executemany(_ADD, rows)

    def of(self, instance_id: str, since: datetime) -> list[Sample]:
        with self._database() as database:
            rows = database.execute(_OF, (instance_id, write_moment(since))).fetchall()
        return [_sample(row) for row in rows]

    def latest(self, since: datetime) -> dict[str, Sample]:
        with self._database() as database:
            rows = database.execute(_LATEST, (write_moment(since),)).fetchall()
        return {row[0]: _sample(row) for row in rows}

    def forget_before(self, moment: datetime) -> None:
        with self._database() as database:
            database.execute("DELETE FROM samples WHERE at < ?", (write_moment(moment),))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """One transaction. Raises StoreBroken; a file that is none of ours is made anew."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._path)
                with self._connection:
                    yield self._connection
            except OSError as error:
                raise StoreBroken(f"{self._path}: {error}") from error
            except sqlite3.Error as error:
                self._lose()
                if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
                    _remove(self._path)
                raise StoreBroken(f"{self._path}: {error}") from error

    def _lose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _open(path: Path) -> sqlite3.Connection:
    for attempt in (1, 2):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"samples of version {version}")
            for statement in (*_TABLE, f"PRAGMA user_version = {_VERSION}"):
                connection.execute(statement)
            return connection
        except sqlite3.DatabaseError as error:
            connection.close()
            busy = isinstance(error, sqlite3.OperationalError)
            if attempt == 2 or busy:
                raise
            _log.warning("The samples are begun anew path=%s why=%s", path, error)
            _remove(path)
    raise AssertionError


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _sample(row: tuple[object, ...]) -> Sample:
    instance_id, at, *counters = row
    reading = Reading(**dict(zip(COUNTERS, counters, strict=True)))  # type: ignore[arg-type]
    return Sample(str(instance_id), read_moment(str(at)), reading)
