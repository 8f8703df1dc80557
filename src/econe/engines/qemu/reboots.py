"""Reboots that were asked of guests and are under way.

x86 has no ACPI reboot. So a reboot is a press of the power button; when the guest has halted, its
QEMU, which is still there, is reset and let go on. A guest that does not halt in time is reset as
it is. What is under way stands in a file, so that the next server goes on with it.
"""

import time
from pathlib import Path

from econe.durable import write_whole
from econe.engines.qemu.place import Place, place_of


class Reboots:
    def __init__(self, instances: Path, grace_s: float) -> None:
        self._instances, self._grace_s = instances, grace_s

    def begin(self, instance_id: str) -> None:
        write_whole(self._place(instance_id).reboot, f"{time.time() + self._grace_s:.3f}")

    def under_way(self, instance_id: str) -> bool:
        return self._place(instance_id).reboot.exists()

    def seconds_left(self, instance_id: str) -> float | None:
        """Until the guest is to be reset as it is; None if no reboot is under way."""
        deadline = self._place(instance_id).read_reboot()
        return None if deadline is None else deadline - time.time()

    def end(self, instance_id: str) -> None:
        """It is done, or no longer wanted. Nothing happens if none is under way."""
        self._place(instance_id).reboot.unlink(missing_ok=True)

    def _place(self, instance_id: str) -> Place:
        return place_of(self._instances, instance_id)
