"""Signatures: reading the claim that a request makes about its sender, and proving it.

Schemes: Signature Version 4 in the Authorization header and in the query string (presigned), and
Version 2 with HmacSHA256 or HmacSHA1, over GET and POST. Making them is in wire.signing, which is
given out here too. Standard library only.

What is refused, and as what (the codes are those of EC2's "common client errors"; where the list
leaves a choice, ours is said):
- no signature at all: MissingAuthenticationToken, 403. A key without a signature, version 1 or any
  other unknown version or method, and anything malformed: IncompleteSignature, 400. (The first
  econe took a request without SignatureVersion and Signature as proven.)
- too old, expired, or from the future: RequestExpired, 400.
- a body other than the one whose hash was signed: SignatureDoesNotMatch, 403.
- a session token: InvalidClientTokenId, 403; there are no temporary credentials here.
- an unknown key or a wrong signature: `unproven()`, AuthFailure, 401, which is EC2's own way (other
  services of Amazon say InvalidClientTokenId and SignatureDoesNotMatch) and tells neither apart.
"""

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from econe.wire.refusal import Refusal, shown
from econe.wire.signing import (
    ALGORITHM,
    EMPTY_SHA256,
    UNSIGNED,
    V2_DIGESTS,
    V2_UNSIGNED,
    Pairs,
    canonical,
    host_of,
    presign_v4,
    sign_v2,
    sign_v4,
    signing_key,
    string_to_sign,
    v2_parameters,
)

__all__ = [
    "EMPTY_SHA256",
    "UNSIGNED",
    "Claim",
    "Request",
    "host_of",
    "presign_v4",
    "read_claim",
    "sign_v2",
    "sign_v4",
    "unproven",
]

LONGEST_PRESIGNED_S = 7 * 24 * 3600

_SERVICES = frozenset({"ec2", "sts"})
_MOST_SIGNED_HEADERS = 100
_LONGEST_CREDENTIAL = 512
"""Keys that are made of it are kept (signing_key), also where nobody has proven anything."""


class Request:
    """What of a request is signed.

    `path` is as sent, percent-encoded; `query` and `form` are decoded; names of `headers` may be
    in any case. `body_sha256` is the hex hash of the body, or None while it has not been read (an
    upload). `public_host` is a configured name that clients sign though a proxy rewrites Host.
    """

    __slots__ = ("body_sha256", "form", "headers", "method", "path", "public_host", "query")

    def __init__(  # noqa: PLR0917 - in the order of the request line
        self,
        method: str,
        path: str,
        query: Pairs,
        headers: Pairs,
        form: Pairs = (),
        body_sha256: str | None = EMPTY_SHA256,
        *,
        public_host: str = "",
    ) -> None:
        self.method, self.path = method, path or "/"
        self.query, self.form = query, form
        self.headers: dict[str, str] = {}
        for name, value in headers:
            key, clean = name.lower(), " ".join(value.split())
            self.headers[key] = f"{self.headers[key]},{clean}" if key in self.headers else clean
        self.body_sha256 = body_sha256
        self.public_host = public_host


class Claim:
    """Who a request says it is from, and since when; nothing is proven yet.

    `body_sha256`: what the hash of the unread body must turn out to be; None if nothing was
    promised about it. `body_is_signed`: whether the signature covers the body.
    """

    __slots__ = (
        "_digests",
        "_given",
        "access_key",
        "body_is_signed",
        "body_sha256",
        "expires_at",
        "scheme",
        "signed_at",
    )

    def __init__(
        self,
        access_key: str,
        scheme: str,
        given: str,
        digests: Callable[[str], Iterable[str]],
        *,
        signed_at: datetime | None = None,
        expires_at: datetime | None = None,
        body_is_signed: bool = True,
        body_sha256: str | None = None,
    ) -> None:
        self.access_key = access_key
        self.scheme = scheme  # "v4", "v4-query" or "v2"
        self.signed_at = signed_at
        self.expires_at = expires_at
        self.body_is_signed = body_is_signed
        self.body_sha256 = body_sha256
        self._given = given.encode("ascii", "replace")
        self._digests = digests

    def check_time(self, now: datetime, window_s: float) -> None:
        """Raises Refusal (RequestExpired). `window_s` is how far clocks may be apart."""
        window = timedelta(seconds=window_s)
        if self.expires_at is not None and now > self.expires_at:
            raise Refusal("RequestExpired", "Request has expired.")
        if self.signed_at is None:
            return
        if self.signed_at - now > window:
            raise Refusal("RequestExpired", "Request is dated in the future. Check your clock.")
        if self.expires_at is None and now - self.signed_at > window:
            raise Refusal("RequestExpired", "Request has expired.")

    def is_proven_by(self, secret: str) -> bool:
        """Whether the signature was made with `secret`; takes equally long if not."""
        proven = False
        for digest in self._digests(secret):
            proven |= hmac.compare_digest(digest.encode(), self._given)
        return proven


def unproven() -> Refusal:
    """What to answer for an unknown key, a disabled one and a wrong signature alike."""
    return Refusal(
        "AuthFailure", "AWS was not able to validate the provided access credentials", 401
    )


def read_claim(request: Request) -> Claim:
    """The one claim that the request makes. Raises Refusal (see the top of this module)."""
    header = request.headers.get("authorization")
    presigned = any(name == "X-Amz-Algorithm" for name, _ in request.query)
    v2 = any(
        name in ("AWSAccessKeyId", "Signature", "SignatureVersion")
        for pairs in (request.query, request.form)
        for name, _ in pairs
    )
    if (header is not None) + presigned + v2 > 1:
        raise _incomplete("The request is signed in more than one way.")
    try:
        if header is not None:
            return _read_v4_header(request, header)
        if presigned:
            return _read_v4_query(request)
        if v2:
            return _read_v2(request)
    except UnicodeEncodeError:
        raise _incomplete("What is signed is not valid Unicode.") from None
    raise Refusal(
        "MissingAuthenticationToken",
        "The request must contain either a valid (registered) AWS access key ID or X.509 "
        "certificate",
        403,
    )


def _incomplete(message: str) -> Refusal:
    return Refusal("IncompleteSignature", message)


def _refuse_session_token() -> None:
    raise Refusal(
        "InvalidClientTokenId",
        "The security token included in the request is invalid: this cloud issues none.",
        403,
    )


# --- version 4, reading --------------------------------------------------------------------


class _Scope:
    """`20261123/us-east-1/ec2/aws4_request`, and whose it is."""

    __slots__ = ("access_key", "date", "region", "service")

    def __init__(self, credential: str) -> None:
        parts = credential.rsplit("/", 4)
        if len(parts) != 5 or "" in parts or len(credential) > _LONGEST_CREDENTIAL:
            raise _incomplete(f"Credential {shown(credential)} is not a scoped access key.")
        self.access_key, self.date, self.region, self.service, terminator = parts
        if terminator != "aws4_request":
            raise _incomplete("Credential must be scoped to aws4_request.")

    def check_service(self, hosts: Iterable[str]) -> None:
        """Old boto (2.49, auth.py) does not know the service's name of an endpoint that is not
        Amazon's: it takes the first label of the host (`127` of 127.0.0.1)."""
        if self.service not in {*_SERVICES, *(re.split("[.:]", host)[0] for host in hosts)}:
            raise _incomplete(
                "Credential must be scoped to ec2 (or sts): this cloud has no "
                f"{shown(self.service)}."
            )

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def _read_v4_header(request: Request, header: str) -> Claim:
    algorithm, _, rest = header.partition(" ")
    if algorithm.upper() != ALGORITHM:
        raise _incomplete(f"Unsupported signature algorithm {shown(algorithm)}.")
    said: dict[str, str] = {}
    for piece in rest.split(","):
        name, _, value = piece.strip().partition("=")
        if name in said:
            raise _incomplete(f"Authorization header names {shown(name)} twice.")
        said[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not said.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    if "x-amz-security-token" in request.headers:
        _refuse_session_token()
    stamp = _stamp_of_headers(request.headers)
    return _v4_claim(
        request,
        scheme="v4",
        scope=_Scope(said["Credential"]),
        stamp=stamp,
        signed=said["SignedHeaders"],
        query=request.query,
        given=said["Signature"],
    )


def _read_v4_query(request: Request) -> Claim:
    said: dict[str, str] = {}
    for name, value in request.query:
        if name[:6].lower() == "x-amz-":
            if name in said:
                raise _incomplete(f"{shown(name)} is given twice.")
            said[name] = value
    for name in ("Credential", "Date", "Expires", "SignedHeaders", "Signature"):
        if not said.get(f"X-Amz-{name}"):
            raise _incomplete(f"AWS query-string parameters must include 'X-Amz-{name}'.")
    if said["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(f"Unsupported signature algorithm {shown(said['X-Amz-Algorithm'])}.")
    if "X-Amz-Security-Token" in said:
        _refuse_session_token()
    lasts = said["X-Amz-Expires"]
    if not re.fullmatch("[0-9]{1,6}", lasts) or not 0 < int(lasts) <= LONGEST_PRESIGNED_S:
        raise _incomplete(f"X-Amz-Expires must be from 1 to {LONGEST_PRESIGNED_S} seconds.")
    return _v4_claim(
        request,
        scheme="v4-query",
        scope=_Scope(said["X-Amz-Credential"]),
        stamp=said["X-Amz-Date"],
        signed=said["X-Amz-SignedHeaders"],
        query=[pair for pair in request.query if pair[0] != "X-Amz-Signature"],
        given=said["X-Amz-Signature"],
        lasts=timedelta(seconds=int(lasts)),
    )


def _v4_claim(
    request: Request,
    *,
    scheme: str,
    scope: _Scope,
    stamp: str,
    signed: str,
    query: Pairs,
    given: str,
    lasts: timedelta | None = None,
) -> Claim:
    signed_at = _read_stamp(stamp)
    expires_at = None if lasts is None else _later(signed_at, lasts)
    if scope.date != stamp[:8]:
        raise _incomplete("The date in Credential is not that of the request.")
    hosts = _v4_hosts(request)
    scope.check_service(hosts)
    names = signed.split(";")
    if "host" not in names:
        raise _incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if len(names) > _MOST_SIGNED_HEADERS or len({*names}) < len(names):
        # A long header that is named a hundred times is a hundred long headers to hash.
        raise _incomplete("SignedHeaders names too many headers, or one of them twice.")
    payload, promised = _payload_hash(request)
    signed_texts = []
    for host in hosts:
        headers = {**request.headers, "host": host}
        text = canonical(request.method, request.path, query, names, headers, payload=payload)
        signed_texts.append(string_to_sign(stamp, str(scope), text))

    def digests(secret: str) -> list[str]:
        key = signing_key(secret, scope.date, scope.region, scope.service)
        return [hmac.new(key, text, "sha256").hexdigest() for text in signed_texts]

    return Claim(
        scope.access_key,
        scheme,
        given,
        digests,
        signed_at=signed_at,
        expires_at=expires_at,
        body_is_signed=payload != UNSIGNED,
        body_sha256=promised,
    )


def _v4_hosts(request: Request) -> list[str]:
    sent = request.headers.get("host", "")
    public = request.public_host
    return [sent, public] if public and public != sent else [sent]


def _payload_hash(request: Request) -> tuple[str, str | None]:
    """The hash that was signed, and what an unread body is thereby promised to have."""
    said = request.headers.get("x-amz-content-sha256")
    actual = request.body_sha256
    if said is None:
        if actual is None:
            raise _incomplete(
                "An upload signed with version 4 must carry the header x-amz-content-sha256 "
                f"(the body's SHA-256, or {UNSIGNED})."
            )
        return actual, None
    if said == UNSIGNED:
        return said, None
    if not re.fullmatch("[0-9a-f]{64}", said):
        raise _incomplete(f"x-amz-content-sha256 {shown(said)} is not supported.")
    if actual is None:
        return said, said
    if not hmac.compare_digest(said, actual):
        raise Refusal(
            "SignatureDoesNotMatch",
            "The x-amz-content-sha256 that was signed is not the hash of the body received.",
            403,
        )
    return said, None


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE = r"[A-Za-z]{3}, ([0-9]{2}) ([A-Za-z]{3}) ([0-9]{4}) ([0-9:]{8}) (?:GMT|UTC|[+-]0000)"


def _stamp_of_headers(headers: Mapping[str, str]) -> str:
    """The time of signing in the form that is signed: `20261123T160000Z`."""
    stamp = headers.get("x-amz-date") or headers.get("date")
    if stamp is None:
        raise _incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    match = re.fullmatch(_HTTP_DATE, stamp)
    if match is None or match[2].title() not in _MONTHS:
        return stamp
    month = _MONTHS.index(match[2].title()) + 1
    return f"{match[3]}{month:02}{match[1]}T{match[4].replace(':', '')}Z"


def _later(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        raise _incomplete("X-Amz-Date is past the end of time.") from None


def _read_stamp(stamp: str) -> datetime:
    if not re.fullmatch("[0-9]{8}T[0-9]{6}Z", stamp):
        raise _incomplete(f"Date {shown(stamp)} must be in ISO 8601 'basic format'.")
    try:
        numbers = (int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]))
        return datetime(
            *numbers, int(stamp[9:11]), int(stamp[11:13]), int(stamp[13:15]), tzinfo=UTC
        )
    except ValueError:
        raise _incomplete(f"Date {shown(stamp)} is no time.") from None


# --- version 2 -----------------------------------------------------------------------------


def _read_v2(request: Request) -> Claim:
    """https://docs.aws.amazon.com/general/latest/gr/signature-version-2.html (archived)."""
    pairs = [*request.query, *request.form]
    said: dict[str, str] = {}
    for name, value in pairs:
        if name in _V2_OWN:
            if name in said:
                raise _incomplete(f"{name} is given twice.")
            said[name] = value
    if said.get("SignatureVersion") != "2":
        version = shown(said.get("SignatureVersion", "none"))
        raise _incomplete(f"Signature version {version} is not supported: use version 4 or 2.")
    for name in ("AWSAccessKeyId", "Signature", "SignatureMethod"):
        if not said.get(name):
            raise _incomplete(f"The request must contain the parameter {name}")
    digest = V2_DIGESTS.get(said["SignatureMethod"])
    if digest is None:
        raise _incomplete("SignatureMethod must be HmacSHA256 or HmacSHA1.")
    if "SecurityToken" in said:
        _refuse_session_token()
    if ("Timestamp" in said) == ("Expires" in said):
        raise _incomplete("The request must contain either Timestamp or Expires.")
    text = v2_parameters((name, value) for name, value in pairs if name not in V2_UNSIGNED)
    heads = [f"{request.method}\n{host}\n{request.path}\n" for host in _v2_hosts(request)]
    signed = [f"{head}{text}".encode() for head in heads]

    def digests(secret: str) -> list[str]:
        key = secret.encode()
        return [base64.b64encode(hmac.digest(key, each, digest)).decode() for each in signed]

    return Claim(
        said["AWSAccessKeyId"],
        "v2",
        said["Signature"],
        digests,
        signed_at=_read_moment(said["Timestamp"]) if "Timestamp" in said else None,
        expires_at=_read_moment(said["Expires"]) if "Expires" in said else None,
    )


_V2_OWN = frozenset(
    {
        "AWSAccessKeyId",
        "Expires",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "Timestamp",
    }
)


def _v2_hosts(request: Request) -> list[str]:
    """The names under which the server may have been signed, with and without port."""
    names: list[str] = []
    for host in (request.headers.get("host", ""), request.public_host):
        if host:
            names += [host, host.lower(), _without_port(host), _without_port(host).lower()]
    return list(dict.fromkeys(names)) or [""]


def _without_port(host: str) -> str:
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*):[0-9]*", host)
    return match[1] if match else host


def _read_moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _incomplete(f"{shown(text)} is not a time in ISO 8601 form.") from None
