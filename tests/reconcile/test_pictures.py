"""Images in an engine that keeps them itself: what becomes of uploads, and of what others do."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.cluster_site import ADA, BOB, ClusterSite, person
from tests.support.site import IMAGE

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.image_ports import SeenImage
from econe.domain.images import DiskFormat
from econe.domain.images import ImageState as S
from econe.reconcile.janitor import Janitor
from econe.reconcile.pictures import Move, plan

HOUR_S = 3600.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ClusterSite]:
    site = ClusterSite(tmp_path)
    site.take()
    yield site
    site.engine.close()
    site.store.close()


def stored(site: ClusterSite) -> dict[str, SeenImage]:
    return site.world.cluster.images


def only(site: ClusterSite) -> SeenImage:
    (image,) = stored(site).values()
    return image


def settle(site: ClusterSite) -> None:
    site.rounds(6)


def calls(site: ClusterSite) -> list[str]:
    """Filled from now on, with what is asked of the engine's images."""
    made: list[str] = []
    site.world.script.boundaries.append(
        lambda method, when: (
            made.append(method) if when == "before" and method.startswith("images.") else None
        )
    )
    return made


def commits(site: ClusterSite, seconds: float) -> int:
    crossed: list[str] = []
    site.store.boundary = lambda _what, when: crossed.append(when)
    site.rounds(seconds)
    site.store.boundary = None
    return crossed.count("after")


def sweep(site: ClusterSite) -> None:
    Janitor(
        store=site.store,
        engine=site.engine,
        vault=site.vault,
        work=site.work,
        terminated_listed_s=HOUR_S,
    ).sweep(site.clock())


# --- uploads -----------------------------------------------------------------------------


def test_an_upload_goes_into_the_engine_and_is_available_once_it_is_seen_there(site: ClusterSite):
    id_ = site.upload("debian")
    site.loop.round()
    assert site.image_row(id_).state is S.PENDING
    assert site.image_row(id_).engine_ref == only(site).ref
    settle(site)
    row = site.image_row(id_)
    assert (row.state, row.registered, row.name) == (S.AVAILABLE, True, "debian")
    assert (only(site).id, only(site).account, only(site).registered) == (id_, ADA, True)
    assert site.world.cluster.images_made == 1


def test_an_image_is_marked_when_it_is_registered(site: ClusterSite):
    id_ = site.upload(registered=False)
    settle(site)
    assert not only(site).registered
    with site.store.writing() as tx:
        tx.images.save(replace(tx.images.get(id_), registered=True))
    site.loop.round()
    assert only(site).registered


def test_a_mark_that_others_took_away_is_set_again(site: ClusterSite):
    site.upload()
    settle(site)
    site.world.cluster.change_image(only(site).ref, registered=False)
    site.rounds(32)
    assert only(site).registered


def test_an_image_that_others_marked_is_registered(site: ClusterSite):
    id_ = site.upload(registered=False)
    settle(site)
    site.world.cluster.change_image(only(site).ref, registered=True)
    site.rounds(32)
    assert site.image_row(id_).registered


def test_what_the_engine_will_never_take_has_failed_and_says_why(site: ClusterSite):
    refusal = EngineRefused("No room.", "datastore 1", code="VolumeLimitExceeded")
    site.world.script.fail("images.ensure", 1, with_=refusal)
    id_ = site.upload()
    settle(site)
    row = site.image_row(id_)
    assert row.state is S.FAILED
    assert row.state_reason.code == "Client.VolumeLimitExceeded"
    assert row.state_reason.message == "Client.VolumeLimitExceeded: No room."
    assert row.problem == "No room. datastore 1"
    assert stored(site) == {}


def test_content_that_the_engine_could_not_keep_has_failed(site: ClusterSite):
    id_ = site.upload()
    site.loop.round()
    site.world.cluster.refuse_image(only(site).ref, "Error copying image")
    settle(site)
    row = site.image_row(id_)
    assert (row.state, row.state_reason.code) == (S.FAILED, "Server.InternalError")
    assert row.problem == "Error copying image"
    assert "copying" not in row.state_reason.message
    site.world.cluster.change_image(only(site).ref, state=S.AVAILABLE)
    site.rounds(32)
    row = site.image_row(id_)
    assert (row.state, row.state_reason.code, row.problem) == (S.AVAILABLE, "", "")


@pytest.mark.parametrize("trouble", [EngineBusy("x"), EngineLost("x"), ValueError("x")])
def test_a_hand_over_that_does_not_work_is_tried_again_with_pauses(
    site: ClusterSite, trouble: Exception
):
    site.world.script.fail("images.ensure", 3, with_=trouble)
    id_ = site.upload()
    made = calls(site)
    site.loop.round()
    row = site.image_row(id_)
    assert row.attempts == 1
    assert "Could not hand over its content" in row.problem
    assert row.retry_at is not None
    assert (row.retry_at - site.clock()).total_seconds() == site.work.retry_first_s
    site.rounds(20)
    row = site.image_row(id_)
    assert (row.state, row.attempts, row.retry_at, row.problem) == (S.AVAILABLE, 0, None, "")
    assert made.count("images.ensure") == 4


def test_an_answer_that_is_lost_makes_no_second_image(site: ClusterSite):
    site.world.script.fail("images.ensure", 1, with_=EngineLost("x"), before=False)
    id_ = site.upload()
    site.rounds(10)
    assert site.image_row(id_).state is S.AVAILABLE
    assert site.world.cluster.images_made == 1


def test_one_that_does_not_work_does_not_hold_the_others_up(site: ClusterSite):
    site.upload("first")
    site.loop.round()
    bad = only(site).ref
    second = site.upload("second")
    site.world.script.fail("images.mark", 4, with_=EngineRefused("no", "not authorised"))
    site.rounds(3)
    assert site.image_row(second).state is S.AVAILABLE
    problems = [site.image_row(id_).problem for id_ in site.images()]
    assert any("The engine refuses: not authorised" in problem for problem in problems)
    site.rounds(15)
    assert stored(site)[bad].registered
    assert [site.image_row(id_).problem for id_ in site.images()] == ["", ""]


def test_several_uploads_are_handed_over_one_a_run_the_oldest_first(site: ClusterSite):
    ids = []
    for name in ("one", "two", "three"):
        ids.append(site.upload(name))
        site.clock.pass_s(1)
    site.loop.round()
    assert [image.id for image in stored(site).values()] == ids[:1]
    site.loop.round()
    assert [image.id for image in stored(site).values()] == ids[:2]
    settle(site)
    assert set(site.images().values()) == {S.AVAILABLE}


def test_an_upload_that_is_deregistered_at_once_never_gets_there(site: ClusterSite):
    id_ = site.upload()
    site.deregister(id_)
    settle(site)
    assert stored(site) == {}
    assert site.images() == {}


def test_an_upload_that_is_deregistered_in_the_middle_leaves_nothing(site: ClusterSite):
    id_ = site.upload()
    site.world.script.boundaries.append(
        lambda method, when: (
            site.deregister(id_) if (method, when) == ("images.ensure", "after") else None
        )
    )
    site.rounds(10)
    assert stored(site) == {}
    assert site.images() == {}


def test_while_nothing_happens_nothing_is_written(site: ClusterSite):
    site.upload()
    site.kept("9")
    settle(site)
    made = calls(site)
    sweeps = 120 / site.work.sweep_every_s
    assert commits(site, 120) <= 2 * sweeps, "only the janitor, who forgets tokens"
    assert set(made) == {"images.look"}
    assert len(made) <= 5


def test_content_on_its_way_is_looked_at_the_less_often_the_older_it_is(site: ClusterSite):
    site.upload()
    site.loop.round()
    ref = only(site).ref
    made = calls(site)
    for _ in range(600):
        site.world.cluster.change_image(ref, state=S.PENDING)
        site.loop.round()
        site.clock.pass_s(1)
    assert 20 < made.count("images.look") < 80


def test_a_look_that_does_not_work_is_tried_again_with_pauses(site: ClusterSite):
    made = calls(site)
    site.world.script.fail("images.look", 1000, with_=EngineBusy("x"))
    site.upload()
    site.rounds(100)
    assert made == ["images.look"] * len(made)
    assert 5 < len(made) < 15
    site.world.script.clear()
    site.rounds(60)
    assert only(site).registered


# --- the end -----------------------------------------------------------------------------


def test_a_deregistered_image_of_ours_is_removed(site: ClusterSite):
    id_ = site.upload()
    settle(site)
    site.deregister(id_)
    settle(site)
    assert stored(site) == {}
    assert site.images() == {}


def test_it_stays_unmarked_while_an_instance_is_made_of_it(site: ClusterSite):
    id_ = site.upload()
    settle(site)
    (instance,) = site.launch_of(ADA, image=id_)
    site.settle()
    site.deregister(id_)
    site.rounds(40)
    assert not only(site).registered
    assert site.images() == {id_: S.DEREGISTERED}
    site.terminate_of(ADA, instance)
    site.settle()
    site.rounds(40)
    assert stored(site) == {}
    assert site.images() == {}


def test_a_removal_that_the_engine_refuses_for_now_is_tried_again(site: ClusterSite):
    id_ = site.upload()
    settle(site)
    site.world.script.fail("images.remove", 3, with_=EngineBusy("a machine uses it"))
    site.deregister(id_)
    site.loop.round()
    assert "a machine uses it" in site.image_row(id_).problem
    site.rounds(20)
    assert stored(site) == {}


def test_an_image_that_others_removed_is_not_listed_any_more(site: ClusterSite):
    site.upload()
    settle(site)
    stored(site).clear()
    site.rounds(32)
    assert site.images() == {}


def test_its_row_stays_while_an_instance_is_made_of_it(site: ClusterSite):
    id_ = site.upload()
    settle(site)
    site.launch_of(ADA, image=id_)
    site.settle()
    stored(site).clear()
    site.rounds(40)
    assert site.images() == {id_: S.DEREGISTERED}


def test_one_that_went_to_another_user_is_theirs(site: ClusterSite):
    site.kept("9")
    settle(site)
    site.world.cluster.change_image("9", account=BOB)
    site.rounds(64)
    (id_,) = site.images()
    assert (site.image_row(id_).account, site.image_row(id_).engine_ref) == (BOB, "9")


# --- images of others --------------------------------------------------------------------


def test_images_that_others_marked_are_listed_with_their_number(site: ClusterSite):
    site.kept(
        "40", public=True, shares=("group:9", "group:100"), description="d", tags={"os": "debian"}
    )
    site.loop.round()
    row = site.image_row("ami-00000040")
    assert (row.account, row.engine_ref, row.adopted, row.registered) == (ADA, "40", True, True)
    assert (row.name, row.description, row.size_bytes) == ("image 40", "d", 1 << 21)
    assert (row.public, row.shares, row.location) == (True, ("group:100", "group:9"), "store/40")
    assert (row.disk_format, row.tags) == (DiskFormat.QCOW2, {"os": "debian"})


def test_they_follow_the_engine(site: ClusterSite):
    site.kept("40")
    settle(site)
    changes: dict[str, Any] = {
        "public": True,
        "shares": ("group:5",),
        "name": "other",
        "size_bytes": 1 << 22,
        "description": "changed",
        "state": S.FAILED,
    }
    site.world.cluster.change_image("40", **changes, why="broken")
    site.rounds(32)
    row = site.image_row("ami-00000040")
    assert {name: getattr(row, name) for name in changes} == changes
    assert row.problem == "broken"


def test_of_ours_only_who_may_use_it_follows_the_engine(site: ClusterSite):
    id_ = site.upload("debian")
    settle(site)
    site.world.cluster.change_image(only(site).ref, public=True, name="x", size_bytes=7)
    site.rounds(32)
    row = site.image_row(id_)
    assert (row.public, row.name, row.size_bytes) == (True, "debian", 1 << 20)


def test_deregistering_one_hides_it_and_removes_nothing(site: ClusterSite):
    site.kept("40")
    settle(site)
    site.deregister("ami-00000040")
    settle(site)
    assert site.images() == {}
    assert not stored(site)["40"].registered
    site.world.cluster.change_image("40", registered=True)
    site.rounds(32)
    (again,) = site.images()
    assert again != "ami-00000040", "no number is given twice"


def test_one_that_is_not_marked_any_more_is_not_listed(site: ClusterSite):
    site.kept("40")
    settle(site)
    site.world.cluster.change_image("40", registered=False)
    site.rounds(32)
    assert site.images() == {}
    assert "40" in stored(site)


def test_names_are_unique_in_an_account(site: ClusterSite):
    site.upload("debian")
    settle(site)
    site.kept("40", name="debian")
    site.kept("41", name="debian")
    site.kept("42", name="debian", account=BOB)
    site.rounds(32)
    names = {id_: site.image_row(id_).name for id_ in site.images()}
    assert names == {
        "ami-00000002": "debian",
        "ami-00000040": "debian (40)",
        "ami-00000041": "debian (41)",
        "ami-00000042": "debian",
    }
    assert commits(site, 32) <= 1


def test_a_failed_image_that_is_mended_gives_way_to_who_has_its_name_now(site: ClusterSite):
    first = site.upload("debian")
    site.loop.round()
    site.world.cluster.refuse_image(only(site).ref, "full")
    settle(site)
    site.upload("debian")
    settle(site)
    ref = site.image_row(first).engine_ref
    site.world.cluster.change_image(ref, state=S.AVAILABLE)
    site.rounds(32)
    assert site.image_row(first).name == f"debian ({ref})"
    assert site.image_row(first).state is S.AVAILABLE


def test_those_of_nobody_wait_for_an_owner(site: ClusterSite):
    site.kept("40", account="100000000077")
    settle(site)
    assert site.images() == {}
    site.world.cluster.put_person(person("77", "late"))
    site.take()
    site.rounds(32)
    assert list(site.images()) == ["ami-00000040"]


def test_one_whose_row_was_lost_is_ours_again(site: ClusterSite):
    site.kept("40", id="ami-00000012")
    settle(site)
    assert not site.image_row("ami-00000012").adopted


def test_unmarked_images_of_others_are_not_seen_at_all(site: ClusterSite):
    site.kept("40", registered=False)
    settle(site)
    assert site.images() == {}


def test_one_that_cannot_be_written_does_not_keep_the_others_out(site: ClusterSite):
    site.kept("40", created_at=site.clock().replace(tzinfo=None))
    site.kept("41")
    settle(site)
    assert list(site.images()) == ["ami-00000041"]


# --- content -----------------------------------------------------------------------------


def age(site: ClusterSite, seconds: float) -> None:
    moment = site.clock().timestamp() - seconds
    for location in site.vault.locations():
        os.utime(site.vault.path(location, DiskFormat.RAW), (moment, moment))


def test_content_is_kept_until_the_engine_has_it_and_not_much_longer(site: ClusterSite):
    site.world.script.fail("images.ensure", 1000, with_=EngineBusy("x"))
    id_ = site.upload()
    age(site, 10 * HOUR_S)
    site.rounds(5)
    sweep(site)
    assert site.vault.locations() == {site.image_row(id_).location}
    site.world.script.clear()
    site.rounds(90)
    assert site.image_row(id_).state is S.AVAILABLE
    sweep(site)
    assert site.vault.locations() == set()


def test_young_content_may_be_of_an_upload_that_is_about_to_write_its_row(site: ClusterSite):
    site.upload()
    settle(site)
    age(site, 59)
    sweep(site)
    assert len(site.vault.locations()) == 1
    age(site, 61)
    sweep(site)
    assert site.vault.locations() == set()


def test_content_of_a_failed_image_goes(site: ClusterSite):
    site.world.script.fail("images.ensure", 1, with_=EngineRefused("no"))
    site.upload()
    settle(site)
    age(site, 61)
    sweep(site)
    assert site.vault.locations() == set()


def test_content_that_another_upload_still_needs_is_kept(site: ClusterSite):
    site.upload("same")
    settle(site)
    site.world.script.fail("images.ensure", 1000, with_=EngineBusy("x"))
    with site.store.writing() as tx:
        first = next(id_ for id_ in site.images())
        row = tx.images.get(first)
        second = replace(row, id="ami-00000099", name="b", state=S.PENDING, engine_ref="")
        tx.images.add(second)
    age(site, HOUR_S)
    sweep(site)
    assert len(site.vault.locations()) == 1


def test_content_of_instances_is_the_engines_own(site: ClusterSite):
    id_ = site.upload()
    settle(site)
    site.launch_of(ADA, image=id_)
    site.settle()
    age(site, 61)
    sweep(site)
    assert site.vault.locations() == set()


def test_content_without_any_row_is_kept_for_an_hour(site: ClusterSite):
    site.vault.path("c" * 32, DiskFormat.RAW).write_bytes(b"")
    age(site, HOUR_S - 1)
    sweep(site)
    assert site.vault.locations() == {"c" * 32}
    age(site, HOUR_S + 1)
    sweep(site)
    assert site.vault.locations() == set()


# --- the planner -------------------------------------------------------------------------


def test_an_image_of_before_that_the_engine_never_had_is_left_alone(site: ClusterSite):
    row = site.image_row(IMAGE)
    assert plan(row, None, needed=False) == ()
    assert plan(replace(row, state=S.FAILED), None, needed=False) == ()
    assert plan(replace(row, state=S.PENDING), None, needed=False) == (Move.HAND_OVER,)
    assert plan(replace(row, state=S.DEREGISTERED), None, needed=True) == ()
