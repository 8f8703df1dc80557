"""The table of faults covers what is raised, and lets nothing hidden out."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import econe
from econe.domain import faults as domain
from econe.domain.faults import Fault, Kind, Noun
from econe.domain.ids import PREFIXES
from econe.front.faults import BY_KIND, BY_NOUN, tell, words_of

KINDS = {
    cls.__name__: cls.kind
    for cls in vars(domain).values()
    if isinstance(cls, type) and issubclass(cls, Fault) and cls is not Fault
}
OURS = {Kind.BROKEN, Kind.CAPACITY, Kind.UNAVAILABLE}
"""Kinds that may be the server's fault."""


def raised() -> Iterator[tuple[Kind, Noun, str]]:
    """Every `NotFound(Noun.VOLUME, …)` in the sources, and where it stands."""
    for path in Path(econe.__file__).parent.rglob("*.py"):
        if path.name == "account_book.py":
            continue  # for econe-admin: no request comes there
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            noun = node.args[0]
            if (
                node.func.id in KINDS
                and isinstance(noun, ast.Attribute)
                and isinstance(noun.value, ast.Name)
                and noun.value.id == "Noun"
            ):
                yield KINDS[node.func.id], Noun[noun.attr], f"{path.name}:{node.lineno}"


def test_every_kind_has_words() -> None:
    assert set(BY_KIND) == set(Kind)
    assert set(KINDS.values()) == set(Kind)


@pytest.mark.parametrize(("kind", "noun"), list(itertools.product(Kind, Noun)))
def test_every_fault_is_answered(kind: Kind, noun: Noun) -> None:
    words = words_of(kind, noun)
    assert words.code
    assert 400 <= words.status < 500 or kind in OURS
    assert words.sentence.count("{}") <= 1


def test_what_the_sources_raise_has_words_of_its_own() -> None:
    """Or is of a kind for which EC2 has one word for all nouns."""
    general = {Kind.BROKEN, Kind.UNSUPPORTED, Kind.FORBIDDEN}
    found = list(raised())
    assert len(found) > 30
    missing = [
        (kind.name, noun.name, where)
        for kind, noun, where in found
        if (kind, noun) not in BY_NOUN and kind not in general
    ]
    assert missing == []


@pytest.mark.parametrize("noun", sorted(set(PREFIXES.values())))
def test_every_id_has_a_word_for_not_found_and_for_malformed(noun: Noun) -> None:
    assert (Kind.NOT_FOUND, noun) in BY_NOUN
    assert (Kind.MALFORMED, noun) in BY_NOUN


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            domain.all_missing(Noun.INSTANCE, ["i-00000008", "i-00000009"]),
            (
                "InvalidInstanceID.NotFound",
                "The instance IDs 'i-00000008, i-00000009' do not exist",
                400,
            ),
        ),
        (
            domain.all_missing(Noun.VOLUME, ["vol-00000009"]),
            ("InvalidVolume.NotFound", "The volume 'vol-00000009' does not exist", 400),
        ),
        (
            domain.NotFound(Noun.INSTANCE, "i-00000009"),
            (
                "InvalidInstanceID.NotFound",
                "The instance ID 'i-00000009' does not exist",
                400,
            ),
        ),
        (
            domain.NotFound(Noun.IMAGE, "ami-00000009"),
            ("InvalidAMIID.NotFound", "The image id '[ami-00000009]' does not exist", 400),
        ),
        (
            domain.Malformed(Noun.INSTANCE, "{}"),
            ("InvalidInstanceID.Malformed", 'Invalid id: "{}"', 400),
        ),
        (
            domain.WrongState(Noun.INSTANCE, "i-1", "it is stopped"),
            ("IncorrectInstanceState", "it is stopped", 400),
        ),
        (
            domain.Broken(Noun.IMAGE, "ami-1", "aloud", hidden="why"),
            ("InternalError", "An internal error has occurred", 500),
        ),
    ],
)
def test_a_fault_is_told_in_ec2s_words(fault: Fault, told: tuple[str, str, int]) -> None:
    assert tell(fault) == told


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_hidden_stays_hidden(kind: str) -> None:
    for noun in Noun:
        fault = getattr(domain, kind)(noun, "subject", hidden="the cause")
        assert "the cause" not in " ".join(map(str, tell(fault)))
