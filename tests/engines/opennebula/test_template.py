"""Templates that oned is given: a value comes back as it was, and as nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.support.oned import Oned as StandIn
from tests.support.oned import prepared_world

from econe.domain.engine_ports import EngineRefused
from econe.domain.hidden import Hidden
from econe.engines.opennebula.rpc import UNSPEAKABLE, Oned
from econe.engines.opennebula.template import Expanded, speakable, template_text

VALUE = st.text(
    st.characters(
        max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"
    )
    | st.sampled_from("\t\n\"'\\<>&[],=#$ ]"),
).filter(lambda text: "]]>" not in text)
NAME = st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True).filter(
    lambda name: name not in {"CONTEXT", "NAME"}
)
VECTOR = st.dictionaries(NAME, VALUE, min_size=1, max_size=4)
ATTRIBUTES = st.dictionaries(
    NAME, VALUE | VECTOR | st.lists(VALUE | VECTOR, min_size=1, max_size=3), max_size=4
)


def read(element):
    """As oned reads it: single attributes and vectors, in order."""
    return [
        (
            each.tag,
            {inner.tag: inner.text or "" for inner in each} if len(each) else each.text or "",
        )
        for each in element
    ]


def listed(attributes):
    return [
        (name, dict(value) if isinstance(value, dict) else value)
        for name, given in attributes.items()
        for value in (given if isinstance(given, list) else [given])
    ]


@given(ATTRIBUTES)
def test_everything_comes_back_and_nothing_else(attributes):
    assert read(etree.fromstring(template_text(attributes))) == listed(attributes)


@given(st.text(), st.text())
def test_no_text_becomes_another_attribute(name, value):
    try:
        text = template_text({"A": value, name: value, "V": {"B": value}})
    except EngineRefused as refused:
        assert refused.code == "InvalidParameterValue"
        return
    root = etree.fromstring(text)
    assert [each.tag for each in root] in (["A", name, "V"], ["A", "V"])
    assert len(root.findall("*/*")) == 1


@pytest.mark.parametrize(
    "value", ["a]]>b", "]]></X><UID>0</UID><X><![CDATA[", "a\x00", "\x1b[31m", "😀", "\ud800"]
)
def test_what_oned_cannot_keep_is_refused(value):
    for attributes in ({"X": value}, {"V": {"X": value}}, {"X": ["a", value]}):
        with pytest.raises(EngineRefused) as refused:
            template_text(attributes)
        assert refused.value.code == "InvalidParameterValue"
        assert value not in refused.value.said


@pytest.mark.parametrize(
    "name", ["", "a", "A B", "A=", "A>", "1A", "Ä", "A\n", "A-B", "x:A", "A" * 257, "<A"]
)
def test_names_that_are_none_are_refused(name):
    for attributes in ({name: "x"}, {"V": {name: "x"}}, {name: {"A": "x"}}):
        with pytest.raises(EngineRefused):
            template_text(attributes)


@pytest.mark.parametrize("value", ["$NAME", "100$", "${NAME}", "\\$NAME", "a@^_^@UID=0"])
def test_oned_replaces_nothing_in_our_context(value):
    """Recordings 321, 322; and `100$` makes it refuse the machine (seen)."""
    with pytest.raises(EngineRefused):
        template_text({"CONTEXT": {"A": value}})
    assert value in template_text({"USER": {"A": value}, "B": value})


def test_what_administrators_write_is_replaced():
    text = template_text({"CONTEXT": {"A": Expanded("$USER[SSH_PUBLIC_KEY]")}})
    assert "$USER[SSH_PUBLIC_KEY]" in text
    with pytest.raises(EngineRefused):
        template_text({"CONTEXT": {"A": Expanded("a@^_^@B=c")}})


def test_empty_values_stay_and_empty_vectors_go():
    text = template_text({"A": "", "V": {}, "W": {"B": ""}})
    assert read(etree.fromstring(text)) == [("A", ""), ("W", {"B": ""})]
    assert text.count("<![CDATA[]]>") == 2  # an empty element would be none to oned


@given(st.text())
def test_what_is_made_speakable_is_taken(text):
    spoken = speakable(text)
    template_text({"A": spoken})
    if not UNSPEAKABLE.search(text) and "]]>" not in text:
        assert spoken == text


def test_people_see_what_could_not_be_said():
    assert speakable("tea 🍵 & ]]> a\x00b") == "tea \ufffd & ]]\ufffd a\ufffdb"


# --- against the stand-in ----------------------------------------------------------------


@pytest.fixture(scope="module")
def stand_in():
    with StandIn(prepared_world().world) as oned:
        yield oned


@given(attributes=st.dictionaries(NAME, VALUE | VECTOR, max_size=3))
@settings(max_examples=25, deadline=None)
def test_oned_keeps_what_it_is_given(stand_in, attributes):
    client = Oned(stand_in.url, timeout_s=5)
    own = {f"X_{name}": value for name, value in attributes.items()}
    try:
        session = Hidden("helen:helen-pw1")
        text = template_text({"NAME": "x", "CPU": "0.1", "MEMORY": "64", **own})
        number = client.number(session, "one.vm.allocate", text, True)
        root = etree.fromstring(client.text(session, "one.vm.info", number).encode())
    finally:
        client.close()
    kept = root.find("USER_TEMPLATE")
    # In order of names, as a map of C++ is, and vectors' too.
    assert dict(read(kept)) == dict(listed(own))
