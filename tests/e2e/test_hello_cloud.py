"""./hello-cloud, as a newcomer calls it."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from tests.e2e import leavings
from tests.e2e.ranges import borrowed
from tests.e2e.server import FOREIGN, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.root]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def test_the_whole_story_is_told_and_leaves_nothing(tmp_path: Path):
    listen = f"127.0.0.1:{free_port()}"
    with borrowed(1) as (cidr,):
        env = {name: text for name, text in os.environ.items() if not FOREIGN.match(name)}
        env |= {"ECONE_CLOUD_DEFAULT_VPC_CIDRS": cidr, "TMPDIR": str(tmp_path)}
        # A newcomer's shell is not empty: the story must not speak to another cloud.
        env |= {"AWS_SESSION_TOKEN": "another", "EC2_ACCESS_KEY": "x", "EC2_SECRET_KEY": "y"}
        env |= {"http_proxy": "http://127.0.0.1:1", "AWS_PROFILE": "none"}
        told = subprocess.run(
            ["./hello-cloud", "--listen", listen],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        left = list(tmp_path.iterdir())
        for state in left:
            leavings.clear(state)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Hello Cloud! The whole story took" in told.stdout
    for chapter in ("econe-*", "boto3", "AWS CLI"):
        assert chapter in told.stdout
    assert told.stdout.count("\nnothing\n") == 3
    assert left == []
