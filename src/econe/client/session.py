"""One account's view of one cloud: sign a call, send it, read the answer.

    session = Session("http://localhost:4567", "helen", secret)
    answer = session.call("DescribeInstances", [("InstanceId.1", "i-00000015")])

Requests are signed by version 4 in the header. An access key that a header cannot carry (names of
OpenNebula users may hold anything) is signed by version 2, where it is a parameter like others.
Nothing is tried twice, whoever calls knows whether that is safe; but a request that was refused for
its signature, of which nothing was done, where there is a second secret that may be the right one
(an ONE_AUTH of OpenNebula's, credentials.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlencode

from econe import __version__
from econe.client.answers import listed, read_xml, text_at
from econe.client.errors import ApiError, BadAnswer, Misconfigured
from econe.client.http import (
    ANSWER_S,
    SILENCE_S,
    Answer,
    Connection,
    Endpoint,
    read_endpoint,
    write_head,
)
from econe.wire.signing import UNSIGNED, sign_v2, sign_v4

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from econe.client.uploads import Progress, Source

API_VERSION = "2016-11-15"
_UNPROVEN = ("AuthFailure", "SignatureDoesNotMatch")
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_MOST_PAGES = 100_000

Params = Sequence[tuple[str, str]]


class Session:
    """Not tied to a thread or a connection: each call opens its own."""

    def __init__(
        self,
        url: str,
        access_key: str,
        secret_key: str,
        *,
        older_secret: str = "",
        environ: Mapping[str, str] | None = None,
        region: str = "us-east-1",
        silence_s: float = SILENCE_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """`older_secret` is tried where the cloud does not take `secret_key`.

        `environ` is where AWS_CA_BUNDLE is looked up; default the process's own. `silence_s` is the
        longest wait for a next byte, `answer_s` for a whole answer (uploads have longer ones of
        their own). Raises Misconfigured.
        """
        self.endpoint: Endpoint = read_endpoint(url)
        self._access_key, self._secret = access_key, secret_key
        self._older_secret = older_secret
        self._environ = os.environ if environ is None else environ
        self._region = region
        self._silence_s, self._answer_s = silence_s, answer_s

    def call(self, action: str, params: Params = ()) -> dict[str, Any]:
        """The answer below its root element, as `answers` describes.

        `params` are EC2's (`InstanceId.1`). Raises ApiError, Unreachable, BadAnswer, Misconfigured.
        """
        try:
            answer = self._send(action, params)
        except ApiError as refused:
            if not (self._older_secret and is_unproven(refused)):
                raise
            self._secret = self._older_secret
            answer = self._send(action, params)
        self._older_secret = ""  # it is known now which one is right
        return answer

    def _send(self, action: str, params: Params) -> dict[str, Any]:
        pairs = [("Action", action), ("Version", API_VERSION), *params]
        headers = self._headers({"Content-Type": _FORM})
        if self._fits_header():
            body = _form(pairs)
            headers |= self._signed_v4(self.endpoint.url, headers, sha256(body).hexdigest())
        else:
            body = _form(list(self._signed_v2(pairs).items()))
        headers["Content-Length"] = str(len(body))
        head = write_head("POST", self.endpoint.path, headers)
        with Connection(self.endpoint, self._environ) as connection:
            connection.send(head + body)
            answer = connection.receive(silence_s=self._silence_s, answer_s=self._answer_s)
        return read_answer(answer)

    def collect(
        self, action: str, member: str, params: Params = (), *, page_size: int | None = None
    ) -> list[Any]:
        """All items of the list `member` over all pages. Raises as `call` does."""
        size = [] if page_size is None else [("MaxResults", str(page_size))]
        token: list[tuple[str, str]] = []
        found: list[Any] = []
        for _ in range(_MOST_PAGES):
            answer = self.call(action, [*params, *size, *token])
            found += listed(answer, member)
            next_token = text_at(answer, "nextToken")
            if not next_token:
                return found
            if token == [("NextToken", next_token)]:
                break
            token = [("NextToken", next_token)]
        raise BadAnswer(f"the server's pages of {action} have no end")

    def upload(
        self,
        source: Source,
        params: Params = (),
        *,
        progress: Progress = lambda _sent: None,
        multipart: bool = False,
    ) -> dict[str, Any]:
        """UploadImage: the file as the request's body, or as a form's field `file`.

        The body's hash is not signed: reading the file twice to hash it first would take several
        times as long as the upload. Raises as `call` does.
        """
        from econe.client.uploads import send_upload  # the other calls start without it

        if self._older_secret:
            self._choose_secret()
        pairs = [("Action", "UploadImage"), ("Version", API_VERSION), *params]
        before = after = b""
        if multipart or not self._fits_header():
            boundary = os.urandom(16).hex()
            before, after = _frame(boundary, self._signed_v2(pairs), source.name)
            target = self.endpoint.path
            headers = self._headers({"Content-Type": f"multipart/form-data; boundary={boundary}"})
        else:
            query = _form(pairs).decode("ascii")
            target = f"{self.endpoint.path}?{query}"
            headers = self._headers({"Content-Type": "application/octet-stream"})
            headers |= self._signed_v4(f"{self.endpoint.url}?{query}", headers, UNSIGNED)
        headers["Content-Length"] = str(len(before) + source.size + len(after))
        headers["Expect"] = "100-continue"
        head = write_head("POST", target, headers)
        with Connection(self.endpoint, self._environ) as connection:
            answer = send_upload(connection, head, source, progress, before=before, after=after)
        return read_answer(answer)

    def _choose_secret(self) -> None:
        """Know which of two secrets is right before gigabytes are signed with one of them."""
        try:
            self.call("DescribeRegions")
        except ApiError as refused:
            if is_unproven(refused):
                raise
            # A server that has no such action has believed the signature all the same.

    def _fits_header(self) -> bool:
        key = self._access_key
        return key.isascii() and key.isprintable() and not set(key) & set(" ,=")

    def _headers(self, own: Mapping[str, str]) -> dict[str, str]:
        return {
            "Host": self.endpoint.authority,
            "User-Agent": f"econe/{__version__}",
            "Accept": "text/xml",
            "Connection": "close",
            **own,
        }

    def _signed_v4(self, url: str, headers: Mapping[str, str], body: str) -> dict[str, str]:
        return sign_v4(
            method="POST",
            url=url,
            headers={"Content-Type": headers["Content-Type"]},
            body_sha256=body,
            access_key=self._access_key,
            secret=self._secret,
            now=datetime.now(UTC),
            region=self._region,
        )

    def _signed_v2(self, pairs: Params) -> dict[str, str]:
        try:
            return sign_v2(
                method="POST",
                url=self.endpoint.url,
                parameters=dict(pairs),
                access_key=self._access_key,
                secret=self._secret,
                now=datetime.now(UTC),
            )
        except UnicodeEncodeError:
            raise _not_utf8() from None


def is_unproven(refused: ApiError) -> bool:
    """Whether it was refused for its signature, before anything was done."""
    return refused.status in (401, 403) and refused.code in _UNPROVEN


def read_answer(answer: Answer) -> dict[str, Any]:
    """What the body says below its root element. Raises ApiError and BadAnswer.

    An error document is an error whatever the status: OpenNebula's server sent many with 200.
    """
    try:
        root, value = read_xml(answer.body)
    except BadAnswer as error:
        if answer.status < 400:
            raise
        start = answer.body[:200].decode("utf-8", "replace")
        raise BadAnswer(
            f"the server answered {answer.status} without an EC2 error: {start}"
        ) from error
    fault = _fault(value)
    if fault is not None:
        code = text_at(fault, "Code")
        request_id = text_at(value, "RequestID") or text_at(value, "RequestId")
        raise ApiError(code or "Unknown", text_at(fault, "Message"), answer.status, request_id)
    if answer.status != 200:
        raise BadAnswer(f"the server answered {answer.status} with {root}")
    return value if isinstance(value, dict) else {}


def _fault(value: Any) -> Any:
    """EC2's Errors/Error, or the Error of STS and others; None where there is none."""
    if not isinstance(value, dict):
        return None
    errors = value.get("Errors", value)
    fault = errors.get("Error") if isinstance(errors, dict) else None
    return fault[0] if isinstance(fault, list) and fault else fault


def _form(pairs: Params) -> bytes:
    try:
        return urlencode(pairs, encoding="utf-8").encode("ascii")
    except UnicodeEncodeError:
        raise _not_utf8() from None


def _not_utf8() -> Misconfigured:
    return Misconfigured("an argument is not valid UTF-8")


def _frame(boundary: str, fields: Mapping[str, str], file_name: str) -> tuple[bytes, bytes]:
    """What stands before and after the file in a multipart form; fields first, file last."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    safe = "".join(
        character if character.isprintable() and character not in '"\\' else "_"
        for character in file_name
    )
    parts.append(
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{safe}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(parts).encode("utf-8", "replace"), f"\r\n--{boundary}--\r\n".encode()
