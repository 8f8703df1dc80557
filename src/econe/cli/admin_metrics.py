"""What `econe-admin metrics INSTANCE` says: what an instance used, by samples of the work plane."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

from econe.cli.admin_text import moment, table
from econe.domain.instances import Instance
from econe.domain.samples import Sample, Usage, usage

SHOWN: Final = 60
"""Lines of the table; --json has all that is kept."""
_HEAD: Final = ("UNTIL", "SECONDS", "CPU %", "READ KiB/s", "WRITTEN KiB/s", "IN KiB/s", "OUT KiB/s")


def text_of(row: Instance, samples: Sequence[Sample]) -> str:
    spans = [span for a, b in pairwise(samples) if (span := usage(a, b, row.vcpus)) is not None]
    if not spans:
        return f"There are not two samples of {row.id} yet; its monitoring is {row.monitoring}."
    return table(_HEAD, [_line(span) for span in spans[-SHOWN:]])


def facts_of(row: Instance, samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "instance": row.id,
        "monitoring": row.monitoring.value,
        "vcpus": row.vcpus,
        "samples": [{"at": moment(each.at), **asdict(each.reading)} for each in samples],
    }


def _line(span: Usage) -> tuple[str, ...]:
    return (
        moment(span.at),
        f"{span.seconds:.0f}",
        f"{span.cpu_percent:.1f}",
        *(
            "-" if rate is None else f"{rate / 1024:.1f}"
            for rate in (
                span.disk_read_bytes_s,
                span.disk_written_bytes_s,
                span.network_in_bytes_s,
                span.network_out_bytes_s,
            )
        ),
    )
