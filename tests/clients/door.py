"""What a stock client is told, whichever server there is: where it is, and who asks."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Door:
    url: str
    access_key: str
    secret: str


def environment(door: Door, home: Path) -> dict[str, str]:
    """What a user sets for any AWS client, and nothing of whoever runs the tests."""
    return {
        "AWS_ACCESS_KEY_ID": door.access_key,
        "AWS_SECRET_ACCESS_KEY": door.secret,
        "AWS_ENDPOINT_URL": door.url,
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
