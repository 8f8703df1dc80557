"""What oned shows of things that machines are made of: VM templates and virtual networks.

Whom to believe in a document. oned writes what users gave it as CDATA and escapes nothing, so a
value with `]]>` in it goes on as markup (seen with 7.0.2: a user puts `<GROUPS><ID>0</ID></GROUPS>`
or `<USER>…</USER>` into her own template, and it stands in the pool that we read). What it checks
before it stores an object is that the object is one well-formed element. Therefore, here and
wherever oned's documents are read:

- objects are the children of the pool's root, and nothing below (no `iter`, no `//`);
- of an object's children the first of each name counts: oned writes owner, name, groups,
  permissions and state before anything that users control. A path of lxml's (`GROUPS/ID`) goes
  into every GROUPS, so a list is read from its first parent.

Then an object can lie about what its owner may change anyway, and about nothing else.

What users control is never a reason to give up a pool: nonsense in a template is a template
without that figure. What oned itself writes wrongly is (EngineBusy).
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lxml import etree

from econe.domain.engine_ports import EngineBusy
from econe.engines.opennebula.xmltree import parse

Document = TypeVar("Document")

ADMINISTRATOR: Final = 0
"""The uid of oneadmin, and the gid of the group of administrators."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
# What OpenNebula's contextualisation packages assume where a network has no NETWORK_MASK.
_USUAL_MASK: Final = "255.255.255.0"


def number(text: str | None) -> int | None:
    """A whole number as oned writes it; None for anything else."""
    return int(text) if text and _NUMBER.fullmatch(text) else None


def required(element: etree._Element, name: str) -> int:
    """What oned itself writes into each object. Raises ValueError."""
    found = number(element.findtext(name))
    if found is None:
        raise ValueError(f"a {element.tag} without {name}")
    return found


@dataclass(frozen=True, slots=True)
class Attributes:
    """A template: single attributes and vectors, each any number of times."""

    singles: Mapping[str, tuple[str, ...]]
    vectors: Mapping[str, tuple[Mapping[str, str], ...]]

    def text(self, name: str) -> str:
        """The first of that name; empty where there is none."""
        return self.singles.get(name, ("",))[0]

    def vector(self, name: str) -> Mapping[str, str]:
        """The last of that name, which is the one that oned takes of CONTEXT and the like."""
        return self.vectors.get(name, ({},))[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What every object of oned has."""

    id: int
    uid: int
    gid: int
    name: str
    usable_by: frozenset[str]
    """Of `owner`, `group`, `other`: the USE right. Rules of oned's ACL are not in it."""

    def may_use(self, uid: int, gids: Collection[int]) -> bool:
        """Whether this user may, by the object's own permissions."""
        return (
            ADMINISTRATOR in (uid, *gids)
            or "other" in self.usable_by
            or ("owner" in self.usable_by and uid == self.uid)
            or ("group" in self.usable_by and self.gid in gids)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDocument(Owned):
    """A VM template."""

    attributes: Attributes

    @property
    def instance_type(self) -> str:
        """EC2_INSTANCE_TYPE; empty where it is no instance type."""
        return self.attributes.text("EC2_INSTANCE_TYPE").strip()

    @property
    def vcpus(self) -> int | None:
        """VCPU, or 1 as oned takes it; None for nonsense."""
        return _positive(self.attributes.text("VCPU") or "1")

    @property
    def cpu(self) -> float | None:
        """CPU: the share of physical ones."""
        text = self.attributes.text("CPU")
        return float(text) if _DECIMAL.fullmatch(text) else None

    @property
    def memory_mib(self) -> int | None:
        return _positive(self.attributes.text("MEMORY"))


@dataclass(frozen=True, slots=True)
class AddressRange:
    id: int
    first: ipaddress.IPv4Address
    size: int

    @property
    def last(self) -> ipaddress.IPv4Address:
        return self.first + (self.size - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDocument(Owned):
    """A virtual network."""

    attributes: Attributes
    ranges: tuple[AddressRange, ...]
    """Those with IPv4 addresses."""

    @property
    def cidr(self) -> ipaddress.IPv4Network | None:
        """What NETWORK_ADDRESS and NETWORK_MASK say, or the first address that is known of it
        with the usual mask; wide enough for its ranges. None without any IPv4 address."""
        written = self.attributes.text("NETWORK_ADDRESS") or self.attributes.text("GATEWAY")
        known = _address(written) or next((each.first for each in self.ranges), None)
        if known is None:
            return None
        network = _network(known, self.attributes.text("NETWORK_MASK"))
        while not all(each.first in network and each.last in network for each in self.ranges):
            network = network.supernet()
        return network


def read_templates(xml: str) -> list[TemplateDocument]:
    """Of one.templatepool.info. Raises EngineBusy."""
    return _read_pool(xml, "VMTEMPLATE_POOL", "VMTEMPLATE", _read_template)


def read_networks(xml: str) -> list[NetworkDocument]:
    """Of one.vnpool.info. Raises EngineBusy."""
    return _read_pool(xml, "VNET_POOL", "VNET", _read_network)


def read_attributes(template: etree._Element | None) -> Attributes:
    """Of a TEMPLATE or USER_TEMPLATE element; none of none."""
    singles: dict[str, tuple[str, ...]] = {}
    vectors: dict[str, tuple[Mapping[str, str], ...]] = {}
    for child in () if template is None else template.iterchildren(etree.Element):
        inner = {each.tag: each.text or "" for each in child.iterchildren(etree.Element)}
        if inner:
            vectors[child.tag] = (*vectors.get(child.tag, ()), inner)
        else:
            singles[child.tag] = (*singles.get(child.tag, ()), child.text or "")
    return Attributes(singles, vectors)


def _read_pool(
    xml: str, root_tag: str, tag: str, read: Callable[[etree._Element], Document]
) -> list[Document]:
    try:
        root = parse(xml.encode())
        if root.tag != root_tag:
            raise ValueError(f"it is no {root_tag}")
        return [read(element) for element in root.iterchildren(tag)]
    except ValueError as error:
        raise EngineBusy(f"oned answered rubbish: {error}") from None


def _read_template(element: etree._Element) -> TemplateDocument:
    return TemplateDocument(**_owned(element), attributes=read_attributes(element.find("TEMPLATE")))


def _read_network(element: etree._Element) -> NetworkDocument:
    ranges = element.find("AR_POOL")
    found = [] if ranges is None else [_read_range(each) for each in ranges.iterchildren("AR")]
    return NetworkDocument(
        **_owned(element),
        attributes=read_attributes(element.find("TEMPLATE")),
        ranges=tuple(each for each in found if each),
    )


def _read_range(element: etree._Element) -> AddressRange | None:
    first = _address(element.findtext("IP") or "")
    size = _positive(element.findtext("SIZE"))
    id_ = number(element.findtext("AR_ID"))
    if first is None or size is None or id_ is None or int(first) + size > 2**32:
        return None
    return AddressRange(id_, first, size)


def _owned(element: etree._Element) -> dict[str, Any]:
    permissions = element.find("PERMISSIONS")
    usable_by = frozenset(
        who
        for who in ("owner", "group", "other")
        if permissions is not None and permissions.findtext(f"{who.upper()}_U") == "1"
    )
    return {
        "id": required(element, "ID"),
        "uid": required(element, "UID"),
        "gid": required(element, "GID"),
        "name": element.findtext("NAME") or "",
        "usable_by": usable_by,
    }


def _positive(text: str | None) -> int | None:
    found = number(text)
    return found if found is not None and found > 0 else None


def _address(text: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None


def _network(known: ipaddress.IPv4Address, mask: str) -> ipaddress.IPv4Network:
    for each in (mask, _USUAL_MASK):
        try:
            return ipaddress.IPv4Network((known, each), strict=False)
        except ValueError:
            continue
    raise AssertionError("the usual mask is one")
