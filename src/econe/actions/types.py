"""Instance types: the catalogue's, and those that the engine has."""

from typing import Any, Final

from econe.actions.context import Context
from econe.actions.filters import NOTHING, Table, read_filters
from econe.actions.listing import answer
from econe.actions.pages import read_page
from econe.actions.registry import action
from econe.domain.cpu_credits import is_burstable
from econe.domain.engine_ports import Capabilities
from econe.domain.faults import NotFound, Noun
from econe.domain.instances import Firmware
from econe.domain.places import zone_id
from econe.domain.sizes import Size, sizes_of
from econe.domain.topology import may_choose, usual_options, valid_cores, valid_threads

TYPE_FILTERS: Final = Table(
    pushed={},
    shown={
        "auto-recovery-supported": "AutoRecoverySupported",
        "bare-metal": "BareMetal",
        "burstable-performance-supported": "BurstablePerformanceSupported",
        "current-generation": "CurrentGeneration",
        "dedicated-hosts-supported": "DedicatedHostsSupported",
        "ebs-info.attachment-limit-type": NOTHING,
        "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps": NOTHING,
        "ebs-info.ebs-optimized-info.baseline-iops": NOTHING,
        "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps": NOTHING,
        "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps": NOTHING,
        "ebs-info.ebs-optimized-info.maximum-iops": NOTHING,
        "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps": NOTHING,
        "ebs-info.ebs-optimized-support": "EbsInfo.EbsOptimizedSupport",
        "ebs-info.encryption-support": "EbsInfo.EncryptionSupport",
        "ebs-info.maximum-ebs-attachments": NOTHING,
        "ebs-info.nvme-support": "EbsInfo.NvmeSupport",
        "free-tier-eligible": "FreeTierEligible",
        "hibernation-supported": "HibernationSupported",
        "hypervisor": NOTHING,
        "instance-storage-info.disk.count": NOTHING,
        "instance-storage-info.disk.size-in-gb": NOTHING,
        "instance-storage-info.disk.type": NOTHING,
        "instance-storage-info.encryption-support": NOTHING,
        "instance-storage-info.nvme-support": NOTHING,
        "instance-storage-info.total-size-in-gb": NOTHING,
        "instance-storage-supported": "InstanceStorageSupported",
        "instance-type": "InstanceType",
        "memory-info.size-in-mib": "MemoryInfo.SizeInMiB",
        "network-info.bandwidth-weightings": NOTHING,
        "network-info.efa-info.maximum-efa-interfaces": NOTHING,
        "network-info.efa-supported": "NetworkInfo.EfaSupported",
        "network-info.ena-support": "NetworkInfo.EnaSupport",
        "network-info.encryption-in-transit-supported": "NetworkInfo.EncryptionInTransitSupported",
        "network-info.flexible-ena-queues-support": "NetworkInfo.FlexibleEnaQueuesSupport",
        "network-info.ipv4-addresses-per-interface": "NetworkInfo.Ipv4AddressesPerInterface",
        "network-info.ipv6-addresses-per-interface": "NetworkInfo.Ipv6AddressesPerInterface",
        "network-info.ipv6-supported": "NetworkInfo.Ipv6Supported",
        "network-info.maximum-network-cards": "NetworkInfo.MaximumNetworkCards",
        "network-info.maximum-network-interfaces": "NetworkInfo.MaximumNetworkInterfaces",
        "network-info.network-performance": NOTHING,
        "nitro-enclaves-support": "NitroEnclavesSupport",
        "nitro-tpm-info.supported-versions": NOTHING,
        "nitro-tpm-support": "NitroTpmSupport",
        "processor-info.supported-architecture": "ProcessorInfo.SupportedArchitectures",
        "processor-info.supported-features": NOTHING,
        "processor-info.sustained-clock-speed-in-ghz": NOTHING,
        "reboot-migration-support": "RebootMigrationSupport",
        "supported-boot-mode": "SupportedBootModes",
        "supported-root-device-type": "SupportedRootDeviceTypes",
        "supported-usage-class": "SupportedUsageClasses",
        "supported-virtualization-type": "SupportedVirtualizationTypes",
        "vcpu-info.default-cores": "VCpuInfo.DefaultCores",
        "vcpu-info.default-threads-per-core": "VCpuInfo.DefaultThreadsPerCore",
        "vcpu-info.default-vcpus": "VCpuInfo.DefaultVCpus",
        "vcpu-info.valid-cores": "VCpuInfo.ValidCores",
        "vcpu-info.valid-threads-per-core": "VCpuInfo.ValidThreadsPerCore",
    },
    tagged=False,
)

OLD_FAMILIES: Final = frozenset({"c1", "c3", "m1", "m2", "m3", "r3", "t1"})
"""EC2's previous generation."""


@action(
    "DescribeInstanceTypes",
    takes="InstanceTypes Filters MaxResults NextToken",
    only={"IncludeUnsupportedInRegion": (False,)},
)
def describe_instance_types(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    sieve = read_filters(asked, TYPE_FILTERS)
    page = read_page(ctx, asked, "DescribeInstanceTypes", most=100)
    sizes = sizes_of(ctx.tx, ctx.account.number, ctx.cloud.sizes)
    names = asked.get("InstanceTypes") or sorted(sizes)
    if missing := [name for name in names if name not in sizes]:
        raise NotFound(Noun.INSTANCE_TYPE, ", ".join(missing))
    views = [view_of(sizes[name], ctx.cloud.can) for name in sorted(set(names))]
    kept = [
        view
        for view in views
        if (page.after is None or view["InstanceType"] > page.after) and sieve.keeps(view)
    ]
    limit = len(kept) if page.limit is None else page.limit
    shown = kept[:limit]
    token = page.token(ctx, shown[-1]["InstanceType"]) if len(kept) > limit else None
    return answer("InstanceTypes", shown, token)


OFFERING_FILTERS: Final = Table(
    pushed={},
    shown={"instance-type": "InstanceType", "location": "Location"},
    tagged=False,
)


@action("DescribeInstanceTypeOfferings", takes="LocationType Filters MaxResults NextToken")
def describe_instance_type_offerings(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Every type is offered in the one place that there is, as the caller names it."""
    sieve = read_filters(asked, OFFERING_FILTERS)
    page = read_page(ctx, asked, "DescribeInstanceTypeOfferings")
    kind = asked.get("LocationType", "region")
    places = {
        "region": ctx.cloud.region,
        "availability-zone": ctx.cloud.zone,
        "availability-zone-id": zone_id(ctx.cloud.region, ctx.cloud.zone),
    }
    offered = [
        {"InstanceType": name, "LocationType": kind, "Location": places[kind]}
        for name in sorted(sizes_of(ctx.tx, ctx.account.number, ctx.cloud.sizes))
        if kind in places and (page.after is None or name > page.after)
    ]
    kept = [view for view in offered if sieve.keeps(view)]
    limit = len(kept) if page.limit is None else page.limit
    shown = kept[:limit]
    token = page.token(ctx, shown[-1]["InstanceType"]) if len(kept) > limit else None
    return answer("InstanceTypeOfferings", shown, token)


def view_of(size: Size, can: Capabilities) -> dict[str, Any]:
    """API reference, InstanceTypeInfo. What a machine of this type gets here, which for vCPUs and
    memory is what it gets at Amazon; disks and network are those of the host."""
    return {
        "AutoRecoverySupported": False,
        "BareMetal": False,
        "BurstablePerformanceSupported": is_burstable(size.name),
        "CurrentGeneration": size.family not in OLD_FAMILIES,
        "DedicatedHostsSupported": False,
        "EbsInfo": {
            "EbsOptimizedSupport": "unsupported",
            "EncryptionSupport": "unsupported",
            "NvmeSupport": "unsupported",
        },
        "FreeTierEligible": False,
        "HibernationSupported": can.hibernation,
        "InstanceStorageSupported": False,
        "InstanceType": size.name,
        "MemoryInfo": {"SizeInMiB": size.memory_mib},
        "NetworkInfo": {
            "EfaSupported": False,
            "EnaSrdSupported": False,
            "EnaSupport": "unsupported",
            "EncryptionInTransitSupported": False,
            "FlexibleEnaQueuesSupport": "unsupported",
            "DefaultNetworkCardIndex": 0,
            "Ipv4AddressesPerInterface": 1,
            "Ipv6AddressesPerInterface": 0,
            "Ipv6Supported": False,
            "MaximumNetworkCards": 1,
            "MaximumNetworkInterfaces": 1,
            "NetworkCards": [{"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 1}],
        },
        "NitroEnclavesSupport": "unsupported",
        "NitroTpmSupport": "unsupported",
        "PhcSupport": "unsupported",
        "PlacementGroupInfo": {"SupportedStrategies": []},
        "ProcessorInfo": {"SupportedArchitectures": list(can.architectures)},
        "RebootMigrationSupport": "unsupported",
        "SupportedBootModes": [firmware.value for firmware in Firmware if _has(can, firmware)],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedUsageClasses": ["on-demand"],
        "SupportedVirtualizationTypes": ["hvm"],
        "VCpuInfo": _vcpu_info(size, can),
    }


def _vcpu_info(size: Size, can: Capabilities) -> dict[str, Any]:
    """Without the valid numbers where nothing can be chosen, as EC2 has it for t2."""
    usual = usual_options(size, can)
    made: dict[str, Any] = {
        "DefaultCores": usual.cores,
        "DefaultThreadsPerCore": usual.threads_per_core,
        "DefaultVCpus": usual.vcpus,
    }
    if may_choose(size):
        made["ValidCores"] = valid_cores(size, can)
        made["ValidThreadsPerCore"] = valid_threads(size, can)
    return made


def _has(can: Capabilities, firmware: Firmware) -> bool:
    return can.uefi or firmware is Firmware.BIOS
