"""Attributes of images. Rules: API reference and EC2 User Guide, "Manage AMI usage"."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.desk import Desk

from econe.domain.faults import (
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    Missing,
    NotFound,
    Unavailable,
    Unsupported,
    WrongState,
)
from econe.reconcile.janitor import _due


def read(desk: Desk, image_id: str, attribute: str, member: str):
    return desk("DescribeImageAttribute", ImageId=image_id, Attribute=attribute)[member]


def listed(desk: Desk, **asked) -> list[str]:
    return [image["ImageId"] for image in desk("DescribeImages", **asked)["Images"]]


def permit(desk: Desk, image_id: str, way: str, **grantee: str) -> None:
    desk("ModifyImageAttribute", ImageId=image_id, LaunchPermission={way: [grantee]})


def sweep(desk: Desk) -> None:
    with desk.store.writing() as tx:
        for image in _due(tx, desk.now):
            tx.images.save(image)


def test_every_attribute_can_be_read_but_one_that_nobody_notes(helen: Desk):
    from econe.wire import model

    image_id = helen.image()
    names = model.load().operation("DescribeImageAttribute").input_shape.members
    for attribute in names["Attribute"].enum:
        if attribute == "lastLaunchedTime":
            with pytest.raises(Unsupported):
                helen("DescribeImageAttribute", ImageId=image_id, Attribute=attribute)
            continue
        told = helen("DescribeImageAttribute", ImageId=image_id, Attribute=attribute)
        assert told.pop("ImageId") == image_id
        assert len(told) == 1


def test_a_description_is_changed_in_either_form(helen: Desk):
    image_id = helen.image()
    helen("ModifyImageAttribute", ImageId=image_id, Description={"Value": "first"})
    assert read(helen, image_id, "description", "Description") == {"Value": "first"}
    helen("ModifyImageAttribute", ImageId=image_id, Attribute="description", Value="second")
    assert read(helen, image_id, "description", "Description") == {"Value": "second"}
    with pytest.raises(Invalid):
        helen("ModifyImageAttribute", ImageId=image_id, Description={"Value": "x" * 256})


def test_an_image_is_shared_with_an_account_and_taken_back(helen: Desk, paris: Desk):
    image_id = helen.image()
    assert image_id not in listed(paris)
    permit(helen, image_id, "Add", UserId=paris.account.number)
    assert read(helen, image_id, "launchPermission", "LaunchPermissions") == [
        {"UserId": paris.account.number}
    ]
    assert listed(paris, ExecutableUsers=["self"]) == [image_id]
    paris.launch(ImageId=image_id)
    permit(helen, image_id, "Remove", UserId=paris.account.number)
    assert image_id not in listed(paris)
    with pytest.raises(NotFound):
        paris.launch(ImageId=image_id)


def test_an_image_is_made_public_by_the_older_form_and_reset(helen: Desk, paris: Desk):
    image_id = helen.image()
    helen(
        "ModifyImageAttribute",
        ImageId=image_id,
        Attribute="launchPermission",
        OperationType="add",
        UserGroups=["all"],
    )
    assert image_id in listed(paris, ExecutableUsers=["all"])
    with pytest.raises(Forbidden):
        read(paris, image_id, "description", "Description")
    helen("ResetImageAttribute", ImageId=image_id, Attribute="launchPermission")
    assert read(helen, image_id, "launchPermission", "LaunchPermissions") == []
    with pytest.raises(NotFound):
        read(paris, image_id, "description", "Description")


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({}, Conflict),
        ({"Description": {"Value": "x"}, "LaunchPermission": {"Add": [{}]}}, Conflict),
        ({"Description": {}}, Missing),
        ({"LaunchPermission": {}}, Missing),
        ({"LaunchPermission": {"Add": [{}]}}, Conflict),
        ({"LaunchPermission": {"Add": [{"UserId": "1"}]}}, Invalid),
        ({"LaunchPermission": {"Add": [{"UserId": "999999999999"}]}}, NotFound),
        ({"LaunchPermission": {"Add": [{"Group": "some"}]}}, Invalid),
        ({"Attribute": "launchPermission", "UserGroups": ["all"]}, Missing),
        ({"Attribute": "kernel", "Value": "aki-1"}, Unsupported),
        ({"Attribute": "description"}, Missing),
    ],
)
def test_what_cannot_be_meant_is_refused(helen: Desk, asked, fault):
    image_id = helen.image()
    with pytest.raises(fault):
        helen("ModifyImageAttribute", ImageId=image_id, **asked)


@pytest.mark.parametrize(
    ("asked", "told"), [("10:00:29", "10:00"), ("10:00:30", "10:01"), ("23:59:59", "00:00")]
)
def test_a_deprecation_is_rounded_to_the_nearest_minute(helen: Desk, asked: str, told: str):
    """API reference, EnableImageDeprecation."""
    image_id = helen.image()
    day = helen.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=3)
    hours, minutes, seconds = map(int, asked.split(":"))
    at = day + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    helen("EnableImageDeprecation", ImageId=image_id, DeprecateAt=at)
    (image,) = helen("DescribeImages", ImageIds=[image_id])["Images"]
    assert f"T{told}:00.000Z" in image["DeprecationTime"]


def test_a_deprecated_image_is_hidden_from_others_and_can_be_launched(helen: Desk, paris: Desk):
    image_id = helen.image()
    permit(helen, image_id, "Add", Group="all")
    helen("EnableImageDeprecation", ImageId=image_id, DeprecateAt=helen.now + timedelta(hours=1))
    assert image_id in listed(paris)
    helen.passes(3600)
    sweep(helen)
    assert image_id not in listed(paris)
    assert image_id in listed(paris, IncludeDeprecated=True)
    assert listed(paris, ImageIds=[image_id]) == [image_id]
    by_filter = [{"Name": "image-id", "Values": [image_id]}]
    assert listed(paris, Filters=by_filter) == []
    assert image_id in listed(helen)
    paris.launch(ImageId=image_id)
    helen("DisableImageDeprecation", ImageId=image_id)
    assert image_id in listed(paris)


@pytest.mark.parametrize("days", [-1, 3700])
def test_a_deprecation_lies_in_the_next_ten_years(helen: Desk, days: int):
    image_id = helen.image()
    with pytest.raises(Invalid):
        helen(
            "EnableImageDeprecation", ImageId=image_id, DeprecateAt=helen.now + timedelta(days=days)
        )


def test_a_disabled_image_is_its_owners_alone_and_cannot_be_launched(helen: Desk, paris: Desk):
    image_id = helen.image()
    permit(helen, image_id, "Add", Group="all")
    for _ in range(2):
        helen("DisableImage", ImageId=image_id)
    assert image_id not in listed(helen)
    assert image_id in listed(helen, IncludeDisabled=True)
    assert image_id not in listed(paris, IncludeDisabled=True)
    with pytest.raises(Unavailable):
        helen.launch(ImageId=image_id)
    with pytest.raises(WrongState):
        permit(helen, image_id, "Add", Group="all")
    helen("EnableImage", ImageId=image_id)
    helen.launch(ImageId=image_id)


def test_a_protected_image_is_not_deregistered(helen: Desk):
    image_id = helen.image()
    helen("EnableImageDeregistrationProtection", ImageId=image_id)
    told = read(helen, image_id, "deregistrationProtection", "DeregistrationProtection")
    assert told == {"Value": "enabled-without-cooldown"}
    with pytest.raises(Forbidden):
        helen("DeregisterImage", ImageId=image_id)
    assert helen("DisableImageDeregistrationProtection", ImageId=image_id)["Return"] == "disabled"
    helen("DeregisterImage", ImageId=image_id)


def test_a_protection_with_cooldown_lasts_a_day_longer(helen: Desk):
    image_id = helen.image()
    helen("EnableImageDeregistrationProtection", ImageId=image_id, WithCooldown=True)
    told = helen("DisableImageDeregistrationProtection", ImageId=image_id)["Return"]
    assert told == "disabled-in-cooldown"
    helen.passes(86399)
    with pytest.raises(Forbidden):
        helen("DeregisterImage", ImageId=image_id)
    helen.passes(1)
    sweep(helen)
    assert read(helen, image_id, "deregistrationProtection", "DeregistrationProtection") == {
        "Value": "disabled"
    }
    helen("DeregisterImage", ImageId=image_id)


@pytest.mark.parametrize(
    "action",
    [
        "DisableImage",
        "EnableImage",
        "DisableImageDeprecation",
        "EnableImageDeregistrationProtection",
        "DisableImageDeregistrationProtection",
    ],
)
def test_others_images_are_not_touched(helen: Desk, paris: Desk, action: str):
    image_id = helen.image()
    with pytest.raises(Fault):
        paris(action, ImageId=image_id)
    permit(helen, image_id, "Add", Group="all")
    with pytest.raises(Forbidden):
        paris(action, ImageId=image_id)


# --- ImdsSupport -------------------------------------------------------------------------


def options_of(desk: Desk, **asked: Any) -> tuple[str, int]:
    """(tokens, hop limit) of an instance that is launched so."""
    (id_,) = desk.launch(**asked)
    options = desk.row(id_).metadata_options
    return options.http_tokens, options.hop_limit


def test_instances_of_an_image_with_imds_v2_require_tokens(helen: Desk):
    """API reference, RegisterImage: ImdsSupport; User Guide, "Order of precedence"."""
    location = helen.image(registered=False)
    image_id = helen("RegisterImage", ImageLocation=location, ImdsSupport="v2.0")["ImageId"]
    (shown,) = helen("DescribeImages", ImageIds=[image_id])["Images"]
    assert shown["ImdsSupport"] == "v2.0"
    assert read(helen, image_id, "imdsSupport", "ImdsSupport") == {"Value": "v2.0"}
    assert options_of(helen, ImageId=image_id) == ("required", 2)
    assert options_of(helen, ImageId=image_id, MetadataOptions={"HttpTokens": "optional"}) == (
        "optional",
        2,
    )
    limit = {"HttpPutResponseHopLimit": 5}
    assert options_of(helen, ImageId=image_id, MetadataOptions=limit) == ("required", 5)
    helen("ModifyInstanceMetadataDefaults", HttpTokens="optional", HttpPutResponseHopLimit=3)
    assert options_of(helen.again(), ImageId=image_id) == ("optional", 3)
    helen("ModifyInstanceMetadataDefaults", HttpTokens="no-preference", HttpPutResponseHopLimit=-1)
    assert options_of(helen.again(), ImageId=image_id) == ("required", 2)


@pytest.mark.parametrize(
    "asked",
    [{"ImdsSupport": {"Value": "v2.0"}}, {"Attribute": "imdsSupport", "Value": "v2.0"}],
    ids=["member", "older"],
)
def test_imds_v2_is_set_later_and_for_good(helen: Desk, asked: dict[str, Any]):
    image_id = helen.image()
    assert read(helen, image_id, "imdsSupport", "ImdsSupport") == {}
    assert options_of(helen, ImageId=image_id) == ("optional", 1)
    helen("ModifyImageAttribute", ImageId=image_id, **asked)
    assert options_of(helen, ImageId=image_id) == ("required", 2)
    for value in ("", "v1.0", "optional"):
        with pytest.raises(Invalid, match=r"v2\.0"):
            helen("ModifyImageAttribute", ImageId=image_id, ImdsSupport={"Value": value})
    assert read(helen, image_id, "imdsSupport", "ImdsSupport") == {"Value": "v2.0"}


def test_imds_v2_needs_a_metadata_service(helen: Desk):
    desk = helen.on(replace(helen.cloud.can, metadata=False))
    image_id = desk.image()
    with pytest.raises(Unsupported, match="ImdsSupport"):
        desk("RegisterImage", ImageLocation=image_id, ImdsSupport="v2.0")
    with pytest.raises(Unsupported, match="ImdsSupport"):
        desk("ModifyImageAttribute", ImageId=image_id, ImdsSupport={"Value": "v2.0"})
