"""What can be changed of an instance after its launch, one attribute at a time.

Rule 1: whatever is built into the machine (type, user data) changes while it is stopped, and the
        next start makes it so; the rest changes at once.
Rule 2: protection is the request plane's alone: it stops the API's askings, never what the guest or
        the engine does (EC2 User Guide, "Enable termination protection").
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from econe.domain.engine_ports import Capabilities
from econe.domain.faults import (
    Conflict,
    Invalid,
    NotFound,
    Noun,
    Unsupported,
    WrongState,
    all_missing,
)
from econe.domain.fleet import find_instances
from econe.domain.hidden import Hidden
from econe.domain.ids import read_id
from econe.domain.instances import Instance, InstanceState, MetadataOptions
from econe.domain.launch import MOST_USER_DATA, SHUTDOWN_BEHAVIORS, check_hop_limit
from econe.domain.ports import Transaction
from econe.domain.sizes import Size, sizes_of
from econe.domain.tagging import check_tellable
from econe.domain.topology import CpuOptions, choose_options, usual_options

LASTING: Final = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)
"""States in which nothing can be changed any more."""


@dataclass(frozen=True, slots=True)
class InstanceBook:
    """Use cases. Raise Fault; `account` is a number, `asked` an id as written."""

    sizes: Mapping[str, Size]
    can: Capabilities

    def read(self, tx: Transaction, account: str, asked: str) -> Instance:
        (row,) = find_instances(tx, account, [asked])
        return row

    def set_type(self, tx: Transaction, account: str, asked: str, name: str) -> None:
        row = self._stopped(tx, account, asked)
        self._own_machine("instanceType")
        _check_may_differ(row, "type")
        size = sizes_of(tx, account, self.sizes).get(name)
        if size is None:
            raise Invalid(
                Noun.INSTANCE_ATTRIBUTE, name, f"Invalid value '{name}' for InstanceType."
            )
        cpu = usual_options(size, self.can)
        tx.instances.save(
            replace(
                row,
                instance_type=name,
                vcpus=cpu.vcpus,
                threads_per_core=cpu.threads_per_core,
                memory_mib=size.memory_mib,
            )
        )

    def set_cpu_options(
        self, tx: Transaction, account: str, asked: str, options: CpuOptions
    ) -> Instance:
        row = self._stopped(tx, account, asked)
        self._own_machine("CpuOptions")
        _check_may_differ(row, "CPU options")
        size = sizes_of(tx, account, self.sizes).get(row.instance_type)
        if size is None:
            raise Invalid(
                Noun.INSTANCE_TYPE,
                row.instance_type,
                f"The instance type '{row.instance_type}' is no longer offered.",
            )
        cpu = choose_options(size, self.can, options)
        return tx.instances.save(
            replace(row, vcpus=cpu.vcpus, threads_per_core=cpu.threads_per_core)
        )

    def set_user_data(self, tx: Transaction, account: str, asked: str, data: bytes) -> None:
        row = self._stopped(tx, account, asked)
        self._own_machine("userData")
        if len(data) > MOST_USER_DATA:
            raise Invalid(Noun.USER_DATA, said=f"User data is limited to {MOST_USER_DATA} bytes")
        tx.instances.save(replace(row, user_data=Hidden(data) if data else None))

    def set_termination_protection(
        self, tx: Transaction, account: str, asked: str, *, on: bool
    ) -> None:
        tx.instances.save(replace(self._live(tx, account, asked), disable_api_termination=on))

    def set_stop_protection(self, tx: Transaction, account: str, asked: str, *, on: bool) -> None:
        tx.instances.save(replace(self._live(tx, account, asked), disable_api_stop=on))

    def set_shutdown_behavior(self, tx: Transaction, account: str, asked: str, name: str) -> None:
        row = self._live(tx, account, asked)
        if name not in SHUTDOWN_BEHAVIORS:
            raise Invalid(
                Noun.PARAMETER,
                name,
                f"Invalid value '{name}' for InstanceInitiatedShutdownBehavior.",
            )
        tx.instances.save(replace(row, shutdown_behavior=name))

    def set_source_dest_check(self, tx: Transaction, account: str, asked: str, *, on: bool) -> None:
        """Off: the guest may send and receive what is not its own, as a router does."""
        row = self._live(tx, account, asked)
        if not on and not self.can.routing_guests:
            raise Unsupported(
                Noun.PARAMETER,
                "SourceDestCheck",
                "Guests of this cloud's network cannot pass on the packets of others.",
            )
        changed = [each for each in row.interfaces if each.source_dest_check is not on]
        for interface in changed:
            tx.interfaces.save(replace(interface, source_dest_check=on))
        if changed:
            tx.instances.save(replace(self._live(tx, account, asked), reconnect=True))

    def set_groups(self, tx: Transaction, account: str, asked: str, groups: Sequence[str]) -> None:
        """All of them. A VPC has the one group `default` yet, so that is what they must name."""
        row = self._live(tx, account, asked)
        wanted = {read_id(Noun.SECURITY_GROUP, group) for group in groups}
        there = {group_id for interface in row.interfaces for group_id, _ in interface.groups}
        if missing := sorted(wanted - there):
            raise all_missing(Noun.SECURITY_GROUP, missing)
        if there - wanted:
            raise Invalid(Noun.PARAMETER, "GroupId", "An instance must have a security group.")

    def set_delete_on_termination(
        self, tx: Transaction, account: str, asked: str, devices: Mapping[str, bool]
    ) -> None:
        row = self._live(tx, account, asked)
        volumes = {volume.device: volume for volume in row.volumes}
        for device in devices:
            if device not in volumes:
                raise NotFound(
                    Noun.BLOCK_DEVICE, device, f"No device is currently mapped at {device}"
                )
        for device, delete in devices.items():
            if not delete and not self.can.keeps_disks:
                raise Unsupported(
                    Noun.BLOCK_DEVICE, device, "Disks of this cloud go with their instance."
                )
            if volumes[device].delete_on_termination is not delete:
                tx.volumes.save(replace(volumes[device], delete_on_termination=delete))

    def set_metadata_options(
        self, tx: Transaction, account: str, asked: str, changes: Mapping[str, object]
    ) -> Instance:
        """`changes` are fields of MetadataOptions; what is not among them stays."""
        row = self._live(tx, account, asked)
        if not self.can.metadata:
            raise Unsupported(
                Noun.PARAMETER, said="This cloud's instances have no metadata service of its own."
            )
        options: MetadataOptions = replace(row.metadata_options, **changes)  # type: ignore[arg-type]
        check_hop_limit(options.hop_limit)
        if options.tells_tags:
            check_tellable(row.tags)
        return tx.instances.save(replace(row, metadata_options=options))

    def _live(self, tx: Transaction, account: str, asked: str) -> Instance:
        row = self.read(tx, account, asked)
        if row.state in LASTING:
            raise _wrong_state(row, "is not in a state in which its attributes can be changed")
        return row

    def _stopped(self, tx: Transaction, account: str, asked: str) -> Instance:
        row = self.read(tx, account, asked)
        if row.state is not InstanceState.STOPPED:
            raise _wrong_state(row, "is not in the 'stopped' state")
        return row

    def _own_machine(self, attribute: str) -> None:
        if self.can.shared:
            raise Unsupported(
                Noun.PARAMETER, attribute, f"{attribute} cannot be changed in this cloud."
            )


def check_one_attribute(given: Collection[str]) -> str:
    """EC2 takes one at a time (API reference, ModifyInstanceAttribute)."""
    if len(given) > 1:
        raise Conflict(
            Noun.PARAMETER,
            ", ".join(sorted(given)),
            "Fields for multiple attribute types specified: " + ", ".join(sorted(given)),
        )
    if not given:
        raise Conflict(Noun.PARAMETER, said="No attributes specified.")
    return next(iter(given))


def _wrong_state(row: Instance, what: str) -> WrongState:
    return WrongState(Noun.INSTANCE, row.id, f"The instance '{row.id}' {what}.")


def _check_may_differ(row: Instance, what: str) -> None:
    """Memory that was kept fits the machine that it was kept of. Raises Unsupported."""
    if row.hibernation:
        raise Unsupported(
            Noun.HIBERNATION,
            row.id,
            f"The instance '{row.id}' was launched for hibernation; its {what} cannot change.",
        )
