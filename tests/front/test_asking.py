"""Actions that ask an engine: after their transaction, and in nobody else's way."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.front.conftest import Desk
from tests.front.test_asgi import application, talk

from econe.actions.context import Context
from econe.actions.registry import Handler
from econe.domain.cloud import Cloud
from econe.domain.faults import Noun, Unavailable
from econe.domain.ports import StoreBroken, Transaction
from econe.front import asgi

ACTION = "GetConsoleScreenshot"
ID = "i-00000001"


class Probe:
    """A handler of the action: what it prepares, and what it asks."""

    def __init__(self, asks: Callable[[], None] = lambda: None) -> None:
        self._asks = asks
        self.tx: Transaction | None = None
        self.asked = 0

    @property
    def handlers(self) -> dict[str, Handler]:
        takes = frozenset({"InstanceId"})
        return {ACTION: Handler(ACTION, self._prepare, False, takes, False, self._ask)}

    def _prepare(self, ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
        self.tx = ctx.tx
        return {"InstanceId": asked["InstanceId"]}

    def _ask(self, cloud: Cloud, prepared: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        self._asks()
        return {**prepared, "ImageData": "eA=="}


def test_the_transaction_is_over_when_the_engine_is_asked(desk: Desk):
    def asks() -> None:
        assert probe.tx is not None
        with pytest.raises(StoreBroken):
            probe.tx.instances.get(ID)

    probe = Probe(asks)
    desk.with_door(handlers=probe.handlers)
    answer = desk.ask(ACTION, InstanceId=ID)
    assert (answer.status, answer.all("imageData"), probe.asked) == (200, ["eA=="], 1)


def test_what_was_asked_is_asked_again(desk: Desk):
    probe = Probe()
    desk.with_door(handlers=probe.handlers)
    for _ in range(2):
        assert desk.ask(ACTION, InstanceId=ID).status == 200
    assert probe.asked == 2


def test_a_dry_run_asks_nothing(desk: Desk):
    probe = Probe()
    desk.with_door(handlers=probe.handlers)
    assert desk.ask(ACTION, InstanceId=ID, DryRun="true").code == "DryRunOperation"
    assert probe.asked == 0


def test_an_engine_that_does_not_answer_is_told_of(desk: Desk):
    def asks() -> None:
        raise Unavailable(Noun.REQUEST, said="later", hidden="it hangs")

    desk.with_door(handlers=Probe(asks).handlers)
    answer = desk.ask(ACTION, InstanceId=ID)
    assert (answer.status, answer.code, answer.message) == (503, "Unavailable", "later")


def test_who_waits_for_an_engine_holds_nobody_up_and_few_may_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asgi, "MOST_ASKING", 3)
    answers, free = threading.Event(), threading.Semaphore(0)

    def asks() -> None:
        free.release()
        assert answers.wait(10)

    probe = Probe(asks)
    desk.with_door(handlers={**desk.door.handlers, **probe.handlers})
    app = application(desk)

    def form(action: str, **asked: str) -> dict[str, Any]:
        signed = desk.signed(action, **asked)
        length = {"content-length": str(len(signed.body))}
        return {"headers": {**signed.headers, **length}, "parts": [signed.body]}

    async def all_of_them() -> None:
        waiting = [asyncio.create_task(talk(app, **form(ACTION, InstanceId=ID))) for _ in range(3)]
        for _ in range(3):
            assert await asyncio.to_thread(free.acquire, timeout=10)
        one_more = await talk(app, **form(ACTION, InstanceId=ID))
        assert one_more is not None
        assert (one_more.status, one_more.reply.code) == (503, "RequestLimitExceeded")
        other = await talk(app, **form("DescribeKeyPairs"))
        assert other is not None
        assert other.status == 200
        answers.set()
        assert {done.status for done in await asyncio.gather(*waiting) if done} == {200}
        again = await talk(app, **form(ACTION, InstanceId=ID))
        assert again is not None
        assert again.status == 200

    asyncio.run(all_of_them())
