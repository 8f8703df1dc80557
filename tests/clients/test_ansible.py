"""Ansible's amazon.aws collection, unmodified, by a playbook."""

import subprocess
from pathlib import Path

from tests.clients.conftest import brought, environment
from tests.support.cloud import Cloud

from econe.actions.keymaker import OpenSshKeys

STORY = Path(__file__).parent / "ansible" / "story.yml"


def test_the_playbook_finds_all_as_it_should_be(cloud: Cloud, desk: Path) -> None:
    """What it does and what it insists on stands in ansible/story.yml."""
    for name in ("mine", "other"):
        (desk / f"{name}.pub").write_text(OpenSshKeys().make("ed25519").public_key)
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-e", f"image={cloud.image()} home={desk}", STORY],
        env={
            **environment(cloud, desk),
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
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "failed=0" in done.stdout
