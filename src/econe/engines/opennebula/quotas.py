"""What oned lets a user have, as far as it can be known before it is asked.

oned judges each allocate itself, by the user's quotas and the group's. What is read here only lets
the request plane refuse at once what oned would surely refuse later; so whatever is not sure is no
limit. Hence no limit on virtual CPUs: oned counts CPU, the share of physical ones, and how much of
that a machine takes is for its template to say. And hence sums: oned counts images in each
datastore, and it is the user who chooses one.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

from lxml import etree

from econe.domain.accounts import Limits

_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_DEFAULT: Final = -1.0
"""As the user has no quota of his own. What else is negative (-2) is no limit."""

_Quotas: TypeAlias = etree._Element | None


def limits_of(own: _Quotas, default: _Quotas, datastores: Collection[int]) -> Limits:
    """`own` is a QUOTAS of one.userpool.info, `default` what one.userquota.info says, `datastores`
    all that images can be in."""
    images = _sum(_datastore(own, default, each, "IMAGES") for each in datastores)
    size_mib = _sum(_datastore(own, default, each, "SIZE") for each in datastores)
    return Limits(
        instances=_whole(_machines(own, default, "VMS")),
        memory_mib=_whole(_machines(own, default, "MEMORY")),
        images=_whole(images),
        storage_gib=None if size_mib is None else -(-int(size_mib) // 1024),
    )


def _machines(own: _Quotas, default: _Quotas, name: str) -> float | None:
    """Of all machines; what 7.0 counts for some clusters only (CLUSTER_IDS) is no limit here."""
    return _limit(
        [
            entry.findtext(name)
            for quotas in (own, default)
            for entry in _entries(quotas, "VM_QUOTA", "VM")
            if not entry.findtext("CLUSTER_IDS")
        ]
    )


def _datastore(own: _Quotas, default: _Quotas, number: int, name: str) -> float | None:
    return _limit(
        [
            entry.findtext(name)
            for quotas in (own, default)
            for entry in _entries(quotas, "DATASTORE_QUOTA", "DATASTORE")
            if entry.findtext("ID") == str(number)
        ]
    )


def _entries(quotas: _Quotas, section: str, kind: str) -> Iterable[etree._Element]:
    found = None if quotas is None else quotas.find(section)
    return () if found is None else found.iterchildren(kind)


def _limit(said: Iterable[str | None]) -> float | None:
    """The first that is said: the user's own, else the default one."""
    for text in said:
        if text is None or not _NUMBER.fullmatch(text):
            continue
        value = float(text)
        if value != _DEFAULT:
            return value if value >= 0 else None
    return None


def _sum(limits: Iterable[float | None]) -> float | None:
    """None where one of them is none, or where there are none."""
    total: float | None = None
    for each in limits:
        if each is None:
            return None
        total = (total or 0) + each
    return total


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)
