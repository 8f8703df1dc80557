"""Marks: made and proven."""

import pytest

from econe.domain.hidden import Hidden
from econe.engines.opennebula.marks import Marks

MARKS = Marks(Hidden(b"k" * 32))


def test_a_mark_proves_the_id_of_its_owners_machine():
    made = MARKS.attributes("i-00000012", "2")
    assert MARKS.verified(made["ECONE_ID"], made["ECONE_MARK"], "2") == "i-00000012"


def test_a_mark_is_the_same_in_every_process():
    assert MARKS.mark("i-00000012", "2") == "b1f083a9ab443a1b03c85e75663518d5"


@pytest.mark.parametrize(
    ("our_id", "mark", "uid"),
    [
        pytest.param("i-00000013", MARKS.mark("i-00000012", "2"), "2", id="another id"),
        pytest.param("i-00000012", MARKS.mark("i-00000012", "2"), "3", id="another owner"),
        pytest.param("i-0000001", MARKS.mark("i-0000001", "22"), "2", id="shifted"),
        pytest.param("i-00000012", "", "2", id="none"),
        pytest.param("", MARKS.mark("", "2"), "2", id="no id"),
        pytest.param("i-00000012", "ß" * 32, "2", id="not hex"),
        pytest.param(
            "i-00000012", Marks(Hidden(b"l" * 32)).mark("i-00000012", "2"), "2", id="another key"
        ),
    ],
)
def test_what_is_not_ours_is_no_mark(our_id: str, mark: str, uid: str):
    assert MARKS.verified(our_id, mark, uid) == ""
