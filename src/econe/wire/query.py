"""The EC2 Query reader: from `Filter.1.Value.2=x` to the structure that the model describes.

The inverse of botocore's serializer for the ec2 protocol. A member is called on the wire by its
`queryName`, else by its `locationName` with a capital first letter, else by its own name
(https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html). Lists are numbered; clients
begin at 1, libcloud at 0, and gaps are allowed, so only the order of the numbers counts. The
cost is linear in the size of the request: nothing is allocated by a number that the caller wrote.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from botocore.model import OperationModel, Shape

from econe.wire.model import EC2_VERSION
from econe.wire.refusal import Refusal, shown

MOST_PARAMETERS: Final = 10_000
MOST_PARTS: Final = 32
"""Parts of a parameter's name; the deepest that the model has is 12."""
MOST_INDEX: Final = 1_000_000

Pair = tuple[str, str]

_AUTHENTICATION: Final = frozenset(
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's parameters, sorted out."""

    action: str
    version: str
    own: list[Pair]
    """The operation's own: what read_query takes."""
    authentication: dict[str, str] = field(repr=False)
    """What proves the caller, and has been read already (wire.signatures)."""


def read_pairs(raw: bytes) -> list[Pair]:
    """The parameters of a query string or a form body, decoded: `+` and %20 are both a space.

    Raises Refusal for what is no UTF-8, and for more than MOST_PARAMETERS.
    """
    if not raw:
        return []
    pieces = raw.split(b"&", MOST_PARAMETERS)
    if len(pieces) > MOST_PARAMETERS:
        raise _too_many()
    pairs = []
    for piece in pieces:
        if piece:
            name, _, value = piece.partition(b"=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(raw: bytes) -> str:
    try:
        if b"%" not in raw and b"+" not in raw:
            return raw.decode()
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise Refusal("MalformedQueryString", "A parameter is not valid UTF-8.") from None


def split(pairs: Iterable[Pair]) -> Asked:
    """Separate what every request carries from what belongs to the operation.

    A request that names no Version is answered in that of the model. Raises Refusal for a Version
    that is no date, and for two different values of one of these parameters.
    """
    common: dict[str, str] = {}
    own: list[Pair] = []
    for name, value in pairs:
        if name not in ("Action", "Version") and not is_authentication(name):
            own.append((name, value))
        elif common.setdefault(name, value) != value:
            raise _twice(name)
    version = common.pop("Version", "") or EC2_VERSION
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", version) is None:
        raise Refusal("NoSuchVersion", f"The requested version ({shown(version)}) does not exist.")
    return Asked(common.pop("Action", ""), version, own, common)


def is_authentication(name: str) -> bool:
    return name in _AUTHENTICATION or name[:6].lower() == "x-amz-"


def read_query(pairs: Sequence[Pair], operation: OperationModel) -> dict[str, Any]:
    """What was asked, keyed by the model's member names; only what was given is there.

    Raises Refusal: UnknownParameter; InvalidParameterValue for a number, time or such that is
    none; InvalidParameterCombination where one name is used in two ways.
    """
    asked: dict[str, Any] = _plan_of(operation).read(_tree(pairs), "")
    return asked


# --- the parameters as a tree --------------------------------------------------------------

# A node maps the next part of the name to its node; under VALUES are the values given for exactly
# this name. A part is never empty, so VALUES cannot be mistaken for one.
Node = dict[str, Any]
_VALUES: Final = ""


def _tree(pairs: Sequence[Pair]) -> Node:
    if len(pairs) > MOST_PARAMETERS:
        raise _too_many()
    root: Node = {}
    for name, value in pairs:
        _refuse_unstorable(name, value)
        parts = name.split(".", MOST_PARTS)
        if len(parts) > MOST_PARTS or "" in parts:
            raise _unknown(name)
        node = root
        for part in parts:
            node = node.setdefault(part, {})
        node.setdefault(_VALUES, []).append(value)
    return root


def _refuse_unstorable(name: str, value: str) -> None:
    """Halves of surrogate pairs are no text, and databases do not take NUL."""
    try:
        name.encode()
        value.encode()
    except UnicodeEncodeError:
        raise Refusal("InvalidCharacter", "A parameter is not valid Unicode.") from None
    if "\0" in value or "\0" in name:
        raise Refusal("InvalidCharacter", f"The parameter {_printable(name)} contains NUL.")


def _under(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def _first_name(node: Node, path: str) -> str:
    """The full name of some parameter at or below this node, for the message."""
    while _VALUES not in node:
        part = next(iter(node))
        path, node = _under(path, part), node[part]
    return path


# --- the model as readers of that tree -----------------------------------------------------


class _Reader(Protocol):
    def read(self, node: Node, path: str) -> Any: ...


@dataclass(slots=True)
class _Scalar:
    convert: Callable[[str], Any]
    must: str
    """What the message says a value must be."""
    sensitive: bool

    def read(self, node: Node, path: str) -> Any:
        values = node.get(_VALUES)
        if values is None or len(node) > 1:
            below = next(part for part in node if part != _VALUES)
            name = _first_name(node[below], _under(path, below))
            raise _two_ways(path) if values else _unknown(name)
        if len(values) > 1 and any(value != values[0] for value in values):
            raise _twice(path)
        return self.converted(values[0], path)

    def converted(self, text: str, path: str) -> Any:
        try:
            return self.convert(text)
        except (ValueError, OverflowError):
            value = "" if self.sensitive else f" ({shown(text)})"
            raise Refusal(
                "InvalidParameterValue",
                f"Value{value} for parameter {path} is invalid. Must be {self.must}.",
            ) from None


@dataclass(slots=True)
class _Sole:
    """A value of the operation itself. It may be numbered: old boto asks GetConsoleOutput for
    `InstanceId.1` (2.49, ec2/connection.py), and EC2 answers."""

    scalar: _Scalar

    def read(self, node: Node, path: str) -> Any:
        if len(node) == 1:
            ((part, below),) = node.items()
            if part != _VALUES and _index(part) is not None:
                return self.scalar.read(below, _under(path, part))
        return self.scalar.read(node, path)


@dataclass(slots=True)
class _List:
    item: _Reader

    def read(self, node: Node, path: str) -> list[Any]:
        values = node.get(_VALUES)
        if values is not None:
            return self._unnumbered(node, values, path)
        numbered: dict[int, tuple[str, Node]] = {}
        for part, below in node.items():
            index = _index(part)
            if index is None:
                raise _unknown(_first_name(below, _under(path, part)))
            if index in numbered:
                raise _twice(_under(path, part))
            numbered[index] = (part, below)
        return [
            self.item.read(below, _under(path, part))
            for _, (part, below) in sorted(numbered.items())
        ]

    def _unnumbered(self, node: Node, values: list[str], path: str) -> list[Any]:
        """`InstanceId=a&InstanceId=b`, and `InstanceId=`, which is how some say an empty list."""
        if len(node) > 1:
            raise _two_ways(path)
        if values == [""]:
            return []
        if not isinstance(self.item, _Scalar):
            raise _unknown(path)
        return [self.item.converted(value, path) for value in values]


@dataclass(slots=True)
class _Structure:
    members: dict[str, tuple[str, _Reader]]
    """By the name on the wire: the model's name for it, and how to read it."""

    def read(self, node: Node, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part, below in node.items():
            if part == _VALUES:
                if len(node) > 1 or below != [""]:
                    raise _two_ways(path) if len(node) > 1 else _unknown(path)
                continue
            member = self.members.get(part)
            if member is None:
                raise _unknown(_first_name(below, _under(path, part)))
            name, reader = member
            found[name] = reader.read(below, _under(path, part))
        return found


@cache
def _plan_of(operation: OperationModel) -> _Structure:
    if operation.input_shape is None:
        return _Structure({})
    plan = _compile(operation.input_shape, {})
    assert isinstance(plan, _Structure)
    return _Structure(
        {
            said: (name, _Sole(reader) if isinstance(reader, _Scalar) else reader)
            for said, (name, reader) in plan.members.items()
        }
    )


def _compile(shape: Shape, done: dict[str, _Reader]) -> _Reader:
    """The reader for a shape. `done` holds the structures and lists met so far, by shape name."""
    if shape.name in done:
        return done[shape.name]
    if shape.type_name == "structure":
        members: dict[str, tuple[str, _Reader]] = {}
        structure = done[shape.name] = _Structure(members)
        for name, member in shape.members.items():
            members[wire_name(member, name)] = (name, _compile(member, done))
        return structure
    if shape.type_name == "list":
        done[shape.name] = listed = _List(_compile(shape.member, done))
        return listed
    convert, must = _CONVERSIONS[shape.type_name]
    return _Scalar(convert, must, shape.type_name == "blob" or "sensitive" in shape.metadata)


def wire_name(member: Shape, name: str) -> str:
    """What a caller writes for the member `name` (see the top of this module)."""
    said: dict[str, str] = member.serialization
    if "queryName" in said:
        return said["queryName"]
    if "name" in said:
        return said["name"][:1].upper() + said["name"][1:]
    return name


def _index(part: str) -> int | None:
    if len(part) > 7 or not (part.isascii() and part.isdigit()):
        return None
    index = int(part)
    return index if index <= MOST_INDEX else None


# --- scalars -------------------------------------------------------------------------------

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(
    r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?"
)
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


def _boolean(text: str) -> bool:
    known = _BOOLEANS.get(text.lower())
    if known is None:
        raise ValueError(text)
    return known


def _whole(bits: int) -> Callable[[str], int]:
    most = 1 << (bits - 1)

    def convert(text: str) -> int:
        if _INTEGER.fullmatch(text) is None:
            raise ValueError(text)
        number = int(text)
        if not -most <= number < most:
            raise ValueError(text)
        return number

    return convert


def _real(text: str) -> float:
    if _FLOAT.fullmatch(text) is None:
        raise ValueError(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


_CONVERSIONS: Final[dict[str, tuple[Callable[[str], Any], str]]] = {
    "string": (str, "text"),
    "boolean": (_boolean, "true or false"),
    "integer": (_whole(32), "an integer"),
    "long": (_whole(64), "an integer"),
    "float": (_real, "a number"),
    "double": (_real, "a number"),
    "timestamp": (_moment, "a time in ISO 8601 form, such as 2026-11-23T16:00:00Z"),
    "blob": (_blob, "base64"),
}


# --- refusals ------------------------------------------------------------------------------


def _printable(name: str) -> str:
    return shown(name.encode("ascii", "backslashreplace").decode().replace("\0", "\\0"))


def _unknown(name: str) -> Refusal:
    return Refusal("UnknownParameter", f"The parameter {shown(name)} is not recognized")


def _twice(name: str) -> Refusal:
    return Refusal(
        "InvalidParameterCombination",
        f"The parameter {shown(name)} is given more than once, with different values.",
    )


def _two_ways(name: str) -> Refusal:
    return Refusal(
        "InvalidParameterCombination",
        f"The parameter {shown(name)} is given both as a value and as a structure.",
    )


def _too_many() -> Refusal:
    return Refusal(
        "MalformedQueryString", f"The request has more than {MOST_PARAMETERS} parameters."
    )
