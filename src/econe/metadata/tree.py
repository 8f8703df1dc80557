"""What the metadata service says of an instance, by path and version: pure.

Facts of EC2's service that show here (EC2 User Guide, "Instance metadata categories"; cloud-init's
crawler relies on them): a listing has one name a line and no newline at its end; below `meta-data`
and `dynamic` the names of directories end with a slash; `public-keys` lists `0=<key name>`; each
category is known from some version on; what an instance does not have is not there (404).

Only what is true is listed: `dynamic/instance-identity` has no signatures, because nothing signs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from econe.domain.instances import Instance
from econe.domain.networks import NetworkInterface
from econe.domain.places import private_dns_name, zone_id
from econe.domain.tags import is_tellable

VERSIONS: Final = (
    "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05",
    "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02", "2018-03-28", "2018-08-17",
    "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15",
    "2022-09-24", "2024-04-11",
)  # fmt: skip
"""EC2's own, from the oldest that clients in use ask for."""
LATEST: Final = "latest"

SINCE: Final = {
    "events": "2018-08-17",
    "instance-life-cycle": "2019-10-01",
    "mac": "2011-01-01",
    "network": "2011-01-01",
    "placement/availability-zone-id": "2019-10-01",
    "placement/region": "2020-08-24",
    "services": "2014-02-25",
    "services/partition": "2015-10-20",
    "system": "2022-09-24",
    "tags": "2021-03-23",
}
"""Path below meta-data -> the first version that has it. The others are older than VERSIONS."""

Node = bytes | dict[str, "Node"]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the tree is made of."""

    instance: Instance
    region: str
    vpc_cidr: str
    subnet_cidr: str


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    content_type: str = "text/plain"


def answer(facts: Facts, path: str) -> Answer | None:
    """What is at `path` (`/latest/meta-data/`), or None: 404.

    A slash at the end, or its absence, makes no difference, as with EC2.
    """
    parts = [unquote(part) for part in path.split("/") if part]
    if not parts:
        return _listing([*VERSIONS, LATEST])
    version, *below = parts
    if version not in VERSIONS and version != LATEST:
        return None
    root = _roots(facts, version)
    if not below:
        return _listing(list(root))
    grow = root.get(below[0])
    if grow is None:
        return None
    found = _at(grow(), below[1:])
    if found is not None and below[0] == "user-data":
        return Answer(found.body, "application/octet-stream")
    return found


def _roots(facts: Facts, version: str) -> dict[str, Callable[[], Node]]:
    """What is directly below a version; each grows only when it is asked for."""
    roots: dict[str, Callable[[], Node]] = {
        "dynamic": lambda: _dynamic(facts),
        "meta-data": lambda: _known_since(_meta_data(facts), version, ""),
    }
    user_data = facts.instance.user_data
    if user_data is not None:
        roots["user-data"] = user_data.reveal
    return roots


def _dynamic(facts: Facts) -> dict[str, Node]:
    monitored = "enabled" if facts.instance.monitored else "disabled"
    return {
        "fws": _leaves({"instance-monitoring": monitored}),
        "instance-identity": {"document": identity_document(facts)},
    }


def _at(node: Node, parts: list[str]) -> Answer | None:
    for part in parts:
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    if isinstance(node, bytes):
        return Answer(node)
    return _listing([_listed(name, child) for name, child in node.items()])


def _listing(names: list[str]) -> Answer:
    return Answer("\n".join(names).encode())


def _listed(name: str, child: Node) -> str:
    if isinstance(child, _PublicKey):
        return f"{name}={child.name}"
    return f"{name}/" if isinstance(child, dict) else name


class _PublicKey(dict[str, Node]):
    """`public-keys/0`, whose line in the listing names the key."""

    def __init__(self, name: str, line: str) -> None:
        super().__init__({"openssh-key": f"{line.rstrip()}\n".encode()})
        self.name = name


def _known_since(tree: dict[str, Node], version: str, at: str) -> dict[str, Node]:
    """Without what came after `version`. Versions are dates, so they compare as text."""
    kept: dict[str, Node] = {}
    for name, child in tree.items():
        path = f"{at}{name}"
        if version == LATEST or SINCE.get(path, "") <= version:
            deeper = isinstance(child, dict) and any(key.startswith(f"{path}/") for key in SINCE)
            kept[name] = (
                _known_since(child, version, f"{path}/")
                if deeper and isinstance(child, dict)
                else child
            )
    return kept


def _meta_data(facts: Facts) -> dict[str, Node]:
    instance = facts.instance
    host_name = private_dns_name(instance.private_ip or "", facts.region)
    tree: dict[str, str | dict[str, Node] | None] = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": _block_devices(instance),
        "events": {"maintenance": _leaves({"history": "[]", "scheduled": "[]"})},
        "hostname": host_name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": host_name,
        "local-ipv4": instance.private_ip,
        "mac": instance.interfaces[0].mac if instance.interfaces else None,
        "network": _network(facts),
        "placement": _leaves(
            {
                "availability-zone": instance.zone,
                "availability-zone-id": zone_id(facts.region, instance.zone),
                "region": facts.region,
            }
        ),
        "profile": "default-hvm",
        "public-keys": _public_keys(instance),
        "reservation-id": instance.reservation_id,
        "security-groups": _lines(_group_names(instance)),
        "services": _leaves({"domain": "amazonaws.com", "partition": "aws"}),
        "system": "nitro",
        "tags": _tags(instance),
    }
    return {
        name: node.encode() if isinstance(node, str) else node
        for name, node in tree.items()
        if node is not None
    }


def _block_devices(instance: Instance) -> dict[str, Node]:
    """cloud-init and the EBS CSI driver fail without this directory."""
    devices = {"ami": instance.root_device, "root": instance.root_device}
    others = (
        volume.device.removeprefix("/dev/")
        for volume in instance.volumes
        if volume.device and volume.device != instance.root_device
    )
    devices |= {f"ebs{number}": device for number, device in enumerate(others, start=1)}
    return _leaves(devices)


def _network(facts: Facts) -> dict[str, Node] | None:
    if not facts.instance.interfaces:
        return None
    macs: dict[str, Node] = {
        interface.mac: _interface(facts, interface) for interface in facts.instance.interfaces
    }
    return {"interfaces": {"macs": macs}}


def _interface(facts: Facts, interface: NetworkInterface) -> dict[str, Node]:
    return _leaves(
        {
            "device-number": str(interface.device_index),
            "interface-id": interface.id,
            "local-hostname": private_dns_name(interface.private_ip, facts.region),
            "local-ipv4s": interface.private_ip,
            "mac": interface.mac,
            "owner-id": interface.account,
            "security-group-ids": _lines([group_id for group_id, _ in interface.groups]),
            "security-groups": _lines([name for _, name in interface.groups]),
            "subnet-id": interface.subnet_id,
            "subnet-ipv4-cidr-block": facts.subnet_cidr,
            "vpc-id": interface.vpc_id,
            "vpc-ipv4-cidr-block": facts.vpc_cidr,
            "vpc-ipv4-cidr-blocks": facts.vpc_cidr,
        }
    )


def _public_keys(instance: Instance) -> dict[str, Node] | None:
    if instance.public_key is None:
        return None
    return {"0": _PublicKey(instance.key_name or "", instance.public_key)}


def _tags(instance: Instance) -> dict[str, Node] | None:
    """Nothing that cannot be asked for: cloud-init takes nothing at all where one name fails. New
    keys are refused while tags are told; an older econe let them be."""
    if not instance.metadata_options.tells_tags:
        return None
    told = {key: value for key, value in sorted(instance.tags.items()) if is_tellable(key)}
    return {"instance": _leaves(told)}


def _group_names(instance: Instance) -> list[str]:
    return [name for interface in instance.interfaces[:1] for _, name in interface.groups]


def identity_document(facts: Facts) -> bytes:
    """EC2 User Guide, "Instance identity documents"."""
    instance = facts.instance
    document = {
        "accountId": instance.account,
        "architecture": instance.architecture,
        "availabilityZone": instance.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": None,
        "pendingTime": _second(instance.launched_at),
        "privateIp": instance.private_ip,
        "ramdiskId": None,
        "region": facts.region,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2, separators=(",", " : ")).encode()


def _second(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _leaves(texts: Mapping[str, str]) -> dict[str, Node]:
    return {name: text.encode() for name, text in texts.items()}


def _lines(names: list[str]) -> str:
    return "\n".join(names)
