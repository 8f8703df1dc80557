"""Rendered pieces of answers, kept under keys that name exactly what they show.

A Describe of a hundred unchanged instances then costs a hundred look-ups. A key holds the id and
the version of the row it was made from, so a kept piece is never stale and nothing has to be
dropped when a row changes: old versions are forgotten when room is needed. The XML of a piece
does not depend on the API version of the request (the namespace stands on the root element only).
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)


class Fragment(Protocol):
    """A structure in an answer that is written once for each key: its `xml` as it is, or, where
    that is None, what `structure` is rendered to."""

    @property
    def fragment_key(self) -> Hashable: ...
    @property
    def structure(self) -> Any: ...
    @property
    def xml(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """A piece that has been written before: what stands between the tags of its element."""

    fragment_key: Hashable
    xml: bytes
    structure: Any = None


_COST_OF_KEEPING: Final = 400
"""Bytes that a kept piece takes beside its XML, about."""


class FragmentKeeper:
    """Kept pieces, least recently used first to go. Safe to share between threads."""

    def __init__(self, most_bytes: int = 16 << 20) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Rendered] = OrderedDict()
        self._lock = Lock()

    def known(self, keys: Iterable[K]) -> dict[K, Rendered]:
        """Those of `keys` that are kept."""
        found: dict[K, Rendered] = {}
        with self._lock:
            for key in keys:
                rendered = self._kept.get(key)
                if rendered is not None:
                    self._kept.move_to_end(key)
                    found[key] = rendered
        return found

    def keep(self, key: Hashable, xml: bytes) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self._bytes -= len(before.xml) + _COST_OF_KEEPING
            self._kept[key] = Rendered(key, xml)
            self._bytes += len(xml) + _COST_OF_KEEPING
            while self._bytes > self._most_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.xml) + _COST_OF_KEEPING

    def __len__(self) -> int:
        return len(self._kept)
