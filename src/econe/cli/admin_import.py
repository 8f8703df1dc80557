"""What `econe-admin import-opennebula` says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from econe.inheritance import Heirloom, Outcome

KINDS: Final = ("image", "instance", "key pair", "volume", "snapshot")


def facts_of(found: Sequence[Heirloom], names: Mapping[str, str]) -> dict[str, Any]:
    """For --json. `names` of accounts by number."""
    count = _counted(found)
    return {
        "counts": {
            kind.replace(" ", "_"): {each.value: count[kind, each] for each in Outcome}
            for kind in KINDS
        },
        "found": [_fact(each, names) for each in found],
    }


def _fact(each: Heirloom, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kind": each.kind.replace(" ", "_"),
        "account": names.get(each.account, each.account),
        "old_id": each.old,
        "id": each.new or None,
        "outcome": each.outcome.value,
        "why": each.why or None,
        "tags": list(each.tags),
        "lost_tags": dict(each.lost_tags),
    }


def rows_of(found: Sequence[Heirloom], names: Mapping[str, str]) -> list[tuple[str, ...]]:
    """A line for each thing, and one for each tag that did not come."""
    rows: list[tuple[str, ...]] = []
    for each in found:
        owner = names.get(each.account, each.account)
        told = each.why or (f"with {len(each.tags)} tags" if each.tags else "")
        rows.append((each.kind, owner, each.old, each.new or "-", each.outcome.value, told))
        rows += [
            ("tag", owner, f"{each.old} {key}", "-", Outcome.SKIPPED.value, why)
            for key, why in each.lost_tags.items()
        ]
    return rows


def summary_of(found: Sequence[Heirloom]) -> list[str]:
    """`images: 3 adopted, 1 known` and so on; a line for each kind of which there is any."""
    count = _counted(found)
    lines = []
    for kind in KINDS:
        parts = [f"{count[kind, each]} {each}" for each in Outcome if count[kind, each]]
        if parts:
            lines.append(f"{kind}s: {', '.join(parts)}")
    return lines or ["There is nothing of an older econe in OpenNebula."]


def _counted(found: Sequence[Heirloom]) -> Counter[tuple[str, Outcome]]:
    return Counter((each.kind, each.outcome) for each in found)
