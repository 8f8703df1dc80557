"""An image: its states and how it shows."""

from dataclasses import dataclass, field
from enum import IntEnum

from tests.support.oned.objects import Owned, ids_xml
from tests.support.oned.templates import Template, Vector, cdata, vector_xml


class ImageState(IntEnum):
    INIT = 0
    READY = 1
    USED = 2
    DISABLED = 3
    LOCKED = 4
    ERROR = 5
    CLONE = 6
    DELETE = 7
    USED_PERS = 8
    LOCKED_USED = 9
    LOCKED_USED_PERS = 10


TYPES = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT", "BACKUP", "FILESYSTEM")

FREE = {ImageState.READY, ImageState.DISABLED, ImageState.ERROR}
"""States in which no machine uses the image and no copy runs."""


@dataclass(kw_only=True)
class Image(Owned):
    type: int = 0
    persistent: bool = False
    registered: int = 0
    source: str = ""
    path: str = ""
    format: str = ""
    fs: str = ""
    size_mb: int = 0
    state: ImageState = ImageState.LOCKED
    previous: ImageState = ImageState.INIT
    datastore_id: int = 1
    datastore: str = "default"
    machines: list[int] = field(default_factory=list)
    """Ids of those that use it; one that uses it twice is counted twice and listed once."""
    clones: list[int] = field(default_factory=list)
    cloning_id: int = -1
    template: Template = field(default_factory=Template)
    has_snapshot_list: bool = True
    """A persistent image that a machine gave back shows an empty SNAPSHOTS (232, 297)."""

    kind = "IMAGE"
    word = "image"

    def become(self, state: ImageState) -> None:
        """PREV_STATE follows with the next write of the row; all recorded answers show it done."""
        self.state = self.previous = state

    def xml(self) -> str:
        using = sorted(set(self.machines))
        return (
            f"<IMAGE>{self.head()}{self.lock_xml()}{self.rights_xml()}<TYPE>{self.type}</TYPE>"
            f"<DISK_TYPE>0</DISK_TYPE><PERSISTENT>{int(self.persistent)}</PERSISTENT>"
            f"<REGTIME>{self.registered}</REGTIME><MODTIME>{self.registered}</MODTIME>"
            f"<SOURCE>{cdata(self.source)}</SOURCE><PATH>{cdata(self.path)}</PATH>"
            f"<FORMAT>{cdata(self.format)}</FORMAT><FS>{cdata(self.fs)}</FS>"
            f"<SIZE>{self.size_mb}</SIZE><STATE>{int(self.state)}</STATE>"
            f"<PREV_STATE>{int(self.previous)}</PREV_STATE>"
            f"<RUNNING_VMS>{len(self.machines)}</RUNNING_VMS>"
            f"<CLONING_OPS>{len(self.clones)}</CLONING_OPS>"
            f"<CLONING_ID>{self.cloning_id}</CLONING_ID><TARGET_SNAPSHOT>-1</TARGET_SNAPSHOT>"
            f"<DATASTORE_ID>{self.datastore_id}</DATASTORE_ID><DATASTORE>{self.datastore}"
            f"</DATASTORE>{ids_xml('VMS', using)}{ids_xml('CLONES', self.clones)}"
            f"<APP_CLONES></APP_CLONES>{self.template.xml()}{self._snapshots_xml()}"
            "<BACKUP_INCREMENTS></BACKUP_INCREMENTS><BACKUP_DISK_IDS></BACKUP_DISK_IDS></IMAGE>"
        )

    def _snapshots_xml(self) -> str:
        if not self.has_snapshot_list:
            return "<SNAPSHOTS></SNAPSHOTS>"
        empty: Vector = {"ALLOW_ORPHANS": "NO", "CURRENT_BASE": "-1", "NEXT_SNAPSHOT": "0"}
        return vector_xml("SNAPSHOTS", empty)
