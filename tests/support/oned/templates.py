"""oned's templates: names in upper case, each with values that are texts or vectors of texts.

Parsed from `NAME="value"` text (the rules of oned's template_parser.l, read at 7.0.2) or from XML;
rendered as oned does: names sorted, values in CDATA.
"""

import copy
import re
from collections.abc import Iterator
from typing import Self
from xml.etree import ElementTree

from tests.support.oned.errors import INTERNAL, Refused

Vector = dict[str, str]
Value = str | Vector

_RUBBISH = 942827056
_SPACE = re.compile(r"(?:\s+|#[^\n]*\n)*")
_NAME = re.compile(r"\w+")
_EQUAL = re.compile(r"[ \t]*=[ \t]*")
_OPEN = re.compile(r"\[\s*")
_COMMA = re.compile(r"\s*,\s*")
_CLOSE = re.compile(r"\s*\]\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^=,\]\[#\s\"]+")


class Template:
    def __init__(self, values: dict[str, list[Value]] | None = None) -> None:
        self._values: dict[str, list[Value]] = values or {}

    @classmethod
    def parse(cls, text: str, code: int = INTERNAL, before: str = "") -> Self:
        """Raises Refused with `code` and a text that begins with `before`: methods differ."""
        try:
            if text.lstrip().startswith("<"):
                return cls(_read_xml(text, code))
            return cls(_Reader(text, code).read())
        except Refused as refused:
            raise Refused(code, f"{before}{refused.text}") from refused

    def copy(self) -> "Template":
        return Template(copy.deepcopy(self._values))

    def get(self, name: str, default: str = "") -> str:
        """The first plain value."""
        for value in self._values.get(name, ()):
            if isinstance(value, str):
                return value
        return default

    def number(self, name: str) -> float | None:
        try:
            return float(self.get(name))
        except ValueError:
            return None

    def vectors(self, name: str) -> list[Vector]:
        """The vectors themselves: what the caller changes in them is changed."""
        return [value for value in self._values.get(name, ()) if isinstance(value, dict)]

    def vector(self, name: str) -> Vector | None:
        """The last one, as oned takes for CONTEXT and the like."""
        found = self.vectors(name)
        return found[-1] if found else None

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        for name in sorted(self._values):
            for value in self._values[name]:
                yield name, value

    def names(self) -> list[str]:
        return sorted(self._values)

    def add(self, name: str, value: Value) -> None:
        self._values.setdefault(name, []).append(value)

    def set(self, name: str, value: Value) -> None:
        self._values[name] = [value]

    def drop(self, name: str) -> list[Value]:
        return self._values.pop(name, [])

    def remove_vector(self, name: str, vector: Vector) -> None:
        """Drop this very vector, not one that equals it."""
        left = [value for value in self._values.get(name, []) if value is not vector]
        if left:
            self._values[name] = left
        else:
            self._values.pop(name, None)

    def merge(self, other: "Template") -> None:
        """What `other` names replaces what is here under that name."""
        for name, values in other._values.items():
            self._values[name] = copy.deepcopy(values)

    def xml(self, tag: str = "TEMPLATE") -> str:
        return f"<{tag}>{self.inner_xml()}</{tag}>"

    def inner_xml(self) -> str:
        return "".join(_element(name, value) for name, value in self)


def cdata(text: str) -> str:
    # one_util::escape_xml's CDATA section: an end inside the text would end it; oned is no wiser.
    return f"<![CDATA[{text}]]>"


def vector_xml(name: str, vector: Vector) -> str:
    inner = "".join(f"<{key}>{cdata(vector[key])}</{key}>" for key in sorted(vector))
    return f"<{name}>{inner}</{name}>"


def _element(name: str, value: Value) -> str:
    if isinstance(value, str):
        return f"<{name}>{cdata(value)}</{name}>"
    return vector_xml(name, value)


def _read_xml(text: str, code: int) -> dict[str, list[Value]]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise Refused(code, "Parse error: XML Template malformed.") from error
    values: dict[str, list[Value]] = {}
    for child in root:
        value: Value = child.text or ""
        if len(child):
            value = {inner.tag.upper(): inner.text or "" for inner in child}
        values.setdefault(child.tag.upper(), []).append(value)
    return values


class _Reader:
    def __init__(self, text: str, code: int) -> None:
        self._text = text
        self._at = 0
        self._code = code

    def read(self) -> dict[str, list[Value]]:
        values: dict[str, list[Value]] = {}
        self._take(_SPACE)
        while self._at < len(self._text):
            name = self._name("VARIABLE")
            value: Value
            if self._take(_OPEN) is not None:
                value = self._vector()
            else:
                value = self._value("OBRACKET or STRING", may_be_empty=True)
            values.setdefault(name, []).append(value)
            self._take(_SPACE)
        return values

    def _vector(self) -> Vector:
        vector: Vector = {}
        while True:
            expected = "VARIABLE" if vector else "CBRACKET or VARIABLE"
            name = self._name(expected)
            vector[name] = self._value("STRING", may_be_empty=False)
            if self._take(_COMMA) is not None:
                continue
            if self._take(_CLOSE) is not None:
                return vector
            raise self._wrong("COMMA or CBRACKET")

    def _name(self, expected: str) -> str:
        found = self._take(_NAME)
        if found is None:
            raise self._wrong(expected)
        if self._take(_EQUAL) is None:
            raise self._wrong("EQUAL or EQUAL_EMPTY")
        return found[0].upper()

    def _value(self, expected: str, *, may_be_empty: bool) -> str:
        quoted = self._take(_QUOTED)
        if quoted is not None:
            # Only the quote is unescaped: a backslash before anything else stays.
            return quoted[1].replace('\\"', '"')
        bare = self._take(_BARE)
        if bare is not None:
            return bare[0]
        if may_be_empty and self._text[self._at : self._at + 1] == "\n":
            return ""
        raise self._wrong(expected)

    def _take(self, what: re.Pattern[str]) -> re.Match[str] | None:
        found = what.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _wrong(self, expected: str) -> Refused:
        """oned's line number is rubbish, as of a field never set; the columns are of the line."""
        seen = "$end" if self._at >= len(self._text) else "VARIABLE"
        column = len(self._text[: self._at].rpartition("\n")[2])
        return Refused(
            self._code,
            f"Parse error: syntax error, unexpected {seen}, expecting {expected}"
            f" at line {_RUBBISH}, columns {column}:{column + 1}",
        )
