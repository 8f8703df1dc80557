"""/metrics: how many instances there are and what they use, as Prometheus reads it.

The text format of version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). It tells of
every account, so it is off unless the operator switches it on (server.metrics).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from econe.domain.health import Check
from econe.domain.instances import Instance, InstanceState
from econe.domain.ports import Clock, Samples, Store, Transaction
from econe.domain.queries import Criterion, Query
from econe.domain.samples import Sample

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})
"""Headers that a proxy adds: then the caller is somebody behind it."""

Figures = Iterable[tuple[Mapping[str, str], float]]
"""Labels and a value."""

COUNTERS: Final = (
    ("cpu_seconds", "cpu_s", "Processor time of the instance's emulator."),
    ("disk_read_bytes", "disk_read_bytes", "Bytes read from its disks."),
    ("disk_written_bytes", "disk_written_bytes", "Bytes written to its disks."),
    ("disk_reads", "disk_reads", "Reads from its disks."),
    ("disk_writes", "disk_writes", "Writes to its disks."),
    ("network_receive_bytes", "network_in_bytes", "Bytes that it received."),
    ("network_transmit_bytes", "network_out_bytes", "Bytes that it sent."),
    ("network_receive_packets", "network_packets_in", "Packets that it received."),
    ("network_transmit_packets", "network_packets_out", "Packets that it sent."),
)
"""(our name, field of Reading, help). They begin anew when an instance starts, as Prometheus
expects of counters."""


@dataclass(frozen=True, slots=True)
class MetricsPage:
    store: Store
    samples: Samples
    clock: Clock
    sampled_within: timedelta
    """Samples that are older are not shown: their machine does not answer."""
    open: bool = False
    """For whoever asks; else for callers of this machine."""

    def allows(self, scope: Mapping[str, Any]) -> bool:
        if self.open:
            return True
        caller = scope.get("client")
        names = {bytes(name).lower() for name, _ in scope["headers"]}
        return caller is not None and caller[0] in LOOPBACK and FORWARDED.isdisjoint(names)

    def text(self) -> bytes:
        """Takes a transaction. Raises StoreBusy, StoreBroken."""
        latest = self.samples.latest(self.clock() - self.sampled_within)
        with self.store.reading() as tx:
            counts = [({"state": state.value}, _count(tx, state)) for state in InstanceState]
            rows = {
                row.id: row
                for row in tx.instances.many(sorted(latest))
                if row.state is InstanceState.RUNNING
            }
        lines = [*_metric("econe_instances", "gauge", "Instances by state.", counts)]
        lines += _of_rows(rows.values())
        lines += _of_samples(rows, latest)
        return "\n".join([*lines, ""]).encode()


def _count(tx: Transaction, state: InstanceState) -> int:
    return len(tx.instances.keys(Query(criteria=(Criterion("state", (state.value,)),))).items)


def _of_rows(rows: Iterable[Instance]) -> Iterator[str]:
    named = [(_labels(row), row) for row in rows]
    yield from _metric(
        "econe_instance_vcpus",
        "gauge",
        "Virtual processors that it has.",
        [(labels, row.vcpus) for labels, row in named if row.vcpus],
    )
    yield from _metric(
        "econe_instance_memory_bytes",
        "gauge",
        "Memory that it has.",
        [(labels, row.memory_mib << 20) for labels, row in named if row.memory_mib],
    )
    yield from _metric(
        "econe_instance_check",
        "gauge",
        "Status checks: 1 passed, 0 failed; absent while nothing is known.",
        [
            ({**labels, "check": name}, float(check is Check.PASSED))
            for labels, row in named
            for name, check in (("system", row.system_check), ("instance", row.guest_check))
            if check in (Check.PASSED, Check.FAILED)
        ],
    )


def _of_samples(rows: Mapping[str, Instance], latest: Mapping[str, Sample]) -> Iterator[str]:
    sampled = [(_labels(row), latest[row.id]) for row in rows.values()]
    for name, field, said in COUNTERS:
        figures = [
            (labels, value)
            for labels, sample in sampled
            if (value := getattr(sample.reading, field)) is not None
        ]
        yield from _metric(f"econe_instance_{name}_total", "counter", said, figures)
    moments = [(labels, sample.at.timestamp()) for labels, sample in sampled]
    said = "When the counters were read, in seconds since 1970."
    yield from _metric("econe_instance_sample_timestamp_seconds", "gauge", said, moments)


def _labels(row: Instance) -> dict[str, str]:
    return {"instance": row.id, "account": row.account, "type": row.instance_type}


def _metric(name: str, kind: str, said: str, figures: Figures) -> Iterator[str]:
    yield f"# HELP {name} {said}"
    yield f"# TYPE {name} {kind}"
    for labels, value in figures:
        written = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{written}}} {value:.17g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
