"""What every store promises of transactions: alone, beside threads and processes, and cut off."""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from tests.contract.store import made
from tests.contract.store.conftest import Stand
from tests.contract.store.made import HELEN, JOHN, NOW

from econe.domain.ports import Store, StoreBroken, Taken, Transaction
from econe.domain.queries import Criterion, Query

TURNS = 40


def test_nothing_is_written_until_the_block_ends(store: Store) -> None:
    with store.writing() as tx:
        tx.images.add(made.image())
        with store.reading() as other:
            assert other.images.get("ami-00000001") is None
    with store.reading() as tx:
        assert tx.images.get("ami-00000001") is not None


def test_a_block_that_raises_writes_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.writing() as tx:
        tx.images.add(made.image())
        _ = 1 // 0
    with store.writing() as tx:
        assert tx.images.get("ami-00000001") is None


def test_undo_writes_nothing_and_the_block_sees_its_own_work_to_its_end(store: Store) -> None:
    with store.writing() as tx:
        (row_id,) = tx.next_ids("ami")
        tx.undo()
        tx.images.add(made.image(row_id))
        assert tx.images.get(row_id) is not None
    with store.writing() as tx:
        assert tx.images.get(row_id) is None
        assert list(tx.next_ids("ami")) == [row_id]


def test_undo_of_a_reading_is_nothing(store: Store) -> None:
    with store.reading() as tx:
        tx.undo()
        assert tx.accounts.get(HELEN) is not None


def test_a_reading_cannot_write(store: Store) -> None:
    deeds: list[Callable[[Transaction], object]] = [
        lambda tx: tx.images.add(made.image()),
        lambda tx: tx.subnets.save(made.subnet(zone="x")),
        lambda tx: tx.subnets.remove("subnet-00000001"),
        lambda tx: tx.next_ids("i"),
        lambda tx: tx.tags.put(HELEN, "vpc-00000001", "vpc", {"a": "b"}),
    ]
    for deed in deeds:
        with pytest.raises(StoreBroken), store.reading() as tx:
            deed(tx)
    with store.reading() as tx:
        assert tx.subnets.get("subnet-00000001") == made.subnet()


def test_a_reading_sees_one_moment(store: Store) -> None:
    with store.reading() as tx:
        assert tx.images.find(Query()).items == []
        with store.writing() as other:
            other.images.add(made.image())
        assert tx.images.find(Query()).items == []


def test_what_a_block_gave_out_ends_with_it(store: Store) -> None:
    for opened in (store.writing(), store.reading()):
        with opened as tx:
            accounts = tx.accounts
        with pytest.raises(StoreBroken):
            accounts.get(HELEN)
        with pytest.raises(StoreBroken):
            tx.accounts.add(made.account("999999999999", "late"))
    with store.writing() as tx:
        assert tx.accounts.named("late") is None


def test_a_thread_cannot_wait_for_itself(store: Store) -> None:
    with store.writing() as tx:
        with pytest.raises(RuntimeError, match="inside"), store.writing():
            pass
        tx.images.add(made.image())
    with store.reading() as tx:
        assert tx.images.get("ami-00000001") is not None


def test_closing_twice_is_closing_once(store: Store) -> None:
    store.close()
    store.close()


# --- threads


def test_threads_that_write_take_turns(store: Store) -> None:
    given: list[str] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(TURNS):
                with store.writing() as tx:
                    row_ids = tx.next_ids("vol")
                    tx.volumes.add(made.volume(row_ids[0]))
                given.extend(row_ids)
        except BaseException as failure:
            failures.append(failure)

    run_together(work, work, work)
    assert failures == []
    assert sorted(given) == [f"vol-{n:08d}" for n in range(1, 3 * TURNS + 1)]


def test_threads_that_read_see_whole_transactions_while_one_writes(store: Store) -> None:
    """Two rows are always written together; no reading sees one without the other."""
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(TURNS):
                with store.writing() as tx:
                    for noun, kind in (("vpc-00000001", "vpc"), ("subnet-00000001", "subnet")):
                        tx.tags.put(HELEN, noun, kind, {"n": str(number)})
        except BaseException as failure:
            failures.append(failure)
        finally:
            done.set()

    def read() -> None:
        try:
            while not done.is_set():
                with store.reading() as tx:
                    one, other = tx.vpcs.get("vpc-00000001"), tx.subnets.get("subnet-00000001")
                    assert one is not None
                    assert other is not None
                    assert one.tags == other.tags
        except BaseException as failure:
            failures.append(failure)

    run_together(write, read, read, read)
    assert failures == []


def run_together(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


# --- processes

SPAWN = multiprocessing.get_context("spawn")  # as econe-admin is: nothing is inherited


def take_ids(stand: Stand, state: Path, tell: Connection) -> None:
    store = stand(state)
    given: list[str] = []
    for _ in range(TURNS):
        with store.writing() as tx:
            given.extend(tx.next_ids("i"))
    store.close()
    tell.send(given)


def test_processes_that_write_take_turns(stand: Stand, tmp_path: Path) -> None:
    """Also the first opening: each of them may be the one that makes the store."""
    listening, telling = zip(*(SPAWN.Pipe(duplex=False) for _ in range(2)), strict=True)
    workers = [
        SPAWN.Process(target=take_ids, args=(stand, tmp_path / "state", tell)) for tell in telling
    ]
    for worker in workers:
        worker.start()
    given = []
    for listen in listening:
        assert listen.poll(60)
        given += listen.recv()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted(given) == [f"i-{n:08d}" for n in range(1, 2 * TURNS + 1)]


def write_pairs(stand: Stand, state: Path, tell: Connection) -> None:
    """Endless transactions that each add an instance, its interface and its volume."""
    store = stand(state)
    while True:
        with store.writing() as tx:
            (row_id,) = tx.next_ids("i")
            made.launch(tx, row_id)
            tx.tags.put(HELEN, row_id, "instance", {"Name": row_id})
        tell.send(row_id)


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_killed_at_any_moment_leaves_whole_transactions(
    opening: Callable[[], Store], stand: Stand, tmp_path: Path, seed: int
) -> None:
    with opening().writing() as tx:
        made.found(tx)
    listen, tell = SPAWN.Pipe(duplex=False)
    worker = SPAWN.Process(target=write_pairs, args=(stand, tmp_path / "state", tell))
    worker.start()
    tell.close()
    assert listen.poll(60)
    time.sleep(random.Random(seed).uniform(0.0, 0.05))
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(60)
    told = []
    with suppress(EOFError):
        while listen.poll(1):
            told.append(listen.recv())
    with opening().writing() as tx:
        rows = tx.instances.find(Query()).items
        assert [row.id for row in rows][: len(told)] == told, "what was told is kept"
        assert len(rows) - len(told) in (0, 1), "one may be committed and not yet told"
        for row in rows:
            assert (len(row.interfaces), len(row.volumes)) == (1, 1)
            assert row.tags == {"Name": row.id}
        (fresh,) = tx.next_ids("i")
        assert fresh > rows[-1].id


def test_two_views_of_one_store_see_each_others_work(
    store: Store, opening: Callable[[], Store]
) -> None:
    other = opening()
    key = made.access_key()
    with store.writing() as tx:
        tx.access_keys.add(key)
    with other.writing() as tx:
        assert tx.access_keys.get(key.access_key) == key
        tx.access_keys.save(made.access_key(secrets=("another",)))
        with pytest.raises(Taken):
            tx.access_keys.add(made.access_key(of=JOHN))
    with store.reading() as tx:
        found = tx.access_keys.get(key.access_key)
        assert found == made.access_key(secrets=("another",))


def test_unicode_goes_in_and_comes_out(store: Store) -> None:
    odd = "a\u0301 \u202e 日本 \U0001f469\u200d\U0001f680 <&>\"' + \t\n"
    with store.writing() as tx:
        tx.images.add(made.image(description=odd, created_at=NOW))
        tx.tags.put(HELEN, "ami-00000001", "image", {odd: odd})
    with store.reading() as tx:
        row = tx.images.get("ami-00000001")
        assert row is not None
        assert (row.description, row.tags) == (odd, {odd: odd})
        for criterion in (Criterion(f"tag:{odd}", (odd,)), Criterion("description", (odd,))):
            assert tx.images.find(Query(account=HELEN, criteria=(criterion,))).items == [row]
