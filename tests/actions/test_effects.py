"""No parameter is taken and ignored: each that an action takes makes a difference, or the registry
says which values alone it may have, or why it makes none."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.effect_world import ABSENT, World, make_world
from tests.support.effects import BASES, PAIRS, SINGLE

from econe.actions.registry import HANDLERS
from econe.store import open_store
from econe.wire import model

ELSEWHERE = frozenset({"DryRun", "ClientToken", "Filters", "MaxResults", "NextToken"})
"""Tested of all actions: in front/test_pipeline, front/test_repeats, test_filter_cases and
test_page_laws."""
EACH = pytest.mark.parametrize(
    ("action", "path"), [(action, path) for action, pairs in PAIRS.items() for path in pairs]
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = open_store(tmp_path_factory.mktemp("effects"))
    yield make_world(store)
    store.close()


def leaves(shape: Any, path: str) -> Iterator[str]:
    """What is not made of parts, below a parameter."""
    while shape.type_name == "list":
        shape = shape.member
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from leaves(member, f"{path}.{name}")
    else:
        yield path


def shape_at(action: str, path: str) -> Any:
    shape = model.load().expect(action).input_shape
    for name in path.split("."):
        while shape.type_name == "list":
            shape = shape.member
        shape = shape.members[name]
    return shape


def taken(action: str) -> set[str]:
    handler = HANDLERS[action]
    fixed = {path for path, values in handler.only.items() if len(values) == 1}
    free = handler.takes - ELSEWHERE - fixed - set(handler.moot)
    return {leaf for path in free for leaf in leaves(shape_at(action, path), path)}


@pytest.mark.parametrize("action", sorted(HANDLERS))
def test_every_parameter_that_is_taken_has_two_values_to_try(action: str) -> None:
    single = {path.partition(".")[2] for path in SINGLE if path.startswith(f"{action}.")}
    assert set(PAIRS.get(action, {})) == taken(action) - single, "say them in support/effects.py"
    assert action in PAIRS, "a new action: say in support/effects.py what its parameters change"


@EACH
def test_every_parameter_makes_a_difference(world: World, action: str, path: str) -> None:
    pair = PAIRS[action][path]
    rest = {**BASES.get(action, {}), **pair.also}
    one, other = ({**rest, path: value} for value in (pair.one, pair.other))
    first = world.outcome(action, one)
    assert first == world.outcome(action, one), "it is never the same: nothing can be seen of it"
    assert first != world.outcome(action, other)
    if pair.one is not ABSENT:
        assert not isinstance(first[0], list), f"the usual value is refused: {first[0]}"


@pytest.mark.parametrize("where", SINGLE)
def test_what_has_one_value_alone_has_it_in_the_model(where: str) -> None:
    action, _, path = where.partition(".")
    assert len(shape_at(action, path).enum) == 1
    assert SINGLE[where]


RESTRICTED = [(name, path) for name in HANDLERS for path in HANDLERS[name].only]


@pytest.mark.parametrize(("action", "path"), RESTRICTED)
def test_other_values_than_those_that_are_declared_are_refused(
    world: World, action: str, path: str
) -> None:
    shape = shape_at(action, path)
    values = list(HANDLERS[action].only[path])
    tries: dict[str, list[Any]] = {
        "boolean": [True, False],
        "integer": [-1, 0, 1, 7],
        "string": [*(getattr(shape, "enum", None) or []), "elephant"],
    }
    others = [value for value in tries[shape.type_name] if value not in values]
    assert others, "nothing is left to refuse: it need not be declared"
    for value in others:
        code, said, status = world.outcome(action, {path: value})[0]
        assert (code, status) == ("UnsupportedOperation", 400)
        assert path in said
    for value in values:
        made = world.outcome(action, {**BASES.get(action, {}), path: value})[0]
        assert not (isinstance(made, list) and path in made[1] and "may be" in made[1])


MOOT = [(name, path) for name in HANDLERS for path in HANDLERS[name].moot]


@pytest.mark.parametrize(("action", "path"), MOOT)
def test_what_is_said_to_make_no_difference_makes_none(
    world: World, action: str, path: str
) -> None:
    values = HANDLERS[action].only.get(path, (True, False))
    assert len(values) > 1
    given = {"GetConsoleOutput": {"InstanceId": "@running"}}.get(action, BASES.get(action, {}))
    if "LaunchTemplateVersion" in action:
        given = {**given, "LaunchTemplateName": "red"}
    outcomes = [world.outcome(action, {**given, path: value}) for value in (ABSENT, *values)]
    assert isinstance(outcomes[0][0], dict)
    assert all(outcome == outcomes[0] for outcome in outcomes)
