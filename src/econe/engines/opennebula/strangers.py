"""Machines that nobody made through econe, or that an older econe made: what an instance's row
would say of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from econe.domain.accounts import number_of
from econe.domain.engine_ports import Seen, Stranger
from econe.engines.opennebula.documents import number, read_attributes
from econe.engines.opennebula.vms import Vm

MIB_PER_GIB: Final = 1024


def stranger(vm: Vm, seen: Seen, marked: str) -> Stranger:
    """`marked`: the id that its mark proves, if it has one. A machine of no type that is called by
    a name gets one made of what it has."""
    vcpus = max(number(vm.attribute("VCPU")) or 1, 1)
    memory_mib = max(number(vm.attribute("MEMORY")) or 1, 1)
    root = _root_disk(vm)
    type_name = vm.user_attribute("EC2_INSTANCE_TYPE")
    return Stranger(
        ref=vm.ref,
        account=number_of(vm.uid),
        name=vm.name,
        seen=seen,
        instance_type=type_name or f"one.{vcpus}x{memory_mib}",
        vcpus=vcpus,
        memory_mib=memory_mib,
        launched_at=datetime.fromtimestamp(number(vm.element.findtext("STIME")) or 0, UTC),
        root_gib=max(-(-(number(root.get("SIZE")) or 0) // MIB_PER_GIB), 1),
        image_ref=root.get("IMAGE_ID", ""),
        key_name=vm.attribute("CONTEXT/EC2_KEYNAME"),
        marked=marked,
        tags=_tags(vm),
    )


def _root_disk(vm: Vm) -> Mapping[str, str]:
    disks = read_attributes(vm.element.find("TEMPLATE")).vectors.get("DISK", ())
    return min(disks, key=lambda disk: number(disk.get("DISK_ID")) or 0, default={})


def _tags(vm: Vm) -> dict[str, str]:
    """EC2_TAGS of old econe: keys in upper case, since oned makes attribute names so; an empty
    value was written as two quotes (facts/econe.md 2.7)."""
    found = read_attributes(vm.element.find("USER_TEMPLATE")).vector("EC2_TAGS")
    return {key: "" if value == '""' else value for key, value in found.items()}
