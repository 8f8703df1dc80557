"""Instance types: what a machine of each name gets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, Protocol

from econe.domain import families


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
        return family_of(self.name)


def family_of(name: str) -> str:
    return name.partition(".")[0]


CATALOGUE: Mapping[str, Size] = MappingProxyType(
    {name: Size(name, vcpus, memory_mib) for name, vcpus, memory_mib in families.published()}
)


def choose_sizes(patterns: Sequence[str], more: Sequence[str]) -> Mapping[str, Size]:
    """The catalogue as an operator offers it: what any of `patterns` matches (`t3.*`, `m5.large`),
    and types of their own, `name=vcpus:MiB`, which win. Raises ValueError, with its words."""
    chosen = {
        name: size
        for name, size in CATALOGUE.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    for text in more:
        found = _OWN.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no type: it must be NAME=VCPUS:MIB, `big.one=4:8192`")
        name, vcpus, memory_mib = found.groups()
        if not int(vcpus) or not int(memory_mib):
            raise ValueError(f"{text!r} is no type: a machine needs a vCPU and memory")
        chosen[name] = Size(name, int(vcpus), int(memory_mib))
    return MappingProxyType(chosen)


_OWN: Final = re.compile(r"([a-z0-9-]+\.[a-z0-9-]+)=(\d{1,4}):(\d{1,8})", re.ASCII)


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
