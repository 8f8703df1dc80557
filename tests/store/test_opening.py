"""The state directory as it is found: absent, old, newer, foreign, damaged, without its key."""

import sqlite3
import stat
from pathlib import Path

import pytest
from tests.contract.store import made

from econe.domain.ports import StoreUnusable
from econe.store import open_store
from econe.store.sqlite import DatabaseStore


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_is_readable_by_its_owner_only(state: Path) -> None:
    open_store(state).close()
    assert mode(state) == 0o700
    assert mode(state / "econe.db") == 0o600
    assert mode(state / "secret.key") == 0o600
    assert {path.name for path in state.iterdir()} == {"econe.db", "secret.key"}


def test_the_log_beside_the_database_is_readable_by_its_owner_only(store: DatabaseStore) -> None:
    assert mode(store.path.with_name("econe.db-wal")) == 0o600


def test_opening_again_changes_nothing(state: Path) -> None:
    open_store(state).close()
    before = ((state / "secret.key").read_bytes(), (state / "econe.db").read_bytes())
    open_store(state).close()
    assert ((state / "secret.key").read_bytes(), (state / "econe.db").read_bytes()) == before


def test_another_database_can_be_named(state: Path, tmp_path: Path) -> None:
    open_store(state, url=f"sqlite:///{tmp_path}/other.db").close()
    assert (tmp_path / "other.db").exists()
    assert not (state / "econe.db").exists()


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@h/db", "sqlite://", "sqlite:///:memory:", "nonsense"]
)
def test_an_url_that_names_no_file_is_refused(state: Path, url: str) -> None:
    with pytest.raises(StoreUnusable) as refused:
        open_store(state, url=url)
    assert "secret" not in str(refused.value)


def test_a_state_directory_that_is_a_file_is_refused(state: Path) -> None:
    state.write_text("x")
    with pytest.raises(StoreUnusable, match="state"):
        open_store(state)


def test_a_database_that_is_none_is_refused(state: Path) -> None:
    state.mkdir()
    (state / "econe.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreUnusable, match="not a database"):
        open_store(state)


def test_a_database_of_a_newer_econe_is_refused(state: Path) -> None:
    open_store(state).close()
    with sqlite3.connect(state / "econe.db") as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE name = 'schema_version'")
    connection.close()
    with pytest.raises(StoreUnusable, match="newer econe"):
        open_store(state)


def test_the_key_file_of_another_cloud_is_refused(state: Path) -> None:
    open_store(state).close()
    (state / "secret.key").write_text("ab" * 32)
    with pytest.raises(StoreUnusable, match="not the key file"):
        open_store(state)


def test_a_missing_key_file_is_not_made_anew(state: Path) -> None:
    open_store(state).close()
    (state / "secret.key").unlink()
    with pytest.raises(StoreUnusable, match="missing"):
        open_store(state)
    assert not (state / "secret.key").exists()


@pytest.mark.parametrize("wide", [0o640, 0o604, 0o660, 0o666])
def test_a_key_file_that_others_can_read_is_refused(state: Path, wide: int) -> None:
    open_store(state).close()
    (state / "secret.key").chmod(wide)
    with pytest.raises(StoreUnusable, match="chmod 600"):
        open_store(state)


@pytest.mark.parametrize("text", ["", "not hex", "abcd", "ab" * 33, "ж" * 64])
def test_a_key_file_that_holds_no_key_is_refused(state: Path, text: str) -> None:
    open_store(state).close()
    (state / "secret.key").write_text(text, "utf-8")
    with pytest.raises(StoreUnusable, match=r"secret\.key"):
        open_store(state)


def test_a_crash_before_the_first_opening_ends_is_made_good(state: Path) -> None:
    """The key file is there and the database is empty."""
    state.mkdir()
    (state / "econe.db").touch()
    (state / "secret.key").write_text("ab" * 32 + "\n")
    (state / "secret.key").chmod(0o600)
    store = open_store(state)
    with store.writing() as tx:
        made.found(tx)
    store.close()
    assert (state / "secret.key").read_text() == "ab" * 32 + "\n"
