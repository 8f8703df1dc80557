"""What guests use: the kernel's account of their QEMU, QEMU's of the disks, the taps' counters."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from econe.domain.engine_ports import Subject
from econe.domain.samples import Reading
from econe.engines.qemu.monitor import Monitors
from econe.engines.qemu.nic import Traffic, Wiring
from econe.engines.qemu.place import busy_if_the_system_fails, place_of
from econe.engines.qemu.processes import PROC, Process

ANSWER_S: Final = 5.0
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


class QemuMeters:
    """ports.Meters."""

    def __init__(
        self,
        instances: Path,
        networks: Wiring,
        watching: Callable[[], Monitors],
        process: Callable[[str], Process | None],
    ) -> None:
        self._instances, self._networks = instances, networks
        self._watching, self._process = watching, process

    def read(self, subjects: Mapping[str, Subject]) -> Mapping[str, Reading]:
        places = [place_of(self._instances, instance_id) for instance_id in subjects]
        with busy_if_the_system_fails():
            here = {place.id: place.monitor for place in places if place.power.exists()}
            disks = self._watching().ask_all(here, "query-blockstats", ANSWER_S)
            traffic = self._networks.count([nic for id_ in disks for nic in subjects[id_].nics])
            readings = {
                id_: self._reading(id_, subjects[id_], disks[id_], traffic) for id_ in disks
            }
        return {id_: reading for id_, reading in readings.items() if reading is not None}

    def _reading(
        self, instance_id: str, subject: Subject, disks: Any, traffic: Mapping[str, Traffic]
    ) -> Reading | None:
        process = self._process(instance_id)
        if process is None:
            return None
        cpu_s = processor_time_s(process)
        own = [traffic[nic.interface_id] for nic in subject.nics if nic.interface_id in traffic]
        return Reading(
            cpu_s=cpu_s,
            disk_read_bytes=total(disks, "rd_bytes"),
            disk_written_bytes=total(disks, "wr_bytes"),
            disk_reads=total(disks, "rd_operations"),
            disk_writes=total(disks, "wr_operations"),
            network_in_bytes=sum(each.bytes_in for each in own) if own else None,
            network_out_bytes=sum(each.bytes_out for each in own) if own else None,
            network_packets_in=sum(each.packets_in for each in own) if own else None,
            network_packets_out=sum(each.packets_out for each in own) if own else None,
        )


def processor_time_s(process: Process) -> float:
    """Of all its threads (proc(5), stat: utime and stime). Raises OSError if it has just ended."""
    words = (PROC / str(process.pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS_A_SECOND


def total(disks: Any, counter: str) -> int:
    """Of all devices in an answer to `query-blockstats`; what has another form counts nothing."""
    found = 0
    for device in disks if isinstance(disks, list) else ():
        value = device.get("stats", {}).get(counter) if isinstance(device, dict) else None
        found += value if isinstance(value, int) and value > 0 else 0
    return found
