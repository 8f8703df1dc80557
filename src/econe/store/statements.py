"""Statements that SQLAlchemy builds once and the driver runs many times.

Executing through SQLAlchemy costs about ten times what SQLite takes for a row by id. So a
statement is compiled once to text and parameter names, and run on the driver's connection.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ClauseElement

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


class Session:
    """One transaction's way to the database. Translates the driver's errors."""

    __slots__ = ("connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def run(self, statement: Statement, given: Mapping[str, Any] = {}) -> sqlite3.Cursor:
        """Raises Taken, StoreBusy or StoreBroken."""
        try:
            return self.connection.execute(statement.sql, statement.values(given))
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error

    def rows(self, statement: Statement, given: Mapping[str, Any] = {}) -> list[tuple[Any, ...]]:
        try:
            return self.connection.execute(statement.sql, statement.values(given)).fetchall()
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error

    def row(self, statement: Statement, given: Mapping[str, Any] = {}) -> Any:
        """The first row, or None."""
        try:
            return self.connection.execute(statement.sql, statement.values(given)).fetchone()
        except sqlite3.Error as error:
            raise DIALECT.refusal(error) from error
