"""One image comes of an upload, whatever is lost on the way; and uploads that oned fetches."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engines.opennebula.image_rig import DISK, Rig, rig, rigged
from tests.support.oned.faults import Drop, Status, Truncated

from econe.domain.engine_ports import EngineBusy, EngineLost
from econe.domain.images import ImageState
from econe.engines.opennebula.image_documents import OnedImage

__all__ = ["rig"]


# --- crashes -------------------------------------------------------------------------------

CALLS = ["one.imagepool.info", "one.datastorepool.info", "one.image.allocate"]
TROUBLES = [Drop(), Status(500), Truncated(20)]


def one_image_comes_of_it(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    assert rig.seen(ref).state is ImageState.AVAILABLE
    assert len(rig.world.images) == 1
    assert rig.upload_files() == []


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("restarted", [False, True], ids=["same", "restarted"])
def test_an_answer_that_is_lost_makes_no_second_image(
    rig: Rig, method: str, trouble: Any, before: bool, restarted: bool
) -> None:
    rig.directory.people()
    # Twice: a read on a connection that was used before is repeated at once.
    rig.standin.faults.fail(method, 2, with_=trouble, before=before)
    with pytest.raises((EngineBusy, EngineLost)):
        rig.images.ensure(rig.spec())
    rig.standin.faults.clear()
    if restarted:
        rig = rig.after_a_crash()
        rig.images.look()
    one_image_comes_of_it(rig)
    rig.oned.close()


@pytest.mark.parametrize("step", ["hand_over", "handed"])
def test_a_crash_between_the_steps_makes_one_image(rig: Rig, step: str) -> None:
    """The process ends right after the step: nothing of it is remembered."""

    class Crash(BaseException):
        pass

    real = getattr(rig.staging, step)

    def ends(*given: Any) -> None:
        real(*given)
        raise Crash

    setattr(rig.staging, step, ends)
    with pytest.raises(Crash):
        rig.images.ensure(rig.spec())
    rig = rig.after_a_crash()
    one_image_comes_of_it(rig)
    rig.oned.close()


def test_a_call_that_is_still_under_way_makes_no_second_image(rig: Rig) -> None:
    """The first call hangs before oned has made the image, our time is up, and we try again; then
    both are done. Under one name there can be only one."""
    spec = rig.spec()
    ref = rig.images.ensure(spec)
    real = rig.images._read_pool
    nothing_yet: list[tuple[list[OnedImage], list[int]]] = [([], [])]
    rig.images._read_pool = (  # type: ignore[method-assign]
        lambda owner: nothing_yet.pop() if nothing_yet else real(owner)
    )
    assert rig.images.ensure(spec) == ref
    assert len(rig.world.images) == 1
    assert len(rig.standin.calls.of("one.image.allocate")) == 2


# --- by URL --------------------------------------------------------------------------------


@pytest.fixture
def url_rig(tmp_path: Path) -> Iterator[Rig]:
    from tests.engines.opennebula.staged_door import open_door

    with open_door() as door, rigged(tmp_path, upload_by="url", upload_url=door.url) as rig:
        door.staged = rig.staging
        yield rig


def test_oned_on_another_machine_fetches_the_upload(url_rig: Rig) -> None:
    ref = url_rig.images.ensure(url_rig.spec())
    assert url_rig.told()["PATH"].startswith(url_rig.settings.upload_url + "/staged/")
    url_rig.settle()
    assert url_rig.seen(ref).state is ImageState.AVAILABLE
    assert url_rig.world.copies.digests[int(ref)] == hashlib.sha256(DISK).hexdigest()
    assert url_rig.image(ref).size_mb == 3
    assert url_rig.upload_files() == []
    token = url_rig.told()["PATH"].rpartition("/")[2]
    assert url_rig.staging.open(token) is None


def test_a_url_is_good_until_oned_has_copied(url_rig: Rig) -> None:
    url_rig.images.ensure(url_rig.spec())
    token = url_rig.told()["PATH"].rpartition("/")[2]
    for _ in range(2):
        url_rig.images.look()
        file = url_rig.staging.open(token)
        assert file is not None
        file.close()
    url_rig.settle()
    url_rig.images.look()
    assert url_rig.staging.open(token) is None


def test_a_door_that_is_closed_waits(tmp_path: Path) -> None:
    with rigged(tmp_path, upload_by="url", upload_url="http://127.0.0.1:9") as rig:
        with pytest.raises(EngineBusy, match="cannot read the upload"):
            rig.images.ensure(rig.spec())
        assert rig.world.images == {}
