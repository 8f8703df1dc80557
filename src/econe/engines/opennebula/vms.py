"""Virtual machines as oned shows them: one `Vm` for each VM element of a pool or of vm.info.

Users can write markup into what is theirs, and nothing before it (documents.py): so the first
child of each name counts, and a machine can lie about itself alone.

What is read of every machine in every round is read at once; the rest when it is asked for, from
the element, which keeps its whole document in memory for as long as it is kept itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lxml import etree

from econe.domain.engine_ports import SeenNic
from econe.domain.instances import Firmware
from econe.engines.opennebula import marks
from econe.engines.opennebula.documents import number
from econe.engines.opennebula.states import Standing, standing, state_name

HOLD: Final = "HOLD"


@dataclass(frozen=True, slots=True)
class Vm:
    number: int
    uid: str
    name: str
    state: int
    lcm_state: int
    our_id: str
    """What USER_TEMPLATE says, and its mark: to be proven (marks.py)."""
    mark: str
    element: etree._Element

    @property
    def ref(self) -> str:
        return str(self.number)

    @property
    def state_name(self) -> str:
        return state_name(self.state, self.lcm_state)

    @property
    def standing(self) -> Standing:
        return standing(self.state, self.lcm_state)

    @property
    def never_ran(self) -> bool:
        """On hold since it was made: it was on no host yet."""
        return self.state_name == HOLD and self.element.find("HISTORY_RECORDS/HISTORY") is None

    def attribute(self, name: str) -> str:
        """A plain one of TEMPLATE (what oned understands); empty where there is none."""
        found: str = self.element.findtext(f"TEMPLATE/{name}") or ""
        return found

    def user_attribute(self, name: str) -> str:
        """A plain one of USER_TEMPLATE: whatever users, tools, and oned itself keep there."""
        found: str = self.element.findtext(f"USER_TEMPLATE/{name}") or ""
        return found

    @property
    def firmware(self) -> Firmware:
        """BIOS where OS/FIRMWARE says so or nothing (LibVirtDriverKVM.cc)."""
        said = self.attribute("OS/FIRMWARE").upper()
        return Firmware.UEFI if said not in ("", "BIOS") else Firmware.BIOS

    def graphics(self, name: str) -> str:
        """`TYPE`, `PORT`, `LISTEN` of its screen; empty where it has none."""
        return self.attribute(f"GRAPHICS/{name}")

    def last(self, name: str) -> str:
        """Of the newest history record: `HOSTNAME`, `ACTION`. Empty where there is none."""
        records = self.element.find("HISTORY_RECORDS")
        if records is None or not len(records):
            return ""
        found: str = records[-1].findtext(name) or ""
        return found

    def nics(self) -> tuple[SeenNic, ...]:
        """In order of NIC_ID. Addresses that were added to an interface (NIC_ALIAS) are none."""
        template = self.element.find("TEMPLATE")
        found = [] if template is None else template.findall("NIC")
        found.sort(key=lambda nic: number(nic.findtext("NIC_ID")) or 0)
        return tuple(_nic(nic) for nic in found)


def _nic(nic: etree._Element) -> SeenNic:
    """Without an address where the network gives none (IP6 only, or DHCP from outside)."""
    return SeenNic(
        mac=(nic.findtext("MAC") or "").lower(),
        private_ip=nic.findtext("IP") or "",
        network_ref=nic.findtext("NETWORK_ID") or "",
    )


def read_vm(element: etree._Element) -> Vm:
    """Raises ValueError for what is no VM element."""
    first: dict[str, etree._Element] = {}
    for child in element:
        first.setdefault(child.tag, child)
    try:
        ours = first.get("USER_TEMPLATE")
        return Vm(
            number=int(first["ID"].text or ""),
            uid=str(int(first["UID"].text or "")),
            name=first["NAME"].text or "",
            state=int(first["STATE"].text or ""),
            lcm_state=int(first["LCM_STATE"].text or ""),
            our_id="" if ours is None else ours.findtext(marks.ID) or "",
            mark="" if ours is None else ours.findtext(marks.MARK) or "",
            element=element,
        )
    except KeyError as missing:
        raise ValueError(f"a virtual machine without {missing}") from None


def read_pool(root: etree._Element) -> Iterator[Vm]:
    """Raises ValueError for what is no VM_POOL."""
    if root.tag != "VM_POOL":
        raise ValueError("it is no pool of virtual machines")
    return (read_vm(element) for element in root.iterfind("VM"))
