"""Ansible's amazon.aws collection, unmodified: its commands, as a user would type them."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.door import Door, brought, environment

PLAYBOOKS = Path(__file__).parents[1] / "ansible"


def run(door: Door, desk: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words,
        env={
            **environment(door, desk),
            "ANSIBLE_COLLECTIONS_PATH": str(brought("ansible")),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            # Without it the modules run under whichever python is found first.
            "ANSIBLE_PYTHON_INTERPRETER": "{{ ansible_playbook_python }}",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PIPELINING": "true",
        },
        check=False,
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=600,
    )


def play(door: Door, desk: Path, name: str, **told: Any) -> str:
    """What ansible-playbook printed; every task must be as its playbook wants it."""
    words = ("-i", "localhost,", "-e", json.dumps({"home": str(desk), **told}))
    done = run(door, desk, "ansible-playbook", *words, PLAYBOOKS / f"{name}.yml")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "failed=0" in done.stdout
    return done.stdout
