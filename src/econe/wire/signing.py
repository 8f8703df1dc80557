"""Making signatures, and what both sides of them compute: versions 4 and 2.

The command-line tools import this: standard library only, and few modules of it. Reading and
proving is in wire.signatures.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlsplit

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The SHA-256 of no bytes."""

ALGORITHM = "AWS4-HMAC-SHA256"
V2_DIGESTS = {"HmacSHA256": "sha256", "HmacSHA1": "sha1"}

Pairs = Sequence[tuple[str, str]]


# --- version 4 -----------------------------------------------------------------------------


def canonical(
    method: str,
    path: str,
    query: Pairs,
    signed: Sequence[str],
    headers: Mapping[str, str],
    *,
    payload: str,
) -> bytes:
    """Version 4's canonical request. `query` is decoded; `signed` names headers in lower case."""
    encoded = sorted((_quoted(name), _quoted(value)) for name, value in query)
    lines = [method, quote(_normal(path), safe="/~")]
    lines.append("&".join(f"{name}={value}" for name, value in encoded))
    lines.extend(f"{name}:{headers.get(name, '')}" for name in signed)
    lines.extend(("", ";".join(signed), payload))
    return "\n".join(lines).encode()


def string_to_sign(stamp: str, scope: str, text: bytes) -> bytes:
    """`text` is the canonical request, `scope` is `20261123/us-east-1/ec2/aws4_request`."""
    digest = hashlib.sha256(text).hexdigest()
    return f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode()


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _quoted(text: str) -> str:
    """RFC 3986: all but letters, digits and `-_.~` is escaped."""
    return quote(text, safe="")


def _normal(path: str) -> str:
    """Without `.`, `..` and empty segments, as version 4 signs all services but S3."""
    if path == "/":
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return f"/{'/'.join(kept)}{end}"


# --- version 2 ---------------------------------------------------------------------------

# `file` is the body of an upload: the first econe and its tools left it out of what is signed.
V2_UNSIGNED = frozenset({"Signature", "file"})


def v2_parameters(pairs: Iterable[tuple[str, str]]) -> str:
    """The last line of what version 2 signs: all parameters in byte order of their names."""
    in_order = sorted((name.encode(), value.encode()) for name, value in pairs)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in in_order)


# --- signing -------------------------------------------------------------------------------


def host_of(url: str) -> str:
    """The Host header that HTTP clients send for this URL: no port where it is the usual one."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return host.removesuffix(usual) if usual else host


def sign_v4(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body_sha256: str,
    access_key: str,
    secret: str,
    now: datetime,
    region: str = "us-east-1",
    service: str = "ec2",
) -> dict[str, str]:
    """The headers to send besides `headers`, all of which are signed, and Host.

    `body_sha256` is the body's hash in hex, or UNSIGNED.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": stamp, "X-Amz-Content-SHA256": body_sha256}
    signed = {"host": host_of(url)}
    for name, value in (*headers.items(), *added.items()):
        signed[name.lower()] = " ".join(value.split())
    names = sorted(signed)
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    text = canonical(method, parts.path or "/", query, names, signed, payload=body_sha256)
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    signature = _v4_signature(secret, stamp, region, service, text)
    added["Authorization"] = (
        f"{ALGORITHM} Credential={access_key}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return added


def presign_v4(
    *,
    method: str,
    url: str,
    access_key: str,
    secret: str,
    now: datetime,
    expires_s: int,
    region: str = "us-east-1",
    service: str = "ec2",
) -> dict[str, str]:
    """The parameters to append to the URL's query, X-Amz-Signature last. The body is empty."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(url)
    added = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key}/{stamp[:8]}/{region}/{service}/aws4_request",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
    }
    query = [*parse_qsl(parts.query, keep_blank_values=True), *added.items()]
    host = {"host": host_of(url)}
    text = canonical(method, parts.path or "/", query, ["host"], host, payload=EMPTY_SHA256)
    added["X-Amz-Signature"] = _v4_signature(secret, stamp, region, service, text)
    return added


def _v4_signature(secret: str, stamp: str, region: str, service: str, text: bytes) -> str:
    signed = string_to_sign(stamp, f"{stamp[:8]}/{region}/{service}/aws4_request", text)
    key = signing_key(secret, stamp[:8], region, service)
    return hmac.new(key, signed, "sha256").hexdigest()


def sign_v2(
    *,
    method: str,
    url: str,
    parameters: Mapping[str, str],
    access_key: str,
    secret: str,
    now: datetime,
    algorithm: str = "HmacSHA256",
) -> dict[str, str]:
    """All parameters to send, Signature among them, as query (GET) or as form (POST).

    A parameter `file` is for the body of an upload and is not signed.
    """
    signed = {
        **parameters,
        "AWSAccessKeyId": access_key,
        "SignatureVersion": "2",
        "SignatureMethod": algorithm,
        "Timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    text = v2_parameters(pair for pair in signed.items() if pair[0] not in V2_UNSIGNED)
    head = f"{method}\n{host_of(url).lower()}\n{urlsplit(url).path or '/'}\n"
    made = hmac.digest(secret.encode(), f"{head}{text}".encode(), V2_DIGESTS[algorithm])
    return {**signed, "Signature": base64.b64encode(made).decode()}
