"""EC2's XML as Python values, without knowing the service model.

An element is a list when its children are all called `item` (EC2's rule for lists), a dict when
it has other children, and else its text. What an empty element would be cannot be seen, so those
that EC2 calls lists (`…Set`, and the names below) are empty lists and all others empty strings.
Numbers and truth values stay text: only the model could tell the tag value `true` from a flag.

pyexpat itself is used because ElementTree takes ten times as long to import, and because it shows
a document type declaration, which no EC2 answer has: refusing it refuses entity expansion.
"""

from __future__ import annotations

import pyexpat

from econe.client.errors import BadAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEEPEST = 64
"""Levels of elements. EC2's answers have about ten."""

_LISTS_BY_NAME = frozenset(
    {"blockDeviceMapping", "regionInfo", "availabilityZoneInfo", "productCodes", "Errors"}
)


class _Open:
    """An element whose end has not come yet."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.children: list[tuple[str, Any]] = []

    def value(self) -> Any:
        if not self.children:
            text = "".join(self.text)
            if not text and (self.name.endswith("Set") or self.name in _LISTS_BY_NAME):
                return []
            return text
        if all(name == "item" for name, _ in self.children):
            return [value for _, value in self.children]
        fields: dict[str, Any] = {}
        for name, value in self.children:
            if name not in fields:
                fields[name] = value
            elif isinstance(fields[name], list):
                fields[name].append(value)
            else:
                fields[name] = [fields[name], value]
        return fields


class _Reader:
    def __init__(self) -> None:
        self.above: list[_Open] = []
        self.root: tuple[str, Any] = ("", "")

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if len(self.above) >= DEEPEST:
            raise BadAnswer("the server's answer is nested too deeply")
        self.above.append(_Open(name.rpartition(":")[2]))

    def text(self, data: str) -> None:
        self.above[-1].text.append(data)

    def end(self, _name: str) -> None:
        element = self.above.pop()
        if self.above:
            self.above[-1].children.append((element.name, element.value()))
        else:
            self.root = element.name, element.value()

    def doctype(self, *_of_what: object) -> None:
        raise BadAnswer("the server's answer has a document type declaration")


def read_xml(document: bytes) -> tuple[str, Any]:
    """The root element's name and its value. Raises BadAnswer."""
    reader = _Reader()
    parser = pyexpat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(document, True)
    except (pyexpat.ExpatError, ValueError, LookupError) as error:
        raise BadAnswer(f"the server's answer is not XML: {error}") from error
    return reader.root


def listed(answer: Any, *path: str) -> list[Any]:
    """The list at `path` below `answer`; an empty one where EC2 left it out. Raises BadAnswer."""
    value = answer
    for name in path:
        value = value.get(name, "") if isinstance(value, dict) else ""
    if value == "":
        return []
    if not isinstance(value, list):
        raise BadAnswer(f"the server's answer has no list at {'/'.join(path)}")
    return value


def text_at(answer: Any, *path: str) -> str:
    """The text at `path` below `answer`; empty where EC2 left it out."""
    value = answer
    for name in path:
        value = value.get(name, "") if isinstance(value, dict) else ""
    return value if isinstance(value, str) else ""
