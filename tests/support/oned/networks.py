"""Virtual networks: address ranges, and who holds which address."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from tests.support.oned.objects import Owned, ids_xml
from tests.support.oned.templates import Template, Vector, cdata

HELD = -1
"""The machine of an address that is on hold."""


@dataclass
class Holder:
    id: int
    is_network: bool = False

    def xml(self) -> str:
        tag = "VNET" if self.is_network else "VM"
        return f"<{tag}>{cdata(str(self.id))}</{tag}>"

    @property
    def coded(self) -> int:
        """As ALLOCATED shows it: the type's bit and the id."""
        kind = 0x4000000000 if self.is_network else 0x1000000000
        return kind | (self.id & 0xFFFFFFFF)


@dataclass
class AddressRange:
    id: int
    first: IPv4Address
    size: int
    parent_range: int | None = None
    taken: dict[int, Holder] = field(default_factory=dict)
    """By the address's number in the range."""

    def index_of(self, ip: str) -> int | None:
        try:
            index = int(IPv4Address(ip)) - int(self.first)
        except ValueError:
            return None
        return index if 0 <= index < self.size else None

    def ip(self, index: int) -> str:
        return str(self.first + index)

    def mac(self, index: int) -> str:
        """MAC_PREFIX 02:00, then the address's four bytes."""
        return ":".join(f"{byte:02x}" for byte in b"\x02\x00" + (self.first + index).packed)

    def free(self, count: int = 1) -> int | None:
        """The first of `count` free addresses in a row."""
        run = 0
        for index in range(self.size):
            run = 0 if index in self.taken else run + 1
            if run == count:
                return index - count + 1
        return None

    def vector(self, *, with_allocated: bool) -> str:
        """The range's own attributes, sorted as a vector is."""
        values = {
            "AR_ID": str(self.id),
            "IP": self.ip(0),
            "MAC": self.mac(0),
            "SIZE": str(self.size),
            "TYPE": "IP4",
        }
        if self.parent_range is not None:
            values["PARENT_NETWORK_AR_ID"] = str(self.parent_range)
        if with_allocated and self.taken:
            pairs = (f" {index} {self.taken[index].coded}" for index in sorted(self.taken))
            values["ALLOCATED"] = "".join(pairs)
        return "".join(f"<{key}>{cdata(values[key])}</{key}>" for key in sorted(values))

    def xml_with_leases(self) -> str:
        last = self.size - 1
        leases = "".join(self._lease(index) for index in sorted(self.taken))
        return (
            f"<AR>{self.vector(with_allocated=False)}<MAC_END>{cdata(self.mac(last))}</MAC_END>"
            f"<IP_END>{cdata(self.ip(last))}</IP_END><USED_LEASES>{len(self.taken)}</USED_LEASES>"
            + (f"<LEASES>{leases}</LEASES></AR>" if leases else "<LEASES/></AR>")
        )

    def _lease(self, index: int) -> str:
        return (
            f"<LEASE><IP>{cdata(self.ip(index))}</IP><MAC>{cdata(self.mac(index))}</MAC>"
            f"{self.taken[index].xml()}</LEASE>"
        )


READY = 1
LOCK_CREATE = 2


@dataclass(kw_only=True)
class Network(Owned):
    template: Template
    ranges: list[AddressRange] = field(default_factory=list)
    parent: int | None = None
    state: int = READY

    kind = "NET"
    word = "virtual network"

    @property
    def obeys_rules(self) -> bool:
        """A reservation is its owner's (disable_all_acl in VirtualNetwork's permissions)."""
        return self.parent is None

    def next_range_id(self) -> int:
        return max((each.id for each in self.ranges), default=-1) + 1

    def machines(self) -> list[int]:
        found = {
            holder.id
            for each in self.ranges
            for holder in each.taken.values()
            if not holder.is_network and holder.id != HELD
        }
        return sorted(found)

    def lease(self, machine_id: int, ip: str = "") -> tuple[AddressRange, int] | None:
        """Take this address, or the first free one; None when there is none."""
        for each in self.ranges:
            index = each.index_of(ip) if ip else each.free()
            if index is not None and index not in each.taken:
                each.taken[index] = Holder(machine_id)
                return each, index
        return None

    def give_back(self, ip: str, machine_id: int) -> bool:
        for each in self.ranges:
            index = each.index_of(ip)
            if index is None or index not in each.taken:
                continue
            holder = each.taken[index]
            if holder.id == machine_id and not holder.is_network:
                del each.taken[index]
                return True
        return False

    @property
    def used(self) -> int:
        return sum(len(each.taken) for each in self.ranges)

    def nic(self, found: tuple[AddressRange, int]) -> Vector:
        """What a lease adds to a machine's NIC."""
        each, index = found
        nic = {
            "AR_ID": str(each.id),
            "CLUSTER_ID": "0",
            "IP": each.ip(index),
            "MAC": each.mac(index),
            "NETWORK": self.name,
            "NETWORK_ID": str(self.id),
        }
        for name in ("BRIDGE", "BRIDGE_TYPE", "VN_MAD", "DNS", "GATEWAY"):
            if self.template.get(name):
                nic[name] = self.template.get(name)
        return nic

    def xml(self) -> str:
        ranges = "".join(each.xml_with_leases() for each in self.ranges)
        return self._xml(ranges)

    def pool_xml(self) -> str:
        ranges = (f"<AR>{each.vector(with_allocated=True)}</AR>" for each in self.ranges)
        return self._xml("".join(ranges))

    def _xml(self, ranges: str) -> str:
        parent = "<PARENT_NETWORK_ID/>"
        if self.parent is not None:
            parent = f"<PARENT_NETWORK_ID>{self.parent}</PARENT_NETWORK_ID>"
        state = cdata(str(self.state))
        return (
            f"<VNET>{self.head()}{self.lock_xml()}{self.rights_xml()}<CLUSTERS><ID>0</ID></CLUSTERS>"
            f"<BRIDGE>{cdata(self.template.get('BRIDGE'))}</BRIDGE>"
            f"<BRIDGE_TYPE>{cdata(self.template.get('BRIDGE_TYPE'))}</BRIDGE_TYPE>"
            f"<STATE>{state}</STATE><PREV_STATE>{state}</PREV_STATE>{parent}"
            f"<VN_MAD>{cdata(self.template.get('VN_MAD'))}</VN_MAD><PHYDEV/><VLAN_ID/>"
            "<OUTER_VLAN_ID/><VLAN_ID_AUTOMATIC>0</VLAN_ID_AUTOMATIC>"
            "<OUTER_VLAN_ID_AUTOMATIC>0</OUTER_VLAN_ID_AUTOMATIC>"
            f"<USED_LEASES>{self.used}</USED_LEASES><VROUTERS></VROUTERS>"
            f"{ids_xml('UPDATED_VMS', self.machines())}<OUTDATED_VMS></OUTDATED_VMS>"
            f"<UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>{self.template.xml()}"
            f"<AR_POOL>{ranges}</AR_POOL></VNET>"
        )
