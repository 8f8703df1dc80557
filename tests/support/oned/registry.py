"""The methods of the API by name: what the model has, what it lacks of oned's, and since when."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.oned.errors import RpcFault
from tests.support.oned.objects import version_of
from tests.support.oned.protocol import NO_SUCH_METHOD, Answer, Args
from tests.support.oned.rights import Caller

if TYPE_CHECKING:
    from tests.support.oned.world import World

Method = Callable[["World", Caller, Args], Answer]

METHODS: dict[str, Method] = {}

# Registered in 7.0.2 (RequestManager.cc) and not in the model: asked for, these are a gap of ours.
ELSEWHERE = frozenset(Path(__file__).with_name("other_methods.txt").read_text().split())

# The first tag looked at that registers it; the tag before (5.4.0, 5.8.5, 5.10.0, 5.12.0, 6.0.0,
# 6.2.0, 6.4.0 were looked at) does not.
SINCE: dict[str, tuple[int, ...]] = {
    "one.image.lock": (5, 8),
    "one.image.unlock": (5, 8),
    "one.vm.lock": (5, 8),
    "one.vm.unlock": (5, 8),
    "one.vmpool.infoextended": (5, 8, 5),
    "one.user.enable": (6, 0),
    "one.vmpool.infoset": (6, 0),
    "one.vm.schedadd": (6, 2),
    "one.vm.attachsg": (6, 4),
    "one.vm.detachsg": (6, 4),
}


def method(name: str) -> Callable[[Method], Method]:
    def register(function: Method) -> Method:
        METHODS[name] = function
        return function

    return register


def find(name: str, version: str) -> Method:
    """Raises RpcFault for what that oned does not know, NotImplementedError for what we do not."""
    if name in ELSEWHERE:
        raise NotImplementedError(name)
    found = METHODS.get(name)
    if found is None or version_of(version) < SINCE.get(name, ()):
        raise RpcFault(NO_SUCH_METHOD, f"Method '{name}' not defined")
    return found
