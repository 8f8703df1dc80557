"""The ASGI application, spoken to in its own language: no socket, no server."""

import asyncio
import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.front.conftest import HOST, URL, Desk, Reply, reply
from tests.support.cloud import Cloud
from tests.support.memory_vault import MemoryUpload

from econe.app import utc_now
from econe.domain.images import Content
from econe.domain.queries import Query
from econe.front.asgi import Application
from econe.front.messages import Answer
from econe.front.uploads import BATCH_BYTES
from econe.settings import Images, Server
from econe.wire.signing import UNSIGNED, sign_v2, sign_v4

DISK = b"DISK" + bytes(range(256)) * 4096
GONE = object()
"""The caller goes away here."""
PAUSE = object()
"""A byte, after a while."""
SILENCE = object()
"""The caller says no more here, and stays."""


@dataclass
class Sent:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reply(self) -> Reply:
        return reply(Answer(self.status, self.body, ""))


async def talk(
    app: Any,
    *,
    method: str = "POST",
    path: str = "/",
    query: bytes = b"",
    headers: dict[str, str] | None = None,
    parts: Sequence[Any] = (b"",),
) -> Sent | None:
    """What is answered; None if nothing is."""
    waiting = list(parts)
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        part = waiting.pop(0)
        if part is SILENCE:
            await asyncio.sleep(60)
        if part is PAUSE:
            await asyncio.sleep(0.05)
            part = b"-"
        if part is GONE:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def answer(message: Any) -> None:
        answered.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(k.encode(), v.encode()) for k, v in (headers or {"host": HOST}).items()],
    }
    await app(scope, receive, answer)
    if not answered:
        return None
    start, body = answered
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    assert found["content-length"] == str(len(body["body"]))
    return Sent(start["status"], found, body["body"])


def send(app: Any, **request: Any) -> Sent | None:
    """The same, for callers that have no event loop."""
    return asyncio.run(talk(app, **request))


def sent(*given: Any, **named: Any) -> Sent:
    answered = send(*given, **named)
    assert answered is not None
    return answered


def application(desk: Desk, server: Server | None = None, **images: Any) -> Application:
    return Application(
        desk.pipeline,
        desk.vault,
        lambda: {"ok": True},
        server or Server(body_timeout_s=0.2),
        Images(**images),
    )


@pytest.fixture
def app(desk: Desk) -> Application:
    return application(desk)


# --- ordinary requests -------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[], [1], [10, 11, 50]])
def test_a_form_may_come_in_any_number_of_parts(
    desk: Desk, app: Application, cuts: list[int]
) -> None:
    signed = desk.signed("DescribeRegions")
    ends = [0, *cuts, len(signed.body)]
    parts = [signed.body[a:b] for a, b in pairwise(ends)]
    headers = {**signed.headers, "content-length": str(len(signed.body))}
    answer = sent(app, headers=headers, parts=parts)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml;charset=UTF-8"
    assert answer.headers["x-amzn-requestid"] == answer.reply.request_id


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded; charset=utf-8"]
)
def test_the_content_type_of_a_form_does_not_matter(
    desk: Desk, app: Application, kind: str | None
) -> None:
    signed = desk.signed("DescribeRegions", "v2")
    more = {"content-type": kind} if kind else {}
    headers = {**signed.headers, "content-length": str(len(signed.body)), **more}
    assert sent(app, headers=headers, parts=[signed.body]).status == 200


def test_a_body_cut_off_has_no_effect_and_no_answer(desk: Desk, app: Application) -> None:
    signed = desk.signed("CreateKeyPair", KeyName="k", KeyType="ed25519")
    headers = {**signed.headers, "content-length": str(len(signed.body))}
    assert send(app, headers=headers, parts=[signed.body[:-1], GONE]) is None
    assert desk.ask("DescribeKeyPairs").all("keyName") == []


@pytest.mark.parametrize(
    "head", [{"content-length": str(2 << 20)}, {"transfer-encoding": "chunked"}]
)
def test_a_body_over_the_limit_is_refused(
    desk: Desk, app: Application, head: dict[str, str]
) -> None:
    parts = [b"x" * (1 << 20), b"x", b""]
    answer = sent(app, headers={"host": HOST, **head}, parts=parts)
    assert (answer.status, answer.reply.code) == (413, "RequestEntityTooLarge")


def test_a_length_over_the_limit_is_refused_before_any_of_it_is_read(app: Application) -> None:
    answer = sent(app, headers={"host": HOST, "content-length": "99999999"}, parts=[])
    assert answer.status == 413


def test_a_body_that_does_not_come_is_given_up(app: Application) -> None:
    answer = sent(app, headers={"host": HOST, "content-length": "9"}, parts=[b"A", SILENCE])
    assert (answer.status, answer.reply.code) == (408, "RequestTimeout")
    assert answer.headers["connection"] == "close"


def test_who_reads_does_not_wait_behind_those_who_write(desk: Desk) -> None:
    app = application(desk, Server(threads=1))

    def form(action: str, **asked: str) -> dict[str, Any]:
        signed = desk.signed(action, **asked)
        length = {"content-length": str(len(signed.body))}
        return {"headers": {**signed.headers, **length}, "parts": [signed.body]}

    async def both() -> None:
        with desk.app.store.writing():
            writing = asyncio.create_task(talk(app, **form("CreateKeyPair", KeyName="k")))
            await asyncio.sleep(0.05)
            async with asyncio.timeout(5):
                read = await talk(app, **form("DescribeKeyPairs"))
            assert not writing.done()
        wrote = await writing
        assert read is not None
        assert wrote is not None
        assert (read.status, wrote.status) == (200, 200)

    asyncio.run(both())


def test_a_head_over_the_limit_is_refused(app: Application) -> None:
    answer = sent(app, method="GET", query=b"A=" + b"x" * 65536)
    assert (answer.status, answer.reply.code) == (431, "RequestHeaderSectionTooLarge")


@pytest.mark.parametrize(("path", "status"), [("/ec2", 404), ("//", 404), ("/health/", 404)])
def test_only_one_path_is_the_api(app: Application, path: str, status: int) -> None:
    answer = sent(app, method="GET", path=path)
    assert answer.status == status
    assert answer.reply.code == "InvalidAction"


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_other_methods_are_refused(app: Application, method: str) -> None:
    answer = sent(app, method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, POST"


def test_health_is_told_to_anyone(desk: Desk, app: Application) -> None:
    answer = sent(app, method="GET", path="/health")
    assert (answer.status, json.loads(answer.body)) == (200, {"ok": True})
    assert answer.headers["content-type"] == "application/json"
    assert sent(desk.app.asgi, method="GET", path="/health").status == 503  # no rounds are made


# --- uploads -----------------------------------------------------------------------------


def v4_upload(desk: Desk, sha256: str = UNSIGNED, **asked: str) -> dict[str, Any]:
    """The file as the body, parameters in the query string, signed in the header."""
    query = urlencode({"Action": "UploadImage", "Version": "2016-11-15", **asked})
    added = sign_v4(
        method="POST",
        url=f"{URL}?{query}",
        headers={},
        body_sha256=sha256,
        access_key=desk.caller.access_key,
        secret=desk.caller.secret,
        now=utc_now(),
    )
    headers = {"host": HOST, **{name.lower(): value for name, value in added.items()}}
    return {"query": query.encode(), "headers": headers}


def v2_upload(desk: Desk, file: bytes, *, after: bool = False, named: str = "file") -> Any:
    """The file in a form, after its signed fields: how the tools of OpenNebula send it."""
    fields = sign_v2(
        method="POST",
        url=URL,
        parameters={"Action": "UploadImage", "Version": "2008-12-01"},
        access_key=desk.caller.access_key,
        secret=desk.caller.secret,
        now=utc_now(),
    )
    lines = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    disk = f'--b\r\nContent-Disposition: form-data; name="{named}"; filename="d.img"\r\n\r\n'
    part = disk.encode() + file + b"\r\n"
    whole = b"".join([part, *lines] if after else [*lines, part]) + b"--b--\r\n"
    headers = {"host": HOST, "content-type": "multipart/form-data; boundary=b"}
    return {
        "headers": headers,
        "parts": [whole[i : i + 65536] for i in range(0, len(whole), 65536)],
    }


def in_parts(whole: bytes, size: int = 65536) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)] or [b""]


def nothing_is_left(desk: Desk) -> bool:
    return desk.vault.open == [] and desk.vault.kept == {}


def test_the_body_itself_may_be_the_image(desk: Desk, app: Application) -> None:
    answer = sent(app, **v4_upload(desk), parts=in_parts(DISK))
    assert answer.status == 200
    assert list(desk.vault.kept.values()) == [DISK]
    (image,) = answer.reply.all("imageId")
    with desk.app.store.reading() as tx:
        row = tx.images.get(image)
    assert row is not None
    assert (row.account, row.location) == (desk.caller.number, next(iter(desk.vault.kept)))


def test_a_form_may_carry_the_image(desk: Desk, app: Application) -> None:
    answer = sent(app, **v2_upload(desk, DISK))
    assert answer.status == 200
    assert answer.reply.all("imageId")
    assert list(desk.vault.kept.values()) == [DISK]


def test_the_hash_that_was_signed_is_proven_while_the_image_streams(
    desk: Desk, app: Application
) -> None:
    right = v4_upload(desk, hashlib.sha256(DISK).hexdigest())
    assert sent(app, **right, parts=in_parts(DISK)).status == 200
    desk.vault.kept.clear()
    wrong = v4_upload(desk, hashlib.sha256(b"other").hexdigest())
    answer = sent(app, **wrong, parts=in_parts(DISK))
    assert (answer.status, answer.reply.code) == (403, "SignatureDoesNotMatch")
    assert nothing_is_left(desk)


class Untouched:
    """A vault that must not be asked for anything."""

    def receive(self) -> Any:
        raise AssertionError("a byte of an unproven caller was about to be kept")


@pytest.mark.parametrize("form", ["raw", "multipart"])
def test_the_caller_is_proven_before_the_first_byte_is_kept(desk: Desk, form: str) -> None:
    app = application(desk)
    app._uploads._vault = Untouched()  # type: ignore[assignment]
    desk.caller = replace(desk.caller, secret="wrong")
    request = v2_upload(desk, DISK) if form == "multipart" else v4_upload(desk)
    # A raw upload is refused by its head: none of the body is even asked for.
    answer = sent(app, **{"parts": [], **request})
    assert (answer.status, answer.reply.code) == (401, "AuthFailure")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"Colour": "red"}, "UnknownParameter"),
        ({"Architecture": "vax"}, "InvalidParameterValue"),
    ],
)
def test_what_is_asked_is_checked_before_the_first_byte_is_kept(
    desk: Desk, asked: dict[str, str], code: str
) -> None:
    app = application(desk)
    app._uploads._vault = Untouched()  # type: ignore[assignment]
    assert sent(app, **v4_upload(desk, **asked), parts=[]).reply.code == code


def test_a_dry_run_of_an_upload_makes_no_image(desk: Desk, app: Application) -> None:
    answer = sent(app, **v4_upload(desk, DryRun="true"), parts=in_parts(DISK))
    assert answer.status == 412
    (location,) = desk.vault.kept
    with desk.app.store.reading() as tx:
        images = tx.images.find(Query(account=desk.caller.number)).items
    assert [image for image in images if image.location == location] == []


@pytest.mark.parametrize(
    "cut", [[GONE], [DISK, GONE], [*in_parts(DISK * 3)[:-1], GONE]], ids=["at once", "soon", "late"]
)
def test_an_upload_cut_off_leaves_nothing(
    desk: Desk, app: Application, cut: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "econe.request"):
        assert send(app, **v4_upload(desk), parts=cut) is None
    assert nothing_is_left(desk)
    assert "action=UploadImage" in caplog.text


def test_an_upload_that_stops_coming_is_given_up(desk: Desk, app: Application) -> None:
    answer = sent(app, **v4_upload(desk), parts=[DISK, SILENCE])
    assert (answer.status, answer.reply.code) == (408, "RequestTimeout")
    assert answer.headers["connection"] == "close"
    assert nothing_is_left(desk)


def test_a_strangers_form_that_drips_is_given_up(app: Application) -> None:
    """Before its file begins nobody knows whose it is."""
    headers = {"host": HOST, "content-type": "multipart/form-data; boundary=b"}
    answer = sent(app, headers=headers, parts=[PAUSE] * 20)
    assert (answer.status, answer.reply.code) == (408, "RequestTimeout")


def test_files_that_take_long_to_prove_keep_only_their_own_account_waiting(desk: Desk) -> None:
    app, slow = application(desk), threading.Event()
    other = Desk(desk.app, desk.vault)
    receive = desk.vault.receive

    def receive_slowly() -> MemoryUpload:
        upload = receive()
        finish = upload.finish

        def finish_slowly() -> Content:
            assert b"slow" not in upload.data or slow.wait(10)
            return finish()

        upload.finish = finish_slowly  # type: ignore[method-assign]
        return upload

    desk.vault.receive = receive_slowly  # type: ignore[method-assign]

    async def all_at_once() -> None:
        uploads = [
            asyncio.create_task(talk(app, **v4_upload(desk), parts=[DISK, b"slow", b"%d" % number]))
            for number in range(3)
        ]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            quick = await talk(app, **v4_upload(other), parts=[DISK])
        slow.set()
        answers = [quick, *[await upload for upload in uploads]]
        assert [answer and answer.status for answer in answers] == [200] * 4

    asyncio.run(all_at_once())


def test_an_upload_over_the_limit_is_refused_by_its_head(desk: Desk) -> None:
    request = v4_upload(desk)
    request["headers"]["content-length"] = str(2 << 30)
    answer = sent(application(desk, max_upload_gib=1), **request, parts=[])
    assert (answer.status, answer.reply.code) == (413, "RequestEntityTooLarge")
    assert nothing_is_left(desk)


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        ({"most_bytes": 100_000}, 413, "RequestEntityTooLarge"),
        ({"room_bytes": 100_000}, 500, "InsufficientVolumeCapacity"),
    ],
)
def test_what_the_vault_refuses_in_the_middle_is_told(
    desk: Desk, app: Application, limits: dict[str, int], status: int, code: str
) -> None:
    for name, value in limits.items():
        setattr(desk.vault, name, value)
    answer = sent(app, **v4_upload(desk), parts=in_parts(DISK * 4))
    assert (answer.status, answer.reply.code) == (status, code)
    assert "device" not in answer.reply.message  # what is hidden stays so
    assert nothing_is_left(desk)


@pytest.mark.parametrize("file", [b"", b"no disk"])
def test_what_is_no_image_is_refused(desk: Desk, app: Application, file: bytes) -> None:
    for request in ({**v4_upload(desk), "parts": [file]}, v2_upload(desk, file)):
        answer = sent(app, **request)
        assert (answer.status, answer.reply.code) == (400, "InvalidParameterValue")
    assert nothing_is_left(desk)


@pytest.mark.parametrize("size", [1000, 65536, 3 * BATCH_BYTES])
def test_memory_does_not_grow_with_the_image(desk: Desk, app: Application, size: int) -> None:
    whole = DISK * 8
    assert sent(app, **v4_upload(desk), parts=in_parts(whole, size)).status == 200
    assert desk.vault.largest_write <= BATCH_BYTES + size
    assert {name.partition("-")[0] for name in desk.vault.writers} == {"upload"}


def test_fields_after_the_file_are_refused(desk: Desk, app: Application) -> None:
    answer = sent(app, **v2_upload(desk, DISK, after=True))
    assert answer.status in (400, 403)
    assert nothing_is_left(desk)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b--\r\n",
        b"nonsense",
        b'--b\r\nContent-Disposition: form-data; name="Action"\r\n\r\nUploadImage\r\n--b--\r\n',
    ],
)
def test_a_form_without_a_file_is_refused(desk: Desk, app: Application, body: bytes) -> None:
    headers = {"host": HOST, "content-type": "multipart/form-data; boundary=b"}
    answer = sent(app, headers=headers, parts=[body])
    assert answer.status == 400
    headers["content-type"] = "multipart/form-data"
    assert sent(app, headers=headers, parts=[body]).status == 400


def test_a_form_cut_off_before_its_end_leaves_nothing(desk: Desk, app: Application) -> None:
    request = v2_upload(desk, DISK)
    request["parts"] = [*request["parts"][:-1], request["parts"][-1][:-9]]
    answer = sent(app, **request)
    assert answer.status == 400
    assert nothing_is_left(desk)


def test_other_actions_take_no_file(desk: Desk, app: Application) -> None:
    request = v2_upload(desk, DISK)
    request["parts"][0] = request["parts"][0].replace(b"UploadImage", b"RunInstances")
    assert sent(app, **request).status in (400, 401)
    assert nothing_is_left(desk)


def test_an_upload_is_one_images_worth_for_its_account_only(desk: Desk, app: Application) -> None:
    (image,) = sent(app, **v4_upload(desk), parts=in_parts(DISK)).reply.all("imageId")
    other = Desk(desk.app, desk.vault)
    asked = {"MinCount": "1", "MaxCount": "1", "ImageId": image}
    assert other.ask("RunInstances", **asked).code == "InvalidAMIID.NotFound"
    assert desk.ask("RunInstances", **asked).code == "InvalidAMIID.Unavailable"
    assert Cloud(desk.app, "", desk.caller).image() != image
