"""A wrapper for what must not be read by accident: secrets, user data, key material."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", str, bytes)


@dataclass(frozen=True, slots=True, repr=False)
class Hidden(Generic[T]):
    """A value whose repr and str show nothing. `reveal()` is easy to search for, on purpose."""

    _value: T

    def reveal(self) -> T:
        return self._value

    def __repr__(self) -> str:
        return "Hidden(…)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)
