"""Datastores that images can be in."""

from typing import Final

from econe.domain.engine_ports import EngineBusy
from econe.engines.opennebula.documents import number
from econe.engines.opennebula.xmltree import parse

FOR_IMAGES: Final = "0"
"""TYPE; others are for machines, for files, for backups."""


def read_datastores(xml: str) -> dict[int, str]:
    """Names by id, of one.datastorepool.info. Raises EngineBusy."""
    try:
        root = parse(xml.encode())
        if root.tag != "DATASTORE_POOL":
            raise ValueError("it is no pool of datastores")
    except ValueError as error:
        raise EngineBusy(f"oned's answer is not understood: {error}") from None
    found = {
        number(each.findtext("ID")): each.findtext("NAME") or ""
        for each in root.iterchildren("DATASTORE")
        if each.findtext("TYPE") == FOR_IMAGES
    }
    return {each: name for each, name in found.items() if each is not None}


def find_datastore(names: dict[int, str], wanted: str) -> int | None:
    """By id or name. Names are unique for each owner: the oldest counts."""
    if number(wanted) in names:
        return number(wanted)
    return min((each for each, name in names.items() if name == wanted), default=None)
