"""What the domain needs of whatever runs machines, as Protocols. Adapters live in engines/.

Two promises hold for every engine port:
- each method may be called again after a crash and then succeeds without a second effect;
- none is called inside a database transaction.
Engine methods raise only EngineBusy (try later), EngineRefused (never will work) or EngineLost
(unknown whether it happened: look, then retry).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from econe.domain.accounts import Limits
from econe.domain.health import Pulse
from econe.domain.hidden import Hidden
from econe.domain.image_ports import Images, Staged
from econe.domain.images import DiskFormat
from econe.domain.instances import Firmware as Boots
from econe.domain.ports import Consoles, Firmware, Known, Poke, Screens
from econe.domain.reasons import Reason
from econe.domain.samples import Reading
from econe.domain.sizes import Size


class EngineBusy(Exception):  # noqa: N818
    """Not now: try later."""


class EngineRefused(Exception):  # noqa: N818
    """Never will work as asked. `said` may be shown to the user, `hidden` is for the log.

    `code` is EC2's error code that this is nearest to, without a `Client.` or `Server.` before it
    (`InstanceLimitExceeded`); empty where it is our fault.
    """

    def __init__(self, said: str, hidden: str = "", *, code: str = "") -> None:
        super().__init__(said, hidden)
        self.said, self.hidden, self.code = said, hidden, code


class EngineLost(Exception):  # noqa: N818
    """Unknown whether it happened: look, then retry."""


class Phase(StrEnum):
    """What an engine sees of a machine."""

    DEFINED = "defined"
    """It exists and is off, in order: never started, or stopped by us."""
    RUNNING = "running"
    HALTED = "halted"
    """The guest switched itself off."""
    DIED = "died"
    """It ran, and stopped without guest or econe asking for it (a killed QEMU, a host reboot)."""
    MOVING = "moving"
    """Between two of the others; the engine is at work on it, and look() will tell."""
    FAILED = "failed"
    """The engine could not bring it up or keep it up, and econe cannot mend it."""


@dataclass(frozen=True, slots=True)
class SeenNic:
    """An interface that the engine gave a machine its address on."""

    mac: str
    private_ip: str
    network_ref: str
    """The engine's name for the network (Subnet.engine_ref)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine as the engine sees it now."""

    phase: Phase
    ref: str
    address: str = ""
    """Where ssh reaches it if not at the private address: `host:port` (user-mode network)."""
    why: str = ""
    """What is known of why it died or failed, for the operator and the log."""
    reason: Reason = Reason()
    """The same as users may read it, where the engine told something that they can use."""
    never_ran: bool = False
    """It waits for its first start: nothing would be lost with it. Where machines are shared."""
    nics: tuple[SeenNic, ...] | None = None
    """In order of device index; None where the engine does not give addresses itself."""
    firmware: Boots | None = None
    """What it boots by, where others than econe may have a say in that."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, asked before planning and not discovered by failing."""

    name: str
    network: str
    """`vpc` (bridges and namespaces), `user` (QEMU's user-mode network) or `none`."""
    graceful_stop: bool = True
    shared: bool = False
    """Others command its machines and images too: econe follows what they do (Engine.estate is
    there). What is asked of a machine takes its time there: look() tells when it is done."""
    gives_addresses: bool = False
    """Networks and addresses are the engine's: an instance has them once look() shows them."""
    keeps_images: bool = False
    """Content lives in the engine's own store (Engine.images is there)."""
    keeps_disks: bool = True
    """Disks have a life of their own. Else they come and go with their machine."""
    routing_guests: bool = False
    """A guest may be let pass on packets of others (NicSpec.source_dest_check)."""
    metadata: bool = True
    """Guests reach econe's metadata service."""
    host_vcpus: int = 0
    host_memory_mib: int = 0
    """Of the one host that machines run on; 0 where there is no such thing."""
    topology: bool = False
    """Guests see the threads per core that they are given (MachineSpec.threads_per_core); else a
    vCPU is a core."""
    hibernation: bool = False
    """Machines.hibernate() works."""
    uefi: bool = False
    """Machines may boot by UEFI (MachineSpec.uefi). Its variables can be read where Engine.firmware
    is there."""
    uefi_data: bool = False
    """They may begin with variables of their image's (MachineSpec.uefi_data)."""
    architectures: tuple[str, ...] = ("x86_64",)
    """Of images that can be run, in EC2's words; every type has all of them."""
    meters: bool = False
    """What machines use can be measured (Engine.meters is there)."""
    console: str = "serial"
    """What Consoles tells: `serial` output, or only where the screen is (`vnc`)."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why something cannot be had here, by name: {"kvm": "no vmx or svm flag"}."""


ANY_ENGINE: Final = Capabilities(name="any", network="none")
"""One that leaves everything to econe, for those who do not care."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A VPC and one of its subnets, as engines need them."""

    vpc_id: str
    vpc_cidr: str
    subnet_id: str
    subnet_cidr: str
    is_default: bool
    engine_ref: str = ""
    """The engine's own network that it is."""


@dataclass(frozen=True, slots=True)
class NicSpec:
    """Without id and addresses where the engine gives those (Capabilities.gives_addresses)."""

    interface_id: str
    mac: str
    private_ip: str
    network: NetworkSpec
    hostname: str
    """`ip-172-31-0-5`, given by DHCP."""
    source_dest_check: bool = True
    """Whether it may only send what carries its own address."""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    volume_id: str
    size_gib: int
    device: str
    is_root: bool
    location: str = ""
    """Content it starts as (Content.name); empty for a blank disk."""
    content_format: DiskFormat = DiskFormat.RAW


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """All that an engine is told of an instance."""

    id: str
    account: str
    name: str
    instance_type: str
    vcpus: int
    memory_mib: int
    architecture: str
    disks: tuple[DiskSpec, ...]
    nics: tuple[NicSpec, ...]
    key_name: str | None = None
    public_key: str | None = None
    user_data: Hidden[bytes] | None = None
    image_id: str = ""
    image_ref: str = ""
    """The engine's own name for the image, where it keeps images itself."""
    template_ref: str = ""
    """The engine's own template for the type (Size.engine_ref); empty: vcpus and memory say all."""
    uefi: bool = False
    """It boots by UEFI firmware, whose variables live as long as the machine. Else by BIOS."""
    uefi_data: str = ""
    """The variables that it begins with besides the firmware's own (uefi_data.py)."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    threads_per_core: int = 1
    """Of the vCPUs; where Capabilities.topology."""


class Machines(Protocol):
    """Where machines really run. See the promises at the top of this module.

    Where machines are shared (Capabilities.shared) nothing is done when a method returns, only
    asked for: the phase is MOVING until it is.
    """

    def ensure(self, spec: MachineSpec) -> str:
        """Define the machine, its disks too, if none carries `spec.id`; otherwise adopt that one.
        It is not started. The answer is the engine's name for it."""

    def start(self, spec: MachineSpec) -> None:
        """Power it on. Nothing happens if it runs. A halted or died one is started afresh."""

    def shut_down(self, instance_id: str, *, ending: bool = False) -> None:
        """Ask the guest to halt (ACPI) and return at once. May be ignored by the guest.

        `ending`: the machine is to be destroyed when it has halted, which an engine may take as
        one request.
        """

    def hibernate(self, instance_id: str) -> None:
        """Save its memory and power it off; the next start() goes on where it was, once, with the
        same disks and interfaces. Nothing happens if it is off. Raises EngineRefused where it
        cannot be saved: the guest runs on then. Only where Capabilities.hibernation."""

    def power_off(self, instance_id: str) -> None:
        """Cut power; afterwards look() says DEFINED. Nothing happens if it is off or absent."""

    def reset(self, instance_id: str) -> None:
        """Reboot: ask the guest where the engine can, else reset. Nothing happens if it is off."""

    def destroy(self, instance_id: str) -> None:
        """Power off, and leave nothing: process, directory, taps. Volumes are for Disks.remove.
        The console's record stays until forget(). Nothing happens if it is absent."""

    def forget(self, instance_id: str) -> None:
        """Remove the last records (the console) of a destroyed machine."""

    def ended(self, instance_id: str, ref: str) -> bool:
        """Whether it is certain that the machine `ref`, which look() does not show as that
        instance, is no more, or is no longer its account's. Raises EngineBusy where the engine
        cannot tell now."""

    def look(self, instance_ids: Collection[str] | None = None) -> Mapping[str, Seen]:
        """Machines that carry one of our ids, as they are now, by instance id; no caching.

        All of them, or those of `instance_ids` that are there, at a cost that does not grow with
        the number of others.
        """


@dataclass(frozen=True, slots=True)
class Subject:
    """A machine that should run, as those need to know it who look into it."""

    ref: str
    """The engine's name for it (Machines.ensure)."""
    nics: tuple[NicSpec, ...]


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a machine was found."""

    machine: Pulse
    """Whether it is there and its emulator answers."""
    guest: Pulse
    """Whether its guest answers on its network."""


class Checks(Protocol):
    """What status checks are made of. Called every few seconds while guests boot."""

    def look(self, subjects: Mapping[str, Subject]) -> Mapping[str, Vitals]:
        """By instance id; those that are left out are not there. Seconds at most, for a thousand
        of which none answers; a guest that is well notices a packet."""


class Meters(Protocol):
    """What machines use, from counters that the engine has anyway."""

    def read(self, subjects: Mapping[str, Subject]) -> Mapping[str, Reading]:
        """By instance id; without those that do not run or do not answer. Seconds at most."""


class Disks(Protocol):
    """Volumes. Machines.ensure makes those of its spec; they end here."""

    def remove(self, volume_id: str) -> None:
        """Nothing happens if it is absent."""

    def look(self) -> set[str]:
        """The ids of all volumes that take up space."""


class Networks(Protocol):
    """What machines are connected to."""

    def ensure(self, network: NetworkSpec) -> None:
        """Namespace, bridge, DHCP, rules, metadata socket: whatever this engine needs for it."""

    def admit(self, nic: NicSpec) -> None:
        """Make the network know this interface: its lease, name and anti-spoofing rules."""

    def dismiss(self, network: NetworkSpec, interface_id: str) -> None:
        """Undo admit. Nothing happens if it is not known."""

    def remove(self, vpc_id: str) -> None:
        """Take the whole VPC down. Nothing happens if it is absent."""

    def look(self) -> set[str]:
        """The ids of VPCs that are up."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the engine's own."""

    ref: str
    name: str
    secret: Hidden[str] | None
    """What proves them under their name as access key; None where they have no such thing."""
    enabled: bool
    groups: tuple[str, ...] = ()
    limits: Limits = Limits()
    key_pairs: tuple[tuple[str, str], ...] = ()
    """(name, OpenSSH public key) that an older econe kept there."""


@dataclass(frozen=True, slots=True)
class OfferedNetwork:
    """A network of the engine's on which users may have machines."""

    ref: str
    name: str
    cidr: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Stranger:
    """A machine that is in the engine and that no row of ours knows."""

    ref: str
    account: str
    name: str
    seen: Seen
    instance_type: str
    vcpus: int
    memory_mib: int
    launched_at: datetime
    root_gib: int = 1
    image_ref: str = ""
    key_name: str = ""
    marked: str = ""
    """Our id that it carries rightly: it was made for that instance, whose row may not know its
    `ref` yet, or is lost."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


class Estate(Protocol):
    """What an engine that others use too has of its own, for the store to know (reconcile/census).

    Raises EngineBusy where it cannot be had now.
    """

    def people(self) -> Sequence[Person]:
        """All users who may be served. One that is not among them is gone."""

    def sizes(self) -> Sequence[Size]: ...

    def networks(self) -> Sequence[OfferedNetwork]: ...

    def strangers(self) -> Sequence[Stranger]:
        """As of the last Machines.look() of all: no call to the engine."""


class Register(Protocol):
    """What the store knows of the engine's machines: by the engine's name, read afresh."""

    def __call__(self) -> Mapping[str, Known]: ...


class Engine(Protocol):
    """One way to run machines: all its ports, and its life."""

    @property
    def can(self) -> Capabilities: ...
    @property
    def machines(self) -> Machines: ...
    @property
    def disks(self) -> Disks: ...
    @property
    def networks(self) -> Networks: ...
    @property
    def consoles(self) -> Consoles: ...
    @property
    def checks(self) -> Checks: ...
    @property
    def meters(self) -> Meters | None:
        """Of an engine that measures what machines use (Capabilities.meters)."""

    @property
    def screens(self) -> Screens | None:
        """Of an engine whose machines have a screen that it can read."""

    @property
    def firmware(self) -> Firmware | None:
        """Of an engine that can read what machines that boot by UEFI keep."""

    @property
    def images(self) -> Images | None:
        """Of an engine that keeps images itself."""

    @property
    def staged(self) -> Staged | None:
        """Of an engine that fetches their content from our own door."""

    @property
    def estate(self) -> Estate | None:
        """Of an engine that others use too."""

    def open(self, changed: "Poke") -> None:
        """Find what is there and begin to watch it; `changed()` is called when something moves."""

    def tidy(self) -> None:
        """Cheap upkeep once a round: cap console logs."""

    def close(self) -> None:
        """Stop watching. Machines go on running."""
