"""Sweeps: what goes, and above all what stays."""

import os
from dataclasses import replace

from tests.support.machines import machine
from tests.support.site import ACCOUNT, IMAGE, LOCATION, Site

from econe.domain.engine_ports import EngineBusy
from econe.domain.images import DiskFormat, ImageState
from econe.domain.instances import InstanceState as S
from econe.domain.ports import Answered
from econe.domain.queries import Query
from econe.reconcile.janitor import Janitor

HOUR_S = 3600.0


def sweep(site: Site) -> None:
    Janitor(
        store=site.store,
        engine=site.engine,
        vault=site.vault,
        work=site.work,
        terminated_listed_s=HOUR_S,
    ).sweep(site.clock())


def keep_content(site: Site, location: str, *, age_s: float = 10 * HOUR_S) -> None:
    path = site.vault.path(location, DiskFormat.RAW)
    path.write_bytes(b"")
    moment = site.clock().timestamp() - age_s
    os.utime(path, (moment, moment))


def deregister(site: Site, image_id: str = IMAGE) -> None:
    with site.store.writing() as tx:
        image = tx.images.get(image_id)
        assert image is not None
        tx.images.save(replace(image, state=ImageState.DEREGISTERED, registered=False))


def image_ids(site: Site) -> set[str]:
    with site.store.reading() as tx:
        return {image.id for image in tx.images.find(Query()).items}


# --- instances ---------------------------------------------------------------------------


def test_a_terminated_instance_is_listed_for_an_hour_and_its_console_as_long(site: Site):
    (id_,) = site.running()
    site.terminate(id_)
    site.settle()
    over_at = site.row(id_).terminated_at
    assert over_at is not None
    site.clock.now = over_at
    site.clock.pass_s(HOUR_S - 1)
    sweep(site)
    assert site.state(id_) is S.TERMINATED
    assert site.engine.consoles.output(id_) is not None
    site.clock.pass_s(2)
    sweep(site)
    with site.store.reading() as tx:
        assert tx.instances.get(id_) is None
    assert site.engine.consoles.output(id_) is None


def test_hundreds_of_terminated_instances_are_forgotten(site: Site):
    ids = site.launch(230)
    site.terminate(*ids)
    site.settle(limit=500)
    site.clock.pass_s(2 * HOUR_S)
    sweep(site)
    with site.store.reading() as tx:
        assert tx.instances.many(ids) == []


def test_live_instances_are_never_forgotten(site: Site):
    running, stopped = site.running(2)
    site.stop(stopped)
    site.settle()
    site.clock.pass_s(1000 * HOUR_S)
    sweep(site)
    assert (site.state(running), site.state(stopped)) == (S.RUNNING, S.STOPPED)


# --- tokens ------------------------------------------------------------------------------


def test_client_tokens_are_kept_for_a_day(site: Site):
    with site.store.writing() as tx:
        tx.tokens.put(ACCOUNT, "RunInstances", "once", Answered("d", b"answer"), site.clock())
    site.clock.pass_s(23 * HOUR_S)
    sweep(site)
    with site.store.reading() as tx:
        assert tx.tokens.get(ACCOUNT, "RunInstances", "once")
    site.clock.pass_s(2 * HOUR_S)
    sweep(site)
    with site.store.reading() as tx:
        assert tx.tokens.get(ACCOUNT, "RunInstances", "once") is None


# --- content -----------------------------------------------------------------------------


def test_content_without_an_image_is_deleted_once_it_is_old(site: Site):
    keep_content(site, "b" * 32)
    keep_content(site, "c" * 32, age_s=60)
    sweep(site)
    assert site.vault.locations() == {"c" * 32}


def test_content_of_an_image_is_kept(site: Site):
    keep_content(site, LOCATION)
    sweep(site)
    assert site.vault.locations() == {LOCATION}


def test_content_of_a_deregistered_image_is_kept_while_an_instance_is_made_of_it(site: Site):
    keep_content(site, LOCATION)
    (id_,) = site.running()
    deregister(site)
    site.stop(id_)
    site.settle()
    sweep(site)
    assert site.vault.locations() == {LOCATION}
    assert image_ids(site) == {IMAGE}
    site.terminate(id_)
    site.settle()
    sweep(site)
    assert site.vault.locations() == set()
    assert image_ids(site) == set()


def test_content_of_a_deregistered_image_is_kept_while_a_disk_lies_over_it(site: Site):
    """A root disk that outlived its instance is an overlay over the image's content."""
    keep_content(site, LOCATION)
    (id_,) = site.running()
    with site.store.writing() as tx:
        (volume,) = site.row(id_).volumes
        tx.volumes.save(replace(volume, delete_on_termination=False))
    deregister(site)
    site.terminate(id_)
    site.settle()
    assert site.state(id_) is S.TERMINATED
    sweep(site)
    assert site.vault.locations() == {LOCATION}
    assert image_ids(site) == {IMAGE}
    assert set(site.world.disks) == {volume.id}
    with site.store.writing() as tx:
        tx.volumes.remove(volume.id)
    sweep(site)  # the disk, and the image's row
    sweep(site)
    assert (site.vault.locations(), image_ids(site), site.world.disks) == (set(), set(), {})


def test_content_that_two_images_share_is_kept_for_the_one_that_is_left(site: Site):
    keep_content(site, LOCATION)
    with site.store.writing() as tx:
        tx.images.add(site.image("ami-00000002"))
    deregister(site)
    sweep(site)
    assert image_ids(site) == {"ami-00000002"}
    assert site.vault.locations() == {LOCATION}


# --- disks, uploads, failures ------------------------------------------------------------


def test_a_disk_whose_volume_has_no_row_is_removed(site: Site):
    (id_,) = site.running()
    (disk,) = machine(77).disks
    site.world.disks[disk.volume_id] = disk
    sweep(site)
    assert set(site.world.disks) == {site.row(id_).volumes[0].id}


def test_a_disk_that_cannot_be_removed_does_not_keep_the_others(site: Site):
    for number in (77, 78):
        (disk,) = machine(number).disks
        site.world.disks[disk.volume_id] = disk
    site.world.script.fail("disks.remove", 1, with_=EngineBusy("it is a directory"))
    sweep(site)
    assert list(site.world.disks) == [disk.volume_id for disk in machine(77).disks]


def test_leavings_of_uploads_are_swept(site: Site):
    sweep(site)
    assert site.vault.sweeps == [site.work.content_quiet_s]


def test_a_chore_that_fails_does_not_keep_the_others(site: Site):
    (id_,) = site.running()
    site.terminate(id_)
    site.settle()
    site.clock.pass_s(2 * HOUR_S)
    keep_content(site, "b" * 32)
    site.world.script.fail("machines.forget", 1, with_=EngineBusy("later"))
    sweep(site)
    assert site.vault.locations() == set()
    sweep(site)
    with site.store.reading() as tx:
        assert tx.instances.get(id_) is None


def test_the_loop_sweeps_once_a_minute(site: Site):
    site.rounds(125)
    assert len(site.vault.sweeps) == 3
