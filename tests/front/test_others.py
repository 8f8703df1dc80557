"""What belongs to others is as absent as what never was: in every parameter that can name it."""

from dataclasses import dataclass

import pytest
from tests.front.conftest import Desk, Reply
from tests.front.test_bad_input import PUBLIC_KEY, SERVICE, base, good, leaves, own_ids
from tests.support.cloud import Cloud
from tests.support.memory_vault import MemoryVault

from econe.actions.registry import HANDLERS
from econe.app import App

__all__ = ["good"]

NEVER = "99999999"
"""The number of what never was."""


@dataclass(frozen=True)
class Named:
    """How one thing of somebody else's is named, and how one that never was."""

    theirs: str
    nobodys: str

    def told_apart(self, answers: tuple[Reply, Reply]) -> bool:
        """Whether the answers differ in more than the name."""
        theirs, nobodys = answers
        said = theirs.message.replace(self.theirs, self.nobodys)
        return (theirs.status, theirs.code, said) != (
            nobodys.status, nobodys.code, nobodys.message
        )  # fmt: skip


@pytest.fixture(scope="module")
def desk(_app: App) -> Desk:
    """One account for all: each has a network of its own, and there are not so many of those."""
    return Desk(_app, MemoryVault())


@pytest.fixture(scope="module")
def ids(desk: Desk) -> dict[str, str]:
    return own_ids(desk)


@pytest.fixture(scope="module")
def things(desk: Desk) -> list[Named]:
    """One of each noun, of another account."""
    other = Desk(desk.app, desk.vault)
    image = Cloud(desk.app, "", other.caller).image()
    key = other.ask("ImportKeyPair", KeyName="theirs", PublicKeyMaterial=PUBLIC_KEY)
    data = {"LaunchTemplateData.InstanceType": "t2.micro"}
    made = other.ask("CreateLaunchTemplate", LaunchTemplateName="theirs", **data)
    launched = other.ask(
        "RunInstances", ImageId=image, MinCount="1", MaxCount="1", KeyName="theirs"
    ).all("instanceId")[0]
    with desk.app.store.reading() as tx:
        row = tx.instances.get(launched)
    assert row is not None
    owned = [
        image, launched, row.vpc_id, row.subnet_id, row.volumes[0].id, row.interfaces[0].id,
        row.interfaces[0].groups[0][0], *key.all("keyPairId"), *made.all("launchTemplateId"),
    ]  # fmt: skip
    return [Named(each, f"{each.rpartition('-')[0]}-{NEVER}") for each in owned]


@pytest.mark.parametrize("action", sorted(set(HANDLERS) - {"UploadImage"}))
def test_nobody_learns_what_others_have(
    desk: Desk, good: dict[str, str], ids: dict[str, str], things: list[Named], action: str
) -> None:
    shape = SERVICE.operation(action).input_shape
    asked = base(action, good, ids) if shape is not None else {}
    told = [
        (name, named.theirs)
        for name, leaf in (leaves(shape) if shape is not None else ())
        if leaf.type_name == "string" and name.rstrip(".1").endswith(("Id", "Resource"))
        for named in things
        if named.told_apart(
            (
                desk.ask(action, **asked | {name: named.theirs}),
                desk.ask(action, **asked | {name: named.nobodys}),
            )
        )
    ]
    assert told == []


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("DescribeKeyPairs", "KeyName.1"),
        ("RunInstances", "KeyName"),
        ("DescribeLaunchTemplates", "LaunchTemplateName.1"),
        ("DescribeLaunchTemplateVersions", "LaunchTemplateName"),
        ("RunInstances", "LaunchTemplate.LaunchTemplateName"),
    ],
)
def test_names_of_others_are_nobodys(
    desk: Desk, good: dict[str, str], ids: dict[str, str], things: list[Named], action: str,
    name: str,
) -> None:  # fmt: skip
    named = Named("theirs", "nobodys")
    asked = base(action, good, ids)
    answers = [desk.ask(action, **asked | {name: each}) for each in ("theirs", "nobodys")]
    assert answers[0].status == 400
    assert not named.told_apart((answers[0], answers[1]))
