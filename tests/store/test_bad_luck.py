"""A full disk, a lock that others hold, a row that breaks a rule nobody should break."""

import sqlite3
import threading

import pytest
from tests.contract.store import made
from tests.contract.store.made import HELEN

from econe.domain.faults import Kind
from econe.domain.hidden import Hidden
from econe.domain.ports import StoreBroken, StoreBusy
from econe.store import dialect, open_store, sqlite
from econe.store.sqlite import DatabaseStore


def test_a_full_disk_is_broken_and_the_store_goes_on_when_there_is_room(
    store: DatabaseStore,
) -> None:
    (pages,) = store.writer.execute("PRAGMA page_count").fetchone()
    store.writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreBroken) as refused, store.writing() as tx:
        tx.key_pairs.add(made.key_pair())
        for number in range(1, 100):
            tx.instances.add(made.instance(f"i-{number:08d}", user_data=Hidden(b"x" * 16384)))
    assert refused.value.kind is Kind.BROKEN
    assert "full" in refused.value.hidden
    assert refused.value.said == ""
    with store.reading() as tx:
        assert tx.key_pairs.get("key-00000001") is None
    store.writer.execute("PRAGMA max_page_count = 1073741823")
    with store.writing() as tx:
        tx.key_pairs.add(made.key_pair())


def test_what_comes_after_a_rollback_of_sqlites_own_is_refused(store: DatabaseStore) -> None:
    """Else it would be kept, although all before it in the same block was lost."""
    with pytest.raises(StoreBroken, match="rolled back"), store.writing() as tx:
        tx.key_pairs.add(made.key_pair())
        store.writer.rollback()
    with pytest.raises(StoreBroken), store.writing() as tx:
        store.writer.rollback()
        tx.key_pairs.add(made.key_pair())
    with store.reading() as tx:
        assert tx.key_pairs.get("key-00000001") is None


def test_a_lock_that_another_process_holds_too_long_is_busy(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr(dialect, "WAIT_S", 0.05)
    store = open_store(store.path.parent)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreBusy) as refused, store.writing():
            pass
        assert refused.value.kind is Kind.UNAVAILABLE
        assert "locked" in refused.value.hidden
        assert "locked" not in refused.value.said
        with store.reading() as tx:
            assert tx.accounts.get(HELEN) is not None
        other.execute("ROLLBACK")
        with store.writing() as tx:
            tx.key_pairs.add(made.key_pair())
    finally:
        other.close()
        store.close()


def test_a_thread_that_writes_too_long_makes_others_busy_not_stuck(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WAIT_S", 0.05)
    refusals: list[StoreBusy] = []

    def write() -> None:
        try:
            with store.writing():
                pass
        except StoreBusy as busy:
            refusals.append(busy)

    with store.writing() as tx:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(10)
        tx.key_pairs.add(made.key_pair())
    assert len(refusals) == 1
    thread = threading.Thread(target=write)
    thread.start()
    thread.join(10)
    assert len(refusals) == 1


def test_a_row_that_breaks_a_rule_is_our_fault(store: DatabaseStore) -> None:
    with store.writing() as tx:
        for row in (
            made.volume(size_gib=0),
            made.volume(state="lost"),
            made.volume(size_gib=-1),
        ):
            with pytest.raises(StoreBroken, match="constraint"):
                tx.volumes.add(row)
        with pytest.raises(StoreBroken):
            tx.instances.add(made.instance(shutdown_behavior="explode"))
