"""Quotas of a user or a group: limits and usage of datastores, networks, machines and images.

Limits: -1 is the default, -2 without limit (both let all pass here, as there are no default
limits). An entry without a limit of its own goes when nothing is used any more, as oned's does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.oned.templates import cdata

_SECTIONS = {
    "DATASTORE": ("IMAGES", "SIZE"),
    "NETWORK": ("LEASES",),
    "VM": (
        "CPU",
        "MEMORY",
        "RUNNING_CPU",
        "RUNNING_MEMORY",
        "RUNNING_VMS",
        "SYSTEM_DISK_SIZE",
        "VMS",
    ),
    "IMAGE": ("RVMS",),
}
Usage = Mapping[str, float]


@dataclass
class _Entry:
    limits: dict[str, float]
    used: dict[str, float]


@dataclass
class Exceeded:
    limit: float
    resource: str
    section: str
    id: int | None

    def text(self, whose: str, number: int) -> str:
        """As in `user [2] limit of 4 reached for VMS quota in VM`"""
        where = self.section if self.id is None else f"{self.section} with ID: {self.id}"
        return (
            f"{whose} [{number}] limit of {_number(self.limit)} reached for {self.resource} quota"
            f" in {where}"
        )


@dataclass
class Quotas:
    entries: dict[tuple[str, int | None], _Entry] = field(default_factory=dict)

    def limit(self, section: str, number: int | None, limits: Usage) -> None:
        entry = self._entry(section, number)
        entry.limits.update(limits)
        self._clean(section, number)

    def exceeded(self, section: str, number: int | None, more: Usage) -> Exceeded | None:
        entry = self.entries.get((section, number))
        if entry is None:
            return None
        for resource, amount in more.items():
            limit = entry.limits[resource]
            if limit >= 0 and entry.used[resource] + amount > limit:
                return Exceeded(limit, resource, section, number)
        return None

    def use(self, section: str, number: int | None, more: Usage) -> None:
        entry = self._entry(section, number)
        for resource, amount in more.items():
            entry.used[resource] += amount
        self._clean(section, number)

    def _entry(self, section: str, number: int | None) -> _Entry:
        names = _SECTIONS[section]
        fresh = _Entry(dict.fromkeys(names, -1.0), dict.fromkeys(names, 0.0))
        return self.entries.setdefault((section, number), fresh)

    def _clean(self, section: str, number: int | None) -> None:
        entry = self.entries[section, number]
        unlimited = all(limit == -1 for limit in entry.limits.values())
        if unlimited and not any(round(used, 6) for used in entry.used.values()):
            del self.entries[section, number]

    def xml(self) -> str:
        return "".join(self._section_xml(section) for section in _SECTIONS)

    def _section_xml(self, section: str) -> str:
        inner = ""
        for (name, number), entry in sorted(self.entries.items(), key=lambda item: str(item[0])):
            if name != section:
                continue
            inner += f"<{section}>"
            inner += "" if number is None else f"<ID>{cdata(str(number))}</ID>"
            for resource in _SECTIONS[section]:
                limit, used = entry.limits[resource], entry.used[resource]
                inner += f"<{resource}>{cdata(_number(limit))}</{resource}>"
                inner += f"<{resource}_USED>{cdata(_used(resource, used))}</{resource}_USED>"
            inner += f"</{section}>"
        return f"<{section}_QUOTA>{inner}</{section}_QUOTA>"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.2f}"


def _used(resource: str, value: float) -> str:
    if "CPU" in resource and round(value, 6):
        return f"{value:.2f}"
    return str(int(round(value, 6)))
