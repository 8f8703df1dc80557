"""Networks that the engine has: what each account sees of one is a VPC with one subnet and the
group `default`, all three of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from econe.domain.engine_ports import OfferedNetwork
from econe.domain.instances import InstanceState
from econe.domain.networks import SecurityGroup, Subnet, Vpc
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query, literally

LIVE = tuple(state for state in InstanceState if state is not InstanceState.TERMINATED)
DEFAULT_GROUP = "default"
DEFAULT_GROUP_SAYS = "default VPC security group"


@dataclass(frozen=True, slots=True)
class AccountNetwork:
    """Where an instance of an account can be."""

    vpc: Vpc
    subnet: Subnet
    group: SecurityGroup


def find_engine_network(tx: Transaction, account: str, ref: str) -> AccountNetwork | None:
    """What stands for the engine's network `ref` in the account, if all three rows exist."""
    vpcs = tx.vpcs.find(Query(account=account, criteria=(_same("engine_ref", ref),))).items
    return _network_of(tx, vpcs[0]) if vpcs else None


def find_subnets_network(tx: Transaction, account: str, subnet_id: str) -> AccountNetwork | None:
    """The account's network with this subnet, if the engine has it."""
    subnet = tx.subnets.get(subnet_id)
    if subnet is None or subnet.account != account or not subnet.engine_ref:
        return None
    vpc = tx.vpcs.get(subnet.vpc_id)
    return _network_of(tx, vpc) if vpc else None


def _network_of(tx: Transaction, vpc: Vpc) -> AccountNetwork | None:
    here = _same("vpc_id", vpc.id)
    subnets = _subnets(tx, vpc)
    named = _same("name", DEFAULT_GROUP)
    groups = tx.security_groups.find(Query(account=vpc.account, criteria=(named, here))).items
    return AccountNetwork(vpc, subnets[0], groups[0]) if subnets and groups else None


def make_engine_network(
    tx: Transaction,
    account: str,
    *,
    ref: str,
    cidr: str,
    zone: str,
    now: datetime,
    is_default: bool = False,
) -> AccountNetwork:
    """Raises Taken where the account has rows for this network, or a default one, already."""
    (vpc_id,), (subnet_id,), (group_id,) = (tx.next_ids(p) for p in ("vpc", "subnet", "sg"))
    vpc = Vpc(vpc_id, account, cidr, is_default, now, engine_ref=ref)
    subnet = Subnet(subnet_id, account, vpc_id, cidr, zone, is_default, now, engine_ref=ref)
    group = SecurityGroup(group_id, account, vpc_id, DEFAULT_GROUP, DEFAULT_GROUP_SAYS, now)
    tx.vpcs.add(vpc)
    tx.subnets.add(subnet)
    tx.security_groups.add(group)
    return AccountNetwork(vpc, subnet, group)


def see_something_else(
    tx: Transaction, vpcs: Iterable[Vpc], offered: Sequence[OfferedNetwork]
) -> bool:
    """Whether match_networks() has anything to do for the account whose VPCs these are."""
    wanted = {each.ref: (each.cidr, each.is_default) for each in offered}
    shown = {vpc.engine_ref: vpc for vpc in vpcs}
    for ref, vpc in shown.items():
        if ref in wanted:
            if (vpc.cidr, vpc.is_default) != wanted[ref]:
                return True
        elif vpc.is_default or (ref and not _is_used(tx, vpc)):
            return True
    return not wanted.keys() <= shown.keys()


def match_networks(
    tx: Transaction, account: str, offered: Sequence[OfferedNetwork], *, zone: str, now: datetime
) -> None:
    """Make the account see what is offered.

    What is not offered any more goes, unless something is in it; then it stays, and is not the
    default network.
    """
    wanted = {each.ref: each for each in offered}
    present = {}
    for vpc in tx.vpcs.find(Query(account=account)).items:
        each = wanted.get(vpc.engine_ref)
        if each is None and vpc.engine_ref and not _is_used(tx, vpc):
            _remove(tx, vpc)
        elif vpc.is_default and not (each and each.is_default):
            present[vpc.engine_ref] = _set_default(tx, vpc, is_default=False)
        else:
            present[vpc.engine_ref] = vpc
    for each in offered:  # only now: there can be one default network
        before = present.get(each.ref)
        if before is None:
            make_engine_network(
                tx,
                account,
                ref=each.ref,
                cidr=each.cidr,
                zone=zone,
                now=now,
                is_default=each.is_default,
            )
            continue
        if before.is_default != each.is_default:
            before = _set_default(tx, before, is_default=each.is_default)
        if before.cidr != each.cidr:
            _set_cidr(tx, before, each.cidr)


def _set_default(tx: Transaction, vpc: Vpc, *, is_default: bool) -> Vpc:
    for subnet in _subnets(tx, vpc):
        tx.subnets.save(replace(subnet, is_default=is_default))
    return tx.vpcs.save(replace(vpc, is_default=is_default))


def _set_cidr(tx: Transaction, vpc: Vpc, cidr: str) -> None:
    """Of one that the engine has: its subnet is all of it."""
    for subnet in _subnets(tx, vpc):
        tx.subnets.save(replace(subnet, cidr=cidr))
    tx.vpcs.save(replace(vpc, cidr=cidr))


def _remove(tx: Transaction, vpc: Vpc) -> None:
    here = Query(account=vpc.account, criteria=(_same("vpc_id", vpc.id),))
    for group in tx.security_groups.find(here).items:
        tx.security_groups.remove(group.id)
    for subnet in _subnets(tx, vpc):
        tx.subnets.remove(subnet.id)
    tx.vpcs.remove(vpc.id)


def _is_used(tx: Transaction, vpc: Vpc) -> bool:
    """By an interface, or by an instance that may still get one."""
    here = _same("vpc_id", vpc.id)
    live = Criterion("state", LIVE)
    there = Query(account=vpc.account, criteria=(here,), limit=1)
    inside = Query(account=vpc.account, criteria=(here, live), limit=1)
    return bool(tx.interfaces.keys(there).items or tx.instances.keys(inside).items)


def _subnets(tx: Transaction, vpc: Vpc) -> Sequence[Subnet]:
    return tx.subnets.find(Query(account=vpc.account, criteria=(_same("vpc_id", vpc.id),))).items


def _same(field: str, text: str) -> Criterion:
    return Criterion(field, (literally(text),))
