"""The API reference, as botocore's model carries it: what the server itself does not load."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import botocore


@dataclass(frozen=True)
class Documented:
    """One filter of a Describe."""

    name: str
    """`tag:<key>` for those by a tag."""
    text: str


@cache
def _model() -> Any:
    path = Path(botocore.__file__).parent / "data/ec2/2016-11-15/service-2.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def members(action: str) -> dict[str, Any]:
    """The input's members with their documentation; {} for an operation that is not Amazon's."""
    operation = _model()["operations"].get(action, {})
    if "input" not in operation:
        return {}
    found: dict[str, Any] = _model()["shapes"][operation["input"]["shape"]]["members"]
    return found


def bounds(action: str, member: str) -> tuple[int, int] | None:
    """The least and the most that the model lets a number be."""
    shape = _model()["shapes"][members(action)[member]["shape"]]
    return (shape["min"], shape["max"]) if "min" in shape else None


def filters(action: str) -> list[Documented]:
    """Those that the reference lists for the action's `Filters`."""
    reader = _Items()
    reader.feed(members(action)["Filters"]["documentation"])
    return [_read(text) for text in reader.items]


def _read(text: str) -> Documented:
    """`name - What it is`; the dash is long or short."""
    name, _, rest = text.replace(" – ", " - ").partition(" - ")
    return Documented(name.strip(), " ".join(rest.split()))


class _Items(HTMLParser):
    """The texts of the outermost list's items. Lists inside them explain values."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._depth += tag == "ul"
        if tag == "li" and self._depth == 1:
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "ul"

    def handle_data(self, data: str) -> None:
        if self._depth == 1 and self.items:
            self.items[-1] += data
