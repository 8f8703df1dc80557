"""A virtual machine: its states, its history, and how it shows.

The rendered form is kept until the machine is edited: lists of a thousand are served from it.
So whatever changes a machine, its template's vectors too, gets it from `World.edit`.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from html import escape

from tests.support.oned.objects import Owned, ids_xml
from tests.support.oned.templates import Template, Vector, cdata, vector_xml


class State(IntEnum):
    INIT = 0
    PENDING = 1
    HOLD = 2
    ACTIVE = 3
    STOPPED = 4
    SUSPENDED = 5
    DONE = 6
    POWEROFF = 8
    UNDEPLOYED = 9
    CLONING = 10
    CLONING_FAILURE = 11


class Lcm(IntEnum):
    LCM_INIT = 0
    PROLOG = 1
    BOOT = 2
    RUNNING = 3
    SAVE_STOP = 5
    SAVE_SUSPEND = 6
    PROLOG_RESUME = 9
    EPILOG_STOP = 10
    EPILOG = 11
    SHUTDOWN = 12
    CLEANUP_RESUBMIT = 15
    UNKNOWN = 16
    HOTPLUG = 17
    SHUTDOWN_POWEROFF = 18
    BOOT_UNKNOWN = 19
    BOOT_POWEROFF = 20
    BOOT_SUSPENDED = 21
    BOOT_STOPPED = 22
    CLEANUP_DELETE = 23
    HOTPLUG_SNAPSHOT = 24
    HOTPLUG_NIC = 25
    HOTPLUG_SAVEAS = 26
    HOTPLUG_SAVEAS_POWEROFF = 27
    HOTPLUG_SAVEAS_SUSPENDED = 28
    SHUTDOWN_UNDEPLOY = 29
    EPILOG_UNDEPLOY = 30
    PROLOG_UNDEPLOY = 31
    BOOT_UNDEPLOY = 32
    HOTPLUG_PROLOG_POWEROFF = 33
    HOTPLUG_EPILOG_POWEROFF = 34
    BOOT_FAILURE = 36
    PROLOG_FAILURE = 39
    EPILOG_FAILURE = 40
    EPILOG_STOP_FAILURE = 41
    EPILOG_UNDEPLOY_FAILURE = 42
    BOOT_UNDEPLOY_FAILURE = 47
    BOOT_STOPPED_FAILURE = 48
    PROLOG_RESUME_FAILURE = 49
    PROLOG_UNDEPLOY_FAILURE = 50
    DISK_SNAPSHOT_POWEROFF = 51
    DISK_SNAPSHOT_SUSPENDED = 54
    DISK_SNAPSHOT = 57
    DISK_SNAPSHOT_DELETE = 59
    HOTPLUG_NIC_POWEROFF = 65
    HOTPLUG_RESIZE = 66
    HOTPLUG_SAVEAS_UNDEPLOYED = 67
    HOTPLUG_SAVEAS_STOPPED = 68


class Action(IntEnum):
    """HISTORY/ACTION (VMActions.h)."""

    NONE = 0
    HOLD = 7
    RELEASE = 8
    STOP = 9
    SUSPEND = 10
    RESUME = 11
    DELETE = 13
    DELETE_RECREATE = 14
    UNDEPLOY = 5
    UNDEPLOY_HARD = 6
    POWEROFF = 19
    POWEROFF_HARD = 20
    DISK_ATTACH = 21
    DISK_DETACH = 22
    NIC_ATTACH = 23
    NIC_DETACH = 24
    DISK_SNAPSHOT_CREATE = 25
    DISK_SNAPSHOT_DELETE = 26
    TERMINATE = 27
    TERMINATE_HARD = 28
    RESIZE = 35
    MONITOR = 44
    """What the monitor saw: a guest that switched itself off ends its record with this."""
    ALIAS_ATTACH = 46
    ALIAS_DETACH = 47


@dataclass(frozen=True, slots=True)
class Actor:
    uid: int = -1
    gid: int = -1
    request: int = -1


NOBODY = Actor()


@dataclass
class History:
    seq: int
    start: int
    prolog_start: int = 0
    prolog_end: int = 0
    running_start: int = 0
    running_end: int = 0
    epilog_start: int = 0
    epilog_end: int = 0
    end: int = 0
    action: Action = Action.NONE
    actor: Actor = NOBODY
    host: str = "dummy0"

    def act(self, action: Action, actor: Actor = NOBODY) -> None:
        self.action = action
        self.actor = actor

    def xml(self, machine_id: int, inner: str = "") -> str:
        return (
            f"<HISTORY><OID>{machine_id}</OID><SEQ>{self.seq}</SEQ><HOSTNAME>{self.host}</HOSTNAME>"
            f"<HID>0</HID><CID>0</CID><STIME>{self.start}</STIME><ETIME>{self.end}</ETIME>"
            "<VM_MAD><![CDATA[dummy]]></VM_MAD><TM_MAD><![CDATA[dummy]]></TM_MAD><DS_ID>0</DS_ID>"
            "<PLAN_ID>-1</PLAN_ID><ACTION_ID>0</ACTION_ID>"
            f"<PSTIME>{self.prolog_start}</PSTIME><PETIME>{self.prolog_end}</PETIME>"
            f"<RSTIME>{self.running_start}</RSTIME><RETIME>{self.running_end}</RETIME>"
            f"<ESTIME>{self.epilog_start}</ESTIME><EETIME>{self.epilog_end}</EETIME>"
            f"<ACTION>{int(self.action)}</ACTION><UID>{self.actor.uid}</UID>"
            f"<GID>{self.actor.gid}</GID><REQUEST_ID>{self.actor.request}</REQUEST_ID>"
            f"{inner}</HISTORY>"
        )

    def short_xml(self, machine_id: int) -> str:
        return (
            f"<HISTORY><OID>{machine_id}</OID><SEQ>{self.seq}</SEQ>"
            f"<HOSTNAME>{cdata(self.host)}</HOSTNAME><HID>0</HID><CID>0</CID><DS_ID>0</DS_ID>"
            "<VM_MAD><![CDATA[dummy]]></VM_MAD><TM_MAD><![CDATA[dummy]]></TM_MAD>"
            f"<ACTION>{cdata(str(int(self.action)))}</ACTION></HISTORY>"
        )


_SHORT_DISK = (
    "DISK_ID",
    "DATASTORE",
    "DATASTORE_ID",
    "IMAGE",
    "IMAGE_ID",
    "SIZE",
    "TYPE",
    "CLONE",
    "CLONE_TARGET",
    "LN_TARGET",
    "DISK_SNAPSHOT_TOTAL_SIZE",
)
_SHORT_NIC = ("MAC", "NETWORK", "NETWORK_ID", "NIC_ID", "SECURITY_GROUPS")
_SHORT_USER = (
    "LABELS",
    "ERROR",
    "SCHED_MESSAGE",
    "SCHED_RANK",
    "SCHED_DS_RANK",
    "SCHED_REQUIREMENTS",
    "SCHED_DS_REQUIREMENTS",
    "USER_PRIORITY",
)


@dataclass(kw_only=True)
class Machine(Owned):
    state: State = State.PENDING
    lcm: Lcm = Lcm.LCM_INIT
    stime: int = 0
    etime: int = 0
    deploy_id: str = ""
    last_poll: int = 0
    resched: int = 0
    monitoring: Vector = field(default_factory=dict)
    template: Template = field(default_factory=Template)
    user_template: Template = field(default_factory=Template)
    history: list[History] = field(default_factory=list)
    snapshots: dict[int, Template] = field(default_factory=dict)
    """By disk."""
    scheduled: list[int] = field(default_factory=list)
    ignores_acpi: bool = False
    kept: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Rendered forms, by kind."""

    kind = "VM"
    word = "virtual machine"

    def become(self, state: State, lcm: Lcm = Lcm.LCM_INIT) -> None:
        self.state = state
        self.lcm = lcm

    @property
    def state_name(self) -> str:
        """As oned's messages name it: the LCM state of an active machine."""
        return self.lcm.name if self.state == State.ACTIVE else self.state.name

    def is_in(self, *lcm: Lcm) -> bool:
        return self.state == State.ACTIVE and self.lcm in lcm

    @property
    def record(self) -> History:
        return self.history[-1]

    def disks(self) -> list[Vector]:
        return self.template.vectors("DISK")

    def disk(self, disk_id: int) -> Vector | None:
        return next((disk for disk in self.disks() if disk["DISK_ID"] == str(disk_id)), None)

    def nics(self) -> list[Vector]:
        return self.template.vectors("NIC")

    def aliases(self) -> list[Vector]:
        return self.template.vectors("NIC_ALIAS")

    def nic(self, nic_id: int) -> Vector | None:
        every = self.nics() + self.aliases()
        return next((nic for nic in every if nic["NIC_ID"] == str(nic_id)), None)

    def wire(self, kind: str) -> bytes:
        """`extended` (as vmpool.infoextended), or `short` (as vmpool.info), escaped for XML-RPC."""
        found = self.kept.get(kind)
        if found is None:
            text = self.short_xml() if kind == "short" else self.xml(last_record_only=True)
            found = self.kept[kind] = escape(text, quote=False).encode()
        return found

    def xml(self, *, last_record_only: bool = False) -> str:
        records = self.history[-1:] if last_record_only else self.history
        history = "".join(record.xml(self.id) for record in records)
        return self.xml_with(history)

    def xml_with(self, history: str) -> str:
        lock = self.lock_xml()
        monitoring = vector_xml("MONITORING", self.monitoring)
        return (
            f"<VM>{self.head()}{self.rights_xml()}<LAST_POLL>{self.last_poll}</LAST_POLL>"
            f"<STATE>{int(self.state)}</STATE><LCM_STATE>{int(self.lcm)}</LCM_STATE>"
            f"<PREV_STATE>{int(self.state)}</PREV_STATE>"
            f"<PREV_LCM_STATE>{int(self.lcm)}</PREV_LCM_STATE><RESCHED>{self.resched}</RESCHED>"
            f"<STIME>{self.stime}</STIME><ETIME>{self.etime}</ETIME>"
            f"<DEPLOY_ID>{self.deploy_id}</DEPLOY_ID>{lock}{monitoring}"
            f"{ids_xml('SCHED_ACTIONS', self.scheduled)}{self.template.xml()}"
            f"{self.user_template.xml('USER_TEMPLATE')}"
            f"<HISTORY_RECORDS>{history}</HISTORY_RECORDS>{self._snapshots_xml()}"
            "<BACKUPS><BACKUP_CONFIG/><BACKUP_IDS></BACKUP_IDS></BACKUPS></VM>"
        )

    def monitoring_xml(self) -> str:
        return vector_xml("MONITORING", self.monitoring) if self.monitoring else ""

    def _snapshots_xml(self) -> str:
        return "".join(self.snapshots[disk].xml("SNAPSHOTS") for disk in sorted(self.snapshots))

    def short_xml(self) -> str:
        lock = f"<LOCK><LOCKED>{self.lock.level}</LOCKED></LOCK>" if self.lock else ""
        capacity = "".join(
            f"<{name}>{self.template.get(name)}</{name}>" for name in ("CPU", "MEMORY", "VCPU")
        )
        disks = "".join(_picked("DISK", disk, _SHORT_DISK) for disk in self.disks())
        every = self.nics() + self.aliases()
        nics = "".join(_picked("NIC", nic, ("IP", *_SHORT_NIC)) for nic in every)
        graphics = self.template.vector("GRAPHICS")
        screen = vector_xml("GRAPHICS", graphics) if graphics is not None else ""
        records = "<HISTORY_RECORDS/>"
        if self.history:
            last = self.record.short_xml(self.id)
            records = f"<HISTORY_RECORDS>{last}</HISTORY_RECORDS>"
        return (
            f"<VM>{self.head()}<LAST_POLL>{self.last_poll}</LAST_POLL>"
            f"<STATE>{int(self.state)}</STATE><LCM_STATE>{int(self.lcm)}</LCM_STATE>"
            f"<RESCHED>{self.resched}</RESCHED><STIME>{self.stime}</STIME><ETIME>{self.etime}"
            f"</ETIME><DEPLOY_ID>{self.deploy_id}</DEPLOY_ID>{lock}<TEMPLATE>{capacity}{disks}"
            f"{nics}{screen}</TEMPLATE>{self._short_monitoring()}{self._short_user()}{records}</VM>"
        )

    def _short_monitoring(self) -> str:
        if not self.monitoring:
            return "<MONITORING/>"
        return _picked("MONITORING", self.monitoring, ("CPU", "MEMORY", "STATE"))

    def _short_user(self) -> str:
        if not self.user_template.names():
            return "<USER_TEMPLATE/>"
        known = {name: self.user_template.get(name) for name in _SHORT_USER}
        shown = tuple(name for name in _SHORT_USER if known[name])
        return _picked("USER_TEMPLATE", known, shown)


def _picked(tag: str, vector: Vector, names: tuple[str, ...]) -> str:
    """All of the names, empty where there is no such value."""
    inner = "".join(f"<{name}>{cdata(vector.get(name, ''))}</{name}>" for name in names)
    return f"<{tag}>{inner}</{tag}>"
