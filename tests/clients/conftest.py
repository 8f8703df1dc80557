"""Stock clients against the whole real server, each test as an account that the operator made."""

import itertools
import os
import sys
from pathlib import Path
from typing import Any

import pytest
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
def desk(tmp_path: Path) -> Path:
    """A home of the user's own, so that nobody's settings are read."""
    return tmp_path


def environment(cloud: Cloud, home: Path) -> dict[str, str]:
    """What a user sets for any AWS client, and nothing of whoever runs the tests."""
    return {
        "AWS_ACCESS_KEY_ID": cloud.caller.access_key,
        "AWS_SECRET_ACCESS_KEY": cloud.caller.secret,
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",  # the name that all SDKs but Python's read
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
    }


def brought(name: str) -> Path:
    """Where tools/clients.py put a client; ./test calls that, and so CI always has it."""
    place = Path(sys.prefix) / "clients" / name
    if not (place / "installed").exists():
        assert "CI" not in os.environ, "tools/clients.py was not run"
        pytest.skip(f"no {place}: run tools/clients.py")
    return place
