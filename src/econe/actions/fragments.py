"""Parts of answers that are rendered once for each version of what they show."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Fresh:
    """A structure that may be kept under `fragment_key` once it is rendered.

    The writer puts the bytes into `xml`; the pipeline takes them from there.
    """

    fragment_key: Hashable
    structure: Mapping[str, Any]
    xml: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A structure whose bytes are known."""

    fragment_key: Hashable
    xml: bytes
