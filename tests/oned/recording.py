"""The recorded traffic of a real oned, and how an answer of the stand-in is held against it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from xml.etree import ElementTree
from xmlrpc.client import Fault, loads

from tests.support import oned_recordings


@dataclass(frozen=True)
class Exchange:
    n: int
    method: str
    case: str
    request: str
    response: str


def exchanges() -> list[Exchange]:
    """All of them in order."""
    kept = Exchange.__dataclass_fields__
    return [Exchange(**{name: row[name] for name in kept}) for row in oned_recordings.exchanges()]


Outcome = tuple[object, ...]


def outcome(body: str) -> Outcome:
    """(`OK`, value), (`ERR`, code, text, object) or (`FAULT`, code, text)."""
    try:
        ((items,), _) = cast(tuple[tuple[list[Any]], object], loads(body))
    except Fault as fault:
        return ("FAULT", fault.faultCode, fault.faultString)
    if items[0]:
        assert len(items) == 3 and items[2] == 0, items
        return ("OK", items[1])
    assert len(items) == 5, items
    return ("ERR", items[2], items[1], items[3])


# What no model can repeat: times, random names, numbers of requests.
_TIMES = frozenset(
    (
        *("STIME", "ETIME", "PSTIME", "PETIME", "RSTIME", "RETIME", "ESTIME", "EETIME"),
        *("REGTIME", "MODTIME", "TIME", "DATE", "EXPIRATION_TIME"),
    )
)
_RANDOM = frozenset(("UUID", "REQUEST_ID", "REQ_ID"))
# The dummy monitor looks every few minutes and makes its numbers up.
_MONITORED = frozenset(("MONITORING", "LAST_POLL"))
_MONITORED_ROOTS = frozenset(("MONITORING_DATA",))
_STAMPED = frozenset(("ERROR", "SCHED_MESSAGE"))


def leaves(root: ElementTree.Element) -> list[tuple[str, str]]:
    """Every leaf in order, by path; times only as set or not."""
    return list(_leaves(root, root.tag))


def _leaves(element: ElementTree.Element, path: str) -> Iterator[tuple[str, str]]:
    if element.tag in _MONITORED:
        return
    if not len(element) and path not in _MONITORED_ROOTS:
        yield path, _value(element)
        return
    for child in element:
        yield from _leaves(child, f"{path}/{child.tag}")


def _value(element: ElementTree.Element) -> str:
    text = element.text or ""
    if element.tag in _TIMES and text.isdigit():
        return "never" if text == "0" else "then"
    if element.tag in _RANDOM and text not in ("", "-1"):
        return "any"
    if element.tag in _STAMPED:
        # "Mon Nov 23 11:55:04 2026: text", with a space before the colon in an image's.
        return text[24:]
    if element.tag == "SOURCE" and "/datastores/" in text:
        return text.rpartition("/")[0]
    return text
