import threading
from collections.abc import Iterator

import pytest
from tests.support.eventually import eventually

from econe.reconcile.workers import MOST_CHORES, WAITING_EACH, Workers


class Gate:
    """A job that waits to be let go."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.open.wait(5)


@pytest.fixture
def freed() -> list[str]:
    return []


@pytest.fixture
def workers(freed: list[str]) -> Iterator[Workers]:
    workers = Workers(2, freed=lambda: freed.append("freed"))
    workers.start()
    yield workers
    workers.stop()


def test_an_instance_is_worked_on_by_one_job_at_a_time(workers: Workers):
    gate = Gate()
    assert workers.begin("i-1", "vpc-1", gate)
    assert not workers.begin("i-1", "vpc-1", gate)
    assert workers.busy() == {"i-1": "vpc-1"}
    gate.open.set()
    eventually(lambda: workers.begin("i-1", "vpc-1", lambda: None), within_s=5)


def test_what_finds_the_queue_full_is_refused_and_the_end_of_a_job_tells(
    workers: Workers, freed: list[str]
):
    gates = [Gate() for _ in range(2 * (1 + WAITING_EACH))]
    assert all(workers.begin(f"i-{n}", "", gate) for n, gate in enumerate(gates))
    assert not workers.begin("i-99", "", lambda: None)
    assert freed == []
    for gate in gates:
        gate.open.set()
    eventually(lambda: freed, within_s=5)
    assert workers.begin("i-99", "", lambda: None)


def test_no_more_than_its_count_work_at_once_and_chores_besides(workers: Workers):
    gates = [Gate() for _ in range(4)]
    for n, gate in enumerate(gates):
        workers.begin(f"i-{n}", "", gate)
    chore = Gate()
    workers.begin_chore("sweep", chore)
    assert chore.begun.wait(5)
    assert all(gate.begun.wait(5) for gate in gates[:2])
    assert not any(gate.begun.is_set() for gate in gates[2:])
    for gate in (*gates, chore):
        gate.open.set()


def test_while_plenty_waits_ends_of_jobs_are_not_told(workers: Workers, freed: list[str]):
    gates = [Gate() for _ in range(6)]
    for n, gate in enumerate(gates):
        workers.begin(f"i-{n}", "", gate)
    gates[0].open.set()
    eventually(lambda: len(workers.busy()) == 5, within_s=5)
    assert freed == []
    gates[1].open.set()
    eventually(lambda: freed, within_s=5)
    for gate in gates:
        gate.open.set()


def test_chores_take_no_worker_from_machines(workers: Workers):
    gates = [Gate() for _ in range(MOST_CHORES)]
    assert all(workers.begin_chore(f"chore {n}", gate) for n, gate in enumerate(gates))
    assert not workers.begin_chore("one more", lambda: None)
    machine = Gate()
    assert workers.begin("i-1", "", machine)
    assert machine.begun.wait(5)
    for gate in (*gates, machine):
        gate.open.set()


def test_it_is_known_which_vpc_is_being_taken_down(workers: Workers):
    gate = Gate()
    workers.begin_chore("remove vpc-1", gate, removes_vpc="vpc-1")
    assert workers.removing("vpc-1")
    assert not workers.removing("vpc-2")
    gate.open.set()
    eventually(lambda: not workers.removing("vpc-1"), within_s=5)


def test_a_job_that_raises_frees_its_worker(workers: Workers, freed: list[str]):
    assert workers.begin("i-1", "", lambda: 1 / 0)
    eventually(lambda: freed, within_s=5)
    assert workers.busy() == {}


def test_nothing_begins_after_the_end(freed: list[str]):
    workers = Workers(1, freed=lambda: freed.append("freed"))
    workers.start()
    workers.stop()
    assert not workers.begin("i-1", "", lambda: None)
    assert workers.busy() == {}


def test_before_the_start_a_job_is_done_in_the_calling_thread(freed: list[str]):
    workers = Workers(1, freed=lambda: freed.append("freed"))
    threads: list[int] = []
    assert workers.begin("i-1", "", lambda: threads.append(threading.get_ident()))
    assert threads == [threading.get_ident()]
    assert freed == ["freed"]
