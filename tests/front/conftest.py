"""The pipeline without a socket: the whole app over the real store, a vault in memory."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.cloud import Caller, make_caller, simulator
from tests.support.memory_vault import MemoryVault

from econe.app import App, build, utc_now
from econe.front.messages import Answer, Incoming
from econe.front.pipeline import Door, Pipeline
from econe.settings import Cloud
from econe.wire.signing import presign_v4, sign_v2, sign_v4

URL = "http://127.0.0.1:4567/"
HOST = "127.0.0.1:4567"
VERSION = "2016-11-15"


@dataclass(frozen=True)
class Reply:
    """An answer, taken apart."""

    status: int
    code: str
    message: str
    request_id: str
    text: str

    def all(self, tag: str) -> list[str]:
        return [unescape(found) for found in re.findall(f"<{tag}>([^<]*)</{tag}>", self.text)]


def reply(answer: Answer) -> Reply:
    text = answer.body.decode()

    def one(tag: str) -> str:
        found = re.search(f"<{tag}>([^<]*)</{tag}>", text)
        return unescape(found[1]) if found else ""

    said = one("RequestID") or one("requestId") or one("RequestId")
    return Reply(answer.status, one("Code"), one("Message"), said, text)


class Desk:
    """Sends requests into the pipeline, as one account."""

    def __init__(self, app: App, vault: MemoryVault) -> None:
        self.app, self.vault = app, vault
        self.pipeline: Pipeline = app.asgi._pipeline
        self.caller: Caller = make_caller(app)

    @property
    def door(self) -> Door:
        return self.pipeline._door

    def with_door(self, **changes: Any) -> None:
        self.pipeline = Pipeline(replace(self.door, **changes))

    def ask(self, action: str, how: str = "v4", /, **asked: str) -> Reply:
        return reply(self.pipeline.answer(self.signed(action, how, **asked)))

    def signed(self, action: str, how: str = "v4", /, **asked: str) -> Incoming:
        return self.signed_at(utc_now(), action, how, **asked)

    def signed_at(self, now: datetime, action: str, how: str, /, **asked: str) -> Incoming:
        """`how`: v4 (a form), v4-get, v4-query (presigned), v2, v2-get, v2-sha1."""
        pairs = {"Action": action, "Version": VERSION, **asked}
        method = "GET" if how in ("v4-get", "v4-query", "v2-get") else "POST"
        who: dict[str, Any] = {
            "access_key": self.caller.access_key,
            "secret": self.caller.secret,
            "now": now,
        }
        headers = {"host": HOST}
        if how.startswith("v2"):
            kind = "HmacSHA1" if how == "v2-sha1" else "HmacSHA256"
            pairs = sign_v2(method=method, url=URL, parameters=pairs, algorithm=kind, **who)
        text = urlencode(pairs)
        if how == "v4-query":
            more = presign_v4(method=method, url=f"{URL}?{text}", expires_s=60, **who)
            text = f"{text}&{urlencode(more)}"
        body = b"" if method == "GET" else text.encode()
        query = text.encode() if method == "GET" else b""
        if how in ("v4", "v4-get"):
            added = sign_v4(
                method=method,
                url=URL + (f"?{text}" if query else ""),
                headers={},
                body_sha256=hashlib.sha256(body).hexdigest(),
                **who,
            )
            headers |= {name.lower(): value for name, value in added.items()}
        return Incoming(method, "/", query, headers, body)


@pytest.fixture(scope="session")
def _app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    # Nearly every test has an account of its own, and each of those a network.
    plenty = Cloud(default_vpc_cidrs=("10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"))
    state = tmp_path_factory.mktemp("front") / "state"
    app = build(simulator(state, cloud=plenty), vault=MemoryVault())
    try:
        yield app
    finally:
        app.close()


@pytest.fixture
def desk(_app: App) -> Desk:
    """A fresh account, and a fresh vault for those who make an Application with it."""
    return Desk(_app, MemoryVault())
