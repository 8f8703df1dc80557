"""What engines are told of an instance, made from rows."""

from collections.abc import Mapping

from econe.domain.engine_ports import DiskSpec, MachineSpec, NetworkSpec, NicSpec, Subject
from econe.domain.faults import Broken, Noun
from econe.domain.images import DiskFormat, Image
from econe.domain.instances import Firmware, Instance
from econe.domain.networks import NetworkInterface, Subnet, Vpc
from econe.domain.places import hostname
from econe.domain.ports import Transaction
from econe.domain.sizes import Size, sizes_of
from econe.domain.volumes import Volume


def machine_spec(tx: Transaction, instance: Instance, sizes: Mapping[str, Size]) -> MachineSpec:
    """`sizes` is the catalogue. Raises Broken where a row that must exist does not."""
    size = size_of(tx, instance, sizes)
    image = _image(tx, instance)
    disk_format = image.disk_format if image else DiskFormat.RAW
    return MachineSpec(
        id=instance.id,
        account=instance.account,
        name=instance.tags.get("Name", instance.id),
        instance_type=instance.instance_type,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        threads_per_core=instance.threads_per_core,
        architecture=instance.architecture,
        disks=tuple(_disk(volume, instance, disk_format) for volume in instance.volumes),
        nics=_nics(tx, instance),
        key_name=instance.key_name,
        public_key=instance.public_key,
        user_data=instance.user_data,
        image_id=instance.image_id or "",
        image_ref=image.engine_ref if image else "",
        template_ref=size.engine_ref,
        uefi=instance.firmware is Firmware.UEFI,
        uefi_data=image.uefi_data if image and instance.firmware is Firmware.UEFI else "",
        tags=instance.tags,
    )


def size_of(tx: Transaction, instance: Instance, catalogue: Mapping[str, Size]) -> Size:
    """What the machine has: as its row says, which was its type's at the launch. Rows of old
    databases do not say it. The type's own template, if it still has one."""
    known = sizes_of(tx, instance.account, catalogue).get(instance.instance_type)
    if instance.vcpus:
        ref = known.engine_ref if known else ""
        return Size(
            instance.instance_type, instance.vcpus, instance.memory_mib, instance.account, ref
        )
    if known is None:
        raise Broken(
            Noun.INSTANCE_TYPE, hidden=f"{instance.id} has unknown type {instance.instance_type}"
        )
    return known


def _nics(tx: Transaction, instance: Instance) -> tuple[NicSpec, ...]:
    """Without interfaces, as before a launch where the engine gives addresses: one in its
    subnet."""
    if instance.interfaces:
        return tuple(nic_spec(tx, interface) for interface in instance.interfaces)
    vpc, subnet = tx.vpcs.get(instance.vpc_id), tx.subnets.get(instance.subnet_id)
    if vpc is None or subnet is None:
        return ()
    return (NicSpec("", "", "", network_spec(vpc, subnet), hostname=""),)


def nic_spec(tx: Transaction, interface: NetworkInterface) -> NicSpec:
    vpc, subnet = tx.vpcs.get(interface.vpc_id), tx.subnets.get(interface.subnet_id)
    if vpc is None or subnet is None:
        raise Broken(Noun.SUBNET, hidden=f"{interface.id} is in a subnet or VPC without a row")
    return NicSpec(
        interface_id=interface.id,
        mac=interface.mac,
        private_ip=interface.private_ip,
        network=network_spec(vpc, subnet),
        hostname=hostname(interface.private_ip),
        source_dest_check=interface.source_dest_check,
    )


def subject(tx: Transaction, instance: Instance) -> Subject:
    """Of a running one, for those who look into it."""
    nics = tuple(nic_spec(tx, interface) for interface in instance.interfaces)
    return Subject(instance.engine_ref, nics)


def network_spec(vpc: Vpc, subnet: Subnet) -> NetworkSpec:
    return NetworkSpec(
        vpc_id=vpc.id,
        vpc_cidr=vpc.cidr,
        subnet_id=subnet.id,
        subnet_cidr=subnet.cidr,
        is_default=vpc.is_default,
        engine_ref=subnet.engine_ref,
    )


def _image(tx: Transaction, instance: Instance) -> Image | None:
    """Deregistered images keep their row while an instance needs it. A machine that others made
    may be of none."""
    image = tx.images.get(instance.image_id) if instance.image_id else None
    if image is None and not instance.adopted:
        raise Broken(Noun.IMAGE, hidden=f"{instance.id} is of {instance.image_id}, without a row")
    return image


def _disk(volume: Volume, instance: Instance, disk_format: DiskFormat) -> DiskSpec:
    is_root = volume.device == instance.root_device
    return DiskSpec(
        volume_id=volume.id,
        size_gib=volume.size_gib,
        device=volume.device or "",
        is_root=is_root,
        location=instance.image_location if is_root else "",
        content_format=disk_format if is_root else DiskFormat.RAW,
    )
