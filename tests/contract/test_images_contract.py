"""What every engine that keeps images promises of them: domain/ports.py, Images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.engines.opennebula.image_rig import rigged

from econe.domain.engine_ports import EngineBusy
from econe.domain.image_ports import Images, ImageSpec
from econe.domain.images import DiskFormat, ImageState
from econe.engines.simulator.shared import SharedSimulator


@dataclass
class Shelf:
    """Somewhere to keep images, and two uploads of one user."""

    images: Images
    specs: tuple[ImageSpec, ImageSpec]
    settle: Callable[[], object]
    """All content on its way arrives."""

    def kept(self) -> str:
        """The first upload, as it is when it has arrived."""
        ref = self.images.ensure(self.specs[0])
        self.settle()
        assert self.images.look()[ref].state is ImageState.AVAILABLE
        return ref


def simulated(directory: Path) -> Iterator[Shelf]:
    def spec(image_id: str) -> ImageSpec:
        path = directory / image_id
        path.write_bytes(b"disk")
        account = "100000000002"
        return ImageSpec(image_id, account, image_id, "d", path, DiskFormat.RAW, 1 << 20)

    images = SharedSimulator().images
    assert images is not None
    yield Shelf(images, (spec("ami-00000001"), spec("ami-00000002")), images.look)


def opennebula(directory: Path) -> Iterator[Shelf]:
    with rigged(directory) as rig:
        specs = (rig.spec("ami-00000001"), rig.spec("ami-00000002"))
        yield Shelf(rig.images, specs, rig.settle)


@pytest.fixture(params=[simulated, opennebula], ids=lambda made: made.__name__)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    yield from request.param(tmp_path)


def test_an_upload_is_pending_and_then_available(shelf: Shelf):
    first = shelf.specs[0]
    ref = shelf.images.ensure(first)
    seen = shelf.images.look()[ref]
    assert (seen.state, seen.id, seen.account) == (ImageState.PENDING, first.id, first.account)
    assert (seen.ref, seen.registered) == (ref, False)
    shelf.settle()
    assert shelf.images.look()[ref].state is ImageState.AVAILABLE


def test_handing_over_twice_makes_one(shelf: Shelf):
    first, second = shelf.specs
    ref = shelf.images.ensure(first)
    assert shelf.images.ensure(first) == ref
    other = shelf.images.ensure(second)
    shelf.settle()
    assert shelf.images.ensure(first) == ref
    assert {ref, other} == set(shelf.images.look())


def test_marks_come_and_go_and_twice_is_once(shelf: Shelf):
    ref = shelf.kept()
    for registered in (True, True, False, False, True):
        shelf.images.mark(ref, registered=registered)
        assert shelf.images.look()[ref].registered is registered


def test_removing_leaves_nothing_and_twice_is_once(shelf: Shelf):
    ref = shelf.kept()
    for _ in range(2):
        shelf.images.remove(ref)
        shelf.settle()
        assert shelf.images.look() == {}


def test_nothing_happens_to_an_image_that_is_absent(shelf: Shelf):
    shelf.images.mark("77", registered=True)
    shelf.images.remove("77")
    assert shelf.images.look() == {}


def test_content_on_its_way_is_not_removed(shelf: Shelf):
    ref = shelf.images.ensure(shelf.specs[0])
    with pytest.raises(EngineBusy):
        shelf.images.remove(ref)
    assert ref in shelf.images.look()
