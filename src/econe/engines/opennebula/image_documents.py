"""Images as oned shows them, and what it may call them. Whom to believe in a document says
documents.py."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from econe.domain.images import DiskFormat
from econe.engines.opennebula import marks
from econe.engines.opennebula.documents import number, read_attributes, required
from econe.engines.opennebula.rpc import UNSPEAKABLE
from econe.engines.opennebula.states import ImageStanding, image_standing, image_state_name

MIB: Final = 1 << 20
DISK_TYPES: Final = {"OS": "0", "CDROM": "1", "DATABLOCK": "2"}
"""Those that a machine can have as a disk, and their numbers (include/Image.h)."""
LONGEST_NAME: Final = 128
"""In bytes (PoolObjectSQL::name_is_valid)."""

# PoolObjectSQL::INVALID_NAME_CHARS of 7.0.2; 6.2 lets through the control characters among them.
_NOT_IN_NAMES: Final = re.compile(r"""[&|:\\";/'#{}$<>\x00-\x1f\x7f]""")
# How the driver framework wraps what a script prints.
_WRAPPING: Final = re.compile(r"ERROR MESSAGE (--8<-+|-+>8--)")


@dataclass(frozen=True, slots=True)
class OnedImage:
    number: int
    uid: str
    gid: str
    name: str
    type: str
    """oned's number."""
    state: int
    size_mib: int
    registered_at: datetime
    element: etree._Element

    @property
    def ref(self) -> str:
        return str(self.number)

    @property
    def standing(self) -> ImageStanding:
        return image_standing(self.state)

    @property
    def state_name(self) -> str:
        return image_state_name(self.state)

    @property
    def location(self) -> str:
        """The last part of SOURCE, as old econe shows it; empty until it has been copied."""
        return self.text("SOURCE").rstrip("/").rpartition("/")[2]

    @property
    def format(self) -> DiskFormat:
        """Of a format of neither kind (a block device's, a dummy driver's), raw."""
        return DiskFormat.QCOW2 if self.text("FORMAT") == DiskFormat.QCOW2 else DiskFormat.RAW

    @property
    def is_machine_image(self) -> bool:
        """EC2_AMI is old econe's mark of it."""
        return self.attribute("EC2_AMI").upper() == "YES"

    @property
    def is_locked(self) -> bool:
        """By a user (one.image.lock): oned then refuses changes as not authorized."""
        return self.text("LOCK/LOCKED") not in ("", "0")

    @property
    def machines(self) -> int:
        return number(self.text("RUNNING_VMS")) or 0

    def may_use(self, who: str) -> bool:
        """`GROUP` or `OTHER`."""
        return self.text(f"PERMISSIONS/{who}_U") == "1"

    @property
    def error(self) -> str:
        """What oned wrote when it failed; it stays when the image is mended (338)."""
        return _WRAPPING.sub("", self.attribute("ERROR")).strip()

    @property
    def tags(self) -> dict[str, str]:
        """EC2_TAGS of old econe. Its keys come in upper case, since oned makes attribute names so,
        and stay so; a tag without a value was written as two quotes (facts/econe.md 2.7)."""
        found = read_attributes(self.element.find("TEMPLATE")).vector("EC2_TAGS")
        return {key: "" if value == '""' else value for key, value in found.items()}

    def text(self, path: str) -> str:
        found: str = self.element.findtext(path) or ""
        return found

    def attribute(self, name: str) -> str:
        return self.text(f"TEMPLATE/{name}")

    def proven_id(self, by: marks.Marks) -> str:
        """Ours, if it carries a mark that counts for its owner."""
        return by.verified(self.attribute(marks.ID), self.attribute(marks.MARK), self.uid)


def read_image(element: etree._Element) -> OnedImage:
    """Raises ValueError for what is no IMAGE."""
    return OnedImage(
        number=required(element, "ID"),
        uid=str(required(element, "UID")),
        gid=str(required(element, "GID")),
        name=element.findtext("NAME") or "",
        type=element.findtext("TYPE") or "",
        state=required(element, "STATE"),
        size_mib=required(element, "SIZE"),
        registered_at=datetime.fromtimestamp(required(element, "REGTIME"), UTC),
        element=element,
    )


def read_images(root: etree._Element) -> Iterator[OnedImage]:
    """Raises ValueError for what is no IMAGE_POOL."""
    if root.tag != "IMAGE_POOL":
        raise ValueError("it is no pool of images")
    return (read_image(element) for element in root.iterchildren("IMAGE"))


# --- names ---------------------------------------------------------------------------------


def names_for(name: str, image_id: str) -> tuple[str, str]:
    """What oned may call the image: the name if it can be, and one that nobody else has.

    Names are unique for each owner, and that is of use to us: the same image is never made twice
    under them, also where two calls for it are under way at once.
    """
    clean = UNSPEAKABLE.sub("_", _NOT_IN_NAMES.sub("_", name)).strip() or image_id
    suffix = f" ({image_id})"
    return _cut(clean, LONGEST_NAME), _cut(clean, LONGEST_NAME - len(suffix)) + suffix


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore").rstrip()
