"""The methods of the API by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.oned.protocol import Answer, Args
from tests.support.oned.rights import Caller

if TYPE_CHECKING:
    from tests.support.oned.world import World

Method = Callable[["World", Caller, Args], Answer]

METHODS: dict[str, Method] = {}


def method(name: str) -> Callable[[Method], Method]:
    def register(function: Method) -> Method:
        METHODS[name] = function
        return function

    return register
