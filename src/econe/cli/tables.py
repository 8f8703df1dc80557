"""What the tools print: tables, or JSON.

Tables are as OpenNebula 3.0's tools printed them (facts/econe.md, 3.2): a format, the names of the
columns and the length of the rule between both. Cells are never cut short, so ids can be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Table:
    """`row` is a format for as many texts as there are columns."""

    __slots__ = ("columns", "row", "rule")

    def __init__(self, row: str, columns: tuple[str, ...], rule: int) -> None:
        self.row, self.columns, self.rule = row, columns, rule


IMAGES = Table(
    "%-12s %-13s %-14s %-12s %s", ("Owner", "ImageId", "Status", "Visibility", "Location"), 78
)
INSTANCES = Table(
    "%-10s  %-11s  %-13s  %-11s %-15s %-10s",
    ("Owner", "Id", "ImageId", "State", "IP", "Type"),
    83,
)
RUN = Table("%-12s  %-13s   %-14s %s", ("Owner", "ImageId", "InstanceId", "InstanceType"), 78)
KEY_PAIRS = Table("%-15s %s", ("keyName", "keyFingerprint"), 76)
"""Of 3.8, which had the first key pairs; its columns were cut at their widths, ours are not."""


def lines(table: Table, rows: Iterable[Sequence[str]], *, headers: bool) -> Iterable[str]:
    """The lines of the table. Characters that would steer a terminal become `?`."""
    if headers:
        yield table.row % table.columns
        yield "-" * table.rule
    for row in rows:
        yield table.row % tuple(printable(cell) for cell in row)


def printable(text: str) -> str:
    """`text` on one line and without what would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


def show_lines(shown: Iterable[str]) -> None:
    for line in shown:
        print(line)


def show_json(value: object) -> None:
    """ASCII only, so that no locale can spoil it."""
    import json  # 3 ms that only --json costs

    print(json.dumps(value, indent=2))
