"""KVM or TCG, and why.

That /dev/kvm exists proves nothing: there are machines (this project was built on one) where it
opens, a VM can be created, and the guest then hangs. So KVM is taken only where the processor
also shows the flag that says it can virtualise.
"""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineRefused

CPU_FLAGS: Final = frozenset({"vmx", "svm"})


@dataclass(frozen=True, slots=True)
class Accelerator:
    name: str
    """`kvm` or `tcg`."""
    reason: str
    """Why, as a clause: "the processor shows no vmx or svm flag"."""
    group: int | None = None
    """The group through which a guest's own user may open /dev/kvm."""
    is_amd: bool = False
    """Whether the processor is AMD's; only of kvm."""


@dataclass(frozen=True, slots=True)
class Device:
    """/dev/kvm as it was found."""

    problem: str = ""
    """Why it cannot be opened for reading and writing; empty if it can."""
    group: int | None = None
    """Its group, if its mode lets the group read and write."""
    for_all: bool = False
    """Its mode lets everyone read and write."""


def choose(wanted: str, flags: Collection[str], device: Device, *, own_users: bool) -> Accelerator:
    """Decide. `own_users` says that guests run as users of their own, not as ours.

    Raises EngineRefused when `wanted` is kvm and cannot be had.
    """
    if wanted == "tcg":
        return Accelerator("tcg", "the settings say so")
    problem = _problem(flags, device, own_users)
    if not problem:
        group = device.group if own_users and not device.for_all else None
        reason = "the processor virtualises and /dev/kvm opens"
        return Accelerator("kvm", reason, group, is_amd="svm" in flags)
    if wanted == "kvm":
        raise EngineRefused(f"The settings ask for KVM, but {problem}.")
    return Accelerator("tcg", problem)


def _problem(flags: Collection[str], device: Device, own_users: bool) -> str:
    if CPU_FLAGS.isdisjoint(flags):
        return "the processor shows no vmx or svm flag"
    if device.problem:
        return f"/dev/kvm does not open: {device.problem}"
    if own_users and not device.for_all and device.group is None:
        return "the mode of /dev/kvm lets neither a group nor everyone read and write it"
    return ""


def find(wanted: str, *, own_users: bool) -> Accelerator:
    """Look at this machine and decide. Raises EngineRefused as choose() does."""
    return choose(wanted, cpu_flags(), look_at_device(), own_users=own_users)


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    for line in cpuinfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def look_at_device(path: Path = Path("/dev/kvm")) -> Device:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return Device(problem=error.strerror or str(error))
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    by_group = stat.S_IRGRP | stat.S_IWGRP
    by_all = stat.S_IROTH | stat.S_IWOTH
    return Device(
        group=found.st_gid if found.st_mode & by_group == by_group else None,
        for_all=found.st_mode & by_all == by_all,
    )
