"""What machines have used: counters as an engine reads them, and what follows from two readings."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of one machine. They begin anew with each start of its emulator."""

    cpu_s: float
    """Processor time of the emulator, with all its guest computes."""
    disk_read_bytes: int
    disk_written_bytes: int
    disk_reads: int
    disk_writes: int
    network_in_bytes: int | None = None
    """Into the guest. None where the network cannot count, as for all four."""
    network_out_bytes: int | None = None
    network_packets_in: int | None = None
    network_packets_out: int | None = None


COUNTERS: Final = tuple(field.name for field in fields(Reading))


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading and when it was taken."""

    instance_id: str
    at: datetime
    reading: Reading


@dataclass(frozen=True, slots=True)
class Usage:
    """Between two samples, by second; None where it cannot be told."""

    at: datetime
    """The end of it."""
    seconds: float
    cpu_percent: float
    """Of all of its virtual processors."""
    disk_read_bytes_s: float
    disk_written_bytes_s: float
    network_in_bytes_s: float | None
    network_out_bytes_s: float | None


def usage(before: Sample, after: Sample, vcpus: int) -> Usage | None:
    """None where there is no time between them, or a start: a counter went back."""
    seconds = (after.at - before.at).total_seconds()
    moved = {name: _moved(before.reading, after.reading, name) for name in COUNTERS}
    if seconds <= 0 or any(value is not None and value < 0 for value in moved.values()):
        return None

    def rate(name: str) -> float | None:
        value = moved[name]
        return None if value is None else value / seconds

    return Usage(
        at=after.at,
        seconds=seconds,
        cpu_percent=100 * (rate("cpu_s") or 0.0) / max(1, vcpus),
        disk_read_bytes_s=rate("disk_read_bytes") or 0.0,
        disk_written_bytes_s=rate("disk_written_bytes") or 0.0,
        network_in_bytes_s=rate("network_in_bytes"),
        network_out_bytes_s=rate("network_out_bytes"),
    )


def _moved(before: Reading, after: Reading, name: str) -> float | None:
    old, new = getattr(before, name), getattr(after, name)
    return None if old is None or new is None else float(new - old)
