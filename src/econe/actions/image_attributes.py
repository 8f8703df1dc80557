"""Attributes of images: description, who may run them, how long they are offered."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from econe.actions import views
from econe.actions.context import Context
from econe.actions.registry import action
from econe.domain.attributes import check_one_attribute
from econe.domain.faults import Conflict, Invalid, Missing, Noun
from econe.domain.image_book import EVERYBODY
from econe.domain.images import Image

View = dict[str, Any]


def _permissions(row: Image) -> list[View]:
    """Groups of the engine's own have no name in EC2's words."""
    users = [{"UserId": share} for share in row.shares if share.isdigit()]
    return [*([{"Group": EVERYBODY}] if row.public else []), *users]


READERS: Final[Mapping[str, tuple[str, Callable[[Image], Any]]]] = {
    "blockDeviceMapping": ("BlockDeviceMappings", views.image_mappings),
    "bootMode": ("BootMode", lambda row: {"Value": row.boot_mode} if row.boot_mode else {}),
    "deregistrationProtection": (
        "DeregistrationProtection",
        lambda row: {"Value": views.protection(row)},
    ),
    "description": ("Description", lambda row: {"Value": row.description}),
    "imdsSupport": ("ImdsSupport", lambda row: {"Value": views.IMDS_V2} if row.imds_v2 else {}),
    "kernel": ("KernelId", lambda _: {}),
    "launchPermission": ("LaunchPermissions", _permissions),
    "productCodes": ("ProductCodes", lambda _: []),
    "ramdisk": ("RamdiskId", lambda _: {}),
    "sriovNetSupport": ("SriovNetSupport", lambda _: {}),
    "tpmSupport": ("TpmSupport", lambda _: {}),
    "uefiData": ("UefiData", lambda row: {"Value": row.uefi_data} if row.uefi_data else {}),
}
"""Attribute -> the member that tells it. When an image was launched last, nobody notes."""


@action("DescribeImageAttribute", takes="ImageId", only={"Attribute": sorted(READERS)})
def describe_image_attribute(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    row = ctx.cloud.image_attributes.read(ctx.tx, ctx.account.number, asked["ImageId"])
    member, read = READERS[asked["Attribute"]]
    return {"ImageId": row.id, member: read(row)}


MEMBERS: Final[tuple[str, ...]] = ("Description", "ImdsSupport", "LaunchPermission")
OF_OLDER_FORM: Final = {"description": "Description", "imdsSupport": "ImdsSupport"}
"""Attributes whose older form is a Value, and their members."""


@action(
    "ModifyImageAttribute",
    writes=True,
    takes="ImageId Value OperationType UserIds UserGroups Description.Value "
    "ImdsSupport.Value "
    "LaunchPermission.Add.UserId LaunchPermission.Add.Group "
    "LaunchPermission.Remove.UserId LaunchPermission.Remove.Group",
    only={"Attribute": (*OF_OLDER_FORM, "launchPermission")},
)
def modify_image_attribute(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """One attribute: as a member of its own, or by the older Attribute and its values."""
    given: dict[str, Any] = {name: asked[name] for name in MEMBERS if name in asked}
    if "Attribute" in asked:
        given = _older_form(asked) | given
    name = check_one_attribute(given)
    if name == "LaunchPermission":
        _permit(ctx, asked["ImageId"], given[name])
        return {}
    text = given[name].get("Value")
    if text is None:
        raise Missing(Noun.PARAMETER, f"{name}.Value")
    book, account = ctx.cloud.image_attributes, ctx.account.number
    if name == "Description":
        book.describe_as(ctx.tx, account, asked["ImageId"], text)
    elif text == views.IMDS_V2:
        book.require_imds_v2(ctx.tx, account, asked["ImageId"])
    else:
        raise Invalid(
            Noun.PARAMETER, text, f"Invalid value '{text}' for imdsSupport: it can only be v2.0."
        )
    return {}


def _older_form(asked: Mapping[str, Any]) -> dict[str, Any]:
    attribute = asked["Attribute"]
    if member := OF_OLDER_FORM.get(attribute):
        if member in asked:
            return {}
        if "Value" not in asked:
            raise Missing(Noun.PARAMETER, "Value")
        return {member: {"Value": asked["Value"]}}
    if "LaunchPermission" in asked:
        return {}
    if "OperationType" not in asked:
        raise Missing(Noun.PARAMETER, "OperationType")
    entries = [{"UserId": user} for user in asked.get("UserIds", ())]
    entries += [{"Group": group} for group in asked.get("UserGroups", ())]
    return {"LaunchPermission": {asked["OperationType"].capitalize(): entries}}


def _permit(ctx: Context, image_id: str, given: Mapping[str, Any]) -> None:
    if not given.get("Add") and not given.get("Remove"):
        raise Missing(Noun.PARAMETER, said="No launch permission to add or remove was given.")
    book, account = ctx.cloud.image_attributes, ctx.account.number
    for way, change in (("Add", book.share), ("Remove", book.unshare)):
        if entries := given.get(way):
            users, public = _grantees(entries)
            change(ctx.tx, account, image_id, users, public=public)


def _grantees(entries: list[Mapping[str, Any]]) -> tuple[list[str], bool]:
    users: list[str] = []
    public = False
    for entry in entries:
        if len(entry) != 1:
            raise Conflict(Noun.PARAMETER, said="A launch permission names a user or a group.")
        if "UserId" in entry:
            users.append(entry["UserId"])
        elif entry["Group"] == EVERYBODY:
            public = True
        else:
            raise Invalid(Noun.PARAMETER, entry["Group"], f"Invalid group: {entry['Group']}")
    return users, public


@action("ResetImageAttribute", writes=True, takes="ImageId Attribute")
def reset_image_attribute(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """launchPermission is all that the model names."""
    ctx.cloud.image_attributes.share_with_nobody(ctx.tx, ctx.account.number, asked["ImageId"])
    return {}


@action("EnableImageDeprecation", writes=True, takes="ImageId DeprecateAt")
def enable_image_deprecation(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    ctx.cloud.image_attributes.deprecate(
        ctx.tx, ctx.account.number, asked["ImageId"], asked["DeprecateAt"], ctx.now
    )
    return {"Return": True}


@action("DisableImageDeprecation", writes=True, takes="ImageId")
def disable_image_deprecation(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    ctx.cloud.image_attributes.deprecate(
        ctx.tx, ctx.account.number, asked["ImageId"], None, ctx.now
    )
    return {"Return": True}


@action("EnableImage", writes=True, takes="ImageId")
def enable_image(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    ctx.cloud.image_attributes.set_enabled(ctx.tx, ctx.account.number, asked["ImageId"], on=True)
    return {"Return": True}


@action("DisableImage", writes=True, takes="ImageId")
def disable_image(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    ctx.cloud.image_attributes.set_enabled(ctx.tx, ctx.account.number, asked["ImageId"], on=False)
    return {"Return": True}


@action("EnableImageDeregistrationProtection", writes=True, takes="ImageId WithCooldown")
def enable_image_deregistration_protection(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    protection = ctx.cloud.image_attributes.protect(
        ctx.tx,
        ctx.account.number,
        asked["ImageId"],
        cooldown=bool(asked.get("WithCooldown")),
    )
    return {"Return": protection.value}


@action("DisableImageDeregistrationProtection", writes=True, takes="ImageId")
def disable_image_deregistration_protection(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    until = ctx.cloud.image_attributes.unprotect(
        ctx.tx, ctx.account.number, asked["ImageId"], ctx.now
    )
    return {"Return": "disabled" if until is None else "disabled-in-cooldown"}
