"""Images: uploaded, registered, deregistered."""

import re
from dataclasses import replace

import pytest
from tests.support.desk import SHARED, refused

from econe.domain.faults import (
    Duplicate,
    Invalid,
    Malformed,
    NotFound,
    Noun,
    Unavailable,
    Unsupported,
)
from econe.domain.images import Content, DiskFormat, ImageState, Placing

CONTENT = Content("19ead5de585f43282acab4060bfb7a07", DiskFormat.QCOW2, 4096, 3 << 30)


def test_an_upload_is_kept_and_not_registered(helen):
    image = helen.find("images", helen("UploadImage", content=CONTENT)["ImageId"])
    assert (image.registered, image.state) == (False, ImageState.AVAILABLE)
    assert (image.location, image.disk_format) == (CONTENT.name, DiskFormat.QCOW2)
    assert image.size_bytes == 3 << 30
    assert re.fullmatch(r"ec2-[0-9a-f-]{36}", image.name)


def test_an_upload_may_be_named_and_described(helen):
    made = helen("UploadImage", content=CONTENT, Name="gentoo", Description="2011's")
    image = helen.find("images", made["ImageId"])
    assert (image.name, image.description) == ("gentoo", "2011's")


@pytest.mark.parametrize("location", ["ami-00000001", "ami-1", "1", "00000001"])
def test_an_image_is_registered_by_its_id_in_any_form(helen, location):
    helen.image(registered=False)
    assert helen("RegisterImage", ImageLocation=location) == {"ImageId": "ami-00000001"}
    assert helen.find("images", "ami-00000001").registered


def test_registering_again_answers_the_same(helen):
    image = helen.image()
    before = helen.find("images", image)
    assert helen("RegisterImage", ImageLocation=image) == {"ImageId": image}
    assert helen.find("images", image) == before


def test_registering_says_what_it_is(helen):
    image = helen.image(registered=False)
    helen(
        "RegisterImage",
        ImageLocation=image,
        Name="gentoo (11.0)",
        Description="d",
        Architecture="x86_64",
        RootDeviceName="/dev/vda",
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "os", "Value": "gentoo"}]}],
    )
    row = helen.find("images", image)
    assert (row.name, row.description, row.root_device) == ("gentoo (11.0)", "d", "/dev/vda")
    assert row.tags == {"os": "gentoo"}


def test_names_are_unique_in_an_account(helen, paris):
    first, second = helen.image(), helen.image(registered=False)
    helen("RegisterImage", ImageLocation=first, Name="gentoo")
    with refused(Duplicate, Noun.IMAGE, first):
        helen("RegisterImage", ImageLocation=second, Name="gentoo")
    paris("RegisterImage", ImageLocation=paris.image(), Name="gentoo")
    helen("DeregisterImage", ImageId=first)
    helen("RegisterImage", ImageLocation=second, Name="gentoo")


@pytest.mark.parametrize("name", ["ab", "x" * 129, "a*b", "näme", "a\tb"])
def test_names_are_of_ec2s_characters(helen, name):
    with refused(Malformed, Noun.IMAGE_NAME):
        helen("RegisterImage", ImageLocation=helen.image(), Name=name)


def test_a_description_has_255_characters_at_most(helen):
    with refused(Invalid, Noun.PARAMETER):
        helen("RegisterImage", ImageLocation=helen.image(), Description="x" * 256)


def test_other_architectures_are_refused(helen):
    with refused(Unsupported, Noun.IMAGE, "arm64"):
        helen("RegisterImage", ImageLocation=helen.image(), Architecture="arm64")
    with refused(Unsupported, Noun.IMAGE, "arm64"):
        helen("UploadImage", content=CONTENT, Architecture="arm64")


def test_another_root_device_than_the_known_is_refused(helen):
    with refused(Unsupported, Noun.PARAMETER, "/dev/fd0"):
        helen("RegisterImage", ImageLocation=helen.image(), RootDeviceName="/dev/fd0")


@pytest.mark.parametrize("location", ["bucket/manifest.xml", "ami-x", "", "i-1", "1.5", "-1"])
def test_a_location_that_is_no_id_is_malformed(helen, location):
    with refused(Malformed, Noun.IMAGE) if location else refused(Exception, Noun.PARAMETER) as told:
        helen("RegisterImage", ImageLocation=location)
    assert location in {"", told.value.subject}  # what was asked for, not what we made of it


@pytest.mark.parametrize(
    "action", [("RegisterImage", "ImageLocation"), ("DeregisterImage", "ImageId")]
)
def test_anothers_image_does_not_exist(helen, paris, action):
    name, member = action
    with refused(NotFound, Noun.IMAGE):
        helen(name, **{member: paris.image()})


def test_a_deregistered_image_leaves_instances_alone(helen):
    (id_,) = helen.running()
    image = helen.row(id_).image_id
    before = helen.row(id_)
    helen("DeregisterImage", ImageId=image)
    assert helen.row(id_) == before
    row = helen.find("images", image)
    assert (row.state, row.registered) == (ImageState.DEREGISTERED, False)


@pytest.mark.parametrize(
    "action", [("RegisterImage", "ImageLocation"), ("DeregisterImage", "ImageId")]
)
def test_a_deregistered_image_is_no_longer_available(helen, action):
    image = helen.image()
    helen("DeregisterImage", ImageId=image)
    name, member = action
    with refused(Unavailable, Noun.IMAGE):
        helen(name, **{member: image})


# --- where the engine keeps images


def test_an_upload_is_pending_until_the_engine_has_it(helen):
    shared = helen.on(SHARED)
    made = shared("UploadImage", content=CONTENT)["ImageId"]
    assert shared("RegisterImage", ImageLocation=made) == {"ImageId": made}
    row = helen.find("images", made)
    assert (row.state, row.registered) == (ImageState.PENDING, True)


def test_an_upload_may_say_where_it_is_kept(helen):
    asked = {"Datastore": "images 2", "DiskType": "DATABLOCK", "DiskFormat": "qcow2"}
    made = helen.on(SHARED)("UploadImage", content=CONTENT, Driver="raw", **asked)
    placing = helen.find("images", made["ImageId"]).placing
    assert placing == Placing("images 2", "DATABLOCK", "qcow2", "raw")


@pytest.mark.parametrize("member", ["Datastore", "DiskType", "DiskFormat", "Driver"])
def test_where_econe_keeps_images_the_place_cannot_be_chosen(helen, member):
    with refused(Unsupported, Noun.PARAMETER, "cannot be chosen"):
        helen("UploadImage", content=CONTENT, **{member: "x"})


@pytest.mark.parametrize("value", ['a"b', "a\nb", "x" * 129, "$(id)", "[1]"])
def test_a_place_is_a_plain_name(helen, value):
    with refused(Invalid, Noun.PARAMETER):
        helen.on(SHARED)("UploadImage", content=CONTENT, Datastore=value)


def test_a_pending_image_holds_its_name(helen):
    shared = helen.on(SHARED)
    shared("UploadImage", content=CONTENT, Name="gentoo")
    with refused(Duplicate, Noun.IMAGE):
        shared("UploadImage", content=CONTENT, Name="gentoo")


def test_a_failed_image_cannot_be_registered_and_can_be_deregistered(helen):
    made = helen.image(registered=False)
    with helen.store.writing() as tx:
        tx.images.save(replace(tx.images.get(made), state=ImageState.FAILED))
    with refused(Unavailable, Noun.IMAGE, "has failed"):
        helen("RegisterImage", ImageLocation=made)
    helen("DeregisterImage", ImageId=made)
    assert helen.find("images", made).state is ImageState.DEREGISTERED


def test_an_image_that_others_made_is_called_what_they_call_it(helen):
    made = helen.image()
    with helen.store.writing() as tx:
        tx.images.save(replace(tx.images.get(made), adopted=True, description="theirs"))
    for change in ({"Name": "other"}, {"Description": "other"}):
        with refused(Unsupported, Noun.IMAGE, "not uploaded here"):
            helen("RegisterImage", ImageLocation=made, **change)
    with refused(Unsupported, Noun.IMAGE, "not uploaded here"):
        helen("ModifyImageAttribute", ImageId=made, Description={"Value": "other"})
    helen("RegisterImage", ImageLocation=made, Description="theirs")
    assert helen.find("images", made).description == "theirs"
