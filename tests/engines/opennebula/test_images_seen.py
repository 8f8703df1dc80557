"""What is seen of images, how they are registered, and how they go."""

from typing import Any

import pytest
from tests.engines.opennebula.image_rig import Rig, rig
from tests.support.oned.errors import Refused
from tests.support.oned.faults import Drop, Hang, Says, Status
from tests.support.oned.images import ImageState as Oneds
from tests.support.oned.objects import Lock
from tests.support.oned.templates import Template

from econe.domain.accounts import number_of
from econe.domain.engine_ports import EngineBusy, EngineLost
from econe.domain.images import ImageState

__all__ = ["rig"]


# --- what is seen --------------------------------------------------------------------------


def test_images_of_an_old_econe_are_seen(rig: Rig) -> None:
    ref = rig.made_by_others("old", EC2_AMI="yes", DESCRIPTION="from 5.8")
    tags = '<TEMPLATE><EC2_TAGS><NAME>web</NAME><EMPTY>""</EMPTY></EC2_TAGS></TEMPLATE>'
    rig.as_helen("one.image.update", int(ref), tags, 1)
    found = rig.seen(ref)
    assert (found.id, found.registered, found.name) == ("", True, "old")
    assert found.account == number_of(str(rig.prepared.helen.id))
    assert found.tags == {"NAME": "web", "EMPTY": ""}
    assert found.created_at.timestamp() == rig.image(ref).registered


@pytest.mark.parametrize("said", ["NO", "", "1", "true"])
def test_other_images_are_not_seen(rig: Rig, said: str) -> None:
    rig.made_by_others("plain", EC2_AMI=said)
    assert rig.images.look() == {}


def test_what_is_no_disk_is_no_machine_image(rig: Rig) -> None:
    ref = rig.made_by_others("kernel", EC2_AMI="YES")
    rig.image(ref).type = 3
    assert rig.images.look() == {}


def test_permissions_are_seen(rig: Rig) -> None:
    ref = rig.made_by_others("old", EC2_AMI="YES")
    rig.as_helen("one.image.chmod", int(ref), -1, -1, -1, 1, -1, -1, 1, -1, -1)
    found = rig.seen(ref)
    assert found.public
    assert found.shares == (f"group:{rig.prepared.group.id}",)


@pytest.mark.parametrize(
    ("state", "meant"),
    [
        (Oneds.INIT, ImageState.PENDING),
        (Oneds.READY, ImageState.AVAILABLE),
        (Oneds.USED, ImageState.AVAILABLE),
        (Oneds.DISABLED, ImageState.PENDING),
        (Oneds.LOCKED, ImageState.PENDING),
        (Oneds.ERROR, ImageState.FAILED),
        (Oneds.CLONE, ImageState.AVAILABLE),
        (Oneds.DELETE, None),
        (Oneds.USED_PERS, ImageState.AVAILABLE),
        (Oneds.LOCKED_USED, ImageState.PENDING),
        (Oneds.LOCKED_USED_PERS, ImageState.PENDING),
        (12, ImageState.PENDING),
    ],
)
def test_states(rig: Rig, state: int, meant: ImageState | None) -> None:
    ref = rig.made_by_others("old", EC2_AMI="YES")
    rig.image(ref).state = state  # type: ignore[assignment]
    found = rig.images.look().get(ref)
    assert (found and found.state) == meant
    if found is not None:
        told_why = {Oneds.DISABLED, Oneds.ERROR, 12}
        assert bool(found.why) is (state in told_why)


def test_an_error_that_was_mended_is_not_told(rig: Rig) -> None:
    """The text stays in oned (338)."""
    ref = rig.made_by_others("old", EC2_AMI="YES", ERROR="Mon : Error copying image")
    assert rig.seen(ref).why == ""


def test_a_mark_of_somebody_elses_is_none(rig: Rig) -> None:
    bob = rig.prepared.bob
    attributes = rig.marks.attributes("ami-00000009", str(bob.id))
    rig.made_by_others("forged", **attributes)
    ref = rig.made_by_others("forged and registered", EC2_AMI="YES", **attributes)
    assert {each.ref: each.id for each in rig.images.look().values()} == {ref: ""}


def test_an_image_that_was_given_away_is_not_ours_any_more(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    rig.image(ref).uid = rig.prepared.bob.id
    assert rig.images.look() == {}


def test_a_copy_that_a_user_made_is_an_image_of_its_own(rig: Rig) -> None:
    """oned copies the template, and so our mark. The first is ours; the copy is not touched."""
    spec = rig.spec()
    ref = rig.images.ensure(spec)
    rig.settle()
    rig.images.mark(ref, registered=True)
    copy = str(rig.as_helen("one.image.clone", int(ref), "a copy", -1))
    rig.settle()
    assert {each.ref: each.id for each in rig.images.look().values()} == {ref: spec.id, copy: ""}
    assert rig.images.ensure(spec) == ref


def test_all_are_read_in_one_call_as_the_service_account(rig: Rig) -> None:
    for number in range(3):
        rig.made_by_others(f"old {number}", EC2_AMI="YES")
    rig.images.look()
    before = len(rig.standin.calls)
    assert len(rig.images.look()) == 3
    (call,) = rig.standin.calls[before:]
    assert (call.method, call.user, call.args) == (
        "one.imagepool.info",
        "serveradmin",
        (-2, -1, -1),
    )


@pytest.mark.parametrize("trouble", [Drop(), Hang(1), Status(502)], ids=["drop", "hang", "502"])
def test_what_cannot_be_seen_now_is_not_taken_for_gone(rig: Rig, trouble: Any) -> None:
    rig.images.ensure(rig.spec())
    rig.standin.faults.fail("one.imagepool.info", 2, with_=trouble)
    with pytest.raises(EngineBusy):
        rig.images.look()
    assert len(rig.upload_files()) == 1


def test_an_image_that_oned_cannot_write_hides_no_other_and_is_not_gone(rig: Rig) -> None:
    good = rig.made_by_others("good", EC2_AMI="YES")
    bad = rig.images.ensure(rig.spec())
    before = rig.images.look()
    rig.as_helen("one.image.update", int(bad), 'NOTE="unwritable"', 1)
    rig.choke_on("unwritable")
    for _ in range(2):
        found = rig.images.look()
        assert found.keys() == {bad, good}
        assert found[bad] == before[bad]
        assert len(rig.upload_files()) == 1
    assert rig.images.ensure(rig.spec("ami-00000002")) not in (bad, good)


# --- registering ---------------------------------------------------------------------------


def test_registering_is_old_econes_mark(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    for registered, said in ((True, "YES"), (False, "NO"), (True, "YES")):
        for _ in range(2):
            rig.images.mark(ref, registered=registered)
        assert rig.seen(ref).registered is registered
        assert rig.image(ref).template.get("EC2_AMI") == said
        assert rig.seen(ref).description == "of mine"
    assert {call.user for call in rig.standin.calls.of("one.image.update")} == {"helen"}
    assert len(rig.standin.calls.of("one.image.update")) == 3


def test_what_was_never_registered_is_not_written_to(rig: Rig) -> None:
    ref = rig.made_by_others("plain")
    rig.images.mark(ref, registered=False)
    assert rig.standin.calls.of("one.image.update") == []


def test_registering_what_is_gone_is_nothing(rig: Rig) -> None:
    rig.images.mark("4711", registered=True)


def test_what_a_user_has_locked_waits(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    rig.image(ref).lock = Lock(level=1, uid=rig.prepared.helen.id, time=0, request=0)
    for change in (
        lambda: rig.images.mark(ref, registered=True),
        lambda: rig.images.remove(ref),
    ):
        with pytest.raises(EngineBusy, match="locked"):
            change()
    rig.image(ref).lock = None
    rig.images.mark(ref, registered=True)


# --- removing ------------------------------------------------------------------------------


def test_removing_twice_is_once(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    rig.images.remove(ref)
    rig.images.remove(ref)  # while oned is at it
    rig.settle()
    rig.images.remove(ref)
    assert rig.world.images == {}
    (call,) = rig.standin.calls.of("one.image.delete")
    assert call.user == "helen"


def test_what_machines_use_stays(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    session = rig.directory.session_of(str(rig.prepared.helen.id))
    vm = rig.oned.call(
        session,
        "one.vm.allocate",
        f'CPU="0.1"\nMEMORY="64"\nDISK=[IMAGE_ID="{ref}"]',
        False,
    )
    with pytest.raises(EngineBusy, match="1 machines use it"):
        rig.images.remove(ref)
    rig.settle()
    rig.oned.call(session, "one.vm.action", "terminate-hard", vm)
    rig.settle()
    rig.images.remove(ref)
    rig.settle()
    assert rig.world.images == {}


def test_what_a_machine_began_to_use_in_that_moment_stays(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    text = "Cannot delete image. There are 1 VMs using it."
    rig.standin.faults.fail("one.image.delete", 1, with_=Says(Refused(0x0800, text)))
    with pytest.raises(EngineBusy):
        rig.images.remove(ref)


@pytest.mark.parametrize("state", [Oneds.LOCKED, Oneds.CLONE, Oneds.LOCKED_USED])
def test_what_oned_is_at_work_on_waits(rig: Rig, state: Oneds) -> None:
    ref = rig.made_by_others("old", EC2_AMI="YES")
    rig.image(ref).state = state
    with pytest.raises(EngineBusy):
        rig.images.remove(ref)
    assert rig.standin.calls.of("one.image.delete") == []


@pytest.mark.parametrize("state", [Oneds.ERROR, Oneds.DISABLED])
def test_what_failed_can_be_removed(rig: Rig, state: Oneds) -> None:
    ref = rig.made_by_others("old", EC2_AMI="YES")
    rig.image(ref).state = state
    rig.images.remove(ref)
    rig.settle()
    assert ref not in map(str, rig.world.images)


@pytest.mark.parametrize("method", ["one.image.info", "one.image.delete"])
@pytest.mark.parametrize("before", [True, False])
def test_an_answer_that_is_lost_is_asked_for_again(rig: Rig, method: str, before: bool) -> None:
    ref = rig.images.ensure(rig.spec())
    rig.settle()
    rig.standin.faults.fail(method, 2, before=before)
    with pytest.raises((EngineBusy, EngineLost)):
        rig.images.remove(ref)
    rig.standin.faults.clear()
    rig.settle()
    rig.images.remove(ref)
    rig.settle()
    assert rig.world.images == {}


def set_up_anew(rig: Rig) -> None:
    """The same address, another database."""
    rig.world.images.clear()
    rig.world.user_named("serveradmin").template = Template()


def test_another_oned_is_not_believed_that_an_image_is_gone(rig: Rig) -> None:
    ref = rig.images.ensure(rig.spec())
    set_up_anew(rig)
    with pytest.raises(EngineBusy, match="not the OpenNebula that it was"):
        rig.images.remove(ref)


@pytest.mark.parametrize("restarted", [False, True])
def test_another_oned_is_not_believed_that_all_images_are_gone(rig: Rig, restarted: bool) -> None:
    rig.images.ensure(rig.spec())
    rig.images.look()
    set_up_anew(rig)
    if restarted:
        rig = rig.after_a_crash()
    for _ in range(2):
        with pytest.raises(EngineBusy, match="not the OpenNebula that it was"):
            rig.images.look()
    assert len(rig.upload_files()) == 1
    rig.oned.close()
