"""The XML writer: answers by the model's output shapes, and the error document.

Each shape is compiled once into a small closure, so that writing is a walk over the answer only.
What an answer leaves out (or holds as None) is not written; an empty list is an empty element,
because clients (Terraform) expect the element to be there.
"""

import base64
import re
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache, lru_cache
from typing import Any, Final, Protocol

from botocore.model import OperationModel, Shape

from econe.wire.fragments import Fragment
from econe.wire.model import EC2_VERSION, IAM_VERSION, STS_VERSION

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_EC2_NAMESPACE: Final = "http://ec2.amazonaws.com/doc/{}/"
_STS_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
_IAM_NAMESPACE: Final = "https://iam.amazonaws.com/doc/2010-05-08/"


class Keeper(Protocol):
    """Where rendered fragments may be kept (wire.fragments)."""

    def keep(self, key: Hashable, xml: bytes) -> None: ...


def write_answer(
    operation: OperationModel,
    answer: Mapping[str, Any],
    request_id: str,
    api_version: str = EC2_VERSION,
    keeper: Keeper | None = None,
) -> bytes:
    """The document for `answer`, keyed by the model's output member names.

    The namespace is that of the Version the request named: libcloud finds nothing in another. Any
    structure in the answer may be a fragment (wire.fragments.Fragment); one that has to be
    rendered is given to `keeper`. Raises ValueError where the answer does not fit the model.
    """
    page = _Page(keeper)
    _document_of(operation)(page, answer, escape(request_id), escape(api_version))
    return page.finish()


def write_error(code: str, message: str, request_id: str, api_version: str = EC2_VERSION) -> bytes:
    """The error document; a request in the version of STS or IAM gets the form that these have."""
    code, message, request_id = escape(code), escape(message), escape(request_id)
    if api_version in (STS_VERSION, IAM_VERSION):
        namespace = _STS_NAMESPACE if api_version == STS_VERSION else _IAM_NAMESPACE
        return (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type>'
            f"<Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        ).encode()
    return (
        f"{_DECLARATION}<Response><Errors><Error><Code>{code}</Code>"
        f"<Message>{message}</Message></Error></Errors>"
        f"<RequestID>{request_id}</RequestID></Response>"
    ).encode()


# --- text ----------------------------------------------------------------------------------

# XML 1.0, section 2.2: what may not stand in a document, not even as a reference. A carriage
# return may, but readers turn a plain one into a line feed (section 2.11), so it is written as a
# reference.
_SPECIAL: Final = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_REFERENCES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}


def _reference(match: re.Match[str]) -> str:
    return _REFERENCES.get(match[0], "�")


def escape(text: str) -> str:
    """Any text as it stands in a document; a character that XML forbids becomes U+FFFD."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


_escape_short: Final = lru_cache(maxsize=8192)(escape)
"""Answers say the same words again and again; what is long is mostly said once."""
_SHORT: Final = 48


def _string(value: Any) -> str:
    if type(value) is not str:
        if isinstance(value, Enum):
            value = value.value
        value = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return _escape_short(value) if len(value) <= _SHORT else escape(value)


def _boolean(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    raise ValueError(f"{value!r} is no boolean")


def _integer(value: Any) -> str:
    return str(int(value))


def _float(value: Any) -> str:
    return repr(float(value))


@lru_cache(maxsize=1024)
def _timestamp(value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{value!r} is no time with a zone")
    whole = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    return f"{whole}.000Z"  # EC2 writes milliseconds, and counts seconds


def _blob(value: Any) -> str:
    return base64.b64encode(value).decode()


_SCALARS: Final[dict[str, Callable[[Any], str]]] = {
    "string": _string,
    "boolean": _boolean,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "timestamp": _timestamp,
    "blob": _blob,
}


# --- structure -----------------------------------------------------------------------------


class _Page(list[str]):
    """A document in the making: text that is not yet encoded, after `chunks` that are."""

    def __init__(self, keeper: Keeper | None) -> None:
        super().__init__()
        self.keeper = keeper
        self.chunks: list[bytes] = []

    def put(self, xml: bytes) -> None:
        self.chunks.append("".join(self).encode())
        self.clear()
        self.chunks.append(xml)

    def finish(self) -> bytes:
        text = "".join(self).encode()
        return b"".join((*self.chunks, text)) if self.chunks else text


_Write = Callable[[_Page, Any], None]


@cache
def _document_of(operation: OperationModel) -> Callable[[_Page, Mapping[str, Any], str, str], None]:
    """How a whole answer of this operation is written."""
    shape = operation.output_shape
    said: dict[str, str] = {} if shape is None else shape.serialization
    root = said.get("name", f"{operation.name}Response")
    is_query = operation.metadata["protocol"] == "query"
    body = None if shape is None else _compile(shape, {}, "member" if is_query else "item")

    def write_ec2(page: _Page, answer: Mapping[str, Any], request_id: str, version: str) -> None:
        page.append(f'{_DECLARATION}<{root} xmlns="{_EC2_NAMESPACE.format(version)}">')
        page.append(f"<requestId>{request_id}</requestId>")
        if body is not None:
            body(page, answer)
        elif answer:
            raise ValueError(f"{operation.name} answers nothing, not {sorted(answer)}")
        else:
            page.append("<return>true</return>")
        page.append(f"</{root}>")

    def write_query(page: _Page, answer: Mapping[str, Any], request_id: str, _: str) -> None:
        wrapper = said["resultWrapper"]
        namespace = operation.metadata["xmlNamespace"]
        page.append(f'<{operation.name}Response xmlns="{namespace}"><{wrapper}>')
        assert body is not None
        body(page, answer)
        page.append(f"</{wrapper}><ResponseMetadata><RequestId>{request_id}</RequestId>")
        page.append(f"</ResponseMetadata></{operation.name}Response>")

    return write_query if is_query else write_ec2


def _compile(shape: Shape, done: dict[str, _Write], item: str) -> _Write:
    """How a structure or list is written, without its own tags. `done`: by shape name."""
    known = done.get(shape.name)
    if known is not None:
        return known
    members: dict[str, tuple[str, str, Callable[[Any], str] | None, _Write | None]] = {}
    if shape.type_name == "list":
        writes = done[shape.name] = _list_writer(shape, done, item)
        return writes
    writes = done[shape.name] = _structure_writer(shape.name, members)
    for name, member in shape.members.items():
        tag = member.serialization.get("name", name)
        scalar = _SCALARS.get(member.type_name)
        nested = None if scalar else _compile(member, done, item)
        members[name] = (f"<{tag}>", f"</{tag}>", scalar, nested)
    return writes


def _structure_writer(
    shape_name: str,
    members: Mapping[str, tuple[str, str, Callable[[Any], str] | None, _Write | None]],
) -> _Write:
    def write(page: _Page, value: Any) -> None:
        if type(value) is not dict and hasattr(value, "fragment_key"):
            _write_fragment(page, value, write)
            return
        append = page.append
        for name, item in value.items():
            if item is None:
                continue
            member = members.get(name)
            if member is None:
                raise ValueError(f"{shape_name} has no member {name}")
            opening, closing, scalar, nested = member
            if scalar is not None:
                append(f"{opening}{scalar(item)}{closing}")
            elif nested is not None:
                append(opening)
                nested(page, item)
                append(closing)

    return write


def _list_writer(shape: Shape, done: dict[str, _Write], item: str) -> _Write:
    tag = shape.member.serialization.get("name", item)
    opening, closing = f"<{tag}>", f"</{tag}>"
    scalar = _SCALARS.get(shape.member.type_name)
    if scalar is not None:

        def write_scalars(page: _Page, value: Any) -> None:
            for each in value:
                page.append(f"{opening}{scalar(each)}{closing}")

        return write_scalars
    nested = _compile(shape.member, done, item)

    def write(page: _Page, value: Any) -> None:
        for each in value:
            page.append(opening)
            nested(page, each)
            page.append(closing)

    return write


def _write_fragment(page: _Page, fragment: Fragment, write: _Write) -> None:
    xml = fragment.xml
    if xml is None:
        inner = _Page(page.keeper)
        write(inner, fragment.structure)
        xml = inner.finish()
        if page.keeper is not None:
            page.keeper.keep(fragment.fragment_key, xml)
    page.put(xml)
