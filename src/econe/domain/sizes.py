"""Instance types: what a machine of each name gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Size:
    name: str
    vcpus: int
    memory_mib: int
    owner: str = ""
    """The account that alone may use it; empty: all may."""
    engine_ref: str = ""
    """The engine's own template that makes such a machine; empty: the figures are all."""

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]


# Amazon's published vCPU and memory figures for these names. m1.* are the guide's; the rest are
# what today's examples ask for first.
CATALOGUE: Mapping[str, Size] = MappingProxyType(
    {
        size.name: size
        for size in (
            Size("m1.small", 1, 1741),
            Size("m1.medium", 1, 3789),
            Size("m1.large", 2, 7680),
            Size("m1.xlarge", 4, 15360),
            Size("t1.micro", 1, 627),
            Size("t2.nano", 1, 512),
            Size("t2.micro", 1, 1024),
            Size("t2.small", 1, 2048),
            Size("t2.medium", 2, 4096),
            Size("t2.large", 2, 8192),
            Size("t3.nano", 2, 512),
            Size("t3.micro", 2, 1024),
            Size("t3.small", 2, 2048),
            Size("t3.medium", 2, 4096),
            Size("t3.large", 2, 8192),
            Size("t3.xlarge", 4, 16384),
            Size("m5.large", 2, 8192),
            Size("m5.xlarge", 4, 16384),
            Size("c5.large", 2, 4096),
            Size("c5.xlarge", 4, 8192),
            Size("r5.large", 2, 16384),
        )
    }
)


class _Known(Protocol):
    def all(self) -> list[Size]: ...


class _Transaction(Protocol):
    @property
    def sizes(self) -> _Known: ...


def sizes_of(tx: _Transaction, account: str, catalogue: Mapping[str, Size]) -> Mapping[str, Size]:
    """What the account may choose from, by name.

    A type that all may use wins over one of the account's own, and that over the catalogue: nobody
    can shadow what the operator offers, neither for others nor for themselves.
    """
    own: dict[str, Size] = {}
    shared: dict[str, Size] = {}
    for size in tx.sizes.all():
        if not size.owner:
            shared[size.name] = size
        elif size.owner == account:
            own[size.name] = size
    return {**catalogue, **own, **shared}
