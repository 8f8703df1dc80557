"""Limits of accounts: an operator's, the usual ones, and those that an engine's users bring."""

import threading
from dataclasses import replace

import pytest
from tests.support.desk import refused

from econe.domain.accounts import UNLIMITED, Account, Limits
from econe.domain.faults import LimitExceeded, Noun
from econe.domain.images import Content, DiskFormat
from econe.domain.keyring import Keyring
from econe.domain.limits import limits_of
from econe.front.faults import tell

# m1.small: 1 vCPU, 1740 MiB; t3.medium: 2 vCPUs, 4096 MiB


def limit(desk, **limits):
    desk.account = replace(desk.account, limits=Limits(**limits))
    with desk.store.writing() as tx:
        tx.accounts.save(desk.account)


@pytest.mark.parametrize(
    ("limits", "size", "fit", "noun", "said"),
    [
        (
            {"instances": 3},
            "m1.small",
            3,
            Noun.INSTANCE,
            "more instances (4) than your current instance limit of 3",
        ),
        ({"vcpus": 5}, "t3.medium", 2, Noun.VCPU, "vCPU capacity (6) than your current vCPU limit"),
        ({"memory_mib": 8192}, "t3.medium", 2, Noun.INSTANCE, "more MiB of memory (12288)"),
        ({"instances": 9, "vcpus": 2, "memory_mib": 99999}, "m1.small", 2, Noun.VCPU, "(3)"),
        # the image and each root disk have 1 GiB
        ({"storage_gib": 4}, "m1.small", 3, Noun.VOLUME, "limit of 4 GiB: with this it would be 5"),
    ],
)
def test_as_many_are_launched_as_fit(helen, limits, size, fit, noun, said):
    limit(helen, **limits)
    asked = {"ImageId": helen.image(), "InstanceType": size}
    made = helen("RunInstances", MinCount=1, MaxCount=fit + 1, **asked)
    assert len(made["Instances"]) == fit
    with refused(LimitExceeded, noun, said):
        helen.launch(**asked)


def test_none_are_launched_where_too_few_fit(helen):
    limit(helen, vcpus=3)
    with refused(LimitExceeded, Noun.VCPU):
        helen("RunInstances", MinCount=4, MaxCount=9, ImageId=helen.image())
    assert helen.shown() == []


def test_a_limit_of_none_at_all_is_one(helen):
    limit(helen, instances=0)
    with refused(LimitExceeded, Noun.INSTANCE):
        helen.launch()


def test_terminated_instances_and_those_of_others_do_not_count(helen, paris):
    limit(helen, instances=1)
    paris.launch(3)
    helen.terminated()
    assert helen.launch()


def test_an_account_is_told_its_limit(helen):
    limit(helen, instances=7)
    (told,) = helen("DescribeAccountAttributes", AttributeNames=["max-instances"])[
        "AccountAttributes"
    ]
    assert told["AttributeValues"] == [{"AttributeValue": "7"}]


def upload(desk, gib):
    content = Content("19ead5de585f43282acab4060bfb7a07", DiskFormat.QCOW2, 4096, gib << 30)
    return desk("UploadImage", content=content)["ImageId"]


def test_images_are_counted_without_those_that_were_deregistered(helen):
    limit(helen, images=2)
    first = helen.image()
    helen.image(registered=False)
    with refused(LimitExceeded, Noun.RESOURCE, "quota of 2 for the number of images"):
        upload(helen, 1)
    helen("DeregisterImage", ImageId=first)
    assert upload(helen, 1)


def test_images_are_limited_by_what_they_unfold_to(helen):
    limit(helen, storage_gib=10)
    upload(helen, 7)
    with refused(LimitExceeded, Noun.VOLUME, "limit of 10 GiB"):
        upload(helen, 4)
    assert upload(helen, 3)


def stopped(desk, ids):
    desk.started(ids)
    desk("StopInstances", InstanceIds=ids)
    desk.halted(ids)


def test_disks_and_images_count_together(helen):
    limit(helen, storage_gib=3)
    helen.launch(2)
    with refused(LimitExceeded, Noun.VOLUME, "limit of 3 GiB"):
        upload(helen, 1)
    with refused(LimitExceeded, Noun.VOLUME):
        helen.launch(ImageId="ami-00000001", BlockDeviceMappings=root(gib=2))


def root(gib):
    return [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": gib}}]


def test_a_disk_of_the_size_that_was_asked_for_counts(helen):
    limit(helen, storage_gib=10)
    image = helen.image()
    with refused(LimitExceeded, Noun.VOLUME, "would be 11"):
        helen.launch(ImageId=image, BlockDeviceMappings=root(gib=10))
    assert helen.launch(ImageId=image, BlockDeviceMappings=root(gib=9))


@pytest.mark.parametrize(
    ("limits", "noun"), [({"vcpus": 2}, Noun.VCPU), ({"memory_mib": 3500}, Noun.INSTANCE)]
)
def test_what_is_stopped_makes_room_and_a_start_needs_it(helen, limits, noun):
    limit(helen, **limits)
    first = helen.launch(2)
    with refused(LimitExceeded, noun):
        helen.launch()
    stopped(helen, first)
    second = helen.launch(1)
    with refused(LimitExceeded, noun):
        helen("StartInstances", InstanceIds=first)
    assert {helen.row(each).state.value for each in first} == {"stopped"}, "all or none"
    assert helen("StartInstances", InstanceIds=first[:1])
    with refused(LimitExceeded, noun):
        helen("StartInstances", InstanceIds=first[1:])
    helen("StartInstances", InstanceIds=[first[0], *second])  # which are on already


def test_the_type_of_a_stopped_instance_may_change_and_its_start_is_refused(helen):
    limit(helen, vcpus=2)
    ids = helen.launch()
    stopped(helen, ids)
    helen("ModifyInstanceAttribute", InstanceId=ids[0], InstanceType={"Value": "m5.xlarge"})
    with refused(LimitExceeded, Noun.VCPU, "(4)"):
        helen("StartInstances", InstanceIds=ids)


def test_a_limit_takes_nothing_away(helen):
    ids = helen.launch(2)
    helen.started(ids)
    limit(helen, instances=1, vcpus=1, storage_gib=0, images=0)
    helen("RebootInstances", InstanceIds=ids)
    assert {helen.row(each).state.value for each in ids} == {"running"}


def test_an_engines_users_have_what_the_engine_counts(helen):
    with helen.store.writing() as tx:
        helen.account = replace(helen.account, engine_ref="5")
        tx.accounts.save(helen.account)
    limit(helen, memory_mib=2 * 1741, storage_gib=1)
    ids = helen.launch(2)  # whose disks are not in the image's store
    stopped(helen, ids)
    with refused(LimitExceeded, Noun.INSTANCE, "memory"):
        helen.launch(ImageId="ami-00000001")
    helen("StartInstances", InstanceIds=ids)  # they count already


USUAL = Limits(instances=10, vcpus=4)


@pytest.mark.parametrize(
    ("own", "engine_ref", "holds"),
    [
        (Limits(), "", USUAL),
        (Limits(instances=20, images=3), "", Limits(instances=20, vcpus=4, images=3)),
        (Limits(instances=UNLIMITED, vcpus=0), "", Limits(vcpus=0)),
        (Limits(instances=20, vcpus=1), "5", Limits(instances=10, vcpus=1)),
    ],
)
def test_what_holds_for_an_account(helen, own, engine_ref, holds):
    account = Account("1", "a", helen.now, engine_ref=engine_ref, limits=own)
    assert limits_of(account, USUAL) == holds


def test_what_is_usual_holds_for_images_too(helen):
    helen.cloud = replace(helen.cloud, limits=Limits(images=1))
    helen.image()
    with refused(LimitExceeded, Noun.RESOURCE):
        helen.image()
    limit(helen, images=UNLIMITED)
    assert helen.image()


@pytest.mark.parametrize(
    ("limits", "asked", "code"),
    [
        ({"instances": 0}, {}, "InstanceLimitExceeded"),
        ({"vcpus": 0}, {}, "VcpuLimitExceeded"),
        ({"memory_mib": 0}, {}, "InstanceLimitExceeded"),
        ({"storage_gib": 1}, {}, "VolumeLimitExceeded"),
    ],
)
def test_amazons_codes(helen, limits, asked, code):
    image = helen.image()
    limit(helen, **limits)
    with pytest.raises(LimitExceeded) as caught:
        helen.launch(ImageId=image)
    assert tell(caught.value)[::2] == (code, 400)


def test_amazons_code_for_images(helen):
    limit(helen, images=0)
    with pytest.raises(LimitExceeded) as caught:
        helen.image()
    assert tell(caught.value)[0] == "ResourceLimitExceeded"


def test_limits_hold_however_many_ask_at_once(helen):
    limit(helen, vcpus=7)
    image = helen.image()
    made, refusals = [], []

    def launch():
        for _ in range(3):
            try:
                told = helen("RunInstances", ImageId=image, MinCount=1, MaxCount=2)
            except LimitExceeded as refusal:
                refusals.append(refusal)
            else:
                made.extend(told["Instances"])

    threads = [threading.Thread(target=launch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 7
    assert len(refusals) == 14


def test_an_account_has_so_many_key_pairs_at_most(helen, paris):
    ring = Keyring(helen.cloud.key_maker, most=2)

    def take(desk, name, deed):
        with desk.store.writing() as tx:
            deed(tx, desk.account.number, name)

    def create(tx, account, name):
        ring.create(tx, account, name=name, key_type="ed25519", tags={}, now=helen.now)

    def import_it(tx, account, name):
        key = helen.cloud.key_maker.make("ed25519").public_key.encode()
        ring.take(tx, account, name=name, material=key, tags={}, now=helen.now)

    take(helen, "a", create)
    take(helen, "b", import_it)
    for deed in (create, import_it):
        with refused(LimitExceeded, Noun.KEY_PAIR, "Maximum of 2 keypairs"):
            take(helen, "c", deed)
    take(paris, "c", create)
    assert Keyring(helen.cloud.key_maker).most == 5000
