"""Power is cut at each step of an image's way into the engine and out of it: what comes next
finishes it, with one image in the engine for each upload, and none that nobody knows."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.cluster_site import ADA, ClusterSite
from tests.support.power import Fuse, PowerCut

from econe.domain.engine_ports import EngineRefused
from econe.domain.images import ImageState as S

MakeSite = Callable[[], ClusterSite]


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[MakeSite]:
    made: list[ClusterSite] = []

    def make() -> ClusterSite:
        directory = tmp_path / f"site-{len(made)}"
        directory.mkdir()
        site = ClusterSite(directory)
        site.take()
        made.append(site)
        return site

    yield make
    for site in made:
        site.store.close()


FIRST, SECOND = "ami-00000002", "ami-00000003"


def two_uploads(site: ClusterSite) -> None:
    assert [site.upload("one"), site.upload("two")] == [FIRST, SECOND]


def two_are_there(site: ClusterSite) -> None:
    two_uploads(site)
    site.rounds(6)
    assert set(site.images().values()) == {S.AVAILABLE}


def refuse(site: ClusterSite) -> None:
    site.world.script.fail("images.ensure", 1000, with_=EngineRefused("No."))


def one_of_others_is_listed(site: ClusterSite) -> None:
    site.kept("40")
    site.rounds(2)
    assert list(site.images()) == ["ami-00000040"]


def nothing(site: ClusterSite) -> None:
    """Of what was before."""


def both_are_kept_and_marked(site: ClusterSite) -> None:
    assert site.images() == {FIRST: S.AVAILABLE, SECOND: S.AVAILABLE}
    kept = site.world.cluster.images.values()
    assert {image.id: image.registered for image in kept} == {FIRST: True, SECOND: True}
    assert site.world.cluster.images_made == 2
    assert {site.image_row(id_).engine_ref for id_ in (FIRST, SECOND)} == {i.ref for i in kept}


def only_the_second_is_left(site: ClusterSite) -> None:
    assert site.images() == {SECOND: S.AVAILABLE}
    assert [image.id for image in site.world.cluster.images.values()] == [SECOND]


def nothing_is_left(site: ClusterSite) -> None:
    assert site.images() == {}
    assert site.world.cluster.images == {}


def both_have_failed(site: ClusterSite) -> None:
    assert site.images() == {FIRST: S.FAILED, SECOND: S.FAILED}
    assert site.world.cluster.images == {}


def it_is_hidden(site: ClusterSite) -> None:
    assert site.images() == {}
    assert not site.world.cluster.images["40"].registered


def it_is_listed_once(site: ClusterSite) -> None:
    assert site.images() == {"ami-00000040": S.AVAILABLE}


def deregister_while_it_arrives(site: ClusterSite) -> None:
    site.upload("one")
    site.loop.round()
    site.deregister(FIRST)


STORIES: dict[str, tuple[Callable[[ClusterSite], None], ...]] = {
    "uploads": (nothing, two_uploads, both_are_kept_and_marked),
    "refused uploads": (refuse, two_uploads, both_have_failed),
    "deregistered": (two_are_there, lambda site: site.deregister(FIRST), only_the_second_is_left),
    "deregistered while it arrives": (nothing, deregister_while_it_arrives, nothing_is_left),
    "of others": (nothing, lambda site: site.kept("40"), it_is_listed_once),
    "of others, deregistered": (
        one_of_others_is_listed,
        lambda site: site.deregister("ami-00000040"),
        it_is_hidden,
    ),
    "removed by others": (
        two_are_there,
        lambda site: _(site.world.cluster.images.pop(site.image_row(FIRST).engine_ref)),
        only_the_second_is_left,
    ),
}


def _(_thing: object) -> None:
    """Act without an answer."""


def play(site: ClusterSite, name: str, fuse: Fuse, cuts: list[int]) -> bool:
    """Whether all cuts came about."""
    before, act, _ends = STORIES[name]
    before(site)
    act(site)
    for after in cuts:
        fuse.arm(after)
        try:
            site.rounds(40)
        except PowerCut:
            site.restart()
        else:
            return False
    fuse.arm(0)
    site.rounds(70)
    return True


@pytest.mark.parametrize("name", STORIES)
def test_an_image_ends_well_wherever_power_is_cut(new_site: MakeSite, name: str):
    for after in itertools.count(1):
        site = new_site()
        came_about = play(site, name, Fuse(site), [after])
        STORIES[name][2](site)
        if not came_about or after > 40:  # beyond, only the census goes on and on
            break
    assert after > 3


@pytest.mark.parametrize("name", ["uploads", "deregistered"])
def test_an_image_ends_well_though_the_recovery_is_cut_too(new_site: MakeSite, name: str):
    for after, again in itertools.product(range(1, 16, 2), range(1, 12, 3)):
        site = new_site()
        play(site, name, Fuse(site), [after, again])
        STORIES[name][2](site)


def test_an_upload_runs_as_an_instance(new_site: MakeSite):
    site = new_site()
    two_are_there(site)
    (id_,) = site.launch_of(ADA, image=FIRST)
    site.settle()
    spec = site.world.machines[id_].spec
    assert spec is not None
    assert spec.image_ref == site.image_row(FIRST).engine_ref
