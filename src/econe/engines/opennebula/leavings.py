"""What an econe of OpenNebula's 4.x and 5.x left in oned (facts/econe.md 2.1).

It had no database: an image is a machine image by EC2_AMI, a volume by EBS_VOLUME, and a machine
is one that it made by what stands in its template.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from econe.domain.accounts import number_of
from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.engines.opennebula import marks
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.image_documents import OnedImage, read_images
from econe.engines.opennebula.pool import Pool
from econe.engines.opennebula.rpc import Oned
from econe.engines.opennebula.vms import Vm
from econe.engines.opennebula.xmltree import parse


class Was(StrEnum):
    IMAGE = "image"
    INSTANCE = "instance"
    VOLUME = "volume"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Leaving:
    was: Was
    ref: str
    account: str
    name: str


ATTRIBUTES: Final = (
    (Was.VOLUME, "EBS_VOLUME"),
    (Was.SNAPSHOT, "EBS_SNAPSHOT"),
    (Was.IMAGE, "EC2_AMI"),
)
"""An image has at most one of them, and the first counts."""
OF_USERS: Final = ("EC2_INSTANCE_TYPE", "EC2_CLIENT_TOKEN", "EC2_TAGS")
OF_CONTEXT: Final = ("EC2_PUBLIC_KEY", "EC2_KEYNAME", "EC2_USER_DATA")


def read_leavings(oned: Oned, directory: Directory, pool: Pool) -> list[Leaving]:
    """All, of every user. Raises EngineBusy."""
    try:
        text = oned.text(directory.own_session(), "one.imagepool.info", -2, -1, -1)
        images = list(read_images(parse(text.encode())))
    except EngineRefused as refused:
        raise EngineBusy(f"The images cannot be read: {refused.hidden}") from None
    except ValueError as error:
        raise EngineBusy(f"oned's answer is not understood: {error}") from None
    return [*_images(images), *_machines(pool.all())]


def _images(images: Iterable[OnedImage]) -> Iterator[Leaving]:
    for image in sorted(images, key=lambda image: image.number):
        for was, attribute in ATTRIBUTES:
            if image.attribute(attribute).upper() == "YES":
                yield Leaving(was, image.ref, number_of(image.uid), image.name)
                break


def _machines(machines: Iterable[Vm]) -> Iterator[Leaving]:
    """Without those that carry a mark: we made them."""
    for vm in sorted(machines, key=lambda vm: vm.number):
        if not vm.user_attribute(marks.MARK) and _is_econes(vm):
            yield Leaving(Was.INSTANCE, vm.ref, number_of(vm.uid), vm.name)


def _is_econes(vm: Vm) -> bool:
    paths = [f"USER_TEMPLATE/{name}" for name in OF_USERS]
    paths += [f"TEMPLATE/CONTEXT/{name}" for name in OF_CONTEXT]
    return any(vm.element.find(path) is not None for path in paths)
