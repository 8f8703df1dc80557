"""XML-RPC as oned's library (xmlrpc-c) speaks it: calls in, the arrays of 3 and 5 items out."""

from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree

from tests.support.oned.errors import Refused, RpcFault

_NOT_CALL = "Call XML not a proper XML-RPC call.  "
_NOT_XML = f"{_NOT_CALL}Call is not valid XML.  "
_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n'
_INTEGERS = ("int", "i4")

NOT_PARSED = -503
NO_SUCH_METHOD = -506
WRONG_TYPE = -501

Param = str | int | bool | float | list[object] | None


@dataclass(frozen=True)
class Rendered:
    """An answer that is escaped already, in pieces."""

    pieces: tuple[bytes, ...]


Answer = str | int | bool | Rendered


@dataclass(frozen=True)
class Call:
    method: str
    params: tuple[tuple[str, Param], ...]
    """Type and value."""


class Args:
    """The parameters after the session, read one by one as oned's methods do; each may be found
    missing or of the wrong type only when it is its turn."""

    def __init__(self, params: tuple[tuple[str, Param], ...]) -> None:
        self._params = params

    def __len__(self) -> int:
        return len(self._params)

    def text(self, number: int, default: str | None = None) -> str:
        return str(self._one(number, ("string",), "a string", default))

    def integer(self, number: int, default: int | None = None) -> int:
        return int(self._one(number, _INTEGERS, "integer", default))  # type: ignore[arg-type]

    def yes(self, number: int, default: bool | None = None) -> bool:
        return bool(self._one(number, ("boolean",), "boolean", default))

    def plain(self) -> tuple[Param, ...]:
        return tuple(value for _, value in self._params)

    def _one(self, number: int, types: tuple[str, ...], word: str, default: Param) -> Param:
        if number >= len(self._params):
            if default is not None:
                return default
            raise RpcFault(WRONG_TYPE, "Not enough parameters")
        kind, value = self._params[number]
        if kind not in types:
            raise RpcFault(WRONG_TYPE, f"Parameter that is supposed to be {word} is not")
        return value


def read_call(body: bytes) -> Call:
    """Raises RpcFault for what is no call."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise RpcFault(NOT_PARSED, f"{_NOT_XML}syntax error") from error
    name = root.findtext("methodName")
    if root.tag != "methodCall":
        text = f"should be a <methodCall> element.  Instead, we have a <{root.tag}> element."
        raise RpcFault(NOT_PARSED, f"{_NOT_CALL}XML-RPC call {text}")
    if name is None:
        text = "Expected <methodCall> to have child <methodName>"
        raise RpcFault(NOT_PARSED, f"{_NOT_CALL}{text}")
    return Call(name, tuple(_typed(each) for each in root.iterfind("params/param/value")))


def _typed(value: ElementTree.Element) -> tuple[str, Param]:
    if not len(value):
        return "string", value.text or ""
    (inner,) = value
    text = inner.text or ""
    if inner.tag in ("int", "i4", "i8"):
        return inner.tag, int(text)
    if inner.tag == "boolean":
        return "boolean", text.strip() == "1"
    if inner.tag == "double":
        return "double", float(text)
    if inner.tag == "array":
        return "array", [_typed(each)[1] for each in inner.iterfind("data/value")]
    return inner.tag, text


def write_answer(answer: Answer) -> list[bytes]:
    pieces = [_HEAD, b"<params>\r\n<param><value><array><data>\r\n"]
    pieces.append(b"<value><boolean>1</boolean></value>\r\n")
    if isinstance(answer, Rendered):
        pieces += [b"<value><string>", *answer.pieces, b"</string></value>\r\n"]
    else:
        pieces.append(_value(answer))
    pieces.append(_value(0))
    pieces.append(b"</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n")
    return pieces


def write_failure(method: str, refused: Refused) -> list[bytes]:
    return [
        _HEAD,
        b"<params>\r\n<param><value><array><data>\r\n<value><boolean>0</boolean></value>\r\n",
        _value(f"[{method}] {refused.text}"),
        _value(refused.code),
        _value(refused.object_id),
        b"<value><i8>-1</i8></value>\r\n",
        b"</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n",
    ]


def write_fault(code: int, text: str) -> list[bytes]:
    return [
        _HEAD,
        b"<fault>\r\n<value><struct>\r\n<member><name>faultCode</name>\r\n",
        f"<value><i4>{code}</i4></value></member>\r\n".encode(),
        b"<member><name>faultString</name>\r\n",
        f"<value><string>{escape(text, quote=False)}</string></value></member>\r\n".encode(),
        b"</struct></value>\r\n</fault>\r\n</methodResponse>\r\n",
    ]


def _value(value: str | int | bool) -> bytes:
    if isinstance(value, bool):
        return f"<value><boolean>{int(value)}</boolean></value>\r\n".encode()
    if isinstance(value, int):
        return f"<value><i4>{value}</i4></value>\r\n".encode()
    text = escape(value, quote=False).replace("\r", "&#x0d;")
    return f"<value><string>{text}</string></value>\r\n".encode()
