"""The stand-in for oned with its prepared world, and a way to call it as its users do."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from xml.etree import ElementTree
from xmlrpc.client import dumps, loads

import pytest
from tests.support.oned import ManualClock, Oned, Prepared, prepared_world
from tests.support.oned.prepared import SECRET
from tests.support.oned.sessions import delegation


@pytest.fixture
def prepared() -> Prepared:
    return prepared_world(clock=ManualClock())


@pytest.fixture
def oned(prepared: Prepared) -> Iterator[Oned]:
    with Oned(prepared.world) as serving:
        yield serving


class BadStatus(Exception):  # noqa: N818 - the answer had another status than 200
    pass


class User:
    """Calls as one user, through serveradmin."""

    def __init__(self, oned: Oned, name: str) -> None:
        self._oned = oned
        expires = oned.world.now + 3600
        self.session = delegation("serveradmin", SECRET, name, expires)

    def ask(self, method: str, *args: Any) -> list[object]:
        """The answer's three or five items."""
        host = self._oned.url.removeprefix("http://").removesuffix("/RPC2")
        # Not xmlrpc's ServerProxy, which asks once more by itself when a connection closes.
        with closing(HTTPConnection(host, timeout=10)) as connection:
            body = dumps((self.session, *args), method)
            connection.request("POST", "/RPC2", body.encode(), {"Content-Type": "text/xml"})
            with connection.getresponse() as answer:
                if answer.status != 200:
                    raise BadStatus(answer.status)
                ((items,), _) = loads(answer.read().decode())
        assert isinstance(items, list)
        return items

    def call(self, method: str, *args: Any) -> object:
        """The value; a refusal fails the test."""
        answer = self.ask(method, *args)
        assert answer[0], answer
        return answer[1]

    def read(self, method: str, *args: Any) -> ElementTree.Element:
        text = self.call(method, *args)
        assert isinstance(text, str)
        return ElementTree.fromstring(text)


@pytest.fixture
def helen(oned: Oned) -> User:
    return User(oned, "helen")


@pytest.fixture
def bob(oned: Oned) -> User:
    return User(oned, "bob")
