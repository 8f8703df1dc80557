"""What a guest is answered: who asks, may it ask, and what is there.

The rules are those of EC2 User Guide, "Use the Instance Metadata Service to access instance
metadata". A request that came through a proxy (X-Forwarded-For) is refused: the proxy may be asking
for somebody else.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from econe.domain.instances import Instance, InstanceState
from econe.domain.ports import Store, Transaction
from econe.metadata import tree
from econe.metadata.reader import Request
from econe.metadata.tokens import Tokens, read_ttl
from econe.metadata.tree import Facts

_log = logging.getLogger(__name__)

TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105 - a path
TOKEN_HEADER: Final = "x-aws-ec2-metadata-token"  # noqa: S105 - a header's name
TTL_HEADER: Final = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)
    hop_limit: int | None = None
    """How many routers the answer may pass; None: any number."""


_TEXTS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def refusal(status: int) -> Response:
    return Response(status, f"{status} - {_TEXTS[status]}\n".encode())


def reason_phrase(status: int) -> str:
    return _TEXTS.get(status, "OK")


@dataclass(frozen=True, slots=True)
class Service:
    """Synchronous; takes milliseconds; may be called from several threads."""

    store: Store
    region: str
    tokens: Tokens
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""

    def respond(self, owner: str, source: str, request: Request) -> Response:
        """`owner` is the VPC that the request came from and `source` the address in it, or
        `owner` is the instance itself (the user-mode network)."""
        try:
            with self.store.reading() as tx:
                facts = _facts(tx, owner, source, self.region)
            return refusal(404) if facts is None else self._respond_to(facts, request)
        except Exception:
            _log.exception("a guest could not be answered owner=%s source=%s", owner, source)
            return refusal(500)

    def _respond_to(self, facts: Facts, request: Request) -> Response:
        options = facts.instance.metadata_options
        if options.http_endpoint == "disabled" or "x-forwarded-for" in request.headers:
            return refusal(403)
        if request.method == "PUT" and request.path == TOKEN_PATH:
            return self._new_token(facts.instance, request)
        if request.method not in ("GET", "HEAD") or request.path == TOKEN_PATH:
            return refusal(405)
        token = request.headers.get(TOKEN_HEADER)
        if token is None:
            return refusal(401) if options.http_tokens == "required" else _found(facts, request)
        left = self.tokens.seconds_left(token, facts.instance.id, self.clock())
        if left is None:
            return refusal(401)
        return _found(facts, request, {TTL_HEADER: str(left)})

    def _new_token(self, instance: Instance, request: Request) -> Response:
        ttl_s = read_ttl(request.headers.get(TTL_HEADER.lower()))
        if ttl_s is None:
            return refusal(400)
        token = self.tokens.issue(instance.id, int(self.clock()) + ttl_s)
        return Response(
            200,
            token.encode("ascii"),
            headers={TTL_HEADER: str(ttl_s)},
            hop_limit=instance.metadata_options.hop_limit,
        )


def _found(facts: Facts, request: Request, headers: dict[str, str] | None = None) -> Response:
    answer = tree.answer(facts, request.path)
    if answer is None:
        return refusal(404)
    return Response(200, answer.body, answer.content_type, headers or {})


def _facts(tx: Transaction, owner: str, source: str, region: str) -> Facts | None:
    ask = tx.instances
    instance = ask.get(owner) if owner.startswith("i-") else ask.at(owner, source)
    if instance is None or instance.state is InstanceState.TERMINATED:
        return None
    vpc, subnet = tx.vpcs.get(instance.vpc_id), tx.subnets.get(instance.subnet_id)
    if vpc is None or subnet is None:
        return None
    return Facts(instance, region, vpc.cidr, subnet.cidr)
