"""Which names oned takes (PoolObjectSQL::name_is_valid)."""

from collections.abc import Iterable

from tests.support.oned.errors import Refused
from tests.support.oned.objects import Owned

_FORBIDDEN = "&|:\\\";/'#{}$<>\t\n\v\f\r"


def checked_name(name: str, code: int, before: str = "") -> str:
    """The name, or Refused with `code` and a text that begins with `before`."""
    if not name:
        raise Refused(code, f"{before}Invalid NAME, it cannot be empty")
    for character in name:
        if character in _FORBIDDEN:
            raise Refused(code, f"{before}Invalid NAME, char '{character}' is not allowed")
    if len(name.encode()) > 128:
        raise Refused(code, f"{before}Invalid NAME, max length is 128 chars")
    return name


def check_free(
    name: str, uid: int | None, pool: Iterable[Owned], code: int, what: str, before: str = ""
) -> None:
    """No other object of this owner (of anyone, with None) has the name."""
    for other in pool:
        if other.name == name and (uid is None or other.uid == uid):
            raise Refused(code, f"{before}NAME is already taken by {what} {other.id}.")
