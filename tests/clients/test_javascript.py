"""The AWS SDK for JavaScript v3, unmodified, under node."""

from pathlib import Path

from tests.clients.door import Door
from tests.clients.stories.javascript import play
from tests.support.cloud import Cloud


def test_the_story_is_told(cloud: Cloud, door: Door, desk: Path) -> None:
    """What it does and what it insists on stands in js/story.mjs."""
    play(door, desk, cloud.image(), "7")
