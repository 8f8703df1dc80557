"""VM elements as oned writes them, as short as our reading allows."""

from collections.abc import Mapping

from lxml import etree

from econe.engines.opennebula.vms import Vm, read_vm


def vm_xml(
    number: int,
    *,
    uid: int = 2,
    name: str = "",
    state: int = 3,
    lcm: int = 3,
    user: Mapping[str, str] | None = None,
    template: str = "",
    history: str = "<HISTORY><HOSTNAME>node1</HOSTNAME><ACTION>0</ACTION></HISTORY>",
) -> str:
    mine = "".join(f"<{key}><![CDATA[{value}]]></{key}>" for key, value in (user or {}).items())
    return (
        f"<VM><ID>{number}</ID><UID>{uid}</UID><GID>100</GID><NAME>{name or f'vm{number}'}</NAME>"
        f"<STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE><STIME>1795434890</STIME>"
        f"<TEMPLATE>{template}</TEMPLATE><USER_TEMPLATE>{mine}</USER_TEMPLATE>"
        f"<HISTORY_RECORDS>{history}</HISTORY_RECORDS></VM>"
    )


def vm(number: int, **given: object) -> Vm:
    return read_vm(etree.fromstring(vm_xml(number, **given)))  # type: ignore[arg-type]
