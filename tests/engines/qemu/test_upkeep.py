"""A full disk halts guests (QEMU's werror=enospc); upkeep lets them run on."""

import pytest

from econe.domain.engine_ports import EngineBusy
from econe.engines.qemu.accelerate import Accelerator
from econe.engines.qemu.disks import QemuDisks
from econe.engines.qemu.firmware import QemuFirmware
from econe.engines.qemu.launcher import Host
from econe.engines.qemu.machines import QemuMachines
from econe.settings import Qemu


class FakeMonitors:
    """Says what each guest's status is, and notes what is asked."""

    def __init__(self, **statuses: str) -> None:
        self.statuses = {name.replace("_", "-"): status for name, status in statuses.items()}
        self.asked: list[tuple[str, str]] = []

    def status(self, name: str) -> str | None:
        return self.statuses.get(name)

    def attach(self, wanted, within_s) -> None:
        pass

    def ask(self, name: str, command: str) -> None:
        self.asked.append((name, command))
        if name == "i-00000001":
            raise EngineBusy("it hangs")


@pytest.fixture
def machines(tmp_path) -> QemuMachines:
    instances = tmp_path / "instances"
    for number in (1, 2, 3):
        (instances / f"i-0000000{number}").mkdir(parents=True)
    firmware = QemuFirmware(tmp_path / "instances", "none is wanted")
    host = Host(Accelerator("tcg", ""), own_users=False, firmware=firmware)
    return QemuMachines(instances, Qemu(), host, QemuDisks(tmp_path, None), None)


def tidied(machines: QemuMachines) -> list[tuple[str, str]]:
    monitors = FakeMonitors(i_00000001="io-error", i_00000002="io-error", i_00000003="running")
    machines._monitors = monitors
    machines.tidy()
    return sorted(monitors.asked)


def test_guests_that_a_full_disk_halted_go_on_when_there_is_room(machines, monkeypatch):
    monkeypatch.setattr("econe.engines.qemu.machines.ROOM_TO_GO_ON_BYTES", 0)
    assert tidied(machines) == [("i-00000001", "cont"), ("i-00000002", "cont")]


def test_they_stay_halted_while_there_is_none(machines, monkeypatch):
    monkeypatch.setattr("econe.engines.qemu.machines.ROOM_TO_GO_ON_BYTES", 1 << 62)
    assert tidied(machines) == []
