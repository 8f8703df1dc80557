"""What was answered is answered again only as long as nothing has changed."""

import tracemalloc
from dataclasses import replace
from typing import Any

from tests.front.conftest import Desk

from econe.domain.ports import StoreBusy
from econe.front.memory import LARGEST, Memory
from econe.store import open_store


def count_transactions(desk: Desk) -> list[str]:
    store, begun = desk.app.store, []

    class Counting:
        mark = store.mark
        writing = store.writing

        def reading(self) -> Any:
            begun.append("reading")
            return store.reading()

    desk.with_door(store=Counting(), memory=Memory())
    return begun


def test_the_same_request_costs_one_transaction_and_has_ids_of_its_own(desk: Desk) -> None:
    begun = count_transactions(desk)
    first, second = desk.ask("DescribeKeyPairs"), desk.ask("DescribeKeyPairs", "v2")
    assert begun == ["reading"]
    assert first.request_id != second.request_id
    assert first.text.replace(first.request_id, "") == second.text.replace(second.request_id, "")


def test_a_change_is_seen_at_once(desk: Desk) -> None:
    assert desk.ask("DescribeKeyPairs").all("keyName") == []
    desk.ask("CreateKeyPair", KeyName="k", KeyType="ed25519")
    assert desk.ask("DescribeKeyPairs").all("keyName") == ["k"]


def test_a_change_by_another_process_is_seen_at_once(desk: Desk) -> None:
    desk.ask("CreateKeyPair", KeyName="k", KeyType="ed25519")
    assert desk.ask("DescribeKeyPairs").all("keyName") == ["k"]
    other = open_store(desk.app.settings.state)
    try:
        with other.writing() as tx:
            (key,) = (k for k in tx.access_keys.of(desk.caller.number))
            tx.access_keys.save(replace(key, enabled=False))
    finally:
        other.close()
    assert desk.ask("DescribeKeyPairs").code == "AuthFailure"


def test_a_kept_answer_is_for_who_can_sign_for_it(desk: Desk) -> None:
    desk.ask("DescribeRegions")
    desk.caller = replace(desk.caller, secret="wrong")
    assert desk.ask("DescribeRegions").code == "AuthFailure"


def test_a_kept_answer_is_for_the_same_question_and_account(desk: Desk) -> None:
    desk.ask("CreateKeyPair", KeyName="k", KeyType="ed25519")
    assert desk.ask("DescribeKeyPairs").all("keyName") == ["k"]
    assert desk.ask("DescribeKeyPairs", **{"KeyName.1": "x"}).code == "InvalidKeyPair.NotFound"
    other = Desk(desk.app, desk.vault)
    assert other.ask("DescribeKeyPairs").all("keyName") == []
    assert desk.ask("DescribeKeyPairs").all("keyName") == ["k"]


def test_a_store_that_cannot_say_its_mark_is_asked_in_a_transaction(desk: Desk) -> None:
    begun = count_transactions(desk)

    def busy() -> Any:
        raise StoreBusy("database is locked")

    desk.door.store.mark = busy  # type: ignore[method-assign]
    assert [desk.ask("DescribeRegions").status for _ in range(2)] == [200, 200]
    assert begun == ["reading", "reading"]


def test_a_dry_run_is_never_answered_from_memory(desk: Desk) -> None:
    for _ in range(2):
        assert desk.ask("DescribeRegions").status == 200
        assert desk.ask("DescribeRegions", DryRun="true").code == "DryRunOperation"


def test_what_depends_on_more_than_the_database_is_not_kept() -> None:
    from econe.actions.registry import HANDLERS

    assert not HANDLERS["GetConsoleOutput"].lasting


def test_what_was_read_at_another_mark_is_forgotten() -> None:
    memory = Memory()
    memory.keep_answer(1, "a", "ID", b"<r>ID</r>")
    assert memory.answer(1, "a", "NEW") == b"<r>NEW</r>"
    assert memory.answer(2, "a", "NEW") is None
    memory.keep_answer(2, "b", "ID", b"<r>ID</r>")
    assert memory.answer(2, "a", "NEW") is None


def test_memory_is_bounded() -> None:
    memory = Memory()
    memory.keep_answer(1, "large", "ID", b"ID" + bytes(LARGEST))
    assert memory.answer(1, "large", "NEW") is None
    for turn in range(20):
        memory.keep_answer(1, turn, "ID", b"ID" + bytes(LARGEST - 2))
    assert sum(memory.answer(1, turn, "NEW") is not None for turn in range(20)) == 7


def test_long_requests_do_not_fill_the_memory(desk: Desk) -> None:
    """What is kept is the answer and a few bytes; a megabyte was asked for it."""
    tracemalloc.start()
    try:
        for number in range(20):
            text = f"{number:02}" + "x" * 500_000
            asked = {"Filter.1.Name": "owner-id", "Filter.1.Value.1": text}
            assert desk.ask("DescribeImages", **asked).status == 200
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 5_000_000


def test_the_smallest_answers_count_too() -> None:
    memory = Memory()
    for number in range(100_000):
        memory.keep_answer(1, number, "ID", b"<r>ID</r>")
    assert memory.answer(1, 0, "ID") is not None
    assert memory.answer(1, 99_999, "ID") is None
