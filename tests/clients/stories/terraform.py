"""Terraform with the AWS provider, unmodified, where the machine has both.

Neither is in a package registry, so ./test cannot bring them: what they call is replayed by
test_terraform_calls.py everywhere.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.clients.door import Door, environment

CONFIGURATION = Path(__file__).parents[1] / "terraform" / "main.tf"
PLUGINS = Path("/opt/tf-plugins")
"""A mirror of the provider, laid out as `terraform providers mirror` or a file system mirror is."""
NOTHING_TO_DO, CHANGES = 0, 2
"""What `plan -detailed-exitcode` ends with."""


class Terraform:
    """A directory with a configuration, and its state."""

    def __init__(self, door: Door, desk: Path, **variables: str) -> None:
        if not (shutil.which("terraform") and PLUGINS.is_dir()):
            pytest.skip(f"no terraform, or no provider in {PLUGINS}")
        self.desk = desk
        rc = desk / "terraform.rc"
        mirror = f'provider_installation {{\n  filesystem_mirror {{ path = "{PLUGINS}" }}\n}}\n'
        rc.write_text(mirror)
        self.env = {
            **environment(door, desk),
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(rc),
            **{f"TF_VAR_{name}": value for name, value in variables.items()},
        }
        shutil.copy(CONFIGURATION, desk)
        self("init")

    def try_run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["terraform", words[0], "-no-color", *words[1:]],
            env=self.env,
            check=False,
            cwd=self.desk,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def __call__(self, *words: str) -> str:
        done = self.try_run(*words)
        assert done.returncode == 0, (words, done.stderr[-5000:])
        return done.stdout

    def apply(self, **variables: str) -> dict[str, Any]:
        """What the output `told` says after it."""
        self.env |= {f"TF_VAR_{name}": value for name, value in variables.items()}
        self("apply", "-auto-approve")
        told: dict[str, Any] = json.loads(self("output", "-json", "told"))
        return told

    def finds_nothing_to_do(self) -> None:
        """The next plan, which refreshes everything, changes nothing."""
        done = self.try_run("plan", "-detailed-exitcode")
        assert done.returncode == NOTHING_TO_DO, done.stdout[-5000:] + done.stderr[-5000:]
