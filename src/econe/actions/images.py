"""Images: upload, register, describe, deregister."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from econe.actions import views
from econe.actions.context import Context
from econe.actions.filters import NO, NOTHING, Table, read_filters
from econe.actions.listing import answer, check_ids, gather, read_ids
from econe.actions.only import So
from econe.actions.pages import read_page
from econe.actions.registry import action
from econe.actions.tagspecs import read_specifications
from econe.actions.uefi_seeds import read_seeds
from econe.domain.faults import Broken, Malformed, Missing, Noun
from econe.domain.gallery import ROOT_DEVICES, Registration
from econe.domain.images import BootMode, Image, ImageState, Placing
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query, literally

AMAZONS: Final = frozenset({"amazon", "aws-marketplace", "aws-backup-vault"})
"""Owner aliases of which there is nothing here."""

IMAGE_FILTERS: Final = Table(
    pushed={
        "architecture": "architecture",
        "boot-mode": "boot_mode",
        "block-device-mapping.device-name": "root_device",
        "creation-date": "created_at",
        "description": "description",
        "image-id": "id",
        "is-public": "public",
        "manifest-location": "location",
        "name": "name",
        "owner-id": "account",
        # Our own: uploads that are not registered are listed only when they are asked for.
        "registered": "registered",
        "root-device-name": "root_device",
        "state": "state",
        "state-reason-code": "state_reason.code",
        "state-reason-message": "state_reason.message",
    },
    shown={
        "block-device-mapping.delete-on-termination": "=true",
        "block-device-mapping.encrypted": NO,
        "block-device-mapping.snapshot-id": NOTHING,
        "block-device-mapping.volume-size": "BlockDeviceMappings.Ebs.VolumeSize",
        "block-device-mapping.volume-type": "=gp3",
        "ena-support": NO,
        "free-tier-eligible": NO,
        "hypervisor": f"={views.HYPERVISOR}",
        "image-allowed": NOTHING,
        "image-type": "=machine",
        "image-watermark.source-image-creation-time": NOTHING,
        "image-watermark.source-image-id": NOTHING,
        "image-watermark.source-image-region": NOTHING,
        "image-watermark.watermark-creation-time": NOTHING,
        "image-watermark.watermark-key": NOTHING,
        "instance-type-specification.supported-instance-type": NOTHING,
        "instance-type-specification.unsupported-instance-type": NOTHING,
        "kernel-id": NOTHING,
        "owner-alias": "ImageOwnerAlias",
        "platform": NOTHING,
        "product-code": NOTHING,
        "product-code.type": NOTHING,
        "public-ssm-parameter-name": NOTHING,
        "ramdisk-id": NOTHING,
        "root-device-type": "=ebs",
        "scan-result.critical-fix-available-since": NOTHING,
        "scan-result.finding-scan-date": NOTHING,
        "scan-result.high-fix-available-since": NOTHING,
        "scan-result.highest-finding-severity-label": NOTHING,
        "scan-result.informational-fix-available-since": NOTHING,
        "scan-result.low-fix-available-since": NOTHING,
        "scan-result.medium-fix-available-since": NOTHING,
        "source-image-id": NOTHING,
        "source-image-region": NOTHING,
        "source-instance-id": NOTHING,
        "sriov-net-support": NOTHING,
        "virtualization-type": "=hvm",
    },
)

REGISTERED_AS: Final[So] = {
    "EnaSupport": (False,),
    "RootDeviceName": sorted(ROOT_DEVICES),
    "VirtualizationType": ("hvm",),
}
"""What every image here is like."""

LISTED: Final = tuple(state.value for state in ImageState if state is not ImageState.DEREGISTERED)
ENABLED: Final = tuple(state for state in LISTED if state != ImageState.DISABLED.value)
CURRENT: Final = Criterion("deprecated", ("false",))


@action(
    "UploadImage",
    writes=True,
    takes="Name Description Architecture Datastore DiskType DiskFormat Driver",
)
def upload_image(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """The pipeline has received and proven the body before; here it gets its row."""
    if ctx.content is None:
        raise Missing(Noun.PARAMETER, "file", "The request must contain the disk image.")
    image = ctx.cloud.images.keep(
        ctx.tx,
        ctx.account.number,
        ctx.content,
        ctx.now,
        name=asked.get("Name"),
        description=asked.get("Description", ""),
        architecture=asked.get("Architecture"),
        placing=Placing(
            datastore=asked.get("Datastore", ""),
            type=asked.get("DiskType", ""),
            format=asked.get("DiskFormat", ""),
            driver=asked.get("Driver", ""),
        ),
    )
    return {"ImageId": image.id}


@action(
    "RegisterImage",
    writes=True,
    takes="ImageLocation Name Description Architecture BootMode ImdsSupport UefiData "
    "TagSpecifications",
    only=REGISTERED_AS,
)
def register_image(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    if not asked.get("ImageLocation"):
        raise Missing(Noun.PARAMETER, "ImageLocation")
    tags = read_specifications(asked, ["image"])
    image = ctx.cloud.images.register(
        ctx.tx,
        ctx.account.number,
        Registration(
            location=asked["ImageLocation"],
            name=asked.get("Name"),
            description=asked.get("Description"),
            architecture=asked.get("Architecture"),
            root_device=asked.get("RootDeviceName"),
            boot_mode=BootMode(asked["BootMode"]) if "BootMode" in asked else None,
            imds_v2="ImdsSupport" in asked,
            uefi_data=read_seeds(asked["UefiData"]) if "UefiData" in asked else None,
            tags=tags.get("image"),
        ),
    )
    return {"ImageId": image.id}


@action(
    "DeregisterImage",
    writes=True,
    takes="ImageId",
    only={"DeleteAssociatedSnapshots": (False,)},
)
def deregister_image(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    ctx.cloud.images.deregister(ctx.tx, ctx.account.number, asked["ImageId"], ctx.now)
    return {"Return": True}


@action(
    "DescribeImages",
    takes="ImageIds Owners ExecutableUsers Filters MaxResults NextToken IncludeDeprecated "
    "IncludeDisabled",
)
def describe_images(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Registered images of the account, public ones, and those shared with it. One that is
    deprecated its owner sees all the same, and others by its id, as they may still launch it (User
    Guide, "Deprecate an AMI"); one that is disabled only its owner, if asked."""
    sieve = read_filters(asked, IMAGE_FILTERS)
    page = read_page(ctx, asked, "DescribeImages", least=1)
    states = LISTED if asked.get("IncludeDisabled") else ENABLED
    listed = [Criterion("state", states)]
    if not any(each.field == "registered" for each in sieve.criteria):
        listed.append(Criterion("registered", ("true",)))
    ids = read_ids(Noun.IMAGE, asked.get("ImageIds"))
    query = Query(
        viewer=ctx.account.number,
        viewer_groups=ctx.account.viewer_groups,
        of_others=() if asked.get("IncludeDeprecated") or ids else (CURRENT,),
        ids=ids,
        criteria=tuple(listed),
    )
    if query.ids is not None:
        check_ids(ctx.tx.images, _without_deregistered(ctx, query), Noun.IMAGE)
    wanted = (
        *listed,
        *sieve.criteria,
        *_whose_tags(ctx, sieve.criteria),
        *_owned(ctx, asked.get("Owners")),
        *_executable(ctx, asked.get("ExecutableUsers")),
    )
    name_of = _names(ctx.tx)

    def show(row: Image) -> dict[str, Any]:
        seen = row if row.account == ctx.account.number else replace(row, tags={})
        return views.image(seen, name_of(row.account))

    query = replace(query, criteria=wanted)
    kept, token = gather(ctx, ctx.tx.images, query, sieve=sieve, page=page, show=show)
    return answer("Images", kept, token)


def _without_deregistered(ctx: Context, query: Query) -> Query:
    """One's own image that was deregistered is not found, and that is no error (API reference,
    DescribeImages: "and then return empty results"). Ansible's ec2_ami relies on it."""
    deregistered = Query(
        account=ctx.account.number,
        ids=query.ids,
        criteria=(Criterion("state", (ImageState.DEREGISTERED,)),),
    )
    gone = {key.id for key in ctx.tx.images.keys(deregistered).items}
    return replace(query, ids=tuple(each for each in query.ids or () if each not in gone))


def _whose_tags(ctx: Context, criteria: Sequence[Criterion]) -> list[Criterion]:
    """An image's tags are its owner's: others neither see them nor find it by them (User Guide,
    "Tag your Amazon EC2 resources")."""
    asks = any(each.field.startswith(("tag:", "tag-")) for each in criteria)
    return [Criterion("account", (ctx.account.number,))] if asks else []


def _owned(ctx: Context, owners: Sequence[str] | None) -> list[Criterion]:
    """Of any of these: `self`, account numbers, account names, Amazon's aliases."""
    if not owners:
        return []
    numbers = []
    for owner in owners:
        if owner == "self":
            numbers.append(ctx.account.number)
        elif owner.isascii() and owner.isdigit():
            if len(owner) != 12:
                raise Malformed(Noun.ACCOUNT, owner, f'Invalid user id: "{owner}"')
            numbers.append(owner)
        elif owner not in AMAZONS:
            account = ctx.tx.accounts.named(owner)
            numbers += [account.number] if account else []
    return [Criterion("account", tuple(numbers))]


def _executable(ctx: Context, users: Sequence[str] | None) -> list[Criterion]:
    """Images that any of these was given leave to run: `all`, account numbers, `self` (API
    reference, DescribeImages). Owners need no leave."""
    if not users:
        return []
    grantees: list[str] = []
    for user in users:
        if user in ("self", ctx.account.number):
            grantees += [ctx.account.number, *ctx.account.viewer_groups]
        else:
            grantees.append(user)
    return [Criterion("executable_by", tuple(literally(each) for each in grantees))]


def _names(tx: Transaction) -> Callable[[str], str]:
    @cache
    def name_of(number: str) -> str:
        account = tx.accounts.get(number)
        if account is None:
            raise Broken(Noun.ACCOUNT, hidden=f"an image of account {number}, without a row")
        return account.name

    return name_of
