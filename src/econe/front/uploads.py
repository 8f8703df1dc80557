"""Uploads: streamed to the vault, never held in memory, and believed before they are kept.

Two forms. The body is the file itself, and the parameters are in the query string (version 4, or a
presigned URL). Or it is multipart/form-data, as the tools of OpenNebula send it: signed fields
first, the file in the field `file`, last. Either way the caller is proven before the first byte of
the file reaches the disk, and nothing is left of an upload that does not come to its end.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final
from weakref import WeakValueDictionary

from econe.domain.images import Content
from econe.domain.ports import Upload, Vault
from econe.front.body import Body, Disconnected, TooLarge, TooSlow
from econe.front.messages import Answer, Incoming, refused
from econe.front.pipeline import UPLOAD, Exchange, Pipeline
from econe.front.workers import Workers
from econe.settings import Images
from econe.settings import Server as ServerSettings
from econe.wire.multipart import Event, Field, FileBegin, FileChunk, Reader
from econe.wire.refusal import Refusal

BATCH_BYTES: Final = 1024 * 1024
"""Written at once. One batch is written while the next one arrives; so much is held, not more."""
WRITERS: Final = 4
PROVERS: Final = 2
"""Uploads whose content is looked at at once; each runs a child process for seconds to minutes."""

TOO_LARGE: Final = Refusal("RequestEntityTooLarge", "The image is larger than may be sent.", 413)
TOO_SLOW: Final = Refusal("RequestTimeout", "The image did not arrive in time.", 408)
CUT_OFF: Final = Refusal("RequestTimeout", "The caller went away in the middle.", 408)
OTHER_HASH: Final = Refusal(
    "SignatureDoesNotMatch",
    "The x-amz-content-sha256 that was signed is not the hash of the body received.",
    403,
)


def is_upload(incoming: Incoming) -> bool:
    """Whether the body may be a file: told from the head, before any of it is read."""
    return incoming.method == "POST" and (
        _is_multipart(incoming) or b"Action=" + UPLOAD.encode() in incoming.query.split(b"&")
    )


def _is_multipart(incoming: Incoming) -> bool:
    kind = incoming.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "multipart/form-data"


class Uploads:
    def __init__(
        self, pipeline: Pipeline, vault: Vault, server: ServerSettings, images: Images
    ) -> None:
        self._pipeline, self._vault = pipeline, vault
        self._silence_s = server.body_timeout_s
        self._most_fields = server.max_body_kib * 1024
        self._most = images.max_upload_gib * 1024**3
        self._writers = Workers(WRITERS, "upload")
        self._provers = Workers(PROVERS, "prove")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def close(self) -> None:
        self._writers.close()
        self._provers.close()

    def _turn_of(self, account: str) -> asyncio.Lock:
        """One account's uploads are proven one after the other, since a hostile file may take all
        the time that there is: others' must not wait for it."""
        return self._turns.setdefault(account, asyncio.Lock())

    async def take(self, incoming: Incoming, body: Body) -> Answer:
        """Raises TooLarge, TooSlow, TimeoutError and Disconnected only before the caller is
        proven."""
        if _is_multipart(incoming):
            arriving = body.parts(self._most + self._most_fields, silence_s=self._silence_s)
            try:
                form = _Form(Reader(incoming.headers["content-type"]), arriving)
                async with asyncio.timeout(self._silence_s):  # a stranger's: not for ever
                    fields = await form.fields()
            except Refusal as refusal:
                return refused(refusal.code, refusal.message, refusal.status)
            incoming, file = replace(incoming, fields=fields), form.file()
        else:
            file = body.parts(self._most, silence_s=self._silence_s)
        incoming = replace(incoming, is_upload=True)
        admitted = await self._writers.do(self._pipeline.admit, incoming)
        return admitted if isinstance(admitted, Answer) else await self._keep(admitted, file)

    async def _keep(self, exchange: Exchange, file: AsyncIterator[bytes]) -> Answer:
        """Receive the file of a proven caller, and make the image."""
        refuse = self._pipeline.refuse
        keeping: _Keeping | None = None
        try:
            upload = await self._writers.do(self._vault.receive)
            keeping = _Keeping(upload, exchange.claim.body_sha256, self._writers)
            await keeping.fill(file)
            async with self._turn_of(exchange.account.number):
                content = await self._provers.do(keeping.finish)
        except TooSlow:
            return replace(refuse(exchange, TOO_SLOW), hang_up=True)
        except TooLarge:
            return refuse(exchange, TOO_LARGE)
        except Disconnected:
            refuse(exchange, CUT_OFF)  # for the log
            raise
        except Exception as problem:
            return refuse(exchange, problem)
        finally:
            if keeping is not None:
                await keeping.end()
        return await self._writers.do(self._pipeline.complete, exchange, content)


class _Form:
    """A multipart body as fields, and then a file."""

    def __init__(self, reader: Reader, arriving: AsyncIterator[bytes]) -> None:
        self._reader, self._arriving = reader, arriving
        self._waiting: Iterator[Event] = iter(())
        """Events of the part that came last, from the file's beginning on."""

    async def fields(self) -> list[tuple[str, str]]:
        """Those before the file. Raises Refusal where there is no file."""
        found: list[tuple[str, str]] = []
        async for part in self._arriving:
            self._waiting = iter(self._reader.feed(part))
            for event in self._waiting:
                if isinstance(event, FileBegin):
                    return found
                if isinstance(event, Field):
                    found.append((event.name, event.value))
        raise Refusal("MissingParameter", "The request must contain the field file")

    async def file(self) -> AsyncIterator[bytes]:
        """Its content. Raises Refusal for anything that follows it."""
        while True:
            for event in self._waiting:
                if isinstance(event, FileChunk):
                    yield event.data
                elif isinstance(event, Field | FileBegin):
                    raise Refusal("InvalidRequest", f"{event.name} comes after the file")
            part = await anext(self._arriving, None)
            if part is None:
                break
            self._waiting = iter(self._reader.feed(part))
        self._reader.close()


class _Keeping:
    """One file on its way into the vault. While one batch is written the next one is received."""

    def __init__(self, upload: Upload, promised: str | None, pool: Workers) -> None:
        self._upload, self._promised, self._pool = upload, promised, pool
        self._sha256 = hashlib.sha256()
        self._writing: asyncio.Future[None] | None = None

    async def fill(self, file: AsyncIterator[bytes]) -> None:
        batch: list[bytes] = []
        size = 0
        async for piece in file:
            batch.append(piece)
            size += len(piece)
            if size >= BATCH_BYTES:
                await self._write(batch)
                batch, size = [], 0
        await self._write(batch)
        await self._written()

    async def _write(self, batch: list[bytes]) -> None:
        await self._written()
        self._writing = self._pool.do(self._write_now, batch)

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _write_now(self, batch: list[bytes]) -> None:
        whole = b"".join(batch)
        if self._promised is not None:
            self._sha256.update(whole)
        if whole:
            self._upload.write(whole)

    def finish(self) -> Content:
        """Raises Refusal where the body is not the one that was signed, and what finish() does."""
        if self._promised is not None and not hmac.compare_digest(
            self._sha256.hexdigest(), self._promised
        ):
            raise OTHER_HASH
        return self._upload.finish()

    async def end(self) -> None:
        """Leave nothing, whatever happened; a finished upload is not touched by this."""
        with suppress(Exception):  # told already to whoever waits for fill()
            await self._written()
        await self._pool.do(self._upload.abort)
