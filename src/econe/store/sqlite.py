"""The store over one SQLite file.

Readers have connections of their own that cannot write. Writers of this process take turns at
one connection, by a lock, because SQLite's own waiting between connections polls and is unfair;
between processes (econe-admin beside the server) SQLite's waiting does.
"""

import os
import sqlite3
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from econe.domain.ports import StoreBroken, StoreBusy, StoreUnusable, Taken
from econe.store import migrations
from econe.store.dialect import WAIT_S
from econe.store.rows import VERSIONED
from econe.store.sealing import Seal, make_key_file, read_key_file
from econe.store.statements import DIALECT, Session
from econe.store.transaction import DatabaseTransaction

_READERS: Final = 8
"""Connections kept for readers; more are made and dropped under load."""


def open_database(state: Path, url: str | None) -> "DatabaseStore":
    """See econe.store.open_store."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = _path(state, url)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnusable(f"{error.filename or state}: {error.strerror}") from error
    try:
        connection = DIALECT.connect(str(path), read_only=False)
        try:
            _prepare(connection)
            seal = _bring_up(connection, state / "secret.key")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path} cannot be opened: {error}") from error
    return DatabaseStore(path, seal, connection)


def _path(state: Path, url: str | None) -> Path:
    if not url:
        return state / "econe.db"
    try:
        read = make_url(url)
    except ArgumentError as error:
        raise StoreUnusable(f"{url!r} is no database URL") from error
    if read.get_backend_name() != "sqlite" or not read.database or read.database == ":memory:":
        raise StoreUnusable(
            f"{read.render_as_string(hide_password=True)}: only sqlite:///PATH is supported"
        )
    return Path(read.database)


def _prepare(connection: sqlite3.Connection) -> None:
    """Turning WAL on is not waited for by SQLite when two processes do it at once."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return DIALECT.prepare(connection)
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _bring_up(connection: sqlite3.Connection, key_file: Path) -> Seal:
    """Schema, triggers and key file as this program needs them, in one transaction."""
    connection.execute(DIALECT.begin_writing)
    try:
        migrate(connection)
        DIALECT.make_triggers(connection, VERSIONED)
        seal = _seal(connection, key_file)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return seal


def migrate(connection: sqlite3.Connection, upto: int = migrations.VERSION) -> None:
    """Run the steps that this database has not seen. Inside a writing transaction."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
    row = (
        known
        and connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    )
    version = int(row[0]) if row else 0
    if version > migrations.VERSION:
        raise StoreUnusable(
            f"the database is of version {version} and this program knows only up to "
            f"{migrations.VERSION}: it was used by a newer econe"
        )
    if 0 < version < upto:
        DIALECT.drop_triggers(connection)
    for step in migrations.STEPS[version:upto]:
        for statement in step:
            connection.execute(statement)
    if version < upto:
        text = str(upto).encode()
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (text,))


def _seal(connection: sqlite3.Connection, key_file: Path) -> Seal:
    """A database without secrets gets a key file; one with secrets must meet its own."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'key_mark'").fetchone()
    if row is None:
        make_key_file(key_file)
    seal = Seal(read_key_file(key_file))
    if row is None:
        connection.execute("INSERT INTO meta VALUES ('key_mark', ?)", (seal.check_mark(),))
    elif not seal.made(row[0]):
        raise StoreUnusable(f"{key_file} is not the key file that this database was made with")
    return seal


class DatabaseStore:
    """Implements domain.ports.Store. For any number of threads."""

    def __init__(self, path: Path, seal: Seal, writer: sqlite3.Connection) -> None:
        self.path = path
        self.seal = seal
        self.writer = writer
        self.writers = threading.Lock()
        self.writing_thread = 0
        self.watcher = DIALECT.connect(str(path), read_only=True, wait_s=0)
        """Never waits: it is asked on the event loop."""
        self.watching = threading.Lock()
        self.readers = QueuePool(
            self._reader,
            pool_size=_READERS,
            max_overflow=-1,
            reset_on_return=None,
        )

    def _reader(self) -> Any:  # the pool's idea of a connection is wider than sqlite3's
        return DIALECT.connect(str(self.path), read_only=True)

    def reading(self) -> "_Reading":
        return _Reading(self)

    def writing(self) -> "_Writing":
        return _Writing(self)

    def mark(self) -> int:
        try:
            with self.watching:
                (version,) = self.watcher.execute(DIALECT.data_version).fetchone()
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error
        return int(version)

    def close(self) -> None:
        """Ends when the writer at work has ended. Closing twice is closing once."""
        with self.writers:
            self.writer.close()
        with self.watching:
            self.watcher.close()
        self.readers.dispose()


class _Reading:
    """A view as of its first statement; nothing is written through it."""

    __slots__ = ("_connection", "_session", "_store")

    def __init__(self, store: DatabaseStore) -> None:
        self._store = store
        self._connection: PoolProxiedConnection
        self._session: Session

    def __enter__(self) -> DatabaseTransaction:
        try:
            self._connection = self._store.readers.connect()
            driver: sqlite3.Connection = self._connection.driver_connection  # type: ignore[assignment]
            driver.execute(DIALECT.begin_reading)
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error
        self._session = Session(driver)
        return DatabaseTransaction(self._session, self._store.seal)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.over = True
        driver = self._connection.driver_connection
        try:
            if driver is not None and driver.in_transaction:
                driver.rollback()
        except sqlite3.Error:
            self._connection.invalidate()
            raise
        finally:
            self._connection.close()


class _Writing:
    """The one writer's turn."""

    __slots__ = ("_session", "_store", "_transaction")

    def __init__(self, store: DatabaseStore) -> None:
        self._store = store
        self._session: Session
        self._transaction: DatabaseTransaction

    def __enter__(self) -> DatabaseTransaction:
        store = self._store
        if store.writing_thread == threading.get_ident():
            raise RuntimeError("writing() inside writing(): this thread would wait for itself")
        if not store.writers.acquire(timeout=WAIT_S):
            raise StoreBusy("another thread held the writer too long")
        try:
            store.writer.execute(DIALECT.begin_writing)
        except BaseException as error:
            store.writers.release()
            if isinstance(error, sqlite3.Error):
                raise DIALECT.refusal(error) from error
            raise
        store.writing_thread = threading.get_ident()
        self._session = Session(store.writer)
        self._transaction = DatabaseTransaction(self._session, store.seal)
        return self._transaction

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        store = self._store
        self._session.over = True
        try:
            if kind is None and not self._transaction.undone:
                self._commit()
        finally:
            try:
                if store.writer.in_transaction:
                    store.writer.rollback()
            finally:
                store.writing_thread = 0
                store.writers.release()

    def _commit(self) -> None:
        writer = self._store.writer
        try:
            if not writer.in_transaction:
                # SQLite ends a transaction by itself on a full disk or a failing one.
                raise StoreBroken("the transaction was rolled back before its end")
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            refusal = DIALECT.refusal(error)
            if isinstance(refusal, Taken):  # a deferred foreign key
                refusal = StoreBroken(f"{error}: {DIALECT.loose_ends(writer)}")
            raise refusal from error
