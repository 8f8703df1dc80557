"""Databases of every earlier version open, keep what they held, and end up like new ones.

`schema_<n>.sql` is a dump of a database that version <n> of the schema made and filled. A new
step in migrations.py comes with a dump of the version before it:
`python -m tests.store.test_migrations > tests/store/schema_<n>.sql`, run before the step is added.
"""

import sqlite3
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite
from tests.contract.store import made
from tests.contract.store.made import HELEN, NOW

from econe.domain.ports import Answered, Transaction
from econe.store import migrations, open_store
from econe.store.rows import INSTANCES
from econe.store.sqlite import DatabaseStore, migrate
from econe.store.tables import metadata

HERE = Path(__file__).parent
DUMPS = {int(path.stem.rpartition("_")[2]): path for path in HERE.glob("schema_*.sql")}
KEY = "5eed" * 16
"""The key file that the dumps' secrets were sealed with."""


def fill(tx: Transaction) -> None:
    made.found(tx)
    tx.access_keys.add(made.access_key())
    tx.images.add(made.image())
    tx.key_pairs.add(made.key_pair())
    made.launch(tx)
    tx.instances.add(made.full_instance("i-00000002"))
    tx.tags.put(HELEN, "i-00000001", "instance", {"Name": "it's"})
    tx.tokens.put(HELEN, "RunInstances", "t", Answered("d", b"\x00answer"), NOW)
    tx.next_ids("i", 2)
    tx.launch_templates.add(made.launch_template())
    tx.template_versions.add(made.template_version())


def check(tx: Transaction, version: int) -> None:
    """What a database of that version held."""
    assert tx.accounts.named("helen") == made.account()
    assert tx.access_keys.get("AKIAIOSFODNN7EXAMPLE") == made.access_key()
    assert tx.images.get("ami-00000001") == made.image()
    assert tx.key_pairs.get("key-00000001") == made.key_pair()
    assert tx.instances.get("i-00000002") == made.full_instance("i-00000002")
    row = tx.instances.get("i-00000001")
    assert row is not None
    assert row.tags == {"Name": "it's"}
    assert [nic.groups for nic in row.interfaces] == [(made.GROUP,)]
    assert [disk.device for disk in row.volumes] == ["/dev/sda1"]
    answered = tx.tokens.get(HELEN, "RunInstances", "t")
    assert answered == Answered("d", b"\x00answer")
    if version >= 5:
        assert tx.launch_templates.get("lt-00000001") == made.launch_template()
        assert tx.template_versions.get("lt-00000001", 2) == made.template_version()


def schema(store: DatabaseStore) -> dict[str, str]:
    rows = store.writer.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(sql.split()) for name, sql in rows}


def key_file(state: Path) -> None:
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "secret.key").write_text(KEY)
    (state / "secret.key").chmod(0o600)


def load(state: Path, dump: Path) -> None:
    key_file(state)
    connection = sqlite3.connect(state / "econe.db")
    connection.executescript(dump.read_text("utf-8"))
    connection.close()


def test_every_version_has_a_dump() -> None:
    assert sorted(DUMPS) == list(range(1, migrations.VERSION + 1))


@pytest.mark.parametrize("version", DUMPS)
def test_an_older_database_keeps_what_it_held_and_becomes_like_a_new_one(
    tmp_path: Path, version: int
) -> None:
    load(tmp_path / "old", DUMPS[version])
    old, new = open_store(tmp_path / "old"), open_store(tmp_path / "new")
    try:
        assert schema(old) == schema(new)
        with old.writing() as tx:
            check(tx, version)
            assert list(tx.next_ids("i")) == ["i-00000003"]
            before = tx.instances.many(["i-00000001"])[0].version
            tx.tags.put(HELEN, "i-00000001", "instance", {"Name": "new"})
            assert tx.instances.many(["i-00000001"])[0].version > before
    finally:
        old.close()
        new.close()


@pytest.mark.parametrize("version", DUMPS)
def test_a_step_that_was_released_is_never_edited(tmp_path: Path, version: int) -> None:
    load(tmp_path / "old", DUMPS[version])
    shapes = []
    for path in (tmp_path / "old" / "econe.db", tmp_path / "stepped.db"):
        connection = sqlite3.connect(path, isolation_level=None)
        if path.name == "stepped.db":
            connection.execute("BEGIN IMMEDIATE")
            migrate(connection, version)
            connection.execute("COMMIT")
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger'"
        )
        shapes.append({name: " ".join(sql.split()) for name, sql in rows})
        connection.close()
    assert shapes[0] == shapes[1]


def test_a_step_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path / "state", DUMPS[1])
    bad = ("CREATE TABLE half_done (x)", "this is no SQL")
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS[:1], bad))
    connection = sqlite3.connect(tmp_path / "state" / "econe.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.Error):
        migrate(connection, 2)
    connection.execute("ROLLBACK")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    connection.close()
    assert "half_done" not in tables


def test_the_tables_are_what_the_migrations_make(store: DatabaseStore) -> None:
    """SQLAlchemy's idea of the schema is the schema."""
    there = {}
    names = store.writer.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for (table,) in names:
        columns = store.writer.execute(f"PRAGMA table_info({table})").fetchall()
        there[table] = {
            (name, kind, bool(strict), bool(key)) for _, name, kind, strict, _, key in columns
        }
    declared = {
        table.name: {
            (
                column.name,
                column.type.compile(sqlite.dialect()),
                not column.nullable,
                column.primary_key,
            )
            for column in table.columns
        }
        for table in metadata.tables.values()
    }
    assert declared == there


def test_every_column_of_an_instance_is_written_and_read() -> None:
    written = set(INSTANCES.mapper.values(made.full_instance()))
    assert written | {"settled"} == {column.name for column in INSTANCES.table.columns}


def test_triggers_are_made_afresh_when_they_differ(tmp_path: Path) -> None:
    """They are no part of the steps: a program with other triggers brings its own."""
    store = open_store(tmp_path / "state")
    wanted = schema(store)
    store.writer.execute("DROP TRIGGER version_instances_tags_insert")
    store.writer.execute("CREATE TRIGGER version_old AFTER DELETE ON tags BEGIN SELECT 1; END")
    store.writer.execute("UPDATE meta SET value = x'00' WHERE name = 'triggers'")
    store.close()
    store = open_store(tmp_path / "state")
    assert schema(store) == wanted
    store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        key_file(Path(directory))
        filled = open_store(Path(directory))
        with filled.writing() as filling:
            fill(filling)
        sys.stdout.writelines(f"{line}\n" for line in filled.writer.iterdump())
        filled.close()
