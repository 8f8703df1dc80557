"""What this machine can do for the QEMU engine, and why not: `econe-server check`."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineRefused
from econe.engines.findings import Finding
from econe.engines.qemu import accelerate, firmware, network_check, processes
from econe.settings import Qemu

ROOM_GIB: Final = 2
MEMORY_MIB: Final = 1024
"""Below these there is no use in starting guests."""


def report(state: Path = Path("state"), settings: Qemu | None = None) -> list[Finding]:
    """Looks, and tries what only trying tells (a namespace, for about 50 ms); changes nothing."""
    settings = settings or Qemu()
    return [
        _emulator(settings.binary),
        _qemu_img(),
        _kvm(settings),
        _uefi(settings),
        _guest_users(settings),
        *_networks(settings),
        _room(state),
        _memory(Path("/proc/meminfo").read_text()),
    ]


def _emulator(binary: str) -> Finding:
    try:
        return Finding("emulator", True, _version(str(processes.find_binary(binary))))
    except (EngineRefused, OSError, subprocess.SubprocessError) as error:
        said = error.said if isinstance(error, EngineRefused) else str(error)
        return Finding("emulator", False, f"{said} (Debian: qemu-system-x86)")


def _qemu_img() -> Finding:
    try:
        return Finding("qemu-img", True, _version("qemu-img"))
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("qemu-img", False, f"{error} (Debian: qemu-utils)")


def _version(program: str) -> str:
    words = [program, "--version"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout
    return said.splitlines()[0] if said else f"{program} says nothing"


def _kvm(settings: Qemu) -> Finding:
    try:
        found = accelerate.find(settings.accelerator, own_users=_own_users(settings))
    except EngineRefused as refused:
        return Finding("kvm", False, refused.said)
    if found.name == "kvm":
        return Finding("kvm", True, f"used: {found.reason}")
    return Finding("kvm", False, f"guests are emulated (TCG), which is slower: {found.reason}")


def _uefi(settings: Qemu) -> Finding:
    found = firmware.find(settings)
    if isinstance(found, firmware.Uefi):
        return Finding("uefi", True, str(found.code))
    return Finding("uefi", False, f"images with boot mode uefi cannot be run: {found}")


def _guest_users(settings: Qemu) -> Finding:
    if _own_users(settings):
        return Finding(
            "guest users",
            True,
            f"each guest runs as a user of its own, from {settings.uid_base} on",
        )
    why = "qemu.uid_base is 0" if os.geteuid() == 0 else "the server does not run as root"
    return Finding("guest users", False, f"guests run as the server's user: {why}")


def _own_users(settings: Qemu) -> bool:
    return os.geteuid() == 0 and settings.uid_base > 0


def _networks(settings: Qemu) -> Iterator[Finding]:
    try:
        choice = network_check.choose(settings.network)
    except EngineRefused as refused:
        yield Finding("vpc networks", False, refused.said)
        return
    if choice.mode == "vpc":
        yield Finding("vpc networks", True, "namespaces, bridges, nftables and dnsmasq work")
        for note in network_check.notes():
            yield Finding("way out", False, note)
    else:
        why = choice.reasons.get("vpc", "")
        yield Finding("vpc networks", False, f"guests get QEMU's user-mode network: {why}")
        yield Finding(
            "host's services",
            False,
            "guests of the user-mode network reach what listens on this host's 127.0.0.1, among it "
            "the forwarded ports of other guests",
        )


def _room(state: Path) -> Finding:
    place = state.absolute()
    while not place.exists():
        place = place.parent
    free_gib = shutil.disk_usage(place).free / (1 << 30)
    return Finding("disk", free_gib >= ROOM_GIB, f"{free_gib:.1f} GiB are free at {place}")


def _memory(meminfo: str) -> Finding:
    """Of /proc/meminfo."""
    kib = {line.split(":")[0]: int(line.split()[1]) for line in meminfo.splitlines()}
    available = kib["MemAvailable"] // 1024
    return Finding("memory", available >= MEMORY_MIB, f"{available} MiB are available")
