"""Everything QEMU inherits is opened here, just before it is started."""

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from econe.domain.engine_ports import EngineRefused, MachineSpec, NicSpec
from econe.engines.qemu import command
from econe.engines.qemu.accelerate import Accelerator
from econe.engines.qemu.disks import QemuDisks
from econe.engines.qemu.firmware import QemuFirmware
from econe.engines.qemu.hibernation import Saved
from econe.engines.qemu.monitor import listen_at
from econe.engines.qemu.nic import Nic, Wiring
from econe.engines.qemu.place import Place, Power, Record
from econe.engines.qemu.processes import Launch, find_binary
from econe.settings import Qemu


@dataclass(frozen=True, slots=True)
class Host:
    """What this machine gives to guests."""

    accelerator: Accelerator
    own_users: bool
    """Guests run as users of their own; only root can make that so."""
    firmware: QemuFirmware


class Launcher:
    def __init__(self, settings: Qemu, host: Host, disks: QemuDisks, networks: Wiring) -> None:
        self._settings, self._host = settings, host
        self._disks, self._networks = disks, networks

    def prepare(
        self,
        spec: MachineSpec,
        place: Place,
        record: Record,
        held: ExitStack,
        *,
        memory: Saved | None = None,
    ) -> Launch:
        """Open what the machine needs; `held` closes our copies once QEMU has its own. With
        `memory` QEMU loads it and waits.

        Raises what Wiring raises, and EngineRefused if the machine cannot be.
        """
        owner = self._owner(spec.id)
        _make_run_directory(place.run, owner)
        nics = [self._open_nic(nic, place, owner, held) for nic in spec.nics]
        address = next((nic.address for nic in nics if nic.address), "")
        if address:
            place.write_power(Power(address))
        monitor = held.enter_context(listen_at(place.monitor)).fileno()
        console = os.open(place.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        held.callback(os.close, console)
        disks = sorted(spec.disks, key=lambda disk: (not disk.is_root, disk.device))
        machine = command.Machine(
            id=spec.id,
            uuid=record.uuid,
            instance_type=spec.instance_type,
            vcpus=spec.vcpus,
            threads_per_core=spec.threads_per_core,
            memory_mib=spec.memory_mib,
            accelerator=self._host.accelerator,
            monitor_fd=monitor,
            console_fd=console,
            drives=tuple(self._disks.open(disk, held) for disk in disks),
            cards=tuple(
                command.Card(nic.interface_id, nic.mac, opened.netdev)
                for nic, opened in zip(spec.nics, nics, strict=True)
            ),
            may_spawn=any(nic.spawns for nic in nics),
            kind="q35" if memory is None else memory.kind,
            incoming_fd=None if memory is None else _open_memory(memory, held),
            flash=self._host.firmware.open(place, held) if spec.uefi else None,
        )
        group = self._host.accelerator.group
        return Launch(
            binary=str(find_binary(self._settings.binary)),
            arguments=command.arguments(machine),
            directory=place.run,
            log=place.log,
            fds=[monitor, console, *machine.files, *(fd for nic in nics for fd in nic.fds)],
            owner=owner,
            groups=() if group is None else (group,),
        )

    def _open_nic(self, nic: NicSpec, place: Place, owner: int | None, held: ExitStack) -> Nic:
        opened = self._networks.open_nic(nic, place.run, owner)
        for fd in opened.fds:
            held.callback(os.close, fd)
        return opened

    def _owner(self, instance_id: str) -> int | None:
        if not self._host.own_users:
            return None
        owner = self._settings.uid_base + int(instance_id.removeprefix("i-"))
        if owner >= 2**31:
            raise EngineRefused("The machine could not be given a user.", f"user {owner}")
        return owner


def _open_memory(memory: Saved, held: ExitStack) -> int:
    fd = os.open(memory.path, os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, fd)
    return fd


def _make_run_directory(path: Path, owner: int | None) -> None:
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(mode=0o700, parents=True)
    if owner is None:
        return
    try:
        os.chown(path, owner, owner)
    except OSError as error:  # a container that has no such user
        raise EngineRefused(
            "Guests can have no users of their own here (setting qemu.uid_base).", str(error)
        ) from error
