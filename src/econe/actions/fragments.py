"""Parts of answers that are rendered once for each version of what they show."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Fresh:
    """A structure that is yet to be rendered, and may then be kept under `fragment_key`."""

    fragment_key: Hashable
    structure: Mapping[str, Any]
    xml: None = None


class Rendered(Protocol):
    """A structure whose bytes are known."""

    @property
    def fragment_key(self) -> Hashable: ...
    @property
    def xml(self) -> bytes: ...
