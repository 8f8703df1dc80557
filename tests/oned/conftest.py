"""The stand-in for oned with its prepared world, and a way to call it as its users do."""

from collections.abc import Callable, Iterator
from xml.etree import ElementTree
from xmlrpc.client import ServerProxy

import pytest
from tests.support.oned import ManualClock, Oned, Prepared, prepared_world
from tests.support.oned.prepared import SECRET
from tests.support.oned.sessions import delegation

Caller = Callable[..., object]


@pytest.fixture
def prepared() -> Prepared:
    return prepared_world(clock=ManualClock())


@pytest.fixture
def oned(prepared: Prepared) -> Iterator[Oned]:
    with Oned(prepared.world) as serving:
        yield serving


class User:
    """Calls as one user, through serveradmin."""

    def __init__(self, oned: Oned, name: str) -> None:
        self._oned = oned
        expires = oned.world.now + 3600
        self.session = delegation("serveradmin", SECRET, name, expires)

    def ask(self, method: str, *args: object) -> list[object]:
        """The answer's three or five items."""
        with ServerProxy(self._oned.url) as proxy:
            answer = getattr(proxy, method)(self.session, *args)
        assert isinstance(answer, list)
        return answer

    def call(self, method: str, *args: object) -> object:
        """The value; a refusal fails the test."""
        answer = self.ask(method, *args)
        assert answer[0], answer
        return answer[1]

    def read(self, method: str, *args: object) -> ElementTree.Element:
        text = self.call(method, *args)
        assert isinstance(text, str)
        return ElementTree.fromstring(text)


@pytest.fixture
def helen(oned: Oned) -> User:
    return User(oned, "helen")


@pytest.fixture
def bob(oned: Oned) -> User:
    return User(oned, "bob")
