"""Machines that were made in the engine by other means, taken up as instances of their owner."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from econe.domain.addresses import match_interfaces, network_of_nic, tellable
from econe.domain.default_network import find_default_network
from econe.domain.engine_networks import AccountNetwork
from econe.domain.engine_ports import Capabilities, Phase, Stranger
from econe.domain.images import Image
from econe.domain.instances import Firmware, Instance, InstanceState, MetadataOptions
from econe.domain.launch import NO_METADATA
from econe.domain.ports import Transaction
from econe.domain.queries import Query
from econe.domain.reasons import PENDING, Reason, server_reason
from econe.domain.tagging import usable_tags
from econe.domain.volumes import Volume, VolumeState

ROOT_DEVICE: Final = "/dev/sda1"

STATE_OF: Final = {
    Phase.RUNNING: InstanceState.RUNNING,
    Phase.MOVING: InstanceState.PENDING,
    Phase.DEFINED: InstanceState.STOPPED,
    Phase.HALTED: InstanceState.STOPPED,
    Phase.FAILED: InstanceState.STOPPED,
    Phase.DIED: InstanceState.STOPPED,
}


@dataclass(frozen=True, slots=True)
class Place:
    """What all instances here have in common."""

    zone: str
    can: Capabilities
    now: datetime


def adopt_strangers(tx: Transaction, strangers: Iterable[Stranger], place: Place) -> list[Instance]:
    """New instances, each a reservation of its own and as its machine is now.

    None for a machine that a live row knows already, and none whose owner has no account. The
    instance has the machine's number where no greater one was given before; where it carries the
    mark of one that no row is left of, that one's.
    """
    known = tx.instances.known()
    images = {row.engine_ref: row for row in tx.images.find(Query()).items if row.engine_ref}
    made = []
    for stranger in strangers:
        if stranger.ref in known or tx.accounts.get(stranger.account) is None:
            continue
        its = tx.instances.get(stranger.marked) if stranger.marked else None
        if its is not None and _may_turn_out_to_be(its, stranger):
            continue
        number = stranger.ref if its or not stranger.marked else stranger.marked.rpartition("-")[2]
        row = replace(
            _instance(tx, stranger, images.get(stranger.image_ref), place),
            id=tx.claim_id("i", int(number)),
        )
        _write(tx, row, stranger, place)
        made.append(row)
    return made


def _may_turn_out_to_be(its: Instance, stranger: Stranger) -> bool:
    """Of the instance whose mark it carries: one that is on its way up, or whose end it may have
    missed. Any other has a machine, and this is a copy of that."""
    if its.account != stranger.account:
        return False
    return its.state is InstanceState.TERMINATED or not its.engine_ref


def _network(tx: Transaction, stranger: Stranger, place: Place) -> AccountNetwork | None:
    """That of its first NIC, else the account's default one."""
    nics = tellable(stranger.seen.nics or ())
    if not nics:
        return find_default_network(tx, stranger.account)
    return network_of_nic(tx, stranger.account, nics[0], zone=place.zone, now=place.now)


def _instance(tx: Transaction, stranger: Stranger, image: Image | None, place: Place) -> Instance:
    """Without an id yet."""
    (reservation,) = tx.next_ids("r")
    network = _network(tx, stranger, place)
    seen = stranger.seen
    failed = seen.phase in (Phase.FAILED, Phase.DIED)
    told = seen.reason if seen.reason.code else server_reason("The machine failed.")
    state = STATE_OF[seen.phase]
    usual = PENDING if state is InstanceState.PENDING else Reason()
    reason = told if failed else usual
    return Instance(
        id="",
        account=stranger.account,
        reservation_id=reservation,
        launch_index=0,
        image_id=image.id if image else "",
        image_location=image.location if image else "",
        instance_type=stranger.instance_type,
        vpc_id=network.vpc.id if network else "",
        subnet_id=network.subnet.id if network else "",
        zone=place.zone,
        launched_at=stranger.launched_at,
        first_launched_at=stranger.launched_at,
        state=state,
        state_reason=reason,
        transition_reason=reason.code if failed else "",
        key_name=stranger.key_name or None,
        metadata_options=MetadataOptions() if place.can.metadata else NO_METADATA,
        root_device=ROOT_DEVICE,
        boot_mode=image.boot_mode if image else None,
        firmware=seen.firmware or Firmware.BIOS,
        engine_ref=stranger.ref,
        reach=seen.address if seen.phase is Phase.RUNNING else "",
        problem=seen.why if failed else "",
        vcpus=stranger.vcpus,
        memory_mib=stranger.memory_mib,
        adopted=True,
    )


def _write(tx: Transaction, row: Instance, stranger: Stranger, place: Place) -> None:
    (volume_id,) = tx.next_ids("vol")
    tx.instances.add(row)
    tx.volumes.add(
        Volume(
            id=volume_id,
            account=row.account,
            size_gib=max(1, stranger.root_gib),
            zone=row.zone,
            state=VolumeState.IN_USE,
            created_at=row.launched_at,
            image_id=row.image_id or None,
            instance_id=row.id,
            device=ROOT_DEVICE,
            attached_at=row.launched_at,
            delete_on_termination=True,
        )
    )
    match_interfaces(tx, row, stranger.seen.nics or (), place.now)
    named = {"Name": stranger.name} if stranger.name else {}
    if tags := usable_tags({**named, **stranger.tags}):
        tx.tags.put(row.account, row.id, "instance", tags)
