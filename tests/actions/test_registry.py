"""What a declaration does."""

from collections.abc import Iterator

import pytest
from tests.support.desk import refused

from econe.actions.registry import HANDLERS, action
from econe.domain.faults import Noun, Unsupported


@pytest.fixture
def done() -> Iterator[list[str]]:
    """What was done of an action that may be coloured red alone."""
    done: list[str] = []

    def prepare(_ctx, _asked):
        done.append("prepared")
        return lambda: None

    @action("Paint", writes=True, takes="Wall", prepares=prepare, only={"Coat.Colour": ("red",)})
    def paint(_ctx, _asked):
        done.append("painted")
        return {}

    yield done
    del HANDLERS["Paint"]


def test_what_has_certain_values_alone_is_taken_with_these(done):
    paint = HANDLERS["Paint"]
    assert paint.takes == {"Wall", "Coat.Colour"}
    for asked in ({"Coat": {"Colour": "red"}}, {"Coat": {}}, {"Coat": [{"Colour": "red"}]}, {}):
        paint.prepares(None, asked)
        paint.call(None, asked)
    assert done == ["prepared", "painted"] * 4


def test_with_others_nothing_is_prepared_and_nothing_done(done):
    asked = {"Coat": [{"Colour": "red"}, {"Colour": "blue"}]}
    for step in (HANDLERS["Paint"].prepares, HANDLERS["Paint"].call):
        with refused(Unsupported, Noun.PARAMETER, "'blue' of Coat.Colour"):
            step(None, asked)
    assert done == []


def test_no_name_is_taken_twice(done):
    with pytest.raises(ValueError, match="registered twice"):
        action("Paint")(lambda _ctx, _asked: {})
