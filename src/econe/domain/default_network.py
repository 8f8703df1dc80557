"""The one network that every account has from the start: default VPC, subnet, security group."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from ipaddress import IPv4Network

from econe.domain.engine_networks import DEFAULT_GROUP, DEFAULT_GROUP_SAYS, AccountNetwork
from econe.domain.faults import NoCapacity, Noun
from econe.domain.networks import SecurityGroup, Subnet, Vpc
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query

SUBNET_PREFIX = 20
"""Of default subnets, as in EC2: 4091 addresses that can be given out."""
KEPT_FROM_START = 4
"""Network, router, names, kept back (VPC User Guide, "Subnet CIDR blocks")."""


def find_default_network(tx: Transaction, account: str) -> AccountNetwork | None:
    """The rows, if all three exist. `account` is its number."""
    default = Criterion("is_default", ("true",))
    vpcs = tx.vpcs.find(Query(account=account, criteria=(default,))).items
    if not vpcs:
        return None
    here = Criterion("vpc_id", (vpcs[0].id,))
    subnets = tx.subnets.find(Query(account=account, criteria=(default, here))).items
    named = Criterion("name", (DEFAULT_GROUP,))
    groups = tx.security_groups.find(Query(account=account, criteria=(named, here))).items
    if not subnets or not groups:
        return None
    return AccountNetwork(vpcs[0], subnets[0], groups[0])


def ensure_default_network(
    tx: Transaction,
    account: str,
    zone: str,
    pools: Sequence[str],
    now: datetime,
    *,
    busy: Sequence[IPv4Network] = (),
) -> AccountNetwork:
    """The account's default network, made if it has none.

    Each account's VPC has a /16 of its own out of `pools`, so that the host can reach all of
    them at once, and overlaps none of `busy`, which the host reaches elsewhere. Raises NoCapacity
    when the pools are used up.
    """
    found = find_default_network(tx, account)
    if found is not None:
        return found
    cidr = _free_cidr(tx, pools, busy)
    (vpc_id,), (subnet_id,), (group_id,) = (tx.next_ids(p) for p in ("vpc", "subnet", "sg"))
    vpc = Vpc(vpc_id, account, str(cidr), is_default=True, created_at=now)
    first = next(cidr.subnets(new_prefix=SUBNET_PREFIX))
    subnet = Subnet(
        subnet_id, account, vpc_id, str(first), zone=zone, is_default=True, created_at=now
    )
    group = SecurityGroup(
        group_id, account, vpc_id, DEFAULT_GROUP, DEFAULT_GROUP_SAYS, created_at=now
    )
    tx.vpcs.add(vpc)
    tx.subnets.add(subnet)
    tx.security_groups.add(group)
    return AccountNetwork(vpc, subnet, group)


def addresses_of(subnet: Subnet, first: int) -> Iterator[str]:
    """All that can be given out, once round the subnet from the `first`-th on."""
    network = IPv4Network(subnet.cidr)
    count = network.num_addresses - KEPT_FROM_START - 1
    for offset in range(count):
        yield str(network[KEPT_FROM_START + (first + offset) % count])


def _free_cidr(tx: Transaction, pools: Sequence[str], busy: Sequence[IPv4Network]) -> IPv4Network:
    taken = {vpc.cidr for vpc in tx.vpcs.find(Query()).items if vpc.is_default}
    for pool in pools:
        for cidr in IPv4Network(pool).subnets(new_prefix=16):
            if str(cidr) not in taken and not any(map(cidr.overlaps, busy)):
                return cidr
    raise NoCapacity(Noun.VPC, said="There is no address range left for another default VPC.")
