"""Stock clients against the whole real server, each test as an account that the operator made.

What is played with a guest as well, in tests/e2e/test_clients.py, lies in stories/.
"""

import itertools
from pathlib import Path
from typing import Any

import pytest
from tests.clients.door import Door
from tests.support.cloud import Caller, Cloud

from econe.app import App, utc_now
from econe.domain.account_book import create_account

_names = (f"client{number}" for number in itertools.count(1))


def account_of(app: App) -> Caller:
    """As `econe-admin account create` makes one: with its default network, unlike make_caller."""
    said = app.settings.cloud
    with app.store.writing() as tx:
        account, key = create_account(
            tx, next(_names), None, utc_now(), zone=said.zone, pools=said.default_vpc_cidrs
        )
    return Caller(account.number, account.name, key.access_key, key.secrets[0].reveal())


@pytest.fixture
def cloud(_server: Any) -> Cloud:
    app, url = _server
    return Cloud(app, url, account_of(app))


@pytest.fixture
def door(cloud: Cloud) -> Door:
    return Door(cloud.url, cloud.caller.access_key, cloud.caller.secret)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A home of the user's own, so that nobody's settings are read."""
    return tmp_path
