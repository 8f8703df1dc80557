from dataclasses import replace

import pytest
from tests.support.desk import refused

from econe.domain.faults import Malformed, Missing, NotFound, Noun
from econe.domain.images import ImageState
from econe.domain.reasons import Reason


def only(name, *values):
    return {"Filters": [{"Name": name, "Values": list(values)}]}


def shown(desk, **asked):
    return [image["ImageId"] for image in desk("DescribeImages", **asked)["Images"]]


def publish(desk, image):
    with desk.store.writing() as tx:
        tx.images.save(replace(tx.images.get(image), public=True))
    return image


def test_the_guides_table_can_be_printed(helen):
    helen.image()
    (view,) = helen("DescribeImages")["Images"]
    assert view["ImageOwnerAlias"] == "helen"
    assert view["ImageId"] == "ami-00000001"
    assert view["State"] == "available"
    assert view["Public"] is False
    assert view["ImageLocation"] == "19ead5de585f43282acab4060bfb7a07"
    assert view["CreationDate"] == "2026-11-23T16:00:00.000Z"
    assert view["BlockDeviceMappings"][0]["DeviceName"] == view["RootDeviceName"]


def test_only_registered_images_are_listed(helen):
    first, second = helen.image(), helen.image(registered=False)
    assert shown(helen) == [first]
    assert shown(helen, **only("registered", "false")) == [second]
    assert shown(helen, **only("registered", "true", "false")) == [first, second]
    with refused(NotFound, Noun.IMAGE, second):
        helen("DescribeImages", ImageIds=[first, second])
    assert shown(helen, ImageIds=[second], **only("registered", "false")) == [second]


def test_a_deregistered_image_is_not_listed_at_all(helen, paris):
    image = helen.image()
    helen("DeregisterImage", ImageId=image)
    assert shown(helen) == shown(helen, **only("registered", "false")) == []
    assert shown(helen, ImageIds=[image]) == []
    kept = helen.image()
    assert shown(helen, ImageIds=[image, kept]) == [kept]
    with refused(NotFound, Noun.IMAGE):
        paris("DescribeImages", ImageIds=[image])


def test_public_images_of_others_are_listed_with_their_owners_name(helen, paris):
    mine, theirs = helen.image(), publish(paris, paris.image())
    paris.image()
    assert shown(helen) == [mine, theirs]
    views = helen("DescribeImages")["Images"]
    assert [view["ImageOwnerAlias"] for view in views] == ["helen", "paris"]
    with refused(NotFound, Noun.IMAGE):
        helen("DescribeImages", ImageIds=["ami-00000003"])


@pytest.mark.parametrize(
    ("owners", "wanted"),
    [
        (["self"], "m"),
        (["111122223333"], "m"),
        (["helen"], "m"),
        (["444455556666"], "t"),
        (["paris"], "t"),
        (["self", "paris"], "mt"),
        (["amazon"], ""),
        (["amazon", "self"], "m"),
        (["nobody"], ""),
        (["000000000000"], ""),
        ([], "mt"),
    ],
)
def test_owners_are_self_numbers_or_names(helen, paris, owners, wanted):
    images = {"m": helen.image(), "t": publish(paris, paris.image())}
    assert shown(helen, Owners=owners) == [images[letter] for letter in wanted]


def test_a_number_that_is_no_account_is_malformed(helen):
    with refused(Malformed, Noun.ACCOUNT):
        helen("DescribeImages", Owners=["1234"])


def test_executable_users(helen, paris):
    mine, theirs = helen.image(), publish(paris, paris.image())
    assert shown(helen, ExecutableUsers=["all"]) == [theirs]
    assert shown(helen, ExecutableUsers=["self"]) == []
    assert mine not in shown(helen, ExecutableUsers=["all", "self"])


def share(desk, image, *shares):
    with desk.store.writing() as tx:
        tx.images.save(replace(tx.images.get(image), shares=shares))
    return image


def test_shared_images_are_listed_for_the_account_and_its_groups(helen, paris):
    mine, public = helen.image(), publish(paris, paris.image())
    to_me = share(paris, paris.image(), helen.account.number)
    to_us = share(paris, paris.image(), "group:5", "group:7")
    paris.image()
    helen.account = replace(helen.account, groups=("5",))
    assert shown(helen) == [mine, public, to_me, to_us]
    for me in ("self", helen.account.number):
        assert shown(helen, ExecutableUsers=[me]) == [to_me, to_us]
    assert shown(helen, ExecutableUsers=["self", "all"]) == [public, to_me, to_us]
    assert shown(paris, ExecutableUsers=[helen.account.number]) == [to_me]
    with refused(NotFound, Noun.IMAGE):
        replace(helen, account=replace(helen.account, groups=()))(
            "DescribeImages", ImageIds=[to_us]
        )


def test_an_images_tags_are_its_owners_alone(helen, paris):
    """User Guide, "Tag your Amazon EC2 resources": tags of what is shared are not shared."""
    theirs, mine = publish(paris, paris.image()), helen.image()
    for desk, image in ((paris, theirs), (helen, mine)):
        desk("CreateTags", Resources=[image], Tags=[{"Key": "Name", "Value": "web"}])
    tags = {view["ImageId"]: view["Tags"] for view in helen("DescribeImages")["Images"]}
    assert tags == {theirs: [], mine: [{"Key": "Name", "Value": "web"}]}
    for name, value in (("tag:Name", "web"), ("tag-key", "Name"), ("tag-value", "web")):
        assert shown(helen, Filters=[{"Name": name, "Values": [value]}]) == [mine]
    assert shown(paris, Filters=[{"Name": "tag:Name", "Values": ["*"]}]) == [theirs]
    with refused(NotFound, Noun.IMAGE):
        helen("CreateTags", Resources=[theirs], Tags=[{"Key": "Name", "Value": "mine"}])


def test_images_on_their_way_and_failed_ones_are_listed_with_the_reason(helen):
    pending, failed = helen.image(), helen.image()
    why = Reason("Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded: No room.")
    with helen.store.writing() as tx:
        tx.images.save(replace(tx.images.get(pending), state=ImageState.PENDING))
        changed = replace(tx.images.get(failed), state=ImageState.FAILED, state_reason=why)
        tx.images.save(changed)
    first, second = helen("DescribeImages")["Images"]
    assert first["State"] == "pending"
    assert "StateReason" not in first
    assert second["State"] == "failed"
    assert second["StateReason"] == {"Code": why.code, "Message": why.message}
    assert shown(helen, **only("state", "failed")) == [failed]
    assert shown(helen, **only("state-reason-code", "Client.*")) == [failed]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("architecture", "x86_64", True),
        ("block-device-mapping.device-name", "/dev/sda1", True),
        ("block-device-mapping.volume-size", "3", True),
        ("block-device-mapping.snapshot-id", "*", False),
        ("boot-mode", "uefi-preferred", True),
        ("boot-mode", "legacy-bios", False),
        ("creation-date", "2026-11-23T*", True),
        ("creation-date", "2026-11-24*", False),
        ("description", "*", True),
        ("hypervisor", "xen", True),
        ("image-id", "ami-*1", True),
        ("image-type", "machine", True),
        ("is-public", "false", True),
        ("is-public", "true", False),
        ("manifest-location", "19ead*", True),
        ("name", "gen?oo", True),
        ("owner-alias", "helen", True),
        ("owner-id", "111122223333", True),
        ("platform", "windows", False),
        ("root-device-name", "/dev/sda1", True),
        ("root-device-type", "ebs", True),
        ("state", "available", True),
        ("state", "pending", False),
        ("tag:os", "gen*", True),
        ("tag:os", "debian", False),
        ("tag-key", "os", True),
        ("virtualization-type", "hvm", True),
    ],
)
def test_image_filters(helen, name, value, found):
    image = helen.image(gib=3)
    tags = [{"ResourceType": "image", "Tags": [{"Key": "os", "Value": "gentoo"}]}]
    helen(
        "RegisterImage",
        ImageLocation=image,
        Name="gentoo",
        BootMode="uefi-preferred",
        TagSpecifications=tags,
    )
    assert bool(shown(helen, **only(name, value))) is found


def test_images_come_in_pages(helen):
    made = [helen.image() for _ in range(5)]
    first = helen("DescribeImages", MaxResults=3)
    assert [view["ImageId"] for view in first["Images"]] == made[:3]
    assert shown(helen, MaxResults=3, NextToken=first["NextToken"]) == made[3:]
    assert shown(helen, MaxResults=3, ImageIds=made) == made[:3]


def test_an_upload_without_a_file_is_refused(helen):
    with refused(Missing, Noun.PARAMETER, "disk image"):
        helen("UploadImage")
