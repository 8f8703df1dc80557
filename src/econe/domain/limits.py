"""What an account may have: limits of its own or the usual ones, and whether something still fits.

Rule 1: a check stands in the transaction that writes what it lets pass, and there is one writer:
        however many ask at once, a limit holds.
Rule 2: what is there already stays. A limit that is set below it refuses only more.
Rule 3: of an account of ours vCPUs and memory count while an instance is on or about to be, as in
        EC2 (User Guide, "On-Demand Instance quotas"), so a start is checked as a launch is. Of an
        engine's user they count as the engine counts: always (decision 44).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

from econe.domain.accounts import UNLIMITED, Account, Limits
from econe.domain.faults import LimitExceeded, Noun
from econe.domain.images import Content, ImageState
from econe.domain.launch import GIB
from econe.domain.launch_rows import Plan
from econe.domain.ports import Transaction, Usage
from econe.domain.queries import Query

MIB_IN_GIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an account has of all that is limited."""

    instances: int
    vcpus: int
    memory_mib: int
    images: int
    storage_bytes: int

    @property
    def storage_gib(self) -> int:
        """Rounded up."""
        return -(-self.storage_bytes // GIB)


def limits_of(account: Account | None, usual: Limits) -> Limits:
    """What holds for the account; None is no limit. An operator's word replaces what is usual; an
    engine's quota cannot give more than that."""
    own = account.limits if account else Limits()
    is_engines = account is not None and bool(account.engine_ref)
    return Limits(
        **{
            name: _choose(getattr(own, name), getattr(usual, name), is_engines=is_engines)
            for name in (field.name for field in fields(Limits))
        }
    )


def _choose(own: int | None, usual: int | None, *, is_engines: bool) -> int | None:
    if own is None:
        return usual
    if own == UNLIMITED:
        return None
    return own if usual is None or not is_engines else min(own, usual)


def holdings_of(tx: Transaction, account: Account) -> Holdings:
    on = _machines(tx, account)
    images = _images(tx, account.number)
    return Holdings(
        instances=tx.instances.usage(account.number).instances,
        vcpus=on.vcpus,
        memory_mib=on.memory_mib,
        images=len(images),
        storage_bytes=_disks(tx, account) + sum(images),
    )


def _machines(tx: Transaction, account: Account) -> Usage:
    """Those whose vCPUs and memory count."""
    return tx.instances.usage(account.number, on=not account.engine_ref)


def _disks(tx: Transaction, account: Account) -> int:
    """Bytes. An engine's users have them in storage of another kind."""
    return 0 if account.engine_ref else tx.volumes.total_gib(account.number) * GIB


def _images(tx: Transaction, account: str) -> list[int]:
    """The size in bytes of each."""
    return [
        image.size_bytes
        for image in tx.images.find(Query(account=account)).items
        if image.state is not ImageState.DEREGISTERED
    ]


# --- instances -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Room:
    """Of one kind of thing."""

    noun: Noun
    most: int
    used: int
    each: int
    """What one instance takes."""
    said: str
    """EC2's sentence, with {wanted} and {most}."""

    @property
    def count(self) -> int:
        """How many instances fit."""
        return max(0, self.most - self.used) // self.each

    def refusal(self, count: int) -> LimitExceeded:
        wanted = self.used + count * self.each
        return LimitExceeded(self.noun, said=self.said.format(wanted=wanted, most=self.most))


_INSTANCES: Final = (
    "You have requested more instances ({wanted}) than your current instance limit of {most} "
    "allows for the specified instance type."
)
_VCPUS: Final = (
    "You have requested more vCPU capacity ({wanted}) than your current vCPU limit of {most} "
    "allows for the instance bucket that the specified instance type belongs to."
)
_MEMORY: Final = (
    "You have requested more MiB of memory ({wanted}) than your current memory limit of {most} MiB "
    "allows."
)
_STORAGE: Final = (
    "You have exceeded your maximum storage limit of {most} GiB: with this it would be {wanted}."
)


def room_for_instances(tx: Transaction, plan: Plan, usual: Limits) -> int:
    """How many to launch: as many as are asked for and fit. Raises LimitExceeded where too few
    fit."""
    account = tx.accounts.get(plan.account)
    limits = limits_of(account, usual)
    count = plan.order.at_most
    for room in _rooms_to_launch(tx, account, plan, limits):
        count = min(count, room.count)
        if count < plan.order.at_least:
            raise room.refusal(plan.order.at_least)
    return count


def _rooms_to_launch(
    tx: Transaction, account: Account | None, plan: Plan, limits: Limits
) -> Iterator[_Room]:
    if limits.instances is not None:
        used = tx.instances.usage(plan.account).instances
        yield _Room(Noun.INSTANCE, limits.instances, used, 1, _INSTANCES)
    if account is None:
        return
    yield from _rooms_to_run(tx, account, limits, plan.size.vcpus, plan.size.memory_mib)
    if limits.storage_gib is not None and not account.engine_ref:
        stored = _disks(tx, account) + sum(_images(tx, account.number))
        used = -(-stored // GIB)
        yield _Room(Noun.VOLUME, limits.storage_gib, used, plan.root_gib, _STORAGE)


def check_room_to_start(
    tx: Transaction, account: str, usual: Limits, *, vcpus: int, memory_mib: int
) -> None:
    """Whether stopped instances that take so much together may run. Raises LimitExceeded."""
    holder = tx.accounts.get(account)
    if holder is None or holder.engine_ref:
        return
    for room in _rooms_to_run(tx, holder, limits_of(holder, usual), vcpus, memory_mib):
        if room.count < 1:
            raise room.refusal(1)


def _rooms_to_run(
    tx: Transaction, account: Account, limits: Limits, vcpus: int, memory_mib: int
) -> Iterator[_Room]:
    if limits.vcpus is None and limits.memory_mib is None:
        return
    on = _machines(tx, account)
    if limits.vcpus is not None:
        yield _Room(Noun.VCPU, limits.vcpus, on.vcpus, vcpus, _VCPUS)
    if limits.memory_mib is not None:
        yield _Room(Noun.INSTANCE, limits.memory_mib, on.memory_mib, memory_mib, _MEMORY)


# --- images --------------------------------------------------------------------------------


def check_room_for_image(tx: Transaction, account: str, content: Content, usual: Limits) -> None:
    """Raises LimitExceeded. EC2 has its general code for too many images."""
    holder = tx.accounts.get(account)
    limits = limits_of(holder, usual)
    if limits.images is None and limits.storage_gib is None:
        return
    images = _images(tx, account)
    if limits.images is not None and len(images) >= limits.images:
        raise LimitExceeded(
            Noun.RESOURCE,
            said=f"You have reached your quota of {limits.images} for the number of images allowed "
            "in this Region. Deregister unused images.",
        )
    if limits.storage_gib is None or holder is None:
        return
    stored = _disks(tx, holder) + sum(images) + content.virtual_bytes
    if stored > limits.storage_gib * GIB:
        wanted = -(-stored // GIB)
        raise LimitExceeded(
            Noun.VOLUME, said=_STORAGE.format(wanted=wanted, most=limits.storage_gib)
        )
