"""Limits of accounts, as an engine's users bring them."""

from dataclasses import replace

import pytest
from tests.support.desk import refused

from econe.domain.accounts import Limits
from econe.domain.faults import LimitExceeded, Noun
from econe.domain.images import Content, DiskFormat

# m1.small: 1 vCPU, 1741 MiB; t3.medium: 2 vCPUs, 4096 MiB


def limit(desk, **limits):
    desk.account = replace(desk.account, limits=Limits(**limits))
    with desk.store.writing() as tx:
        tx.accounts.save(desk.account)


@pytest.mark.parametrize(
    ("limits", "size", "fit", "said"),
    [
        ({"instances": 3}, "m1.small", 3, r"more instances (4) than your current limit of 3"),
        ({"vcpus": 5}, "t3.medium", 2, r"more vCPUs (6) than your current limit of 5"),
        ({"memory_mib": 8192}, "t3.medium", 2, r"more MiB of memory (12288)"),
        ({"instances": 9, "vcpus": 2, "memory_mib": 99999}, "m1.small", 2, r"more vCPUs (3)"),
    ],
)
def test_as_many_are_launched_as_fit(helen, limits, size, fit, said):
    limit(helen, **limits)
    asked = {"ImageId": helen.image(), "InstanceType": size}
    made = helen("RunInstances", MinCount=1, MaxCount=fit + 1, **asked)
    assert len(made["Instances"]) == fit
    with refused(LimitExceeded, Noun.INSTANCE, said):
        helen.launch(**asked)


def test_none_are_launched_where_too_few_fit(helen):
    limit(helen, vcpus=3)
    with refused(LimitExceeded, Noun.INSTANCE):
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
    with refused(LimitExceeded, Noun.RESOURCE, "limit of 2 images"):
        upload(helen, 1)
    helen("DeregisterImage", ImageId=first)
    assert upload(helen, 1)


def test_images_are_limited_by_what_they_unfold_to(helen):
    limit(helen, storage_gib=10)
    upload(helen, 7)
    with refused(LimitExceeded, Noun.VOLUME, "limit of 10 GiB"):
        upload(helen, 4)
    assert upload(helen, 3)
