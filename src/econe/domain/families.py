"""EC2's common families: Amazon's published vCPU and memory figures of each type.

Most newer families are one ladder of vCPUs with a fixed memory for each of them, which is how they
are written here; the older ones stand as they are.
"""

from collections.abc import Iterator
from typing import Final

GIB: Final = 1024
"""In MiB."""

LADDER: Final = {
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "4xlarge": 16,
    "8xlarge": 32,
    "12xlarge": 48,
    "16xlarge": 64,
    "24xlarge": 96,
}
"""Size -> vCPUs, of families since the fifth generation."""
LONG_LADDER: Final = LADDER | {"32xlarge": 128}
"""Of Intel's sixth generation."""
LONGER_LADDER: Final = LONG_LADDER | {"48xlarge": 192}
"""Of AMD's sixth."""
SEVENTH_LADDER: Final = LADDER | {"48xlarge": 192}
"""Of Intel's seventh."""

LADDERS: Final = {
    "m5": (LADDER, 4),
    "m5a": (LADDER, 4),
    "m6i": (LONG_LADDER, 4),
    "m6a": (LONGER_LADDER, 4),
    "m7i": (SEVENTH_LADDER, 4),
    "c5a": (LADDER, 2),
    "c6i": (LONG_LADDER, 2),
    "c6a": (LONGER_LADDER, 2),
    "c7i": (SEVENTH_LADDER, 2),
    "r5": (LADDER, 8),
    "r5a": (LADDER, 8),
    "r6i": (LONG_LADDER, 8),
    "r6a": (LONGER_LADDER, 8),
    "r7i": (SEVENTH_LADDER, 8),
}
"""Family -> its ladder and the GiB of memory for each vCPU."""

BURSTABLE: Final = {
    "nano": (2, 512),
    "micro": (2, 1 * GIB),
    "small": (2, 2 * GIB),
    "medium": (2, 4 * GIB),
    "large": (2, 8 * GIB),
    "xlarge": (4, 16 * GIB),
    "2xlarge": (8, 32 * GIB),
}

BURSTABLE_FAMILIES: Final = frozenset({"t2", "t3", "t3a", "t4g", "t8i"})
"""Those that Amazon throttles, or charges, by CPU credits."""
ONE_THREAD_FAMILIES: Final = frozenset({"c1", "m1", "m2", "t1", "t2"})
"""Their vCPUs are cores of their own; of all later ones here two vCPUs are one core (User Guide,
"CPU options for Amazon EC2 instances")."""
NO_CHOICE_FAMILIES: Final = frozenset({"c1", "m1", "t1", "t2"})
"""Those whose cores and threads cannot be chosen."""

TABLES: Final = {
    "t3": BURSTABLE,
    "t3a": BURSTABLE,
    "t2": BURSTABLE | {"nano": (1, 512), "micro": (1, 1 * GIB), "small": (1, 2 * GIB)},
    "t1": {"micro": (1, 627)},
    "m1": {
        "small": (1, 1740),
        "medium": (1, 3788),
        "large": (2, 7680),
        "xlarge": (4, 15360),
    },
    "m2": {"xlarge": (2, 17510), "2xlarge": (4, 35020), "4xlarge": (8, 70041)},
    "m3": {"medium": (1, 3840), "large": (2, 7680), "xlarge": (4, 15360), "2xlarge": (8, 30720)},
    "m4": {
        "large": (2, 8 * GIB),
        "xlarge": (4, 16 * GIB),
        "2xlarge": (8, 32 * GIB),
        "4xlarge": (16, 64 * GIB),
        "10xlarge": (40, 160 * GIB),
        "16xlarge": (64, 256 * GIB),
    },
    "c1": {"medium": (2, 1740), "xlarge": (8, 7168)},
    "c3": {
        "large": (2, 3840),
        "xlarge": (4, 7680),
        "2xlarge": (8, 15360),
        "4xlarge": (16, 30720),
        "8xlarge": (32, 61440),
    },
    "c4": {
        "large": (2, 3840),
        "xlarge": (4, 7680),
        "2xlarge": (8, 15360),
        "4xlarge": (16, 30720),
        "8xlarge": (36, 61440),
    },
    "c5": {
        "large": (2, 4 * GIB),
        "xlarge": (4, 8 * GIB),
        "2xlarge": (8, 16 * GIB),
        "4xlarge": (16, 32 * GIB),
        "9xlarge": (36, 72 * GIB),
        "12xlarge": (48, 96 * GIB),
        "18xlarge": (72, 144 * GIB),
        "24xlarge": (96, 192 * GIB),
    },
    "r3": {
        "large": (2, 15360),
        "xlarge": (4, 31232),
        "2xlarge": (8, 62464),
        "4xlarge": (16, 124928),
        "8xlarge": (32, 249856),
    },
    "r4": {
        "large": (2, 15616),
        "xlarge": (4, 31232),
        "2xlarge": (8, 62464),
        "4xlarge": (16, 124928),
        "8xlarge": (32, 249856),
        "16xlarge": (64, 499712),
    },
}
"""Family -> size -> (vCPUs, MiB)."""


PAIRED_FAMILIES: Final = (TABLES.keys() | LADDERS.keys()) - ONE_THREAD_FAMILIES
"""Those whose cores have two threads."""


def published() -> Iterator[tuple[str, int, int]]:
    """(name, vCPUs, MiB) of every type."""
    for family, table in TABLES.items():
        for size, (vcpus, memory_mib) in table.items():
            yield f"{family}.{size}", vcpus, memory_mib
    for family, (ladder, gib_per_vcpu) in LADDERS.items():
        for size, vcpus in ladder.items():
            yield f"{family}.{size}", vcpus, vcpus * gib_per_vcpu * GIB
