import base64
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image
from tests.support.desk import Desk, Screens, refused

from econe.actions.registry import action
from econe.actions.screenshots import jpeg_of, show
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.faults import Noun, Unavailable, Unsupported, WrongState
from econe.domain.ports import Picture


@pytest.fixture
def screens(helen: Desk) -> Screens:
    assert isinstance(helen.cloud.screens, Screens)
    return helen.cloud.screens


def test_the_screen_is_a_jpeg_in_base64(helen: Desk, screens: Screens):
    (id_,) = helen.running()
    told = helen("GetConsoleScreenshot", InstanceId=id_)
    assert told["InstanceId"] == id_
    with Image.open(BytesIO(base64.b64decode(told["ImageData"]))) as image:
        assert (image.format, image.size) == ("JPEG", (4, 2))
        red, green, blue = image.getpixel((1, 1))
    assert (red, green, blue) == pytest.approx((255, 0, 0), abs=4)
    assert screens.asked == [(id_, False)]


def test_a_guest_is_woken_where_that_is_asked(helen: Desk, screens: Screens):
    (id_,) = helen.running()
    helen("GetConsoleScreenshot", InstanceId=id_, WakeUp=True)
    helen("GetConsoleScreenshot", InstanceId=id_, WakeUp=False)
    assert screens.asked == [(id_, True), (id_, False)]


def test_an_instance_that_does_not_run_shows_no_screen(helen: Desk):
    (pending,), (stopped,) = helen.launch(), helen.running()
    helen("StopInstances", InstanceIds=[stopped])
    helen.halted([stopped])
    for id_ in (pending, stopped):
        with refused(WrongState, Noun.INSTANCE, "shows no screen"):
            helen("GetConsoleScreenshot", InstanceId=id_)


def test_an_engine_without_screens_refuses(helen: Desk):
    (id_,) = helen.running()
    helen = replace(helen, cloud=replace(helen.cloud, screens=None))
    with refused(Unsupported, Noun.REQUEST):
        helen("GetConsoleScreenshot", InstanceId=id_)


@pytest.mark.parametrize("problem", [EngineBusy("hangs"), EngineRefused("no surface")])
def test_a_machine_that_does_not_answer_may_do_so_later(helen: Desk, screens: Screens, problem):
    (id_,) = helen.running()
    screens.problem = problem
    with refused(Unavailable, Noun.REQUEST, "try again"):
        helen("GetConsoleScreenshot", InstanceId=id_)


def test_a_picture_of_the_largest_screen_is_a_jpeg_of_bearable_size():
    jpeg = jpeg_of(Picture(2560, 1600, bytes(3 * 2560 * 1600)))
    assert jpeg.startswith(b"\xff\xd8\xff")
    assert len(jpeg) < 1 << 20


def test_what_writes_or_lasts_may_ask_no_engine():
    for kinds in ({"writes": True, "lasting": False}, {"lasting": True}):
        with pytest.raises(ValueError, match="asks an engine"):
            action("Nothing", asks=show, **kinds)(lambda ctx, asked: {})
