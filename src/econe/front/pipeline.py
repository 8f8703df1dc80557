"""What happens to a request, as one list of steps.

Each step is a small function over one Exchange, which it fills in. A step refuses by raising
Refusal (of the protocol) or Fault (of the domain). The steps stand in groups, because of
the database:

- ARRIVE needs none, so that what strangers send costs no transaction before it looks signed, and
  what was answered just now is answered again at once (front/memory.py);
- PROVE reads: who asks, what is asked, and whether it makes sense;
- DO is the action's own transaction: for an action that only reads it is the one of PROVE, so a
  listing is one transaction; an action that writes has its own, and holds the one writer of the
  database for its own deed alone. What takes long and needs no row (RSA keys) is prepared between
  the two.

There is no step that asks whether an account may use an action: every account may use every one,
on what is its own. Handlers see to that by `ctx.account`.

- ASK is for the few actions that show what only the engine knows (decision 30): the transaction
  is over by then, and such requests have threads of their own.

Runs in a pool of threads; but for ASK nothing here waits for the network or for an engine.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from botocore.model import OperationModel

from econe.actions.context import Context
from econe.actions.registry import HANDLERS, Handler
from econe.domain.accounts import Account
from econe.domain.cloud import Cloud
from econe.domain.faults import Fault, Kind
from econe.domain.images import Content
from econe.domain.key_use import KeyUse
from econe.domain.ports import Answered, Clock, Poke, Store, StoreBusy, Transaction
from econe.front import faults, proof, repeats
from econe.front.memory import Memory
from econe.front.messages import Answer, Incoming, Line, new_request_id, shown
from econe.wire import checks, model
from econe.wire.fragments import FragmentKeeper
from econe.wire.query import Asked, read_pairs, read_query, split
from econe.wire.refusal import Refusal
from econe.wire.signatures import Claim
from econe.wire.xml import write_answer, write_error

log: Final = logging.getLogger("econe.front")

UPLOAD: Final = "UploadImage"


@dataclass(frozen=True, slots=True)
class Door:
    """What all requests share."""

    store: Store
    cloud: Cloud
    poke: Poke
    clock: Clock
    clock_window_s: float
    public_host: str = ""
    """What clients sign as the host where a proxy changes it; empty: what they send."""
    service: model.Service = field(default_factory=model.load)
    handlers: Mapping[str, Handler] = field(default_factory=lambda: HANDLERS)
    memory: Memory = field(default_factory=Memory)
    key_use: KeyUse = field(default_factory=KeyUse)
    keepers: dict[str, FragmentKeeper] = field(default_factory=dict)
    """By action: two actions may show one row in two ways under one key."""


@dataclass(slots=True)
class Exchange:
    """One request on its way to an answer."""

    door: Door
    incoming: Incoming
    now: datetime
    line: Line
    began: float = field(default_factory=time.perf_counter)
    mark: Hashable = None
    """The store's, from before anything was read."""
    parameters: Asked | None = None
    claim: Claim = field(init=False)
    account: Account = field(init=False)
    operation: OperationModel = field(init=False)
    handler: Handler = field(init=False)
    asked: dict[str, Any] = field(init=False)
    content: Content | None = None
    prepared: Any = None
    """What the handler's `prepares` made."""
    tx: Transaction = field(init=False)
    said: Mapping[str, Any] = field(init=False)
    body: bytes | None = None
    """The document. There already, when an earlier answer to the same request, or to the same
    client token, was found."""
    has_stand_ins: bool = False
    """Whether the document is in the form in which client tokens keep it."""

    @property
    def version(self) -> str:
        """The API version that the answer is to be in."""
        return self.parameters.version if self.parameters else model.EC2_VERSION

    @property
    def wish(self) -> Hashable:
        """What was asked, by whom: two requests with the same wish get the same answer as long as
        the database stays as it is. A hash, because it is kept and a request may be long; of a
        repr, because no two lists of strings have the same."""
        assert self.parameters is not None
        said = self.parameters
        text = repr((self.claim.access_key, said.action, said.version, said.own))
        return hashlib.sha256(text.encode()).digest()

    @property
    def dry(self) -> bool:
        return bool(self.asked.get("DryRun"))

    @property
    def token(self) -> str:
        """The client token, where there is one that counts."""
        return (
            str(self.asked.get("ClientToken", "")) if self.handler.writes and not self.dry else ""
        )


# --- the steps ---------------------------------------------------------------------------


def read_parameters(exchange: Exchange) -> None:
    incoming = exchange.incoming
    query = read_pairs(incoming.query)
    form = read_pairs(incoming.body) if incoming.fields is None else list(incoming.fields)
    exchange.parameters = split([*query, *form])
    exchange.line.action = exchange.parameters.action or "-"
    exchange.claim = proof.read(incoming, query, form, exchange.door.public_host)


def check_time(exchange: Exchange) -> None:
    exchange.claim.check_time(exchange.now, exchange.door.clock_window_s)


def remind(exchange: Exchange) -> None:
    """The answer that the same request got before, if nothing has changed since."""
    memory = exchange.door.memory
    try:
        exchange.mark = exchange.door.store.mark()
    except StoreBusy:
        exchange.mark = object()  # like no other: a transaction can wait, the event loop cannot
        return
    identity = memory.identity(exchange.mark, exchange.claim.access_key)
    if identity is None or exchange.incoming.is_upload:
        return
    body = memory.answer(exchange.mark, exchange.wish, exchange.line.request_id)
    if body is not None and proof.holds(identity, exchange.claim):
        exchange.line.account = identity[1].name
        exchange.door.key_use.note(exchange.claim.access_key, exchange.now)
        exchange.body = body


def authenticate(exchange: Exchange) -> None:
    identity = proof.authenticate(exchange.tx, exchange.claim)
    exchange.door.memory.keep_identity(exchange.mark, identity)
    exchange.door.key_use.note(exchange.claim.access_key, exchange.now)
    exchange.account = identity[1]
    exchange.line.account = exchange.account.name


def find_action(exchange: Exchange) -> None:
    action = exchange.parameters.action if exchange.parameters else ""
    exchange.operation = exchange.door.service.expect(action)
    handler = exchange.door.handlers.get(action)
    if handler is None:
        raise model.unsupported(action)
    if exchange.incoming.is_upload != (action == UPLOAD):
        raise _not_an_upload(action)
    exchange.handler = handler


def _not_an_upload(action: str) -> Refusal:
    if action == UPLOAD:
        return Refusal(
            "MissingParameter", "The request must contain the file to upload as its body"
        )
    return Refusal("InvalidRequest", f"{action} takes no file; send a form or a query string")


def parse(exchange: Exchange) -> None:
    assert exchange.parameters is not None
    exchange.asked = read_query(exchange.parameters.own, exchange.operation)


def check(exchange: Exchange) -> None:
    checks.check(exchange.asked, exchange.operation)
    takes = exchange.handler.takes
    if exchange.handler.writes:
        takes |= repeats.TAKEN
    checks.refuse_unsupported(exchange.asked, exchange.operation, takes)
    repeats.check(exchange.asked, exchange.handler.name)


def recall(exchange: Exchange) -> None:
    """An answer given before under the same client token is given again."""
    if token := exchange.token:
        kept = exchange.tx.tokens.get(exchange.account.number, exchange.handler.name, token)
        if kept is not None:
            body = repeats.again(kept, exchange.asked, token)
            if exchange.handler.again is not None:
                exchange.handler.again(_context(exchange), exchange.asked)
            exchange.body = body
            exchange.has_stand_ins = True


def perform(exchange: Exchange) -> None:
    if exchange.body is None:
        exchange.said = exchange.handler.call(_context(exchange), exchange.asked)


def _context(exchange: Exchange) -> Context:
    return Context(
        account=exchange.account,
        cloud=exchange.door.cloud,
        tx=exchange.tx,
        now=exchange.now,
        request_id=exchange.line.request_id,
        fragments=_keeper(exchange),
        words=faults.tell,
        content=exchange.content,
        access_key=exchange.claim.access_key,
        prepared=exchange.prepared,
    )


def ask(exchange: Exchange) -> None:
    assert exchange.handler.asks is not None
    exchange.said = exchange.handler.asks(exchange.door.cloud, dict(exchange.said))


def refuse_dry_run(exchange: Exchange) -> None:
    if exchange.dry:
        exchange.tx.undo()
        raise Refusal(
            "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
        )


def render(exchange: Exchange) -> None:
    if exchange.body is not None:
        return
    if not exchange.token:
        # A version number from a transaction that is undone may come again, so only readers keep.
        keeper = None if exchange.handler.writes else _keeper(exchange)
        exchange.body = write_answer(
            exchange.operation,
            exchange.said,
            exchange.line.request_id,
            exchange.version,
            keeper,
        )
        return
    exchange.has_stand_ins = True
    exchange.body = write_answer(
        exchange.operation, exchange.said, repeats.KEPT_ID, repeats.KEPT_VERSION
    )
    answered = Answered(repeats.digest(exchange.asked), exchange.body)
    exchange.tx.tokens.put(
        exchange.account.number, exchange.handler.name, exchange.token, answered, exchange.now
    )


def remember(exchange: Exchange) -> None:
    if exchange.handler.lasting and not exchange.handler.writes and exchange.body is not None:
        request_id = exchange.line.request_id
        exchange.door.memory.keep_answer(exchange.mark, exchange.wish, request_id, exchange.body)


def _keeper(exchange: Exchange) -> FragmentKeeper:
    keepers, name = exchange.door.keepers, exchange.handler.name
    return keepers.get(name) or keepers.setdefault(name, FragmentKeeper())


Step = Callable[[Exchange], None]

ARRIVE: Final[tuple[Step, ...]] = (read_parameters, check_time, remind)
PROVE: Final[tuple[Step, ...]] = (authenticate, find_action, parse, check)
DO: Final[tuple[Step, ...]] = (recall, perform, refuse_dry_run, render, remember)
PREPARE: Final[tuple[Step, ...]] = (perform, refuse_dry_run)
ASK: Final[tuple[Step, ...]] = (ask, render)


# --- walking them ------------------------------------------------------------------------


class Pipeline:
    """Answers requests. Every method may be called from any thread, and none of them raises."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def answer(self, incoming: Incoming) -> Answer:
        """A whole request to its answer."""
        arrived = self.arrive(incoming)
        return arrived if isinstance(arrived, Answer) else self.finish(arrived)

    def arrive(self, incoming: Incoming) -> Exchange | Answer:
        """As far as a request comes without a transaction, in about 0.1 ms for a short one.

        An Answer is a refusal, or what the same was answered before, while nothing has changed.
        """
        exchange = self._begin(incoming)
        return self._watched(exchange, self._arrive) or (
            exchange if exchange.body is None else self._done(exchange)
        )

    def may_wait(self, exchange: Exchange) -> bool:
        """Whether the rest of it may have to wait for its turn to write: seconds, at worst."""
        assert exchange.parameters is not None
        handler = self._door.handlers.get(exchange.parameters.action)
        return handler is not None and handler.writes

    def asks(self, exchange: Exchange) -> bool:
        """Whether the rest of it has to wait for an engine: seconds, at worst."""
        assert exchange.parameters is not None
        handler = self._door.handlers.get(exchange.parameters.action)
        return handler is not None and handler.asks is not None

    def finish(self, exchange: Exchange) -> Answer:
        """The rest of it: milliseconds, in a thread of its own."""
        return self._watched(exchange, self._prove_and_do) or self._done(exchange)

    def admit(self, incoming: Incoming) -> Exchange | Answer:
        """The first half of an upload: all that can be known before its first byte is kept.

        An Answer is a refusal.
        """
        exchange = self._begin(incoming)
        return self._watched(exchange, self._prove) or exchange

    def complete(self, exchange: Exchange, content: Content) -> Answer:
        """The second half of an upload, when its content is kept."""
        exchange.content = content
        return self._watched(exchange, self._write) or self._done(exchange)

    def refuse(self, exchange: Exchange, problem: Exception) -> Answer:
        """An upload that was admitted and did not come to its end."""

        def raise_it(_: Exchange) -> None:
            raise problem

        answer = self._watched(exchange, raise_it)
        assert answer is not None
        return answer

    def _begin(self, incoming: Incoming) -> Exchange:
        door = self._door
        return Exchange(door, incoming, door.clock(), Line(new_request_id()))

    def _arrive(self, exchange: Exchange) -> None:
        _walk(ARRIVE, exchange)

    def _prove_and_do(self, exchange: Exchange) -> None:
        with self._door.store.reading() as exchange.tx:
            _walk(PROVE, exchange)
            if not exchange.handler.writes:
                _walk(PREPARE if exchange.handler.asks else DO, exchange)
            prepares = exchange.handler.prepares
            make = prepares(_context(exchange), exchange.asked) if prepares else None
        if make:
            exchange.prepared = make()
        if exchange.handler.asks:
            _walk(ASK, exchange)
        elif exchange.handler.writes:
            self._write(exchange)

    def _prove(self, exchange: Exchange) -> None:
        self._arrive(exchange)
        with self._door.store.reading() as exchange.tx:
            _walk(PROVE, exchange)

    def _write(self, exchange: Exchange) -> None:
        with self._door.store.writing() as exchange.tx:
            _walk(DO, exchange)
        self._door.poke()

    def _watched(self, exchange: Exchange, work: Step) -> Answer | None:
        """Do the work; if it is refused, or fails, the answer that says so."""
        try:
            work(exchange)
        except Refusal as refusal:
            code, message, status = refusal.code, refusal.message, refusal.status
        except Fault as fault:
            code, message, status = faults.tell(fault)
            if fault.hidden or fault.kind is Kind.BROKEN:
                log.warning(
                    "The cause of a fault. id=%s kind=%s noun=%s hidden=%s",
                    exchange.line.request_id,
                    fault.kind,
                    fault.noun,
                    shown(fault.hidden),
                    exc_info=fault if status >= 500 else None,
                )
        except Exception:
            log.exception("A request failed. id=%s", exchange.line.request_id)
            code, message, status = faults.INTERNAL
        else:
            return None
        exchange.line.code = code
        body = write_error(code, message, exchange.line.request_id, exchange.version)
        return self._logged(exchange, Answer(status, body, exchange.line.request_id))

    def _done(self, exchange: Exchange) -> Answer:
        body, request_id = exchange.body, exchange.line.request_id
        assert body is not None
        if exchange.has_stand_ins:
            body = repeats.told(body, request_id, exchange.version)
        return self._logged(exchange, Answer(200, body, request_id))

    def _logged(self, exchange: Exchange, answer: Answer) -> Answer:
        line = exchange.line
        line.status = answer.status
        line.ms = (time.perf_counter() - exchange.began) * 1000
        line.write()
        return answer


def _walk(steps: Sequence[Step], exchange: Exchange) -> None:
    for step in steps:
        step(exchange)
