"""The mark differs after every commit, whoever made it, and only then."""

from collections.abc import Callable

from tests.contract.store import made

from econe.domain.ports import Store


def test_reading_and_what_is_undone_leave_the_mark(store: Store) -> None:
    before = store.mark()
    with store.reading() as tx:
        tx.images.get("ami-00000001")
    with store.writing() as tx:
        tx.images.add(made.image())
        tx.undo()
    assert store.mark() == before


def test_a_commit_changes_the_mark(store: Store) -> None:
    seen = {store.mark()}
    for turn in range(3):
        with store.writing() as tx:
            tx.next_ids(f"x{turn}")
        seen.add(store.mark())
    assert len(seen) == 4


def test_a_commit_through_another_opening_changes_the_mark(
    store: Store, opening: Callable[[], Store]
) -> None:
    other, before = opening(), store.mark()
    with other.writing() as tx:
        tx.images.add(made.image())
    assert store.mark() != before


def test_what_is_read_after_the_mark_is_no_older_than_it(store: Store) -> None:
    with store.writing() as tx:
        tx.images.add(made.image())
        before = store.mark()
    after = store.mark()
    with store.reading() as tx:
        assert tx.images.get("ami-00000001") is not None
    assert before != after == store.mark()
