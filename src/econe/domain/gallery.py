"""What can be done with images: keep an upload, register, deregister."""

import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Final

from econe.domain.accounts import Limits
from econe.domain.booting import check_architecture, check_mode
from econe.domain.engine_ports import Capabilities
from econe.domain.faults import (
    Duplicate,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    Noun,
    Unavailable,
    Unsupported,
)
from econe.domain.ids import read_id
from econe.domain.images import BootMode, Content, Image, ImageState, Placing, Protection
from econe.domain.limits import check_room_for_image
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query, literally
from econe.domain.tagging import drop_all_tags, put_tags

DEFAULT_ARCHITECTURE: Final = "x86_64"
"""Of uploads that do not say. (At Amazon it is i386, for what is registered of a snapshot.)"""
NAME_LENGTHS = range(3, 129)
LONGEST_DESCRIPTION = 255
LONGEST_PLACE = 128
ROOT_DEVICES = frozenset({"/dev/sda1", "/dev/sda", "/dev/xvda", "/dev/vda"})
"""Names of the root disk that images are registered with; all mean the first disk."""
_PLACE_CHARACTERS = frozenset(string.ascii_letters + string.digits + " ._-+:@")
_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "()[] ./-'@_")


HOLDING_NAMES = frozenset({ImageState.PENDING, ImageState.AVAILABLE})
"""States in which no other image of the account may have an image's name."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What RegisterImage may say of an uploaded image; None and {} leave it as it is."""

    location: str
    """The id that the upload was answered with, `ami-00000001` or `1`."""
    name: str | None = None
    description: str | None = None
    architecture: str | None = None
    root_device: str | None = None
    boot_mode: BootMode | None = None
    imds_v2: bool = False
    uefi_data: str | None = None
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Gallery:
    """Use cases of images. Raise Fault; `account` is a number."""

    can: Capabilities
    limits: Limits = Limits()
    """What is usual for an account."""

    def keep(
        self,
        tx: Transaction,
        account: str,
        content: Content,
        now: datetime,
        *,
        name: str | None = None,
        description: str = "",
        architecture: str | None = None,
        placing: Placing = Placing(),
    ) -> Image:
        """The row of an upload that was proven. It can be run once it is registered and, where the
        engine keeps images, has taken the content over."""
        self._check_placing(placing)
        check_architecture(architecture, self.can)
        check_description(description)
        if name is not None:
            check_name(name)
            _check_free(tx, account, name)
        check_room_for_image(tx, account, content, self.limits)
        (image_id,) = tx.next_ids("ami")
        image = Image(
            id=image_id,
            account=account,
            name=name or f"ec2-{uuid.uuid4()}",
            location=content.name,
            disk_format=content.format,
            size_bytes=content.virtual_bytes,
            created_at=now,
            state=ImageState.PENDING if self.can.keeps_images else ImageState.AVAILABLE,
            description=description,
            architecture=architecture or DEFAULT_ARCHITECTURE,
            placing=placing,
        )
        tx.images.add(image)
        return image

    def register(self, tx: Transaction, account: str, asked: Registration) -> Image:
        """The image can be run and is listed from now on. Again is not an error."""
        check_architecture(asked.architecture, self.can)
        image = _own(tx, account, _image_id(asked.location), asked.location)
        if image.state is ImageState.FAILED:
            raise Unavailable(
                Noun.IMAGE, image.id, f"The image id '[{asked.location}]' has failed."
            )
        changes: dict[str, object] = {"registered": True}
        if asked.name is not None and asked.name != image.name:
            check_is_ours(image)
            check_name(asked.name)
            _check_free(tx, account, asked.name)
            changes["name"] = asked.name
        if asked.description not in (None, image.description):
            check_is_ours(image)
            check_description(asked.description or "")
            changes["description"] = asked.description
        if asked.root_device is not None:
            check_device(asked.root_device)
            changes["root_device"] = asked.root_device
        if asked.architecture is not None:
            changes["architecture"] = asked.architecture
        if asked.boot_mode is not None:
            changes["boot_mode"] = asked.boot_mode
        if asked.imds_v2:
            check_metadata(self.can)
            changes["imds_v2"] = True
        if asked.uefi_data is not None:
            changes["uefi_data"] = asked.uefi_data
        after = replace(image, **changes)  # type: ignore[arg-type]
        check_mode(after, self.can)
        if after != image:
            after = tx.images.save(after)
        if asked.tags:
            put_tags(tx, account, [image.id], asked.tags)
        return after

    def deregister(self, tx: Transaction, account: str, asked: str, now: datetime) -> Image:
        """Nothing can be launched of it any more; instances keep what they have."""
        image = own_image(tx, account, asked)
        if is_protected(image, now):
            raise Forbidden(
                Noun.IMAGE,
                image.id,
                f"The image '{image.id}' is protected from deregistration.",
            )
        gone = replace(image, registered=False, state=ImageState.DEREGISTERED)
        saved = tx.images.save(gone)
        drop_all_tags(tx, image.id)  # raises the version, so it comes after
        return saved

    def _check_placing(self, placing: Placing) -> None:
        for name, value in ((part.name, getattr(placing, part.name)) for part in fields(placing)):
            if value and not self.can.keeps_images:
                raise Unsupported(
                    Noun.PARAMETER, name, f"Where images are kept cannot be chosen here: {name}."
                )
            if len(value) > LONGEST_PLACE or not set(value) <= _PLACE_CHARACTERS:
                raise Invalid(Noun.PARAMETER, name, f"Invalid value for {name}.")


def own_image(tx: Transaction, account: str, asked: str) -> Image:
    """The account's own. Raises Malformed, NotFound, Forbidden for one that is another's and seen,
    and Unavailable for one that was deregistered."""
    return _own(tx, account, read_id(Noun.IMAGE, asked), asked)


def _own(tx: Transaction, account: str, image_id: str, asked: str) -> Image:
    image = tx.images.get(image_id)
    if image is not None and image.account != account and _is_seen(tx, account, image):
        raise Forbidden(Noun.OWNER, asked)
    if image is None or image.account != account:
        raise NotFound(Noun.IMAGE, asked)
    if image.state is ImageState.DEREGISTERED:
        raise Unavailable(Noun.IMAGE, asked, f"The image id '[{asked}]' is no longer available")
    return image


def _is_seen(tx: Transaction, account: str, image: Image) -> bool:
    holder = tx.accounts.get(account)
    groups = holder.viewer_groups if holder else ()
    return image.public or not {account, *groups}.isdisjoint(image.shares)


def is_protected(image: Image, now: datetime) -> bool:
    """From deregistration."""
    cooling = image.protected_until is not None and now < image.protected_until
    return cooling or image.protection is not Protection.NONE


def check_name(name: str) -> None:
    """API reference, RegisterImage: 3-128 letters, digits and ()[] ./-'@_."""
    if len(name) not in NAME_LENGTHS or not set(name) <= _NAME_CHARACTERS:
        raise Malformed(
            Noun.IMAGE_NAME,
            name,
            "AMI names must be between 3 and 128 characters long, and may contain letters, "
            "numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'",
        )


def check_is_ours(image: Image) -> None:
    """What others made is called what it is called in the engine, and follows it."""
    if image.adopted:
        raise Unsupported(
            Noun.IMAGE,
            image.id,
            f"The image '{image.id}' was not uploaded here: what it is called is set in the "
            "cloud's own tools.",
        )


def check_metadata(can: Capabilities) -> None:
    if not can.metadata:
        raise Unsupported(
            Noun.PARAMETER,
            "ImdsSupport",
            "Instances of this cloud do not reach an instance metadata service; ImdsSupport cannot "
            "be set.",
        )


def check_description(text: str) -> None:
    if len(text) > LONGEST_DESCRIPTION:
        raise Invalid(
            Noun.PARAMETER,
            "Description",
            f"The description is longer than {LONGEST_DESCRIPTION} characters.",
        )


def check_device(device: str) -> None:
    if device not in ROOT_DEVICES:
        raise Invalid(
            Noun.PARAMETER,
            device,
            f"Invalid root device name '{device}': one of {', '.join(sorted(ROOT_DEVICES))}.",
        )


def _check_free(tx: Transaction, account: str, name: str) -> None:
    same = Criterion("name", (literally(name),))
    for other in tx.images.find(Query(account=account, criteria=(same,))).items:
        if other.state in HOLDING_NAMES:
            raise Duplicate(
                Noun.IMAGE, name, f"AMI name {name} is already in use by AMI {other.id}"
            )


def _image_id(location: str) -> str:
    """`ami-00000001`, `ami-1` or `1` (facts/econe.md 2.3: RegisterImage)."""
    bare = location.isascii() and location.isdigit()
    return read_id(Noun.IMAGE, f"ami-{location}" if bare else location)
