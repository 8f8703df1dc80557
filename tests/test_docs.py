"""Pages that are made are as they would be made now."""

import importlib.util
from pathlib import Path

import pytest

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
