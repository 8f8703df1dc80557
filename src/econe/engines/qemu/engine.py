"""The QEMU engine: this machine runs the guests."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import Capabilities
from econe.domain.ports import Poke, Vault
from econe.engines.qemu import accelerate, firmware
from econe.engines.qemu.checks import QemuChecks
from econe.engines.qemu.consoles import QemuConsoles
from econe.engines.qemu.disks import QemuDisks
from econe.engines.qemu.firmware import QemuFirmware
from econe.engines.qemu.launcher import Host
from econe.engines.qemu.machines import QemuMachines
from econe.engines.qemu.meters import QemuMeters
from econe.engines.qemu.nic import Wiring
from econe.engines.qemu.screens import QemuScreens
from econe.settings import Qemu

ARCHITECTURES: Final = ("i386", "x86_64")
"""A processor of the latter runs systems for the former."""


class QemuEngine:
    """ports.Engine. Raises EngineRefused when made with an accelerator that cannot be had."""

    def __init__(self, state: Path, settings: Qemu, vault: Vault, networks: Wiring) -> None:
        self._instances, self._volumes = (
            state.absolute() / "instances",
            state.absolute() / "volumes",
        )
        own_users = os.geteuid() == 0 and settings.uid_base > 0
        self._accelerator = accelerate.find(settings.accelerator, own_users=own_users)
        self._networks = networks
        self._disks = QemuDisks(self._volumes, vault)
        self._firmware = QemuFirmware(self._instances, firmware.find(settings))
        host = Host(self._accelerator, own_users, self._firmware)
        self._machines = QemuMachines(self._instances, settings, host, self._disks, networks)
        self._checks = QemuChecks(self._instances, networks, self._machines.watching)
        self._meters = QemuMeters(
            self._instances, networks, self._machines.watching, self._machines.process
        )
        self._screens = QemuScreens(self._instances, self._machines.watching)
        self._consoles = QemuConsoles(self._instances, settings.console_keep_kib)

    @property
    def can(self) -> Capabilities:
        reasons: Mapping[str, str] = {}
        if self._accelerator.name != "kvm":
            reasons = {"kvm": self._accelerator.reason}
        if self._firmware.uefi is None:
            reasons = {**reasons, "uefi": self._firmware.reason}
        return Capabilities(
            name="qemu",
            network=self._networks.mode,
            topology=True,
            hibernation=True,
            uefi=self._firmware.uefi is not None,
            uefi_data=self._firmware.uefi is not None,
            architectures=ARCHITECTURES,
            meters=True,
            routing_guests=self._networks.mode == "vpc",
            host_vcpus=os.cpu_count() or 1,
            host_memory_mib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
            reasons={**reasons, **self._networks.reasons},
        )

    @property
    def machines(self) -> QemuMachines:
        return self._machines

    @property
    def disks(self) -> QemuDisks:
        return self._disks

    @property
    def networks(self) -> Wiring:
        return self._networks

    @property
    def consoles(self) -> QemuConsoles:
        return self._consoles

    @property
    def checks(self) -> QemuChecks:
        return self._checks

    @property
    def meters(self) -> QemuMeters:
        return self._meters

    @property
    def screens(self) -> QemuScreens:
        return self._screens

    @property
    def firmware(self) -> QemuFirmware:
        return self._firmware

    @property
    def images(self) -> None:
        """Content stays in the vault: disks are overlays over it."""

    @property
    def staged(self) -> None:
        """It is read where it is."""

    @property
    def estate(self) -> None:
        """Nobody else uses it."""

    def open(self, changed: Poke) -> None:
        for directory in (self._instances, self._volumes):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._machines.open(changed)

    def tidy(self) -> None:
        self._consoles.cap()
        self._machines.tidy()

    def close(self) -> None:
        self._machines.close()
