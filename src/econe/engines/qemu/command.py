"""QEMU's command line, as a pure function of what it is given.

Whatever QEMU needs of the host comes to it as an open file: disks, the console's log, the
monitor's listening socket, taps. So the user it runs as needs no right to any file of ours, and
it does not matter how long, or how closed, the path of the state directory is. Only the VNC
socket, which QEMU cannot be handed, is made by it in its working directory.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from econe.domain.engine_ports import EngineRefused
from econe.domain.images import DiskFormat
from econe.engines.qemu.accelerate import Accelerator

FIRST_NIC_SLOT: Final = 0x3
FIRST_DISK_SLOT: Final = 0x8
LAST_SLOT: Final = 0x1E
"""Slots of q35's root bus. They are given out here and not by QEMU, so that a guest's names for
its interfaces (enp0s3) stay when disks come and go. 0x1f is the chipset's."""

TCG: Final = "tcg,thread=multi,tb-size=256"

SANDBOX: Final = "on,obsolete=deny,resourcecontrol=deny"


@dataclass(frozen=True, slots=True)
class Drive:
    """A volume (qcow2) and, where it is an overlay, the content below it, as open files."""

    volume_id: str
    fd: int
    backing_fd: int | None = None
    backing_format: DiskFormat = DiskFormat.RAW


@dataclass(frozen=True, slots=True)
class Flash:
    """UEFI firmware and the machine's own variables, as open files."""

    code_fd: int
    variables_fd: int


@dataclass(frozen=True, slots=True)
class Card:
    """A network card and the host's end of it."""

    interface_id: str
    mac: str
    netdev: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that the command line says."""

    id: str
    uuid: str
    instance_type: str
    vcpus: int
    memory_mib: int
    accelerator: Accelerator
    monitor_fd: int
    console_fd: int
    drives: tuple[Drive, ...]
    """The one to boot from is the first."""
    cards: tuple[Card, ...] = ()
    may_spawn: bool = False
    kind: str = "q35"
    """A name with a version is another QEMU's q35."""
    threads_per_core: int = 1
    incoming_fd: int | None = None
    """Saved memory to begin with; the guest stands still until it is told to go on."""
    flash: Flash | None = None
    """None: it boots by QEMU's own BIOS."""

    @property
    def files(self) -> list[int]:
        """All that are named above, but for the monitor and the console."""
        incoming = [] if self.incoming_fd is None else [self.incoming_fd]
        flash = [] if self.flash is None else [self.flash.code_fd, self.flash.variables_fd]
        contents = [drive.backing_fd for drive in self.drives if drive.backing_fd is not None]
        return [*incoming, *flash, *(drive.fd for drive in self.drives), *contents]


def arguments(machine: Machine) -> list[str]:
    """All but the program's own name. Raises EngineRefused if there is more than fits in."""
    return [
        *_base(machine),
        *_identity(machine),
        *_plumbing(machine),
        *_flash(machine.flash),
        *_drives(machine.drives),
        *_cards(machine.cards),
    ]


def _base(machine: Machine) -> list[str]:
    return [
        "-nodefaults",
        "-no-user-config",
        *("-sandbox", _sandbox(may_spawn=machine.may_spawn)),
        *("-name", f"guest={machine.id}"),
        *(
            "-machine",
            f"{machine.kind},hpet=off,vmport=off,sata=off,smbus=off,usb=off,dump-guest-core=off"
            + ("" if machine.flash is None else ",pflash0=code,pflash1=variables"),
        ),
        *("-cpu", _processor(machine.accelerator, threads=machine.threads_per_core > 1)),
        *("-accel", "kvm" if machine.accelerator.name == "kvm" else TCG),
        *("-smp", _topology(machine)),
        *("-m", f"{machine.memory_mib}M"),
        *("-rtc", "base=utc"),
        *("-boot", "strict=on"),
        # Suspended guests could be told from running ones by nobody who asks EC2.
        *("-global", "ICH9-LPC.disable_s3=1", "-global", "ICH9-LPC.disable_s4=1"),
        # A guest that switches itself off leaves QEMU in the state "shutdown": that is how we
        # know, however long nobody has looked, that it halted and did not die.
        "-no-shutdown",
        *(() if machine.incoming_fd is None else ("-incoming", f"fd:{machine.incoming_fd}")),
    ]


def _processor(accelerator: Accelerator, *, threads: bool) -> str:
    """Under TCG no model boots faster than `max` (measured: all within the noise), and it has the
    instructions that newer distributions ask for.

    Of an AMD processor, which `max` says that it is, Linux sees threads only with topoext. KVM can
    give that to a guest, but QEMU never does so unasked; TCG cannot. There an Intel one shows them,
    and of those a Saltwell (model 54): Linux knows it as one that does not speculate, which is true
    of TCG, too, and spares its guests mitigations, page-table isolation above all.
    """
    if accelerator.name == "kvm":
        return "host,topoext=on" if threads and accelerator.is_amd else "host"
    return "max,vendor=GenuineIntel,family=6,model=54,stepping=1" if threads else "max"


def _topology(machine: Machine) -> str:
    cores = machine.vcpus // machine.threads_per_core
    return f"{machine.vcpus},sockets=1,cores={cores},threads={machine.threads_per_core}"


def _sandbox(*, may_spawn: bool) -> str:
    """A program that is started by libslirp begins with setsid(), which `elevateprivileges` counts
    among its own. Rights cannot be gained all the same: no_new_privs comes with the filter."""
    verdict = "allow" if may_spawn else "deny"
    return f"{SANDBOX},elevateprivileges={verdict},spawn={verdict}"


def _identity(machine: Machine) -> list[str]:
    """What cloud-init's Ec2 source knows the platform by: sys_vendor, and uuid and serial that
    are equal and begin with `ec2` (cloud-init, tools/ds-identify). Asset tags as on Nitro."""
    system = f"product={_quoted(machine.instance_type)},serial={machine.uuid},uuid={machine.uuid}"
    firmware = "" if machine.flash is None else ",uefi=on"
    return [
        *("-uuid", machine.uuid),
        *("-smbios", "type=0,vendor=Amazon EC2,version=1.0" + firmware),
        *("-smbios", f"type=1,manufacturer=Amazon EC2,{system}"),
        *("-smbios", f"type=2,manufacturer=Amazon EC2,asset={machine.id}"),
        *("-smbios", "type=3,manufacturer=Amazon EC2,asset=Amazon EC2"),
    ]


def _plumbing(machine: Machine) -> list[str]:
    return [
        *("-add-fd", f"fd={machine.console_fd},set=1"),
        *("-chardev", "file,id=console,path=/dev/fdset/1,append=on"),
        *("-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,fd={machine.monitor_fd},server=on,wait=off"),
        *("-mon", "chardev=monitor,mode=control"),
        *("-display", "none"),
        *("-vnc", "unix:vnc.sock"),
        *("-device", "VGA,addr=0x1"),
        *("-object", "rng-random,id=rng,filename=/dev/urandom"),
        *("-device", "virtio-rng-pci,rng=rng,addr=0x2"),
    ]


def _flash(flash: Flash | None) -> list[str]:
    """What the guest writes to the variables is in the file at once: QEMU holds none of it back."""
    if flash is None:
        return []
    code, variables = "/dev/fdset/2", "/dev/fdset/3"
    nodes = (
        {
            "driver": "raw",
            "node-name": "code",
            "read-only": True,
            "file": {"driver": "file", "filename": code, "read-only": True},
        },
        {
            "driver": "raw",
            "node-name": "variables",
            "file": {"driver": "file", "filename": variables},
        },
    )
    words = [*_fd_set(2, flash.code_fd), *_fd_set(3, flash.variables_fd)]
    return words + [word for node in nodes for word in ("-blockdev", json.dumps(node))]


def _drives(drives: tuple[Drive, ...]) -> list[str]:
    if len(drives) > LAST_SLOT - FIRST_DISK_SLOT + 1:
        raise EngineRefused("The machine has more disks than it has room for.")
    words: list[str] = []
    for index, drive in enumerate(drives):
        serial = drive.volume_id.replace("-", "")  # as the EBS CSI driver looks for it
        words += _fd_set(10 + 2 * index, drive.fd)
        if drive.backing_fd is not None:
            words += _fd_set(11 + 2 * index, drive.backing_fd)
        words += ["-blockdev", json.dumps(_node(drive, 10 + 2 * index))]
        words += [
            "-device",
            f"virtio-blk-pci,id={drive.volume_id},drive={drive.volume_id}-data,serial={serial},"
            f"addr={FIRST_DISK_SLOT + index:#x}" + (",bootindex=1" if index == 0 else ""),
        ]
    return words


def _fd_set(number: int, fd: int) -> list[str]:
    return ["-add-fd", f"fd={fd},set={number}"]


def _node(drive: Drive, fd_set: int) -> dict[str, Any]:
    """The block graph, spelled out: what the file's own header says of its backing file is not
    looked at."""
    node: dict[str, Any] = {
        "driver": "qcow2",
        "node-name": f"{drive.volume_id}-data",
        "discard": "unmap",
        "file": {"driver": "file", "filename": f"/dev/fdset/{fd_set}", "discard": "unmap"},
        "backing": None,
    }
    if drive.backing_fd is not None:
        node["backing"] = {
            "driver": str(drive.backing_format),
            "read-only": True,
            "file": {
                "driver": "file",
                "filename": f"/dev/fdset/{fd_set + 1}",
                "read-only": True,
            },
        }
        if drive.backing_format is DiskFormat.QCOW2:
            node["backing"]["backing"] = None
    return node


def _cards(cards: tuple[Card, ...]) -> list[str]:
    if len(cards) > FIRST_DISK_SLOT - FIRST_NIC_SLOT:
        raise EngineRefused("The machine has more network interfaces than it has room for.")
    words: list[str] = []
    for index, card in enumerate(cards):
        words += ["-netdev", card.netdev]
        words += [
            "-device",
            # No boot ROM: it would spend seconds on looking for a server to boot from.
            f"virtio-net-pci,netdev={card.interface_id},mac={card.mac},romfile=,"
            f"addr={FIRST_NIC_SLOT + index:#x}",
        ]
    return words


def _quoted(text: str) -> str:
    """QEMU's option syntax doubles a comma that is meant."""
    return text.replace(",", ",,")
