"""Pages that are made are as they would be made now."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from econe.wire.checks import refuse_unsupported
from econe.wire.refusal import Refusal

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools" / "make_docs.py")
assert _spec is not None
assert _spec.loader is not None
make_docs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_docs)


@pytest.mark.parametrize("name", make_docs.PAGES)
def test_the_page_is_not_stale(name: str) -> None:
    """If it is: .venv/bin/python tools/make_docs.py"""
    assert (ROOT / "docs" / name).read_text("utf-8") == make_docs.PAGES[name]()


def _put(shape: Any, path: list[str]) -> Any:
    """A request that says nothing but this member."""
    if shape.type_name == "list":
        return [_put(shape.member, path)]
    if shape.type_name == "structure":
        name = path[0] if path else next(iter(shape.members))
        return {name: _put(shape.members[name], path[1:])}
    return "any scalar"


@pytest.mark.parametrize("name", sorted(make_docs.HANDLERS))
def test_the_page_says_what_is_refused_and_what_is_taken(name: str) -> None:
    operation = make_docs.model.load().expect(name)
    each, handler = make_docs.coverage(name), make_docs.HANDLERS[name]
    takes = handler.takes | (make_docs.TAKEN if handler.writes else set())
    for path in each.refuses:
        with pytest.raises(Refusal) as caught:
            refuse_unsupported(_put(operation.input_shape, path.split(".")), operation, takes)
        assert caught.value.code == "UnsupportedOperation"
    for path in each.takes | set(each.only) | set(each.moot):
        refuse_unsupported(_put(operation.input_shape, path.split(".")), operation, takes)
