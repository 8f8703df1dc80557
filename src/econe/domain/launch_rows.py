"""RunInstances: the rows of a launch that was found good (domain/launch.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from econe.domain.booting import firmware_for
from econe.domain.chosen_address import take_address
from econe.domain.default_network import addresses_of
from econe.domain.engine_networks import AccountNetwork
from econe.domain.engine_ports import Capabilities
from econe.domain.faults import NoCapacity, Noun
from econe.domain.hidden import Hidden
from econe.domain.images import Image
from econe.domain.instances import Instance, Monitoring
from econe.domain.keypairs import KeyPair
from econe.domain.launch import NO_METADATA, DiskOrder, LaunchOrder
from econe.domain.networks import NetworkInterface
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query
from econe.domain.reasons import PENDING
from econe.domain.sizes import Size
from econe.domain.topology import CpuOptions
from econe.domain.volumes import Volume, VolumeState

LOOK_AT_LEAST: Final = 64
"""Addresses asked about at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An order that was found good: all that its instances have in common."""

    account: str
    order: LaunchOrder
    image: Image
    size: Size
    cpu: CpuOptions
    key: KeyPair | None
    user_data: Hidden[bytes] | None
    root: DiskOrder
    root_gib: int
    network: AccountNetwork
    zone: str
    can: Capabilities
    now: datetime


def free_addresses(tx: Transaction, network: AccountNetwork, count: int, first: int) -> list[str]:
    """The next `count` addresses of the default subnet that nobody has, from the `first`-th on.

    Going round the subnet, rather than taking the lowest, keeps an address from its next owner
    for as long as possible, and finds free ones without looking at all that are taken.
    """
    found: list[str] = []
    candidates = addresses_of(network.subnet, first)
    here = Criterion("subnet_id", (network.subnet.id,))
    while len(found) < count:
        batch = tuple(islice(candidates, max(LOOK_AT_LEAST, count)))
        if not batch:
            raise NoCapacity(
                Noun.SUBNET,
                network.subnet.id,
                f"There are not enough free addresses in subnet '{network.subnet.id}' to satisfy "
                "the requested number of instances.",
            )
        query = Query(criteria=(here, Criterion("private_ip", batch)))
        taken = {row.private_ip for row in tx.interfaces.find(query).items}
        found += [address for address in batch if address not in taken]
    return found[:count]


def write_rows(tx: Transaction, plan: Plan, count: int) -> list[Instance]:
    """The instances as a Describe would show them now, in order of their launch index."""
    (reservation,) = tx.next_ids("r")
    ids = tx.next_ids("i", count)
    volumes = [_volume(plan, *pair) for pair in zip(tx.next_ids("vol", count), ids, strict=True)]
    interfaces = _interfaces(tx, plan, ids)
    launched = [
        _instance(plan, reservation, index, volume, parts)
        for index, (volume, parts) in enumerate(zip(volumes, interfaces, strict=True))
    ]
    # Parts first: each that is added to an instance that is there already raises its version.
    tx.volumes.add_all(volumes)
    tx.interfaces.add_all([part for parts in interfaces for part in parts])
    tx.instances.add_all(launched)
    for row in launched:
        _put_tags(tx, plan, "instance", row.id)
        for volume in row.volumes:
            _put_tags(tx, plan, "volume", volume.id)
        for part in row.interfaces:
            _put_tags(tx, plan, "network-interface", part.id)
    return launched


def _put_tags(tx: Transaction, plan: Plan, kind: str, row_id: str) -> None:
    if tags := plan.order.tags.get(kind):
        tx.tags.put(plan.account, row_id, kind, tags)


def _interfaces(
    tx: Transaction, plan: Plan, ids: Sequence[str]
) -> list[tuple[NetworkInterface, ...]]:
    """Of each instance: one, or none before the engine has given it an address."""
    if plan.can.gives_addresses:
        return [() for _ in ids]
    interface_ids = tx.next_ids("eni", len(ids))
    if asked := plan.order.network.address:
        addresses = [take_address(tx, plan.network, asked)]
    else:
        addresses = free_addresses(tx, plan.network, len(ids), _number(interface_ids[0]) - 1)
    return [
        (_interface(plan, *three),) for three in zip(interface_ids, ids, addresses, strict=True)
    ]


def mac_of(interface_id: str) -> str:
    """`02:` (locally administered) and the id's number: one of its own for each interface."""
    return "02:" + (_number(interface_id) % (1 << 40)).to_bytes(5, "big").hex(":")


def _number(row_id: str) -> int:
    return int(row_id.rpartition("-")[2])


def _volume(plan: Plan, volume_id: str, instance_id: str) -> Volume:
    return Volume(
        id=volume_id,
        account=plan.account,
        size_gib=plan.root_gib,
        zone=plan.zone,
        state=VolumeState.CREATING,
        created_at=plan.now,
        image_id=plan.image.id,
        volume_type=plan.root.volume_type,
        instance_id=instance_id,
        device=plan.image.root_device,
        attached_at=plan.now,
        delete_on_termination=plan.root.delete_on_termination,
        tags=plan.order.tags.get("volume", {}),
    )


def _interface(plan: Plan, interface_id: str, instance_id: str, address: str) -> NetworkInterface:
    group = plan.network.group
    return NetworkInterface(
        id=interface_id,
        account=plan.account,
        vpc_id=plan.network.vpc.id,
        subnet_id=plan.network.subnet.id,
        mac=mac_of(interface_id),
        private_ip=address,
        groups=((group.id, group.name),),
        created_at=plan.now,
        instance_id=instance_id,
        attachment_id=interface_id.replace("eni-", "eni-attach-"),
        attached_at=plan.now,
        delete_on_termination=plan.order.interface_delete_on_termination,
        tags=plan.order.tags.get("network-interface", {}),
    )


def _instance(
    plan: Plan,
    reservation: str,
    index: int,
    volume: Volume,
    interfaces: tuple[NetworkInterface, ...],
) -> Instance:
    order, image, key = plan.order, plan.image, plan.key
    return Instance(
        id=volume.instance_id or "",
        account=plan.account,
        reservation_id=reservation,
        launch_index=index,
        image_id=image.id,
        image_location=image.location,
        instance_type=plan.size.name,
        vpc_id=plan.network.vpc.id,
        subnet_id=plan.network.subnet.id,
        zone=plan.zone,
        launched_at=plan.now,
        first_launched_at=plan.now,
        state_reason=PENDING,
        key_name=key.name if key else None,
        public_key=key.public_key if key else None,
        user_data=plan.user_data,
        client_token=order.client_token,
        shutdown_behavior=order.shutdown_behavior,
        metadata_options=order.metadata_options if plan.can.metadata else NO_METADATA,
        architecture=image.architecture,
        root_device=image.root_device,
        boot_mode=image.boot_mode,
        firmware=firmware_for(image, plan.can),
        asked_at=plan.now,
        at_least=order.at_least,
        disable_api_termination=order.disable_api_termination,
        disable_api_stop=order.disable_api_stop,
        hibernation=order.hibernation,
        monitoring=Monitoring.PENDING if order.monitored else Monitoring.DISABLED,
        vcpus=plan.cpu.vcpus,
        threads_per_core=plan.cpu.threads_per_core,
        memory_mib=plan.size.memory_mib,
        volumes=(volume,),
        interfaces=interfaces,
        tags=order.tags.get("instance", {}),
    )
