"""The table of faults covers what is raised, and lets nothing hidden out."""

import ast
import itertools
import re
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


_DOCUMENTED = """
    AuthFailure DependencyViolation DryRunOperation FilterLimitExceeded
    IdempotentInstanceTerminated IdempotentParameterMismatch IncompleteSignature
    IncorrectInstanceState IncorrectState InstanceCreditSpecification.NotSupported
    InstanceLimitExceeded InsufficientAddressCapacity InsufficientCapacity
    InsufficientFreeAddressesInSubnet InsufficientInstanceCapacity InsufficientVolumeCapacity
    InternalError InvalidAMIAttributeItemValue InvalidAMIID.Malformed InvalidAMIID.NotFound
    InvalidAMIID.Unavailable InvalidAMIName.Duplicate InvalidAMIName.Malformed InvalidAction
    InvalidAddress.Malformed InvalidAddress.NotFound InvalidAllocationID.NotFound
    InvalidBlockDeviceMapping InvalidCharacter InvalidClientTokenId InvalidGroup.Duplicate
    InvalidGroup.NotFound InvalidGroupId.Malformed InvalidID InvalidIPAddress.InUse
    InvalidInstanceAttributeValue
    InvalidInstanceID.Malformed InvalidInstanceID.NotFound InvalidInstanceType InvalidKey.Format
    InvalidKeyPair.Duplicate InvalidKeyPair.NotFound InvalidLaunchTemplateId.Malformed
    InvalidLaunchTemplateId.NotFound InvalidLaunchTemplateId.VersionNotFound
    InvalidLaunchTemplateName.AlreadyExistsException
    InvalidLaunchTemplateName.MalformedException InvalidLaunchTemplateName.NotFoundException
    InvalidNetworkInterface.InUse InvalidNetworkInterfaceID.NotFound
    InvalidNetworkInterfaceId.Malformed InvalidParameterCombination InvalidParameterValue
    InvalidRequest InvalidSnapshot.NotFound InvalidSnapshotID.Malformed
    InvalidSubnetID.Malformed InvalidSubnetID.NotFound InvalidUserID.Malformed
    InvalidVolume.NotFound InvalidVolumeID.Malformed InvalidVpcID.Malformed
    InvalidVpcID.NotFound KeyPairLimitExceeded MalformedQueryString MaxTemplateLimitExceeded
    MaxTemplateVersionLimitExceeded MissingAction MissingAuthenticationToken MissingParameter
    NoSuchVersion OperationNotPermitted RequestExpired RequestLimitExceeded
    ResourceLimitExceeded SignatureDoesNotMatch TagLimitExceeded UnauthorizedOperation
    Unavailable UnknownParameter UnsupportedHibernationConfiguration UnsupportedOperation
    VPCIdNotSpecified VcpuLimitExceeded VolumeInUse VolumeLimitExceeded VpcLimitExceeded
"""
DOCUMENTED = frozenset(_DOCUMENTED.split())
"""Of the API reference's page "Error codes for the Amazon EC2 API", those that are said here."""
UNDOCUMENTED = {
    "InvalidUserData.Malformed": "what EC2 was seen to say of a launch template's user data",
    "RequestEntityTooLarge": "S3's: EC2 itself takes no bodies that could be so large",
    "RequestHeaderSectionTooLarge": "S3's: EC2 has no word for such a request",
    "RequestTimeout": "S3's: EC2 itself takes no bodies that could be so slow",
}


def codes() -> set[str]:
    """All that a request can be answered: of the table, and `Refusal("…`, `refused("…`."""
    said = {words.code for words in (*BY_NOUN.values(), *BY_KIND.values())}
    for path in Path(econe.__file__).parent.rglob("*.py"):
        said.update(re.findall(r'\b(?:Refusal|refused)\(\s*"(\w[\w.]+)"', path.read_text("utf-8")))
    return said


def test_every_code_is_one_of_ec2s() -> None:
    assert codes() == DOCUMENTED | set(UNDOCUMENTED)


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
