"""What an account may still have: the limits that an engine's users bring, and the cloud's own."""

from dataclasses import dataclass

from econe.domain.accounts import Limits
from econe.domain.faults import LimitExceeded, Noun
from econe.domain.images import Content, ImageState
from econe.domain.launch import GIB, LaunchOrder
from econe.domain.ports import Transaction
from econe.domain.queries import Query
from econe.domain.sizes import Size


@dataclass(frozen=True, slots=True)
class _Room:
    """Of one kind of thing."""

    most: int | None
    used: int
    each: int
    """What one instance takes."""
    said: str

    @property
    def count(self) -> int | None:
        """How many instances fit; None: any number."""
        return None if self.most is None else max(0, self.most - self.used) // self.each

    def refusal(self, count: int) -> LimitExceeded:
        wanted = self.used + count * self.each
        return LimitExceeded(
            Noun.INSTANCE,
            said=f"You have requested more {self.said} ({wanted}) than your current limit of "
            f"{self.most} allows.",
        )


def room_for_instances(
    tx: Transaction, account: str, order: LaunchOrder, size: Size, most: int
) -> int:
    """How many to launch: as many as are asked for and fit, with not more than `most` of the
    account in all. Raises LimitExceeded where too few fit."""
    limits = limits_of(tx, account)
    used = tx.instances.usage(account)
    allowed = most if limits.instances is None else min(most, limits.instances)
    count = order.at_most
    for room in (
        _Room(allowed, used.instances, 1, "instances"),
        _Room(limits.vcpus, used.vcpus, size.vcpus, "vCPUs"),
        _Room(limits.memory_mib, used.memory_mib, size.memory_mib, "MiB of memory"),
    ):
        if room.count is None:
            continue
        count = min(count, room.count)
        if count < order.at_least:
            raise room.refusal(order.at_least)
    return count


def check_room_for_image(tx: Transaction, account: str, content: Content) -> None:
    """Raises LimitExceeded. EC2 has no code for too many images, hence its general one."""
    limits = limits_of(tx, account)
    if limits.images is None and limits.storage_gib is None:
        return
    images = [
        image
        for image in tx.images.find(Query(account=account)).items
        if image.state is not ImageState.DEREGISTERED
    ]
    if limits.images is not None and len(images) >= limits.images:
        raise LimitExceeded(
            Noun.RESOURCE, said=f"You have reached the limit of {limits.images} images."
        )
    stored = sum(image.size_bytes for image in images) + content.virtual_bytes
    if limits.storage_gib is not None and stored > limits.storage_gib * GIB:
        raise LimitExceeded(
            Noun.VOLUME,
            said=f"You have reached the limit of {limits.storage_gib} GiB on your storage.",
        )


def limits_of(tx: Transaction, account: str) -> Limits:
    holder = tx.accounts.get(account)
    return holder.limits if holder else Limits()
