"""From a MachineSpec to what oned is asked to make: pure, without a call.

A type is a VM template of OpenNebula's, or numbers of our own. Of a template everything counts:
CPU, memory, scheduling, devices. A launch adds the image, whose disk comes before the template's
own, and what the user said; a vector that it names replaces all of that name in the template
(facts/econe.md 5.5), so those that are to stay are named again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from econe.domain.engine_ports import DiskSpec, EngineRefused, MachineSpec
from econe.engines.opennebula.context import context_of
from econe.engines.opennebula.documents import Attributes
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.template import Attribute, speakable
from econe.settings import Opennebula

MIB_PER_GIB: Final = 1024
LONGEST_NAME: Final = 128
"""Of an object, in bytes (PoolObjectSQL::name_is_valid)."""
# PoolObjectSQL::INVALID_NAME_CHARS of 7.0.2; 6.2 lets the control characters through.
_NOT_IN_NAMES: Final = re.compile(r"""[&|:\\";/'#{}$<>\x00-\x1f\x7f]+""")


@dataclass(frozen=True, slots=True)
class Wish:
    """A launch, with what the engine knows of it besides the spec."""

    spec: MachineSpec
    uid: str
    """Of the user whose machine it will be."""
    image_mib: int
    """Size of the image; its disk is made larger if the launch says so."""
    uefi_firmware: str = ""
    """OS/FIRMWARE of a machine that is to boot by UEFI; empty: there is none."""

    @property
    def name(self) -> str:
        return object_name(self.spec.name) or self.spec.id


def of_template(wish: Wish, template: Attributes, marks: Marks) -> dict[str, Attribute]:
    """What goes beside the type's own template."""
    nics = _nics(wish.spec, template.vectors.get("NIC", ()))
    return {
        **_for_users(wish, marks),
        "DISK": [_root_disk(wish), *template.vectors.get("DISK", ())],
        **({"NIC": nics} if nics else {}),
        **({"OS": {**template.vector("OS"), **_firmware(wish)}} if wish.spec.uefi else {}),
        "CONTEXT": context_of(wish.spec, template.vector("CONTEXT")),
    }


def of_numbers(wish: Wish, marks: Marks, settings: Opennebula) -> dict[str, Attribute]:
    """The whole template of a machine whose type is ours."""
    spec = wish.spec
    made: dict[str, Attribute] = {
        "NAME": wish.name,
        "CPU": f"{max(spec.vcpus * settings.cpu_per_vcpu, 0.01):.2f}",
        "VCPU": str(spec.vcpus),
        "MEMORY": str(spec.memory_mib),
        "OS": {"ARCH": spec.architecture, **_firmware(wish)},
        **_for_users(wish, marks),
        "DISK": _root_disk(wish),
        "NIC": _nics(spec, ()),
        "CONTEXT": context_of(spec, {}),
    }
    if settings.graphics:
        # On all addresses of its host, as Sunstone's own templates have it.
        made["GRAPHICS"] = {"TYPE": "VNC", "LISTEN": "0.0.0.0"}  # noqa: S104
    return made


def _firmware(wish: Wish) -> dict[str, str]:
    """Where the image does not ask for UEFI the type's template decides."""
    if not wish.spec.uefi:
        return {}
    if not wish.uefi_firmware:
        raise EngineRefused(
            "Machines of this cloud cannot boot by UEFI any more.",
            f"{wish.spec.id}: opennebula.uefi_firmware is empty",
            code="Unsupported",
        )
    return {"FIRMWARE": wish.uefi_firmware}


def _for_users(wish: Wish, marks: Marks) -> dict[str, Attribute]:
    """What is no word of oned's lands in USER_TEMPLATE. IMAGE_ID and EC2_* are those of old econe
    (facts/econe.md 2.1), for tools that look for them."""
    spec = wish.spec
    found = {
        "IMAGE_ID": spec.image_id,
        "EC2_INSTANCE_TYPE": speakable(spec.instance_type),
        "EC2_KEYNAME": speakable(spec.key_name or ""),
    }
    given = {name: value for name, value in found.items() if value}
    return {**marks.attributes(spec.id, wish.uid), **given}


def _root_disk(wish: Wish) -> dict[str, str]:
    disk = {"IMAGE_ID": wish.spec.image_ref}
    size_mib = _root(wish.spec).size_gib * MIB_PER_GIB
    # EC2's sizes are whole GiB. An image of 300 MiB has a volume of 1 GiB, and needs no growing.
    if size_mib >= wish.image_mib + MIB_PER_GIB:
        disk["SIZE"] = str(size_mib)
    return disk


def _root(spec: MachineSpec) -> DiskSpec:
    return next(disk for disk in spec.disks if disk.is_root)


def _nics(spec: MachineSpec, of_template: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The network that the launch names, or, where it names the account's default one, those of
    the template, if it has any: then nothing is said. The device's model is the template's."""
    named = [nic.network for nic in spec.nics if nic.network.engine_ref]
    if of_template and all(network.is_default for network in named):
        return []
    model = of_template[0].get("MODEL") if of_template else None
    more = {"MODEL": model} if model else {}
    return [{"NETWORK_ID": network.engine_ref, **more} for network in named]


def object_name(text: str) -> str:
    """A name that oned takes, as near to `text` as can be; may be empty."""
    cleaned = speakable(_NOT_IN_NAMES.sub("-", text)).strip()
    return cleaned.encode()[:LONGEST_NAME].decode(errors="ignore").strip()
