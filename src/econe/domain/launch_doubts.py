"""What would keep a launch from succeeding if it were asked for now.

A launch template is kept for later launches, which may say more. So what depends on the moment (an
image that is gone, a key pair that is not there yet) is told and not refused; what this cloud does
not have at all, and what is wrong in itself, is refused as RunInstances refuses it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from econe.domain import launch as rules
from econe.domain.booting import check_image
from econe.domain.chosen_address import check_address
from econe.domain.cpu_credits import check_credits
from econe.domain.default_network import find_default_network
from econe.domain.engine_networks import AccountNetwork
from econe.domain.faults import (
    Conflict,
    Fault,
    Invalid,
    Malformed,
    Missing,
    NotFound,
    Noun,
    Unavailable,
    Unsupported,
)
from econe.domain.fleet import Fleet
from econe.domain.ids import read_id
from econe.domain.launch import LaunchOrder
from econe.domain.ports import Transaction
from econe.domain.sizes import sizes_of
from econe.domain.topology import choose_options

UNFINISHED: Final = (Conflict, Missing)
"""What a launch that says more may mend."""
MOMENTARY: Final = (*UNFINISHED, Invalid, NotFound, Unavailable)
"""What a later launch may mend, too, where a check asks what there is."""


def doubts(fleet: Fleet, tx: Transaction, account: str, order: LaunchOrder) -> list[Fault]:
    """One for each thing that is doubtful. What the order leaves open is not. Raises Fault for
    what no later launch could mend: Unsupported, Malformed, Duplicate, LimitExceeded, and Invalid
    of values that are wrong by themselves."""
    found: list[Fault] = []
    rules.check_options(order)
    rules.check_engine(order, fleet.can)
    _check_user_data(order)
    _check_forms(order)
    found += _doubts_of_size(fleet, tx, account, order)
    with noted(found):
        rules.check_told_tags(order)
    with noted(found):
        rules.find_key(tx, account, order.key_pair)
    with noted(found):
        if order.image:
            image = rules.find_image(tx, account, order.image)
            check_image(image, order.size or fleet.default_type, fleet.can)
            rules.size_root(rules.choose_root(order, image), image, fleet.root_gib)
    with noted(found):
        network = _network(fleet, tx, account, order)
        if network is not None:
            rules.check_network(order.network, network, fleet.zone)
            check_address(order, network, fleet.can)
    return found


def _doubts_of_size(fleet: Fleet, tx: Transaction, account: str, order: LaunchOrder) -> list[Fault]:
    if order.size is None:
        return []
    size = sizes_of(tx, account, fleet.sizes).get(order.size)
    if size is None:
        return [Invalid(Noun.INSTANCE_TYPE, order.size)]
    found: list[Fault] = []
    with noted(found, (Invalid, Unsupported)):  # a later launch may name another type
        choose_options(size, fleet.can, order.cpu)
    with noted(found, (Unsupported,)):
        check_credits(size, order.credits)
    return found


def _network(
    fleet: Fleet, tx: Transaction, account: str, order: LaunchOrder
) -> AccountNetwork | None:
    """Where a launch would be now. None where the launch makes the network."""
    if fleet.can.gives_addresses:
        return rules.choose_network(tx, account, order.network)
    return find_default_network(tx, account)


@contextmanager
def noted(found: list[Fault], kinds: tuple[type[Fault], ...] = MOMENTARY) -> Iterator[None]:
    """Faults of these kinds are added to `found`; others go on."""
    try:
        yield
    except kinds as fault:
        found.append(fault)


def _check_user_data(order: LaunchOrder) -> None:
    """EC2 has a code of its own for what a template says and a launch could not."""
    try:
        rules.decode_user_data(order.user_data)
    except Invalid as fault:
        raise Malformed(Noun.USER_DATA, said=fault.said) from fault


def _check_forms(order: LaunchOrder) -> None:
    """Ids that cannot be ids."""
    if order.image:
        read_id(Noun.IMAGE, order.image)
    if order.network.subnet is not None:
        read_id(Noun.SUBNET, order.network.subnet)
    for group in order.network.groups:
        read_id(Noun.SECURITY_GROUP, group)
