"""Templates that oned is given: attributes as XML, in which no value can become another attribute.

oned reads its own syntax (`NAME="value"`) and XML alike wherever a template is taken
(Template::parse_str_or_xml; recordings 265, 316). In its own syntax `\\"` is a quote and nothing
else is escaped, so a value that ends with a backslash swallows what follows, and there is no way to
say it. In XML everything can be said that XML can say, and libxml2 reads it. So: XML.

What oned does to values, seen with 7.0.2, and what is done about it here:

- it writes them into its answers as CDATA, unescaped: `]]>` in one ends it, and the rest is markup
  in the documents of everybody who may see the object. Refused here. (Others may still write it.
  oned checks only that each object is one well-formed element, so it can lie about itself alone;
  readers take the first of each child and never look deeper for objects. See documents.py.)
- characters beyond U+FFFF break its XML-RPC: the call as they are, and written as `&#128512;` the
  answers to everybody, for the whole pool. Refused here.
- in CONTEXT it replaces `$NAME` by what it knows of the machine, refuses the machine for other
  uses of `$`, and splits values at `@^_^@` (its own separator). Refused here, in CONTEXT; texts of
  users are to be given in base64. `Expanded` is for texts of administrators that mean it.
- an empty element is no attribute to it, an empty CDATA is an empty one.
- carriage returns come back as line feeds.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from econe.domain.engine_ports import EngineRefused
from econe.engines.opennebula.rpc import UNSPEAKABLE

Vector: TypeAlias = Mapping[str, str]
Attribute: TypeAlias = str | Vector | Sequence[str | Vector]

_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_LONGEST_NAME: Final = 256
_END_OF_CDATA: Final = "]]>"
_SEPARATOR: Final = "@^_^@"
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


class Expanded(str):
    """A value of CONTEXT in which oned shall replace `$NAME` and the like."""

    __slots__ = ()


def template_text(attributes: Mapping[str, Attribute]) -> str:
    """A template: `{"NAME": "x", "DISK": [{"IMAGE_ID": "7"}], "CONTEXT": {"TOKEN": "YES"}}`.

    A sequence is one attribute for each of its items; a vector with nothing in it is left out, as
    oned would. Raises EngineRefused for what oned cannot keep as it is (see above), and for names
    that are none (upper-case letters, digits, `_`).
    """
    body = "".join(
        _element(name, value) for name, given in attributes.items() for value in _each(given)
    )
    return f"<TEMPLATE>{body}</TEMPLATE>"


def speakable(text: str) -> str:
    """What oned can keep of a text that is for people only (a name, a description): each
    character that it cannot is replaced by U+FFFD."""
    return UNSPEAKABLE.sub("\ufffd", text).replace(_END_OF_CDATA, "]]\ufffd")


def _each(given: Attribute) -> Iterator[str | Vector]:
    if isinstance(given, str | Mapping):
        yield given
    else:
        yield from given


def _element(name: str, value: str | Vector) -> str:
    if isinstance(value, str):
        return _single(name, value)
    inner = "".join(_single(key, text, in_context=name == "CONTEXT") for key, text in value.items())
    return f"<{_checked_name(name)}>{inner}</{name}>" if inner else ""


def _single(name: str, value: str, *, in_context: bool = False) -> str:
    _check_value(name, value)
    if in_context:
        _check_context(name, value)
    text = value.translate(_ESCAPES) if value else "<![CDATA[]]>"
    return f"<{_checked_name(name)}>{text}</{name}>"


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) and len(name) <= _LONGEST_NAME:
        return name
    raise EngineRefused(
        "An attribute's name cannot be used.",
        f"attribute {name[:40]!r}",
        code="InvalidParameterValue",
    )


def _check_value(name: str, value: str) -> None:
    if UNSPEAKABLE.search(value) or _END_OF_CDATA in value:
        raise _refused(name)


def _check_context(name: str, value: str) -> None:
    has_variable = "$" in value and not isinstance(value, Expanded)
    if has_variable or _SEPARATOR in value:
        raise _refused(name)


def _refused(name: str) -> EngineRefused:
    return EngineRefused(
        "The text holds characters that cannot be used.",
        f"attribute {name[:40]!r} has what oned cannot keep",
        code="InvalidParameterValue",
    )
