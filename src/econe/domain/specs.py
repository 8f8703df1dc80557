"""What engines are told of an instance, made from rows."""

from collections.abc import Mapping

from econe.domain.faults import Broken, Noun
from econe.domain.images import DiskFormat
from econe.domain.instances import Instance
from econe.domain.networks import NetworkInterface, Subnet, Vpc
from econe.domain.places import hostname
from econe.domain.ports import DiskSpec, MachineSpec, NetworkSpec, NicSpec, Transaction
from econe.domain.sizes import Size
from econe.domain.volumes import Volume


def machine_spec(tx: Transaction, instance: Instance, sizes: Mapping[str, Size]) -> MachineSpec:
    """Raises Broken where a row that must exist does not."""
    size = sizes.get(instance.instance_type)
    if size is None:
        raise Broken(
            Noun.INSTANCE_TYPE, hidden=f"{instance.id} has unknown type {instance.instance_type}"
        )
    disk_format = _content_format(tx, instance)
    return MachineSpec(
        id=instance.id,
        account=instance.account,
        name=instance.tags.get("Name", instance.id),
        instance_type=instance.instance_type,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        architecture=instance.architecture,
        disks=tuple(_disk(volume, instance, disk_format) for volume in instance.volumes),
        nics=tuple(nic_spec(tx, interface) for interface in instance.interfaces),
        key_name=instance.key_name,
        public_key=instance.public_key,
        user_data=instance.user_data,
    )


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
    )


def network_spec(vpc: Vpc, subnet: Subnet) -> NetworkSpec:
    return NetworkSpec(
        vpc_id=vpc.id,
        vpc_cidr=vpc.cidr,
        subnet_id=subnet.id,
        subnet_cidr=subnet.cidr,
        is_default=vpc.is_default,
    )


def _content_format(tx: Transaction, instance: Instance) -> DiskFormat:
    """Of the image's content. Deregistered images keep their row while an instance needs it."""
    image = tx.images.get(instance.image_id)
    if image is None:
        raise Broken(Noun.IMAGE, hidden=f"{instance.id} is of {instance.image_id}, without a row")
    return image.disk_format


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
