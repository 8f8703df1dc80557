"""Instances: their row, their states, and the one table by which states change.

Rule 1: an instance changes state only through advance(), and only as TRANSITIONS says.
Rule 2: the table knows nothing of engines; the work plane turns what engines show into events.
Rule 3: a request changes the intent (what should be); the work plane reports what is. A request
        that changes the intent also raises `generation`, so that work planned before it is dropped.
Rule 4: asking twice for the same end is not an error; asking for what the state forbids is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from econe.domain.faults import Noun, WrongState
from econe.domain.health import Check, Outcome
from econe.domain.hidden import Hidden
from econe.domain.images import BootMode
from econe.domain.networks import NetworkInterface
from econe.domain.reasons import Reason
from econe.domain.volumes import Volume


class InstanceState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def code(self) -> int:
        """EC2's number of the state (API reference, InstanceState)."""
        return STATE_CODES[self]


STATE_CODES: Final = {
    InstanceState.PENDING: 0,
    InstanceState.RUNNING: 16,
    InstanceState.SHUTTING_DOWN: 32,
    InstanceState.TERMINATED: 48,
    InstanceState.STOPPING: 64,
    InstanceState.STOPPED: 80,
}


class Event(StrEnum):
    """Askings (of users) and happenings (reported by the work plane)."""

    START = "start"
    STOP = "stop"
    REBOOT = "reboot"
    TERMINATE = "terminate"
    STARTED = "started"
    HALTED = "halted"
    """The machine is off, whoever switched it off."""
    FAILED = "failed"
    """It could not be launched, and never will be."""
    GONE = "gone"
    """Nothing of it is left in the engine."""


_S, _E = InstanceState, Event

TRANSITIONS: Final = {
    (_S.PENDING, _E.STARTED): _S.RUNNING,
    (_S.PENDING, _E.STOP): _S.STOPPING,
    (_S.PENDING, _E.TERMINATE): _S.SHUTTING_DOWN,
    (_S.PENDING, _E.START): _S.PENDING,
    (_S.PENDING, _E.HALTED): _S.STOPPED,
    (_S.PENDING, _E.FAILED): _S.SHUTTING_DOWN,
    (_S.PENDING, _E.GONE): _S.TERMINATED,  # others ended it, where machines are shared
    (_S.RUNNING, _E.START): _S.RUNNING,
    (_S.RUNNING, _E.STOP): _S.STOPPING,
    (_S.RUNNING, _E.REBOOT): _S.RUNNING,
    (_S.RUNNING, _E.TERMINATE): _S.SHUTTING_DOWN,
    (_S.RUNNING, _E.HALTED): _S.STOPPED,  # the guest switched itself off
    (_S.RUNNING, _E.GONE): _S.TERMINATED,
    (_S.STOPPING, _E.STOP): _S.STOPPING,
    (_S.STOPPING, _E.HALTED): _S.STOPPED,
    (_S.STOPPING, _E.TERMINATE): _S.SHUTTING_DOWN,
    (_S.STOPPING, _E.GONE): _S.TERMINATED,
    (_S.STOPPED, _E.STOP): _S.STOPPED,
    (_S.STOPPED, _E.START): _S.PENDING,
    (_S.STOPPED, _E.TERMINATE): _S.SHUTTING_DOWN,
    (_S.STOPPED, _E.STARTED): _S.RUNNING,  # others started it, where machines are shared
    (_S.STOPPED, _E.GONE): _S.TERMINATED,
    (_S.SHUTTING_DOWN, _E.TERMINATE): _S.SHUTTING_DOWN,
    (_S.SHUTTING_DOWN, _E.GONE): _S.TERMINATED,
    (_S.TERMINATED, _E.TERMINATE): _S.TERMINATED,
}

SETTLED: Final = frozenset({_S.RUNNING, _S.STOPPED, _S.TERMINATED})
"""States in which the work plane has nothing to do until the intent or the world changes."""


class Intent(StrEnum):
    """What the work plane works towards."""

    RUN = "run"
    STOP = "stop"
    TERMINATE = "terminate"


INTENT_OF: Final = {
    _S.PENDING: Intent.RUN,
    _S.RUNNING: Intent.RUN,
    _S.STOPPING: Intent.STOP,
    _S.STOPPED: Intent.STOP,
    _S.SHUTTING_DOWN: Intent.TERMINATE,
    _S.TERMINATED: Intent.TERMINATE,
}


class Monitoring(StrEnum):
    """Whether what it uses is sampled every minute (API reference, Monitoring); all that run are
    sampled every five."""

    DISABLED = "disabled"
    PENDING = "pending"
    """Asked for, and not sampled yet."""
    ENABLED = "enabled"
    DISABLING = "disabling"


CHANGING: Final = frozenset({Monitoring.PENDING, Monitoring.DISABLING})


class Firmware(StrEnum):
    """What a machine boots by (API reference, InstanceBootModeValues)."""

    BIOS = "legacy-bios"
    UEFI = "uefi"


@dataclass(frozen=True, slots=True)
class MetadataOptions:
    """How the metadata service treats this instance (API reference, InstanceMetadataOptions)."""

    http_tokens: str = "optional"
    hop_limit: int = 1
    http_endpoint: str = "enabled"
    instance_tags: str = "disabled"

    @property
    def tells_tags(self) -> bool:
        """Whether the guest may read the instance's tags."""
        return self.instance_tags == "enabled"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance with its disks, interfaces and tags, as one value.

    `interfaces`, `volumes` and `tags` are rows of their own; the store loads them with the
    instance and raises the instance's `version` whenever one of them changes, so `(id, version)`
    names exactly what a Describe shows.
    """

    id: str
    account: str
    reservation_id: str
    launch_index: int
    image_id: str
    image_location: str
    """The content that its root disk was made of (Content.name)."""
    instance_type: str
    vpc_id: str
    subnet_id: str
    zone: str
    launched_at: datetime
    """Of the last launch: StartInstances renews it, as in EC2."""
    state: InstanceState = InstanceState.PENDING
    state_reason: Reason = Reason()
    transition_reason: str = ""
    """EC2's older text: `User initiated (2026-11-23 16:00:00 GMT)`."""
    key_name: str | None = None
    public_key: str | None = None
    """The key's line at launch: deleting the key pair takes no access away."""
    user_data: Hidden[bytes] | None = None
    client_token: str = ""
    shutdown_behavior: str = "stop"
    """`stop` or `terminate`: what a power-off from inside means."""
    metadata_options: MetadataOptions = MetadataOptions()
    architecture: str = "x86_64"
    root_device: str = "/dev/sda1"
    boot_mode: BootMode | None = None
    """Its image's at the launch."""
    firmware: Firmware = Firmware.BIOS
    """What came of it: it stays for all starts, as its variables do."""
    generation: int = 1
    """Raised by every request that changes what should be."""
    asked_at: datetime | None = None
    """When the present intent was asked for: the graceful stop's clock starts here."""
    forced: bool = False
    """Cut power at once: with SkipOsShutdown, or as Force hurries what is under way."""
    reboots_asked: int = 0
    reboots_done: int = 0
    engine_ref: str = ""
    """The engine's own name for the machine; empty before it has one."""
    reach: str = ""
    """Where ssh reaches it while it runs, if not at its private address: `host:port` (Seen.address
    when it started; user-mode network)."""
    attempts: int = 0
    """Failed rounds since the last success; backoff grows with it."""
    retry_at: datetime | None = None
    problem: str = ""
    """Why it waits, for the operator (`econe-admin status`)."""
    terminated_at: datetime | None = None
    at_least: int = 1
    """How many of its launch must succeed; else all of it is taken back (MinCount)."""
    vcpus: int = 0
    memory_mib: int = 0
    """What the machine has; 0 in rows of old databases, where the type says it."""
    threads_per_core: int = 1
    """So many of its vCPUs are one core."""
    adopted: bool = False
    """Made by others in the engine; it appeared here by itself."""
    disable_api_termination: bool = False
    disable_api_stop: bool = False
    """Protections: what users ask for through the API is refused."""
    reconnect: bool = False
    """Its network is to be told of its interfaces anew."""
    hibernation: bool = False
    """It was launched so that it may be hibernated."""
    hibernating: bool = False
    """The stop that was asked for last is to keep its memory."""
    monitoring: Monitoring = Monitoring.DISABLED
    first_launched_at: datetime | None = None
    """By RunInstances. Every row has it."""
    booted_at: datetime | None = None
    """When it was last reported to run."""
    system_check: Check = Check.INITIALIZING
    system_failed_at: datetime | None = None
    guest_check: Check = Check.INITIALIZING
    guest_failed_at: datetime | None = None
    """Status checks (health.py); they mean something while it runs."""
    version: int = 1
    interfaces: tuple[NetworkInterface, ...] = ()
    volumes: tuple[Volume, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def intent(self) -> Intent:
        return INTENT_OF[self.state]

    @property
    def settled(self) -> bool:
        owed = self.reboots_done != self.reboots_asked
        if self.state is InstanceState.RUNNING:
            owed |= self.reconnect or self.monitoring in CHANGING
        return self.state in SETTLED and not owed

    @property
    def monitored(self) -> bool:
        """In detail, as far as users are concerned."""
        return self.monitoring in (Monitoring.ENABLED, Monitoring.PENDING)

    @property
    def never_ran(self) -> bool:
        """Its first start is still under way."""
        first = self.first_launched_at in (None, self.launched_at)
        return self.state is InstanceState.PENDING and self.booted_at is None and first

    @property
    def booted_at_least(self) -> datetime:
        """When its machine was started, or a little earlier."""
        return self.booted_at or self.launched_at

    @property
    def system_status(self) -> Outcome:
        return Outcome(self.system_check, self.system_failed_at)

    @property
    def guest_status(self) -> Outcome:
        return Outcome(self.guest_check, self.guest_failed_at)

    @property
    def private_ip(self) -> str | None:
        return self.interfaces[0].private_ip if self.interfaces else None


def advance(instance: Instance, event: Event, **changes: object) -> Instance:
    """The instance after `event`. Raises WrongState where the table has no such row."""
    after = TRANSITIONS.get((instance.state, event))
    if after is None:
        raise WrongState(
            Noun.INSTANCE,
            instance.id,
            f"The instance '{instance.id}' is not in a state from which it can be "
            f"{_PAST[event]}; it is '{instance.state}'.",
        )
    return replace(instance, state=after, **changes)  # type: ignore[arg-type]


_PAST: Final = {
    _E.START: "started",
    _E.STOP: "stopped",
    _E.REBOOT: "rebooted",
    _E.TERMINATE: "terminated",
    _E.STARTED: "reported started",
    _E.HALTED: "reported halted",
    _E.FAILED: "reported failed",
    _E.GONE: "reported gone",
}
