"""Networks that the engine has: what each account sees of one is a VPC with one subnet and the
group `default`, all three of its own."""

from dataclasses import dataclass
from datetime import datetime

from econe.domain.networks import SecurityGroup, Subnet, Vpc
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query, literally

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
    subnets = tx.subnets.find(Query(account=vpc.account, criteria=(here,))).items
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


def _same(field: str, text: str) -> Criterion:
    return Criterion(field, (literally(text),))
