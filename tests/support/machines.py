"""Specs of machines and networks, for tests that have no rows."""

from econe.domain.engine_ports import DiskSpec, MachineSpec, NetworkSpec, NicSpec
from econe.domain.images import DiskFormat

NETWORK = NetworkSpec(
    vpc_id="vpc-00000001",
    vpc_cidr="172.31.0.0/16",
    subnet_id="subnet-00000001",
    subnet_cidr="172.31.0.0/20",
    is_default=True,
)


def machine(
    number: int = 1, *, location: str = "0" * 32, network: NetworkSpec = NETWORK
) -> MachineSpec:
    """i-0000000n with one disk vol-0000000n and one interface eni-0000000n at 172.31.0.(10+n)."""
    address = f"172.31.0.{10 + number}"
    return MachineSpec(
        id=f"i-{number:08d}",
        account="000000000001",
        name=f"machine {number}",
        instance_type="t1.micro",
        vcpus=1,
        memory_mib=64,
        architecture="x86_64",
        disks=(
            DiskSpec(
                volume_id=f"vol-{number:08d}",
                size_gib=1,
                device="/dev/sda1",
                is_root=True,
                location=location,
                content_format=DiskFormat.RAW,
            ),
        ),
        nics=(
            NicSpec(
                interface_id=f"eni-{number:08d}",
                mac=f"02:00:00:00:00:{number:02x}",
                private_ip=address,
                network=network,
                hostname="ip-" + address.replace(".", "-"),
            ),
        ),
    )
