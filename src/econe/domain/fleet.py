"""What can be done with instances: launch, start, stop, reboot, terminate.

Each use case checks all that it was asked before it changes the first row, so several ids are
done together or not at all. Each change of intent raises the generation and resets the work
plane's backoff: the user's new wish is tried at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from econe.domain import launch as rules
from econe.domain.accounts import Limits
from econe.domain.booting import check_image
from econe.domain.capacity import Capacity
from econe.domain.chosen_address import check_address
from econe.domain.cpu_credits import check_credits
from econe.domain.default_network import ensure_default_network
from econe.domain.engine_networks import AccountNetwork
from econe.domain.engine_ports import ANY_ENGINE, Capabilities
from econe.domain.faults import Forbidden, Invalid, Noun, Unsupported, WrongState, all_missing
from econe.domain.ids import read_id
from econe.domain.instances import Event, Instance, InstanceState, advance
from econe.domain.launch import LaunchOrder, NetworkOrder
from econe.domain.launch_rows import Plan, write_rows
from econe.domain.limits import check_room_to_start, room_for_instances
from econe.domain.ports import Transaction
from econe.domain.reasons import BY_HIBERNATION, BY_USER, PENDING, Reason, by_user
from econe.domain.sizes import Size, sizes_of
from econe.domain.topology import choose_options


@dataclass(frozen=True, slots=True)
class Moved:
    """An instance's state before and after what was asked."""

    id: str
    before: InstanceState
    after: InstanceState


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Use cases of instances. Raise Fault; `account` is a number, `asked` are ids as written."""

    zone: str
    sizes: Mapping[str, Size]
    """The catalogue: types that all may use where the engine has none of the same name."""
    default_type: str
    root_gib: int
    limits: Limits
    """What is usual for an account."""
    vpc_pools: Sequence[str]
    can: Capabilities = ANY_ENGINE
    capacity: Capacity = Capacity()

    def launch(
        self, tx: Transaction, account: str, order: LaunchOrder, now: datetime
    ) -> list[Instance]:
        """New instances of one reservation, pending, in order of launch index.

        As many as fit between at_least and at_most; none if at_least do not fit.
        """
        rules.check_counts(order)
        rules.check_options(order)
        rules.check_told_tags(order)
        rules.check_engine(order, self.can)
        size = self._size(tx, account, order.size or self.default_type)
        cpu = choose_options(size, self.can, order.cpu)
        check_credits(size, order.credits)
        size = replace(size, vcpus=cpu.vcpus)
        image = rules.find_image(tx, account, order.image)
        check_image(image, size.name, self.can)
        order = rules.with_wishes_of(image, order)
        key = rules.find_key(tx, account, order.key_pair)
        root = rules.choose_root(order, image)
        network = self._network(tx, account, order.network, now)
        rules.check_network(order.network, network, self.zone)
        check_address(order, network, self.can)
        plan = Plan(
            account=account,
            order=rules.marked(order),
            image=image,
            size=size,
            cpu=cpu,
            key=key,
            user_data=rules.decode_user_data(order.user_data),
            root=root,
            root_gib=rules.size_root(root, image, self.root_gib),
            network=network,
            zone=self.zone,
            can=self.can,
            now=now,
        )
        count = room_for_instances(tx, plan, self.limits)
        count = self.capacity.room_for(tx, size, order.at_least, count, self.zone)
        return write_rows(tx, plan, count)

    def _size(self, tx: Transaction, account: str, name: str) -> Size:
        size = sizes_of(tx, account, self.sizes).get(name)
        if size is None:
            raise Invalid(Noun.INSTANCE_TYPE, name, f"Invalid value '{name}' for InstanceType.")
        return size

    def _network(
        self, tx: Transaction, account: str, order: NetworkOrder, now: datetime
    ) -> AccountNetwork:
        """Networks of the engine's own are there before anybody launches in them."""
        if self.can.gives_addresses:
            return rules.choose_network(tx, account, order)
        return ensure_default_network(tx, account, self.zone, self.vpc_pools, now)

    def start(
        self, tx: Transaction, account: str, asked: Sequence[str], now: datetime
    ) -> list[Moved]:
        """All that are asked for, or none where the account may not have them all run, or the host
        cannot hold them."""
        starting: list[Size] = []

        def wish(row: Instance) -> Instance:
            after = advance(row, Event.START)
            if after.state is row.state:
                return row
            size = Size(row.instance_type, max(row.vcpus, 1), max(row.memory_mib, 1))
            starting.append(size)
            return _renewed(after, now, launched_at=now, transition_reason="", state_reason=PENDING)

        def check() -> None:
            if starting:
                together = Size(
                    starting[0].name,
                    sum(size.vcpus for size in starting),
                    sum(size.memory_mib for size in starting),
                )
                check_room_to_start(
                    tx,
                    account,
                    self.limits,
                    vcpus=together.vcpus,
                    memory_mib=together.memory_mib,
                )
                self.capacity.room_for(tx, together, 1, 1, self.zone)

        return _apply(tx, account, asked, wish, check)

    def stop(
        self,
        tx: Transaction,
        account: str,
        asked: Sequence[str],
        now: datetime,
        *,
        forced: bool = False,
        at_last: bool = False,
        hibernate: bool = False,
    ) -> list[Moved]:
        """`forced` cuts power at once; it may also hurry a stop that is under way. `at_last` only
        hurries: whoever still runs may halt in good order. `hibernate` keeps the memory of those
        that were launched for it."""

        def wish(row: Instance) -> Instance:
            after = advance(row, Event.STOP)
            if row.never_ran:
                raise WrongState(
                    Noun.INSTANCE,
                    row.id,
                    f"Instance '{row.id}' cannot be stopped as it has never reached the "
                    "'running' state.",
                )
            if row.disable_api_stop:
                raise _protected(row, "stopped", "disableApiStop")
            if hibernate:
                check_hibernation(row)
            under_way = row.state is InstanceState.STOPPING
            hurried = under_way and (forced or at_last) and not row.forced
            if after.state is row.state and not hurried:
                return row
            told = _told(BY_HIBERNATION if hibernate else BY_USER, now)
            if hurried:  # it was told when it was asked for first
                told = {"state_reason": BY_USER} if row.hibernating else {}
            return _renewed(after, now, forced=forced or hurried, hibernating=hibernate, **told)

        return _apply(tx, account, asked, wish)

    def reboot(
        self, tx: Transaction, account: str, asked: Sequence[str], now: datetime
    ) -> list[Moved]:
        """One more reboot is owed. What should be stays the same, so the generation does. Of what
        is terminated it is ignored (API reference, RebootInstances)."""

        def wish(row: Instance) -> Instance:
            if row.state is InstanceState.TERMINATED:
                return row
            after = advance(row, Event.REBOOT)
            return replace(
                after, reboots_asked=row.reboots_asked + 1, asked_at=now, retry_at=None, attempts=0
            )

        return _apply(tx, account, asked, wish)

    def terminate(
        self,
        tx: Transaction,
        account: str,
        asked: Sequence[str],
        now: datetime,
        *,
        forced: bool = False,
        at_last: bool = False,
    ) -> list[Moved]:
        """For ever. Asking twice is not an error. `forced` cuts power at once; it may also hurry
        one that is under way. `at_last` only hurries: whoever still runs may halt in good order."""

        def wish(row: Instance) -> Instance:
            after = advance(row, Event.TERMINATE)
            if row.disable_api_termination and after.state is not row.state:
                raise _protected(row, "terminated", "disableApiTermination")
            under_way = row.state is InstanceState.SHUTTING_DOWN
            hurried = under_way and (forced or at_last) and not row.forced
            if after.state is row.state and not hurried:
                return row
            told = {} if hurried else _told(BY_USER, now)
            return _renewed(after, now, forced=forced or hurried, **told)

        return _apply(tx, account, asked, wish)


def find_instances(tx: Transaction, account: str, asked: Sequence[str]) -> list[Instance]:
    """The account's instances of these ids, each once, in order. Raises Malformed, NotFound."""
    ids = list(dict.fromkeys(read_id(Noun.INSTANCE, text) for text in asked))
    rows = [row for row in tx.instances.many(ids) if row.account == account]
    if len(rows) < len(ids):
        known = {row.id for row in rows}
        raise all_missing(Noun.INSTANCE, [row_id for row_id in ids if row_id not in known])
    return rows


def _apply(
    tx: Transaction,
    account: str,
    asked: Sequence[str],
    wish: Callable[[Instance], Instance],
    check: Callable[[], None] = lambda: None,
) -> list[Moved]:
    """`check` may refuse once all wishes are known, and before the first row changes."""
    pairs = [(row, wish(row)) for row in find_instances(tx, account, asked)]
    check()
    for before, after in pairs:
        if after is not before:
            tx.instances.save(after)
    return [Moved(before.id, before.state, after.state) for before, after in pairs]


def check_hibernation(row: Instance) -> None:
    """Raises Unsupported, WrongState."""
    if not row.hibernation:
        raise Unsupported(
            Noun.HIBERNATION,
            row.id,
            f"The instance '{row.id}' was not launched with HibernationOptions.Configured, so it "
            "cannot be hibernated.",
        )
    if row.state is InstanceState.PENDING:
        raise WrongState(
            Noun.INSTANCE,
            row.id,
            f"The instance '{row.id}' does not run yet, so it cannot be hibernated.",
        )


def _protected(row: Instance, what: str, attribute: str) -> Forbidden:
    return Forbidden(
        Noun.INSTANCE,
        row.id,
        f"The instance '{row.id}' may not be {what}. Modify its '{attribute}' instance attribute "
        "and try again.",
    )


def _told(reason: Reason, now: datetime) -> dict[str, object]:
    return {"state_reason": reason, "transition_reason": by_user(now)}


def _renewed(row: Instance, now: datetime, **changes: object) -> Instance:
    fields: dict[str, object] = {
        "generation": row.generation + 1,
        "asked_at": now,
        "retry_at": None,
        "attempts": 0,
        "problem": "",
        "forced": False,
        "hibernating": False,
        "reboots_done": row.reboots_asked,
    }
    return replace(row, **(fields | changes))  # type: ignore[arg-type]
