"""Interfaces of instances whose addresses the engine gives: rows follow what it shows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from econe.domain.engine_networks import AccountNetwork, find_engine_network, make_engine_network
from econe.domain.engine_ports import SeenNic
from econe.domain.instances import Instance
from econe.domain.networks import NetworkInterface
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query


def match_interfaces(
    tx: Transaction, row: Instance, nics: Sequence[SeenNic], now: datetime
) -> bool:
    """Make the instance's interfaces those of `nics`, in their order; whether that changed any.

    `row` is as this transaction read it; where anything changed, its version in the store is a
    greater one, so read it again before it is saved. An interface stays, with its id and tags, as
    long as network, MAC and address do. A network that the account has no subnet for gets one.
    Rows of other instances that claim an address or a MAC seen here are of the past, and go. A
    NIC that cannot be told of is left out.
    """
    wanted = tellable(nics)
    present = _present(tx, row.interfaces)
    if wanted == [nic for nic, _ in present]:
        return False
    for nic, interface in present:
        if nic not in wanted:
            tx.interfaces.remove(interface.id)
    staying = {nic: interface for nic, interface in present if nic in wanted}
    _renumber(tx, [(staying[nic], at) for at, nic in enumerate(wanted) if nic in staying])
    ids = iter(tx.next_ids("eni", len(wanted) - len(staying)))
    for at, nic in enumerate(wanted):
        if nic not in staying:
            _add(tx, row, nic, place=at, interface_id=next(ids), now=now)
    return True


def tellable(nics: Iterable[SeenNic]) -> list[SeenNic]:
    """Those that EC2's words can tell of: with an IPv4 address, in a network; each once."""
    return list(dict.fromkeys(nic for nic in nics if nic.private_ip and nic.network_ref))


def network_of_nic(
    tx: Transaction, account: str, nic: SeenNic, *, zone: str, now: datetime
) -> AccountNetwork:
    """Where the account has it; made where there is none. All that is known of a network that is
    not offered is the address in it."""
    found = find_engine_network(tx, account, nic.network_ref)
    cidr = f"{nic.private_ip}/32"
    return found or make_engine_network(
        tx, account, ref=nic.network_ref, cidr=cidr, zone=zone, now=now
    )


def _present(
    tx: Transaction, interfaces: Sequence[NetworkInterface]
) -> list[tuple[SeenNic, NetworkInterface]]:
    """The rows, each with how the engine would show it, in order of device index."""
    subnets = tx.subnets.many({interface.subnet_id for interface in interfaces})
    refs = {subnet.id: subnet.engine_ref for subnet in subnets}
    return [
        (SeenNic(each.mac, each.private_ip, refs.get(each.subnet_id, "")), each)
        for each in sorted(interfaces, key=lambda interface: interface.device_index)
    ]


def _renumber(tx: Transaction, places: Iterable[tuple[NetworkInterface, int]]) -> None:
    """No two interfaces may be in one place, not even for a moment: first all go out of the way."""
    moving = [(each, at) for each, at in places if each.device_index != at]
    aside = [(tx.interfaces.save(replace(each, device_index=-1 - at)), at) for each, at in moving]
    for each, at in aside:
        tx.interfaces.save(replace(each, device_index=at))


def _add(
    tx: Transaction, row: Instance, nic: SeenNic, *, place: int, interface_id: str, now: datetime
) -> None:
    network = network_of_nic(tx, row.account, nic, zone=row.zone, now=now)
    _clear(tx, network.subnet.id, nic)
    tx.interfaces.add(
        NetworkInterface(
            id=interface_id,
            account=row.account,
            vpc_id=network.vpc.id,
            subnet_id=network.subnet.id,
            mac=nic.mac,
            private_ip=nic.private_ip,
            groups=((network.group.id, network.group.name),),
            created_at=now,
            instance_id=row.id,
            attachment_id=interface_id.replace("eni-", "eni-attach-"),
            attached_at=now,
            device_index=place,
        )
    )


def _clear(tx: Transaction, subnet_id: str, nic: SeenNic) -> None:
    here = Criterion("subnet_id", (subnet_id,))
    for field, value in (("private_ip", nic.private_ip), ("mac", nic.mac)):
        query = Query(criteria=(Criterion(field, (value,)), here))
        for old in tx.interfaces.keys(query).items:
            tx.interfaces.remove(old.id)
