"""What the host can hold: a machine that does not fit is refused at once, not started and killed.

What counts is what machines that are on, or about to be, were promised; not what they happen to
use. So the host's memory is never overrun, whatever guests do.
"""

from dataclasses import dataclass

from econe.domain.faults import NoCapacity, Noun
from econe.domain.ports import Transaction
from econe.domain.sizes import Size


@dataclass(frozen=True, slots=True)
class Capacity:
    """None: no limit is known, as where an engine has hosts of its own."""

    vcpus: int | None = None
    memory_mib: int | None = None

    @classmethod
    def of(
        cls, vcpus: int, memory_mib: int, *, vcpu_overcommit: float, memory_overcommit: float
    ) -> "Capacity":
        """Of a host's own figures, 0 where they are not known; a factor of 0 sets no limit."""
        return cls(
            int(vcpus * vcpu_overcommit) or None,
            int(memory_mib * memory_overcommit) or None,
        )

    def room_for(self, tx: Transaction, size: Size, at_least: int, at_most: int, zone: str) -> int:
        """How many machines of this size fit, up to `at_most`. Raises NoCapacity where fewer than
        `at_least` do."""
        count = at_most
        if self.vcpus is not None or self.memory_mib is not None:
            used = tx.instances.load()
            if self.vcpus is not None:
                count = min(count, (self.vcpus - used.vcpus) // size.vcpus)
            if self.memory_mib is not None:
                count = min(count, (self.memory_mib - used.memory_mib) // size.memory_mib)
        if count < at_least:
            raise NoCapacity(
                Noun.INSTANCE,
                said=f"We currently do not have sufficient {size.name} capacity in the "
                f"Availability Zone you requested ({zone}).",
            )
        return count
