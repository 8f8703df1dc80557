"""What differs between databases, in one place. Today SQLite; PostgreSQL gets a class beside it.

SQLAlchemy builds and compiles the statements; the driver runs them (see statements.py), so
errors that arrive here are the driver's.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, String, bindparam, cast, exists, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from econe.domain.ports import StoreBroken, StoreBusy, Taken

WAIT_S: Final = 10.0
"""How long a write waits for another process's; then StoreBusy."""

_MOST_PATTERN: Final = 10_000
"""Longer patterns match nothing: no field is that long, and SQLite refuses at 50,000."""

_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

# Where the last column of a unique index does not name the rule well.
_RULES: Final = {
    "vpcs.account": "vpcs.is_default",
    "subnets.zone": "subnets.is_default",
    "interfaces.subnet_id": "interfaces.mac",
}


class Sqlite:
    """SQLite in WAL mode: readers never wait, writers take turns."""

    compiler: Final = sqlite.dialect(paramstyle="qmark")

    begin_reading: Final = "BEGIN"
    data_version: Final = "PRAGMA data_version"
    """Asked on a connection that never writes: differs after every commit of any other one."""
    begin_writing: Final = "BEGIN IMMEDIATE"

    def connect(self, path: str, *, read_only: bool, wait_s: float = WAIT_S) -> sqlite3.Connection:
        """A connection that begins and ends transactions only when told to."""
        connection = sqlite3.connect(
            path,
            timeout=wait_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        for pragma in (
            "foreign_keys=ON",
            "synchronous=FULL",
            "temp_store=MEMORY",
            "cache_size=-8000",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def prepare(self, connection: sqlite3.Connection) -> None:
        """What a database needs once, outside of any transaction."""
        connection.execute("PRAGMA journal_mode=WAL")

    # --- pieces of statements

    def one_of(self, value: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Whether the value is in the list parameter `name`; see many()."""
        given = func.json_each(bindparam(name)).table_valued("value", name=f"{name}_list")
        return value.in_(select(given.c.value))

    def like_any(self, value: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Whether the value matches any pattern of the list parameter `name`; see patterns()."""
        given = func.json_each(bindparam(name)).table_valued("value", name=f"{name}_list")
        return exists(select(given.c.value).where(value.op("GLOB")(given.c.value)))

    def unled(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column, kept from leading through an index of its own: the planner has no
        statistics and would take the rows of an account for few. SQLite's way is a plus sign."""
        return UnaryExpression(column, operator=custom_op("+"), type_=column.type)

    def as_text(self, value: ColumnElement[Any]) -> ColumnElement[str]:
        return cast(value, String) if isinstance(value.type, Integer) else value

    def many(self, values: Iterable[str]) -> str:
        """A list as one parameter, so that statements do not vary with its length."""
        return json.dumps(list(values))

    def patterns(self, values: Iterable[str]) -> str:
        """EC2's patterns, as the list parameter of like_any()."""
        globs = [_glob(value) for value in values]
        return self.many(glob for glob in globs if len(glob) <= _MOST_PATTERN)

    # --- triggers

    def triggers(self, versions: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """(name, DDL) of those that raise the version of a row when what it shows changes.

        `versions` pairs resource types with their tables.
        """
        made = []
        for resource_type, table in versions:
            for deed, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                name = f"version_{table}_tags_{deed.lower()}"
                on = f"{deed} ON tags WHEN {row}.resource_type = '{resource_type}'"
                made.append((name, _raising(name, on, table, f"{row}.resource_id")))
        for part in ("interfaces", "volumes"):
            for deed, rows in (("INSERT", "NEW"), ("UPDATE", "OLD NEW"), ("DELETE", "OLD")):
                name = f"version_instances_{part}_{deed.lower()}"
                ids = ", ".join(f"{row}.instance_id" for row in rows.split())
                made.append((name, _raising(name, f"{deed} ON {part}", "instances", ids)))
        return made

    def make_triggers(
        self, connection: sqlite3.Connection, versions: Iterable[tuple[str, str]]
    ) -> None:
        """Replace them all if they are not exactly these. Inside a writing transaction."""
        wanted = self.triggers(versions)
        mark = hashlib.sha256(repr(wanted).encode()).digest()
        kept = connection.execute("SELECT value FROM meta WHERE name = 'triggers'").fetchone()
        if kept and kept[0] == mark:
            return
        self.drop_triggers(connection)
        for _, ddl in wanted:
            connection.execute(ddl)
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('triggers', ?)", (mark,))

    def drop_triggers(self, connection: sqlite3.Connection) -> None:
        """A table that a trigger speaks of can neither be dropped nor renamed. make_triggers
        makes them again. Inside a writing transaction, once there is a schema."""
        present = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'version_*'"
        ).fetchall()
        for (name,) in present:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM meta WHERE name = 'triggers'")

    # --- errors

    def refusal(self, error: sqlite3.Error) -> Exception:
        """What to raise instead of the driver's error; its text is for the log."""
        code: int = getattr(error, "sqlite_errorcode", 0)
        hidden = f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"
        if code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            last = str(error).rpartition("failed: ")[2].split(", ")[-1]
            return Taken(_RULES.get(last, last))
        if code & 0xFF == sqlite3.SQLITE_CONSTRAINT and "FOREIGN KEY" in str(error):
            return Taken("foreign key")
        if code & 0xFF in _BUSY:
            return StoreBusy(hidden)
        return StoreBroken(hidden)

    def loose_ends(self, connection: sqlite3.Connection) -> str:
        """Which rows break foreign keys, for the log."""
        rows = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
        return "; ".join(f"{table} names a missing row of {parent}" for table, _, parent, _ in rows)


def _raising(name: str, on: str, table: str, ids: str) -> str:
    raised = f"UPDATE {table} SET version = version + 1 WHERE id IN ({ids})"  # noqa: S608 - names of ours
    return f"CREATE TRIGGER {name} AFTER {on} BEGIN {raised}; END"


def _glob(pattern: str) -> str:
    """EC2's pattern in SQLite's GLOB: `[` begins a class there, and there is no escape."""
    made: list[str] = []
    literal = False
    for sign in pattern:
        if literal:
            literal = False
            made.append(f"[{sign}]" if sign in "*?[" else sign)
        elif sign == "\\":
            literal = True
        elif sign == "[":
            made.append("[[]")
        elif sign != "*" or not made or made[-1] != "*":
            made.append(sign)
    if literal:
        made.append("\\")  # a last backslash escapes nothing and stands for itself
    return "".join(made)
