"""Statements that SQLAlchemy builds once and the driver runs many times.

Executing through SQLAlchemy costs about ten times what SQLite takes for a row by id. So a
statement is compiled once to text and parameter names, and run on the driver's connection.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ClauseElement

from econe.domain.ports import StoreBroken
from econe.store.dialect import Sqlite

DIALECT: Final = Sqlite()


class Statement:
    """One SQL text, the order of its named parameters, and the values that never change."""

    __slots__ = ("_fixed", "names", "sql")

    def __init__(self, clause: ClauseElement, columns: list[str] | None = None) -> None:
        """`columns`: for INSERT and UPDATE, those that become parameters of the same name."""
        compiled: Any = clause.compile(
            dialect=DIALECT.compiler,
            column_keys=columns,
            compile_kwargs={"render_postcompile": True},
        )
        self.sql: str = compiled.string
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        if self._fixed:
            given = {**self._fixed, **given}
        return tuple([given[name] for name in self.names])


_NOTHING: Final[Mapping[str, Any]] = {}


class Session:
    """One transaction's way to the database. Translates the driver's errors.

    All methods raise Taken, StoreBusy or StoreBroken.
    """

    __slots__ = ("_connection", "over")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.over = False
        """Set when the transaction's block ends: what it gave out must not be used any more."""

    def run(self, statement: Statement, given: Mapping[str, Any] = _NOTHING) -> sqlite3.Cursor:
        """For statements without rows; the cursor knows how many it changed."""
        self._check()
        try:
            return self._connection.execute(statement.sql, statement.values(given))
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error

    def run_all(self, statement: Statement, given: Sequence[Mapping[str, Any]]) -> None:
        """As run() for each of `given`; where one is refused, none was run."""
        self._check()
        values = [statement.values(each) for each in given]
        try:
            self._connection.execute("SAVEPOINT all_of_them")
            try:
                self._connection.executemany(statement.sql, values)
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK TO all_of_them")
                raise
            self._connection.execute("RELEASE all_of_them")
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error

    def rows(
        self, statement: Statement, given: Mapping[str, Any] = _NOTHING
    ) -> list[tuple[Any, ...]]:
        self._check()
        try:
            return self._connection.execute(statement.sql, statement.values(given)).fetchall()
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error

    def row(self, statement: Statement, given: Mapping[str, Any] = _NOTHING) -> Any:
        """The first row, or None."""
        found = self.rows(statement, given)
        return found[0] if found else None

    def _check(self) -> None:
        """SQLite ends a transaction by itself on a full or failing disk; what was still run after
        that would be kept although all before it was lost."""
        if self.over or not self._connection.in_transaction:
            raise StoreBroken("the transaction has ended")
