"""A machine's CONTEXT: variables filled in, and the network part that NETWORK=YES asks for."""

import re
from typing import TYPE_CHECKING

from tests.support.oned.machine import Machine
from tests.support.oned.templates import Vector

if TYPE_CHECKING:
    from tests.support.oned.world import World

# By name in the context; where the NIC has it under another name, that. In oned's order it is
# VirtualMachineContext.cc's NETWORK_CONTEXT list.
_OF_A_NIC = {
    "MAC": "MAC",
    "IP": "IP",
    "IP6": "IP6_GLOBAL",
    "IP6_ULA": "IP6_ULA",
    "IP6_PREFIX_LENGTH": "PREFIX_LENGTH",
    "NETWORK": "NETWORK_ADDRESS",
    "MASK": "NETWORK_MASK",
    "GATEWAY": "GATEWAY",
    "IP6_GATEWAY": "GATEWAY6",
    "DNS": "DNS",
    "SEARCH_DOMAIN": "SEARCH_DOMAIN",
    "MTU": "GUEST_MTU",
    "METHOD": "METHOD",
    "IP6_METHOD": "IP6_METHOD",
    "METRIC": "METRIC",
    "IP6_METRIC": "IP6_METRIC",
    "VLAN_ID": "VLAN_ID",
    "VROUTER_IP": "VROUTER_IP",
    "VROUTER_IP6": "VROUTER_IP6_GLOBAL",
    "VROUTER_MANAGEMENT": "VROUTER_MANAGEMENT",
    "EXTERNAL": "EXTERNAL",
}
_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)(?:\[\s*(\w+)[^\]]*\])?)")


def fill_variables(world: "World", machine: Machine) -> None:
    """`$NAME`, `$UID`, `$USER[SSH_PUBLIC_KEY]` and so on; what is unknown becomes nothing."""
    context = machine.template.vector("CONTEXT")
    if context is None:
        return
    user = world.users[machine.uid]
    known = {
        "NAME": machine.name,
        "UID": str(machine.uid),
        "UNAME": machine.uname,
        "GID": str(machine.gid),
        "GNAME": machine.gname,
        "VMID": str(machine.id),
    }

    def value(found: re.Match[str]) -> str:
        dollar, name, inner = found.groups()
        if dollar:
            return "$"
        if inner is not None:
            return user.template.get(inner) if name == "USER" else ""
        return known.get(name) or machine.template.get(name) or machine.user_template.get(name)

    for key, text in context.items():
        context[key] = _VARIABLE.sub(value, text)


def fill_network(world: "World", machine: Machine) -> None:
    context = machine.template.vector("CONTEXT")
    if context is None or context.get("NETWORK", "").upper() != "YES":
        return
    for nic in machine.nics() + machine.aliases():
        network = world.networks.get(int(nic.get("NETWORK_ID", "-1")))
        for name, source in _OF_A_NIC.items():
            value = nic.get(source, "")
            if not value and network is not None:
                value = network.template.get(source)
            context[f"{_prefix(nic)}{name}"] = value


def clear(machine: Machine, nic: Vector) -> None:
    context = machine.template.vector("CONTEXT")
    if context is None:
        return
    prefix = _prefix(nic)
    for name in [each for each in context if each.startswith(prefix)]:
        del context[name]


def _prefix(nic: Vector) -> str:
    if "PARENT_ID" in nic:
        return f"ETH{nic['PARENT_ID']}_ALIAS{nic['ALIAS_ID']}_"
    return f"ETH{nic['NIC_ID']}_"
