"""A machine's disks: which image, at which target, and what oned writes about them."""

from collections.abc import Iterator
from string import ascii_lowercase
from typing import TYPE_CHECKING

from tests.support.oned.errors import Refused
from tests.support.oned.images import Image, ImageState
from tests.support.oned.machine import Machine
from tests.support.oned.nics import owner_id
from tests.support.oned.rights import Caller
from tests.support.oned.templates import Template, Vector

if TYPE_CHECKING:
    from tests.support.oned.world import World

_OS, _CDROM, _DATABLOCK = 0, 1, 2


def image_of(world: "World", caller: Caller, disk: Vector, code: int) -> Image | None:
    """None for a volatile disk. Raises Refused with `code`."""
    if "IMAGE_ID" in disk:
        number = disk["IMAGE_ID"]
        if not number.isdigit() or int(number) not in world.images:
            raise Refused(code, f"Image with ID: {number} does not exist")
        return world.images[int(number)]
    if "IMAGE" not in disk:
        return None
    name, uid = disk["IMAGE"], owner_id(world, caller, disk, "IMAGE")
    for image in world.images.values():
        if image.name == name and image.uid == uid:
            return image
    raise Refused(
        code,
        f"User {uid} does not own an image with name: {name} . Set IMAGE_UNAME or IMAGE_UID of"
        " owner in DISK.",
    )


def take(
    world: "World", machine: Machine, disk: Vector, image: Image | None, *, attach: bool, code: int
) -> None:
    """Acquire the image and describe the disk. Raises Refused with `code`."""
    if image is None:
        _volatile(world, disk, code)
    else:
        _check_size(disk, image, code)
        world.image_life.acquire(image, machine.id, attach=attach, code=code)
        _describe(world, disk, image)
    if attach:
        disk["TM_MAD_SYSTEM"] = "dummy"


def _volatile(world: "World", disk: Vector, code: int) -> None:
    kind = disk.get("TYPE", "").upper()
    if kind not in ("FS", "SWAP"):
        raise Refused(code, f"Unknown disk type {kind}")
    if not disk.get("SIZE", "").isdigit() or int(disk["SIZE"]) <= 0:
        raise Refused(code, "SIZE attribute must be a positive integer value.")
    system = world.datastores[0]
    disk.setdefault("FORMAT", "raw")
    disk.setdefault("DEV_PREFIX", "sd")
    disk.update(
        ALLOW_ORPHANS="NO",
        CLUSTER_ID="0",
        DATASTORE=system.name,
        DATASTORE_ID="0",
        DISK_TYPE="FILE",
        DRIVER=disk["FORMAT"],
        PERSISTENT_SNAPSHOTS="YES",
        TM_MAD=system.tm_mad,
    )


def _check_size(disk: Vector, image: Image, code: int) -> None:
    size = disk.get("SIZE")
    if size is None or not size.isdigit() or int(size) == image.size_mb:
        return
    what = "persistent" if image.persistent else "CDROM" if image.type == _CDROM else None
    if what is not None:
        text = f"SIZE attribute is not supported for {what} image [{image.id}]."
        raise Refused(code, text)
    if int(size) < image.size_mb:
        text = f"SIZE of {size}MB is less than the image [{image.id}] size of {image.size_mb}MB."
        raise Refused(code, text)


def _describe(world: "World", disk: Vector, image: Image) -> None:
    datastore = world.datastores[image.datastore_id]
    keep = "YES" if image.persistent else "NO"
    disk.setdefault("DEV_PREFIX", image.template.get("DEV_PREFIX", "sd"))
    disk.setdefault("SIZE", str(image.size_mb))
    disk.update(
        ALLOW_ORPHANS=datastore.template.get("ALLOW_ORPHANS", "NO"),
        CLONE="NO" if image.persistent else "YES",
        CLONE_TARGET=datastore.template.get("CLONE_TARGET", "SYSTEM"),
        CLUSTER_ID="0",
        DATASTORE=datastore.name,
        DATASTORE_ID=str(datastore.id),
        DISK_SNAPSHOT_TOTAL_SIZE="0",
        DISK_TYPE="FILE",
        IMAGE=image.name,
        IMAGE_ID=str(image.id),
        IMAGE_STATE=str(int(image.state)),
        LN_TARGET=datastore.template.get("LN_TARGET", "NONE"),
        ORIGINAL_SIZE=str(image.size_mb),
        PERSISTENT_SNAPSHOTS="YES",
        READONLY="YES" if image.type == _CDROM else "NO",
        SAVE=keep,
        SOURCE=image.source,
        TM_MAD=datastore.tm_mad,
        TYPE="CDROM" if image.type == _CDROM else "FILE",
    )
    if image.persistent:
        disk["PERSISTENT"] = "YES"
    if image.format:
        disk["DRIVER"] = disk["FORMAT"] = image.format
    if image.state in (ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS):
        disk["CLONING"] = "YES"


def _targets(prefix: str, used: set[str]) -> Iterator[str]:
    return (f"{prefix}{letter}" for letter in ascii_lowercase if f"{prefix}{letter}" not in used)


def place_all(template: Template, types: list[int], code: int) -> None:
    """Targets at allocation: the first OS disk, then CD-ROMs and the context, then the rest."""
    disks = template.vectors("DISK")
    context = template.vector("CONTEXT")
    used: set[str] = set()
    for disk in disks:
        if "TARGET" in disk:
            _claim(
                disk["TARGET"],
                used,
                f"Two disks have defined the same target {disk['TARGET']}",
                code,
            )
    free = [(disk, kind) for disk, kind in zip(disks, types, strict=True) if "TARGET" not in disk]
    first_os = [disk for disk, kind in free if kind == _OS][:1]
    cdroms = [disk for disk, kind in free if kind == _CDROM]
    if context is not None:
        context["DISK_ID"] = str(len(disks))
        if "TARGET" not in context:
            context.setdefault("DEV_PREFIX", "hd")
            cdroms.append(context)
    others = [disk for disk, _ in free if disk not in first_os and disk not in cdroms]
    for disk in [*first_os, *cdroms, *others]:
        disk["TARGET"] = next(_targets(disk["DEV_PREFIX"], used))
        used.add(disk["TARGET"])
    if context is not None:
        context.pop("DEV_PREFIX", None)


def _claim(target: str, used: set[str], text: str, code: int) -> None:
    if target in used:
        raise Refused(code, text)
    used.add(target)


def place_one(machine: Machine, disk: Vector, code: int) -> None:
    """Number and target of a disk that is attached. The context's number counts too."""
    context = machine.template.vector("CONTEXT")
    others = [*machine.disks(), *([context] if context is not None else [])]
    used = {each["TARGET"] for each in others if "TARGET" in each}
    if "TARGET" in disk:
        _claim(disk["TARGET"], used, f"Target {disk['TARGET']} is already in use.", code)
    else:
        disk["TARGET"] = next(_targets(disk["DEV_PREFIX"], used))
    numbers = [int(each["DISK_ID"]) for each in others if "DISK_ID" in each]
    disk["DISK_ID"] = str(max(numbers, default=-1) + 1)
