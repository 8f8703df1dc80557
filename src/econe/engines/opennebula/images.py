"""Images in oned's datastores.

Made and changed as their owner, so that oned's permissions and quotas hold; looked at as the
service account. Which image is which of ours tells a mark in its template (marks.py).
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from econe.domain.accounts import FIRST_NUMBER, number_of
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.hidden import Hidden
from econe.domain.image_ports import ImageSpec, SeenImage
from econe.domain.images import DiskFormat, ImageState
from econe.engines.opennebula.datastores import find_datastore, read_datastores
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.errors import Meaning, OnedRefused, meaning_of
from econe.engines.opennebula.image_documents import (
    DISK_TYPES,
    MIB,
    OnedImage,
    names_for,
    read_image,
    read_images,
)
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.ranges import read_all
from econe.engines.opennebula.rpc import Oned
from econe.engines.opennebula.staging import Staging
from econe.engines.opennebula.states import ImageStanding, may_delete_image
from econe.engines.opennebula.template import speakable, template_text
from econe.engines.opennebula.xmltree import parse
from econe.settings import Opennebula

T = TypeVar("T")

log = logging.getLogger(__name__)

ALLOCATE_S: Final = 90.0
"""one.image.allocate waits for a script that looks how large the content is, which may take a
minute for a URL (curl --max-time 60; remotes/libfs.sh)."""
ALL: Final = -2
"""Filter: of every user."""

STATES: Final = {
    ImageStanding.ARRIVING: ImageState.PENDING,
    ImageStanding.READY: ImageState.AVAILABLE,
    ImageStanding.TAKEN: ImageState.AVAILABLE,
    ImageStanding.BUSY: ImageState.AVAILABLE,
    ImageStanding.DISABLED: ImageState.PENDING,
    ImageStanding.FAILED: ImageState.FAILED,
    ImageStanding.UNKNOWN: ImageState.PENDING,
}
"""All but LEAVING, which is absent. A disabled image is there and cannot be run, for as long as
somebody likes. Pending says that; old econe hid it, and then it would come back as a new one."""

# What QEMU takes for a disk of another kind, though the vault keeps it as raw. oned's driver asks
# QEMU what its copy is, and a QED names a backing file, which it would read.
_DISGUISES: Final = (b"QED\0", b"WithoutFreeSpace", b"WithouFreSpacExt", b"Bochs Virtual HD Image")


class OnedImages:
    """Implements ports.Images."""

    def __init__(
        self,
        oned: Oned,
        directory: Directory,
        marks: Marks,
        staging: Staging,
        settings: Opennebula,
    ) -> None:
        self._oned, self._directory, self._marks = oned, directory, marks
        self._staging, self._settings = staging, settings
        self._last: Mapping[str, SeenImage] | None = None
        """What the last look showed."""

    def ensure(self, spec: ImageSpec) -> str:
        uid = uid_of(spec.account)
        session = self._directory.session_of(uid)
        found = self._find(spec.id, uid)
        if found is not None:
            return self._adopt(spec, found)
        try:
            return self._make(spec, uid, session)
        except EngineRefused:
            self._staging.take_back(spec.id)
            raise

    def look(self) -> Mapping[str, SeenImage]:
        began = self._staging.now()
        ours: dict[str, OnedImage] = {}
        marked: list[OnedImage] = []
        found, unreadable = self._read_pool(ALL)
        for image in found:
            our_id = image.proven_id(self._marks)
            if our_id and (our_id not in ours or ours[our_id].number > image.number):
                ours[our_id] = image
            if image.is_machine_image and image.type in DISK_TYPES.values():
                marked.append(image)
        ids = {image.ref: our_id for our_id, image in ours.items()}
        # A copy that a user made of one of ours carries its mark, and is an image of its own.
        seen = {
            image.ref: _seen(image, ids.get(image.ref, ""))
            for image in (*ours.values(), *marked)
            if image.standing in STATES
        }
        if self._last is None or not self._last.keys() <= seen.keys():
            self._directory.check_same_oned()  # what is missing is believed to be gone
        last = self._last or {}
        hidden = {ref: last[ref] for ref in map(str, unreadable) if ref in last}
        self._last = seen | hidden
        self._sweep(ours, {each.id for each in hidden.values()}, began)
        return self._last

    def mark(self, ref: str, *, registered: bool) -> None:
        image = self._one(ref)
        if image is None or image.is_machine_image is registered:
            return
        attributes = template_text({"EC2_AMI": "YES" if registered else "NO"})
        self._change(image, "one.image.update", attributes, 1)

    def remove(self, ref: str) -> None:
        image = self._one(ref)
        if image is None:
            self._directory.check_same_oned()
            return
        if image.standing is ImageStanding.LEAVING:
            return
        if not may_delete_image(image.state) or image.machines > 0:
            raise EngineBusy(
                f"image {ref} is {image.state_name} and {image.machines} machines use it"
            )
        self._change(image, "one.image.delete")

    # --- making one --------------------------------------------------------------------------

    def _find(self, image_id: str, uid: str) -> OnedImage | None:
        """The owner's image with this mark; the first, where he copied it."""
        found = [
            image
            for image in self._read_pool(int(uid))[0]
            if image.uid == uid
            and image.standing is not ImageStanding.LEAVING
            and image.proven_id(self._marks) == image_id
        ]
        return min(found, key=lambda image: image.number, default=None)

    def _adopt(self, spec: ImageSpec, found: OnedImage) -> str:
        if found.standing is ImageStanding.ARRIVING:
            self._staging.handed(spec.id)
        return found.ref

    def _make(self, spec: ImageSpec, uid: str, session: Hidden[str]) -> str:
        content_format = _format_for(spec, self._settings)
        content_type = _type_for(spec, self._settings)
        _refuse_disguised(spec)
        datastore = self._datastore_for(spec)
        handed = self._staging.hand_over(spec, content_format)
        attributes = {
            "TYPE": content_type,
            "PERSISTENT": "NO",
            "DESCRIPTION": speakable(spec.description),
            "DEV_PREFIX": self._settings.image_prefix,
            "PATH": handed.source,
            "SHA1": handed.sha1,
            **self._marks.attributes(spec.id, uid),
        }
        said = {name: value for name, value in attributes.items() if value}
        ref = self._allocate(spec, uid, session, said, datastore)
        self._staging.handed(spec.id)
        return ref

    def _allocate(
        self,
        spec: ImageSpec,
        uid: str,
        session: Hidden[str],
        attributes: Mapping[str, str],
        datastore: int,
    ) -> str:
        """Under its own name or, where its owner has another image of that name, a longer one. A
        name that is taken may also be the first sign of a call whose answer was lost."""
        first, second = names_for(spec.name, spec.id)
        try:
            return self._allocate_as(first, session, attributes, datastore)
        except OnedRefused as refused:
            if meaning_of(refused) is not Meaning.TAKEN:
                raise
        found = self._find(spec.id, uid)
        if found is not None:
            return found.ref
        try:
            return self._allocate_as(second, session, attributes, datastore)
        except OnedRefused as refused:
            found = self._find(spec.id, uid) if meaning_of(refused) is Meaning.TAKEN else None
            if found is None:
                raise
            return found.ref

    def _allocate_as(
        self, name: str, session: Hidden[str], attributes: Mapping[str, str], datastore: int
    ) -> str:
        longest_s = max(ALLOCATE_S, self._settings.timeout_s)
        template = template_text({"NAME": name, **attributes})
        try:
            return str(
                self._oned.number(
                    session, "one.image.allocate", template, datastore, timeout_s=longest_s
                )
            )
        except OnedRefused as refused:
            if meaning_of(refused) is Meaning.UNREADABLE:
                # Nothing that the user sent is wrong: the way is, and somebody will mend it.
                raise EngineBusy(f"oned cannot read the upload: {refused.hidden}") from None
            raise

    def _datastore_for(self, spec: ImageSpec) -> int:
        """By id or name. Whether the user may use it is for oned to say."""
        wanted = spec.placing.datastore or self._settings.datastore
        names = read_datastores(self._ask("one.datastorepool.info"))
        number = find_datastore(names, wanted)
        if number is not None:
            return number
        if spec.placing.datastore:
            raise EngineRefused(
                "There is no such image datastore.", repr(wanted), code="InvalidParameterValue"
            )
        raise EngineBusy(f"OpenNebula has no image datastore {wanted!r}, which is set for uploads")

    # --- reading and changing ----------------------------------------------------------------

    def _read_pool(self, owner: int) -> tuple[list[OnedImage], list[int]]:
        """And the numbers of those that oned cannot show."""
        return read_all("images", partial(self._read_part, owner))

    def _read_part(self, owner: int, start: int, end: int) -> list[OnedImage]:
        text = self._ask("one.imagepool.info", owner, start, end)
        return _understood(lambda: list(read_images(parse(text.encode()))))

    def _one(self, ref: str) -> OnedImage | None:
        """None where oned says that there is none."""
        try:
            text = self._oned.text(self._directory.own_session(), "one.image.info", int(ref), False)
        except EngineRefused as refused:
            if meaning_of(refused) is Meaning.ABSENT:
                return None
            raise _not_ours(refused) from None
        return _understood(lambda: read_image(parse(text.encode())))

    def _ask(self, method: str, *args: int) -> str:
        """As the service account."""
        try:
            return self._oned.text(self._directory.own_session(), method, *args)
        except EngineRefused as refused:
            raise _not_ours(refused) from None

    def _change(self, image: OnedImage, method: str, *args: str | int) -> None:
        """As the owner. Nothing happens if it is gone meanwhile."""
        if image.is_locked:
            raise EngineBusy(f"image {image.ref} is locked in OpenNebula")
        session = self._directory.session_of(image.uid)
        try:
            self._oned.call(session, method, image.number, *args)
        except OnedRefused as refused:
            if meaning_of(refused) is not Meaning.ABSENT:
                raise

    def _sweep(self, ours: Mapping[str, OnedImage], hidden: set[str], began: float) -> None:
        """`hidden` are ids of images that cannot be read at present."""
        arriving = {
            our_id for our_id, image in ours.items() if image.standing is ImageStanding.ARRIVING
        }
        self._staging.sweep(arriving | hidden, ours.keys() - arriving, began)


def _understood(read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise EngineBusy(f"oned's answer is not understood: {error}") from None


def _not_ours(refused: EngineRefused) -> EngineBusy:
    """What is refused to the service account is nothing that a user asked for."""
    return EngineBusy(f"The images cannot be read: {refused.hidden}")


def uid_of(account: str) -> str:
    """oned's user of an account of ours. Raises EngineRefused for one that is nobody's there."""
    if not account.isascii() or not account.isdigit() or not int(account) >= FIRST_NUMBER:
        raise EngineRefused("The account has no user in OpenNebula.", account)
    return str(int(account) - FIRST_NUMBER)


# --- what an upload becomes ------------------------------------------------------------------


def _type_for(spec: ImageSpec, settings: Opennebula) -> str:
    wanted = (spec.placing.type or settings.image_type).upper()
    if wanted in DISK_TYPES:
        return wanted
    if spec.placing.type:
        raise EngineRefused(
            "The type of an image is OS, CDROM or DATABLOCK.", wanted, code="InvalidParameterValue"
        )
    raise EngineBusy(f"image_type is set to {wanted!r}: use OS, CDROM or DATABLOCK")


def _format_for(spec: ImageSpec, settings: Opennebula) -> DiskFormat:
    """Which kind of file oned is given.

    FORMAT and DRIVER of an image's template mean nothing to it: since 6.0 it looks at the content
    and takes both from that (Image::insert, disk_attribute). So they are honoured here, by what
    the content is made into. A datastore with a DRIVER of its own converts once more.
    """
    asked = {each.lower() for each in (spec.placing.format, spec.placing.driver) if each}
    if len(asked) > 1:
        raise EngineRefused(
            "Format and driver of an image must be the same.",
            str(sorted(asked)),
            code="InvalidParameterCombination",
        )
    wanted = next(iter(asked), settings.image_driver.lower()) or spec.content_format
    try:
        return DiskFormat(wanted)
    except ValueError:
        if asked:
            raise EngineRefused(
                "The format of an image is raw or qcow2.", wanted, code="InvalidParameterValue"
            ) from None
        raise EngineBusy(f"image_driver is set to {wanted!r}: use raw or qcow2") from None


def _refuse_disguised(spec: ImageSpec) -> None:
    if spec.content_format is not DiskFormat.RAW:
        return
    try:
        with spec.path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise EngineRefused("The content of the image is gone.", str(spec.path)) from error
    except OSError as error:
        raise EngineBusy(f"{spec.path}: {error}") from error
    if head.startswith(_DISGUISES):
        raise EngineRefused(
            "The image is of a kind that is not supported.",
            repr(head),
            code="InvalidParameterValue",
        )


# --- what oned's becomes ---------------------------------------------------------------------


def _seen(image: OnedImage, our_id: str) -> SeenImage:
    shares = (f"group:{image.gid}",) if image.may_use("GROUP") else ()
    return SeenImage(
        ref=image.ref,
        id=our_id,
        account=number_of(image.uid),
        name=image.name,
        state=STATES[image.standing],
        registered=image.is_machine_image,
        public=image.may_use("OTHER"),
        shares=shares,
        size_bytes=image.size_mib * MIB,
        location=image.location,
        content_format=image.format,
        created_at=image.registered_at,
        description=image.attribute("DESCRIPTION"),
        why=_why(image),
        tags=image.tags,
    )


def _why(image: OnedImage) -> str:
    """Why it cannot be run; empty where it can, or soon."""
    if image.standing is ImageStanding.FAILED:
        return image.error or "OpenNebula has it in the state ERROR."
    if image.standing in (ImageStanding.DISABLED, ImageStanding.UNKNOWN):
        return f"OpenNebula has it in the state {image.state_name}."
    return ""
