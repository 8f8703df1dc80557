"""What a query costs follows what it answers, not what exists.

Counted in steps of SQLite's virtual machine, which are the same in every run.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.store import made
from tests.contract.store.made import HELEN, NOW

from econe.domain.instances import InstanceState
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query
from econe.store import open_store
from econe.store.sqlite import DatabaseStore

FEW, MANY = 60, 1500
FREE = 25
"""Steps that may come on top: trees are deeper."""


def fill(state: Path, count: int) -> DatabaseStore:
    store = open_store(state)
    with store.writing() as tx:
        made.found(tx)
        for number in range(1, count + 1):
            row_id = f"i-{number:08d}"
            made.launch(
                tx,
                row_id,
                state=InstanceState.TERMINATED if number == 7 else InstanceState.RUNNING,
                terminated_at=NOW if number == 7 else None,
                reboots_asked=1 if number == 9 else 0,
            )
            tx.tags.put(HELEN, row_id, "instance", {"Name": f"n{number}", "Env": "prod"})
            tx.images.add(made.image(f"ami-{number:08d}", account=made.JOHN, public=number == 3))
            template = f"lt-{number:08d}"
            tx.launch_templates.add(made.launch_template(template))
            tx.template_versions.add(made.template_version(2, template))
            if number > 2:
                tx.template_versions.add(made.template_version(number, "lt-00000001"))
    return store


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[DatabaseStore]]:
    made = [fill(tmp_path_factory.mktemp("cost") / "state", count) for count in (FEW, MANY)]
    yield made
    for store in made:
        store.close()


def where(field: str, *patterns: str) -> tuple[Criterion, ...]:
    return (Criterion(field, patterns),)


def of_helen(**query: Any) -> Query:
    return Query(account=HELEN, **query)


CHEAP: dict[str, Callable[[Transaction], Any]] = {
    "get": lambda tx: tx.instances.get("i-00000050"),
    "by id": lambda tx: tx.instances.keys(of_helen(ids=("i-00000050",))),
    "by id as a filter": lambda tx: tx.instances.keys(of_helen(criteria=where("id", "i-00000050"))),
    "by tag": lambda tx: tx.instances.keys(of_helen(criteria=where("tag:Name", "n50"))),
    "by two values of a tag": lambda tx: tx.instances.keys(
        of_helen(criteria=where("tag:Name", "n50", "n51"))
    ),
    "by tag and state": lambda tx: tx.instances.keys(
        of_helen(criteria=where("state", "running") + where("tag:Name", "n50"))
    ),
    "a page": lambda tx: tx.instances.keys(of_helen(limit=20)),
    "the next page": lambda tx: tx.instances.keys(of_helen(limit=20, after="i-00000020")),
    "a page of a common tag": lambda tx: tx.instances.keys(
        of_helen(limit=20, criteria=where("tag:Env", "prod"))
    ),
    "by address": lambda tx: tx.instances.keys(
        of_helen(criteria=where("private_ip", "172.31.0.5"))
    ),
    "by volume": lambda tx: tx.instances.keys(
        of_helen(criteria=where("volumes.id", "vol-00000005"))
    ),
    "who has an address": lambda tx: tx.instances.at("vpc-00000001", "172.31.0.5"),
    "what waits": lambda tx: tx.instances.waiting(),
    "what was terminated": lambda tx: tx.instances.terminated_before(made.later(1)),
    "an instance's volumes": lambda tx: tx.volumes.find(
        of_helen(criteria=where("instance_id", "i-00000050"))
    ),
    "free addresses": lambda tx: tx.interfaces.find(
        Query(
            criteria=where("subnet_id", "subnet-00000001")
            + where("private_ip", "172.31.0.5", "172.31.0.6")
        )
    ),
    "a launch template by name": lambda tx: tx.launch_templates.find(
        of_helen(criteria=where("name", "name-of-lt-00000050"))
    ),
    "a page of launch templates": lambda tx: tx.launch_templates.find(of_helen(limit=20)),
    "a version": lambda tx: tx.template_versions.get("lt-00000001", 50),
    "the versions of one template": lambda tx: tx.template_versions.numbers("lt-00000050"),
    "an instance's tags": lambda tx: tx.tags.find(
        of_helen(criteria=where("resource_id", "i-00000050"))
    ),
    "tags by key and value": lambda tx: tx.tags.find(
        of_helen(criteria=where("key", "Name") + where("value", "n50"))
    ),
    "a page of tags": lambda tx: tx.tags.find(of_helen(limit=20)),
    "the next page of tags": lambda tx: tx.tags.find(of_helen(limit=20, after="i-00000009\0Env")),
    "images of others that are public": lambda tx: tx.images.keys(Query(viewer=HELEN)),
    "an image seen": lambda tx: tx.images.keys(Query(viewer=HELEN, ids=("ami-00000003",))),
}


def steps(store: DatabaseStore, ask: Callable[[Transaction], Any]) -> tuple[int, Any]:
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    with store.reading() as tx:
        connection = _connection(tx)
        connection.set_progress_handler(step, 1)
        try:
            answer = ask(tx)
        finally:
            connection.set_progress_handler(None, 0)
    return count, answer


def _connection(tx: Any) -> sqlite3.Connection:
    return tx._session._connection  # type: ignore[no-any-return]


@pytest.mark.parametrize("asked", CHEAP)
def test_the_cost_stays_when_there_is_more(stores: list[DatabaseStore], asked: str) -> None:
    (few, answer), (many, same) = (steps(store, CHEAP[asked]) for store in stores)
    assert answer == same
    assert answer not in (None, [])
    assert getattr(answer, "items", True), "a query that finds nothing shows nothing"
    assert few > 0
    assert many <= few + FREE


def test_the_measure_tells_a_dear_query(stores: list[DatabaseStore]) -> None:
    dear = Query(account=HELEN, criteria=where("client_token", "x"))
    (few, _), (many, _) = (steps(store, lambda tx: tx.instances.keys(dear)) for store in stores)
    assert many > 10 * few


@pytest.mark.parametrize("ask", ["many", "find"])
def test_rows_are_loaded_in_a_fixed_number_of_statements(
    stores: list[DatabaseStore], ask: str
) -> None:
    counts = []
    for size in (2, 50):
        ids = tuple(f"i-{number:08d}" for number in range(1, size + 1))
        ran: list[str] = []
        with stores[0].reading() as tx:
            _connection(tx).set_trace_callback(ran.append)
            try:
                rows = (
                    tx.instances.many(ids)
                    if ask == "many"
                    else tx.instances.find(of_helen(ids=ids)).items
                )
            finally:
                _connection(tx).set_trace_callback(None)
        assert len(rows) == size
        counts.append(len(ran))
    assert counts[0] == counts[1] <= 8


def test_knowing_who_asks_is_one_statement(store: DatabaseStore) -> None:
    with store.writing() as tx:
        tx.access_keys.add(made.access_key())
    ran: list[str] = []
    with store.reading() as tx:
        _connection(tx).set_trace_callback(ran.append)
        try:
            assert tx.access_keys.get("AKIAIOSFODNN7EXAMPLE") is not None
        finally:
            _connection(tx).set_trace_callback(None)
        (statement,) = ran
        plan = _connection(tx).execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    assert [row[3] for row in plan] == [
        "SEARCH access_keys USING INDEX sqlite_autoindex_access_keys_1 (access_key=?)"
    ]
