"""Cores and threads: how a machine shows its vCPUs, and what users may choose of them.

Rules (EC2 User Guide, "Rules for specifying CPU options for an Amazon EC2 instance")
1. vCPUs are cores times threads per core. Both are said, or neither.
2. Fewer than the type has may be chosen, never more; memory stays the type's.
3. What was chosen lasts over a stop and a start. A changed type brings its own (the guide's edition
   of 2024; the console alone tries to keep what was chosen).
4. Where the engine cannot show threads a vCPU is a core, whatever the type.

Amazon offers those numbers of cores that suit its hosts (some of m5a.12xlarge are 6, 12, 18, 24).
Here each number up to the type's can be had, so each is valid.
"""

from dataclasses import dataclass
from typing import Final

from econe.domain.engine_ports import Capabilities
from econe.domain.families import NO_CHOICE_FAMILIES, PAIRED_FAMILIES
from econe.domain.faults import Invalid, Missing, Noun, Unsupported
from econe.domain.sizes import Size

NO_CHOICE_TYPES: Final = frozenset({"m3.medium"})
"""Beside the families."""


@dataclass(frozen=True, slots=True)
class CpuOptions:
    cores: int
    threads_per_core: int = 1

    @property
    def vcpus(self) -> int:
        return self.cores * self.threads_per_core


def usual_options(size: Size, can: Capabilities) -> CpuOptions:
    """What a launch that says nothing gets. Threads need an engine that can show them, and pairs
    of vCPUs, which an operator's own type of a known family may not have."""
    if not can.topology or size.family not in PAIRED_FAMILIES or size.vcpus % 2:
        return CpuOptions(size.vcpus)
    return CpuOptions(size.vcpus // 2, 2)


def valid_cores(size: Size, can: Capabilities) -> list[int]:
    """Empty where nothing can be chosen."""
    if not may_choose(size):
        return []
    return list(range(1, usual_options(size, can).cores + 1))


def valid_threads(size: Size, can: Capabilities) -> list[int]:
    """Per core; empty where nothing can be chosen."""
    if not may_choose(size):
        return []
    return list(range(1, usual_options(size, can).threads_per_core + 1))


def may_choose(size: Size) -> bool:
    """Of a type that is a template of the engine's own, that says what its machines have."""
    return not (
        size.engine_ref or size.family in NO_CHOICE_FAMILIES or size.name in NO_CHOICE_TYPES
    )


def read_options(cores: int | None, threads_per_core: int | None) -> CpuOptions | None:
    """What a request says; None if nothing. Raises Missing."""
    if cores is None and threads_per_core is None:
        return None
    if cores is None or threads_per_core is None:
        raise Missing(
            Noun.PARAMETER,
            "CpuOptions.CoreCount" if cores is None else "CpuOptions.ThreadsPerCore",
            "When specifying CpuOptions you must specify both CoreCount and ThreadsPerCore.",
        )
    return CpuOptions(cores, threads_per_core)


def choose_options(size: Size, can: Capabilities, asked: CpuOptions | None) -> CpuOptions:
    """What a machine of this type gets. Raises Invalid, Unsupported."""
    if asked is None:
        return usual_options(size, can)
    if not may_choose(size):
        raise Unsupported(
            Noun.PARAMETER,
            "CpuOptions",
            f"The {size.name} instance type does not support specifying CpuOptions.",
        )
    for name, value, valid in (
        ("CoreCount", asked.cores, valid_cores(size, can)),
        ("ThreadsPerCore", asked.threads_per_core, valid_threads(size, can)),
    ):
        if value not in valid:
            raise Invalid(
                Noun.PARAMETER,
                str(value),
                f"The {name} value {value} is not valid for the {size.name} instance type; "
                f"it must be {_span(valid)}.",
            )
    return asked


def _span(valid: list[int]) -> str:
    return str(valid[0]) if len(valid) == 1 else f"from {valid[0]} to {valid[-1]}"
