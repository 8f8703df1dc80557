"""oned's XML as trees."""

import re
from typing import Final

from lxml import etree

# Before the root element nothing but a declaration: a DOCTYPE could make entities that swell.
_START: Final = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<[A-Za-z_]")


def parse(document: bytes) -> etree._Element:
    """The root of an XML document of oned's. Raises ValueError.

    No entities, no DOCTYPE, no network; and no mending of what is not well-formed. A parser for
    each call: threads would wait for one another at a shared one.
    """
    if not _START.match(document):
        raise ValueError("it is not XML")
    parser = etree.XMLParser(
        huge_tree=True, resolve_entities=False, no_network=True, load_dtd=False, recover=False
    )
    try:
        return etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"it is not XML: {str(error)[:100]}") from None
