"""Calls of oned's XML-RPC interface.

oned answers `[true, value, …]` or `[false, text, code, object id, …]`, and an XML-RPC fault for
what it cannot read or does not know (facts/opennebula.md 2). `call` gives the value, or raises one
of ports' three exceptions: what oned says is judged by `errors`, what happens on the way here. The
difference between busy and lost is whether the call may have been done: a read is never lost.
"""

import re
import time
from typing import Final, TypeAlias

from lxml import etree

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.hidden import Hidden
from econe.engines.opennebula.errors import Failure, judge
from econe.engines.opennebula.transport import Broken, NotSent, Stale, Transport
from econe.engines.opennebula.xmltree import parse

Argument: TypeAlias = str | int | bool
Value: TypeAlias = str | int | bool

MOST_BYTES: Final = 512 * 1024 * 1024
"""An infoextended of 1,000 machines has 8 MiB."""
_METHOD: Final = re.compile(r"one(\.[a-z_]+)+", re.ASCII)
_READS: Final = re.compile(r"\.(info\w*|version|config|monitoring|accounting|showback)$")
UNSPEAKABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff\U00010000-\U0010ffff]"
)
"""What XML 1.0 cannot say, and what xmlrpc-c refuses though XML can: all beyond U+FFFF. Seen: fault
-503 for the call, and -500 for every answer with an object that got such a character."""
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
# xmlrpc-c's faults before anything is done: type, index, parse, no such method, limit, UTF-8.
_NOT_DONE_FAULTS: Final = frozenset({-501, -502, -503, -506, -509, -510})


class OnedFault(EngineRefused):
    """oned does not know the method (-506) or takes other parameters (-501): another version."""

    def __init__(self, fault_code: int, text: str, method: str) -> None:
        super().__init__(
            "OpenNebula does not take this request.", f"{method}: fault {fault_code}: {text}"
        )
        self.fault_code, self.method = fault_code, method


class OnedChoked(EngineBusy):
    """oned cannot write its answer: an object in it has a character beyond U+FFFF.

    Any user can bring that about, with `&#128512;` in a template as XML, and then no list with that
    object is to be had by anybody (seen with 7.0.2). Lists without it, and other objects, are.
    """


class Oned:
    """A front-end. One for each process; calls may come from any thread."""

    def __init__(self, url: str, *, timeout_s: float, most_bytes: int = MOST_BYTES) -> None:
        """`timeout_s` is the longest that a whole call may take. Raises ValueError for an URL that
        is none; the text is for the operator."""
        self._transport = Transport(url, most_bytes=most_bytes)
        self._timeout_s = timeout_s

    @property
    def url(self) -> str:
        return self._transport.endpoint.url

    def call(
        self,
        session: Hidden[str],
        method: str,
        *args: Argument,
        timeout_s: float | None = None,
    ) -> Value:
        """The value that oned answers: `call(session, "one.vm.info", 7)`.

        Raises OnedRefused, OnedBusy, OnedLost with what oned said (errors.Failure), OnedFault,
        OnedChoked, and plain EngineBusy, EngineLost for what happened on the way. No text holds the
        session.
        """
        body = write_call(session, method, args)
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        is_read = _READS.search(method) is not None
        status, answer = self._post(body, method, deadline, is_read)
        if status != 200:
            if 400 <= status < 500:
                raise EngineBusy(f"{method}: {self.url} is not oned's: HTTP status {status}")
            raise _unsure(method, f"HTTP status {status}", is_read)
        try:
            outcome = read_answer(answer)
        except ValueError as error:
            raise _unsure(method, f"oned answered rubbish: {error}", is_read) from None
        if isinstance(outcome, Failure):
            raise judge(outcome, method, is_read=is_read)
        if isinstance(outcome, _Fault):
            if outcome.code in _NOT_DONE_FAULTS:
                raise OnedFault(outcome.code, outcome.text, method)
            if is_read and "UTF-8" in outcome.text:
                raise OnedChoked(
                    f"{method}: oned cannot write its answer: an object in it has a character "
                    f"beyond U+FFFF, such as an emoji: fault {outcome.code}: {outcome.text}"
                )
            raise _unsure(method, f"fault {outcome.code}: {outcome.text}", is_read)
        return outcome

    def text(
        self,
        session: Hidden[str],
        method: str,
        *args: Argument,
        timeout_s: float | None = None,
    ) -> str:
        """As call, for methods that answer a text: `one.vmpool.infoextended`."""
        value = self.call(session, method, *args, timeout_s=timeout_s)
        if not isinstance(value, str):
            raise _unsure(method, "oned answered no text", _READS.search(method) is not None)
        return value

    def number(
        self,
        session: Hidden[str],
        method: str,
        *args: Argument,
        timeout_s: float | None = None,
    ) -> int:
        """As call, for methods that answer an id: `one.vm.allocate`."""
        value = self.call(session, method, *args, timeout_s=timeout_s)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _unsure(method, "oned answered no number", _READS.search(method) is not None)
        return value

    def close(self) -> None:
        self._transport.close()

    def _post(self, body: bytes, method: str, deadline: float, is_read: bool) -> tuple[int, bytes]:
        try:
            try:
                return self._transport.post(body, deadline)
            except Stale:
                if not is_read:
                    raise
                return self._transport.post(body, deadline)
        except NotSent as error:
            raise EngineBusy(f"{method}: oned at {self.url} is not reached: {error}") from None
        except Broken as error:
            raise _unsure(method, f"no whole answer of oned: {error}", is_read) from None


def _unsure(method: str, what: str, is_read: bool) -> EngineBusy | EngineLost:
    kind = EngineBusy if is_read else EngineLost
    return kind(f"{method}: {what}")


# --- the bytes ---------------------------------------------------------------------------


def write_call(session: Hidden[str], method: str, args: tuple[Argument, ...]) -> bytes:
    """Raises EngineRefused for text that XML cannot say, ValueError for our own mistakes."""
    if not _METHOD.fullmatch(method):
        raise ValueError(f"no method of oned: {method!r}")
    values = "".join(
        f"<param><value>{_written(argument)}</value></param>"
        for argument in (session.reveal(), *args)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><methodCall><methodName>{method}</methodName>'
        f"<params>{values}</params></methodCall>"
    ).encode()


def _written(argument: Argument) -> str:
    if isinstance(argument, bool):
        return f"<boolean>{int(argument)}</boolean>"
    if isinstance(argument, int):
        if -(2**31) <= argument < 2**31:
            return f"<i4>{argument}</i4>"
        if -(2**63) <= argument < 2**63:
            return f"<i8>{argument}</i8>"
        raise ValueError("a number that XML-RPC cannot say")
    if UNSPEAKABLE.search(argument):
        raise EngineRefused(
            "The text holds characters that cannot be used.",
            "control characters, surrogates, or characters beyond U+FFFF",
            code="InvalidParameterValue",
        )
    return f"<string>{argument.translate(_ESCAPES)}</string>"


class _Fault:
    __slots__ = ("code", "text")

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text


def read_answer(document: bytes) -> Value | Failure | _Fault:
    """What a methodResponse says. Raises ValueError."""
    root = parse(document)
    if root.tag != "methodResponse":
        raise ValueError("it is no methodResponse")
    fault = root.find("fault/value/struct")
    if fault is not None:
        return _read_fault(fault)
    values = root.findall("params/param/value/array/data/value")
    if len(values) < 2:
        raise ValueError("it is no answer of oned")
    succeeded = _read(values[0])
    if succeeded is True:
        return _read(values[1])
    if succeeded is False and len(values) >= 3:
        object_id = _read(values[3]) if len(values) > 3 else -1
        return Failure(_number(_read(values[2])), str(_read(values[1])), _number(object_id))
    raise ValueError("it is no answer of oned")


def _read_fault(struct: etree._Element) -> _Fault:
    members = {
        member.findtext("name"): _read(value)
        for member in struct.findall("member")
        if (value := member.find("value")) is not None
    }
    return _Fault(_number(members.get("faultCode", 0)), str(members.get("faultString", "")))


def _number(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("text where a number belongs")
    return value


def _read(value: etree._Element) -> Value:
    if not len(value):
        return value.text or ""
    (typed,) = value if len(value) == 1 else (None,)
    if typed is None or len(typed):
        raise ValueError("a value of another kind")
    text: str = typed.text or ""
    match typed.tag:
        case "string":
            return text
        case "boolean" if text in {"0", "1"}:
            return text == "1"
        case "i4" | "int" | "i8" if re.fullmatch(r"\s*[+-]?\d{1,20}\s*", text, re.ASCII):
            return int(text)
    raise ValueError(f"a value of another kind: {str(typed.tag)[:20]}")
