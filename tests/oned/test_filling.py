"""Pools of a thousand, of the size that was measured (facts/opennebula.md, 5), served fast."""

import time

from tests.oned.conftest import User
from tests.support.oned import Prepared


def test_a_thousand_machines_are_listed(helen: User, prepared: Prepared) -> None:
    prepared.network.ranges[0].size = 2000
    prepared.world.add_image("ami", prepared.helen)
    prepared.world.fill(1000, owner=prepared.helen)
    text = helen.call("one.vmpool.infoextended", -3, -1, -1, -1)
    assert isinstance(text, str)
    assert 6.0 < len(text) / (1 << 20) < 9.0
    began = time.monotonic()
    page = helen.read("one.vmpool.infoextended", -3, 0, -100, -1)
    assert time.monotonic() - began < 1
    assert [each.findtext("ID") for each in page][:2] == ["999", "998"]
    assert {each.findtext("LCM_STATE") for each in page} == {"3"}


def test_there_is_room_for_more(helen: User, prepared: Prepared) -> None:
    prepared.world.fill(100, owner=prepared.helen)
    number = helen.call("one.template.instantiate", 0, "one-more", False, "", False)
    assert isinstance(number, int)
    prepared.world.settle()
    assert prepared.world.vm(number).state_name == "RUNNING"
