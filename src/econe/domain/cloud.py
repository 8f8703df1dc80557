"""The cloud as requests see it: what it is called, what it offers, and what can be done in it.

Use cases take the transaction and change rows; none calls an engine. app.py builds the one Cloud
from the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from econe.domain.accounts import Limits
from econe.domain.attributes import InstanceBook
from econe.domain.capacity import Capacity
from econe.domain.engine_ports import ANY_ENGINE, Capabilities
from econe.domain.fleet import Fleet
from econe.domain.gallery import Gallery
from econe.domain.hidden import Hidden
from econe.domain.image_book import ImageBook
from econe.domain.keyring import Keyring
from econe.domain.ports import Consoles, Firmware, KeyMaker, Screens
from econe.domain.sizes import CATALOGUE, Size
from econe.domain.template_book import TemplateBook


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    region: str
    zone: str
    consoles: Consoles
    key_maker: KeyMaker
    page_key: Hidden[bytes]
    """Proves that a NextToken is one of ours. The same after a restart."""
    screens: Screens | None = None
    """Asked only once a request's transaction is over (Handler.asks)."""
    firmware: Firmware | None = None
    """As screens."""
    endpoint: str = ""
    """The region's endpoint as DescribeRegions says it: host name and port."""
    sizes: Mapping[str, Size] = field(default_factory=lambda: CATALOGUE)
    default_type: str = "m1.small"
    root_gib: int = 0
    """Size of root disks where neither image nor request say more; 0: as large as the image."""
    limits: Limits = Limits(instances=1000)
    """What accounts may have that have no limits of their own."""
    vpc_pools: tuple[str, ...] = ("172.31.0.0/16", "10.128.0.0/9")
    """Where default VPCs get their /16 from."""
    can: Capabilities = ANY_ENGINE
    """What the engine can do, and what is therefore offered or refused."""
    capacity: Capacity = Capacity()

    @property
    def instances(self) -> Fleet:
        return Fleet(
            zone=self.zone,
            sizes=self.sizes,
            default_type=self.default_type,
            root_gib=self.root_gib,
            limits=self.limits,
            vpc_pools=self.vpc_pools,
            can=self.can,
            capacity=self.capacity,
        )

    @property
    def attributes(self) -> InstanceBook:
        return InstanceBook(self.sizes, self.can)

    @property
    def image_attributes(self) -> ImageBook:
        return ImageBook(self.can)

    @property
    def images(self) -> Gallery:
        return Gallery(self.can, self.limits)

    @property
    def launch_templates(self) -> TemplateBook:
        return TemplateBook()

    @property
    def key_pairs(self) -> Keyring:
        return Keyring(self.key_maker)
