"""The ASGI application: receives requests and sends answers, and decides nothing.

    GET, POST /             the EC2 Query API
    GET /health             whether the server works, as JSON
    GET /metrics            what instances use, for Prometheus (front/metrics.py)
    GET /staged/<token>     content that an engine fetches (front/staged.py)

Ordinary requests are read whole, within limits of size and time, and answered by the pipeline in a
pool of threads. Uploads are streamed (front/uploads.py).
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from econe.domain.image_ports import Staged
from econe.domain.ports import StoreBroken, StoreBusy, Vault
from econe.front.body import Body, Disconnected, TooLarge, TooSlow
from econe.front.messages import (
    Answer,
    Incoming,
    Receive,
    Scope,
    Send,
    new_request_id,
    refused,
)
from econe.front.metrics import CONTENT_TYPE, MetricsPage
from econe.front.pipeline import Exchange, Pipeline
from econe.front.staged import StagedFiles
from econe.front.uploads import Uploads, is_upload
from econe.front.workers import Workers
from econe.settings import Images
from econe.settings import Server as ServerSettings

log: Final = logging.getLogger("econe.front")

AT_ONCE_BYTES: Final = 8192
"""Requests up to this size are read on the event loop itself, which takes about 0.1 ms and may be
all that there is to do; larger ones in a thread."""
ASKERS: Final = 4
"""Threads of those who wait for an engine."""
MOST_ASKING: Final = 32
"""Requests that wait for an engine at once."""
METHODS: Final = frozenset({"GET", "POST"})


class Health(Protocol):
    """What /health says: plain JSON values, no secrets. `ok` decides the status."""

    def __call__(self) -> Mapping[str, Any]: ...


class Application:
    """The ASGI callable."""

    def __init__(
        self,
        pipeline: Pipeline,
        vault: Vault,
        health: Health,
        server: ServerSettings,
        images: Images,
        *,
        staged: Staged | None = None,
        metrics: MetricsPage | None = None,
    ) -> None:
        """`staged`: of an engine that fetches content from here; `metrics`: where the operator
        wants them. Without them those paths are empty."""
        self._pipeline, self._health = pipeline, health
        self._most_head = server.max_header_kib * 1024
        self._most_body = server.max_body_kib * 1024
        self._body_timeout_s = server.body_timeout_s
        self._workers = Workers(server.threads, "request")
        self._writers = Workers(server.threads, "write")
        """Apart from readers, which shall not wait behind those who wait for the one writer."""
        self._askers = Workers(ASKERS, "ask")
        self._asking = 0
        self._uploads = Uploads(pipeline, vault, server, images)
        self._metrics = metrics
        self._staged = None if staged is None else StagedFiles(staged)

    def close(self) -> None:
        self._workers.close()
        self._writers.close()
        self._askers.close()
        self._uploads.close()
        if self._staged is not None:
            self._staged.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._staged is not None and await self._staged.give(scope, receive, send):
            return
        try:
            answer = await self._answer(scope, receive)
        except Disconnected:
            return  # nobody is there to be answered, and nothing was done
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": _headers(answer),
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if _size_of_head(scope) > self._most_head:
            return refused("RequestHeaderSectionTooLarge", "The request's head is too large", 431)
        if scope["path"] == "/health":
            return self._say_health(scope["method"])
        if scope["path"] == "/metrics" and self._metrics and self._metrics.allows(scope):
            return await self._show_metrics(scope["method"], self._metrics)
        if scope["path"] != "/":
            return refused("InvalidAction", "There is nothing at this path; the API is at /", 404)
        if scope["method"] not in METHODS:
            return refused("InvalidAction", "Only GET and POST are answered here", 405)
        return await self._take(scope, receive)

    async def _take(self, scope: Scope, receive: Receive) -> Answer:
        headers = headers_of(scope)
        incoming = Incoming(scope["method"], scope["path"], scope["query_string"], headers)
        try:
            if is_upload(incoming):
                return await self._uploads.take(incoming, Body(receive, headers))
            body = Body(receive, headers)
            if body.expected != 0:
                async with asyncio.timeout(self._body_timeout_s):
                    incoming = replace(incoming, body=await body.whole(self._most_body))
        except TooLarge:
            return refused("RequestEntityTooLarge", "The request is too large", 413)
        except (TooSlow, TimeoutError):
            return refused(
                "RequestTimeout", "The request's body did not arrive in time", 408, hang_up=True
            )
        if len(incoming.query) + len(incoming.body) > AT_ONCE_BYTES:
            arrived = await self._workers.do(self._pipeline.arrive, incoming)
        else:
            arrived = self._pipeline.arrive(incoming)
        if isinstance(arrived, Answer):
            return arrived
        if self._pipeline.asks(arrived):
            return await self._ask(arrived)
        workers = self._writers if self._pipeline.may_wait(arrived) else self._workers
        return await workers.do(self._pipeline.finish, arrived)

    async def _ask(self, arrived: Exchange) -> Answer:
        """A machine that does not answer costs seconds: few wait for one, and nobody behind them
        who asks for something else."""
        if self._asking >= MOST_ASKING:
            return refused(
                "RequestLimitExceeded", "Too many wait for an answer of this kind; try again", 503
            )
        self._asking += 1
        try:
            return await self._askers.do(self._pipeline.finish, arrived)
        finally:
            self._asking -= 1

    def _say_health(self, method: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return refused("InvalidAction", "Only GET is answered here", 405)
        health = self._health()
        return Answer(
            200 if health["ok"] else 503,
            json.dumps(health).encode(),
            new_request_id(),
            b"application/json",
        )

    async def _show_metrics(self, method: str, page: MetricsPage) -> Answer:
        if method not in ("GET", "HEAD"):
            return refused("InvalidAction", "Only GET is answered here", 405)
        try:
            text = await self._askers.do(page.text)
        except (StoreBusy, StoreBroken) as problem:
            log.warning("The metrics cannot be shown problem=%s", problem.hidden)
            return refused("Unavailable", "The metrics cannot be read now", 503)
        return Answer(200, text, new_request_id(), CONTENT_TYPE)


def headers_of(scope: Scope) -> dict[str, str]:
    """By lower-case name; bytes beyond ASCII as Latin-1, which is how clients sign them."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _size_of_head(scope: Scope) -> int:
    size = len(scope["raw_path"]) + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value)
    return size


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-amzn-requestid", answer.request_id.encode()),
    ]
    if answer.status == 405:
        headers.append((b"allow", b"GET, POST"))
    if answer.hang_up:
        headers.append((b"connection", b"close"))
    return headers
