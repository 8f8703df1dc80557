"""Guests of one disk sector, for tests of engines that really run machines.

SeaBIOS loads the sector; it greets on the serial port and then does as its kind says. On QEMU's
q35 the power management registers are at 0x600 (SeaBIOS, PORT_ACPI_PM_BASE): status, enable
(0x602) and control (0x604), where 0x2000 is SLP_EN with QEMU's sleep type for "off", 0.
"""

from enum import StrEnum
from pathlib import Path

GREETING = b"econe contract guest\r\n"


class Guest(StrEnum):
    OBEDIENT = "obedient"
    """Switches off when the power button is pressed."""
    DEAF = "deaf"
    """Does not look at the power button."""
    HALTING = "halting"
    """Switches off as soon as it has booted."""


_BEGIN = bytes.fromhex(
    "fa"  # cli
    "31c0 8ed8 fc"  # ds = 0, forwards
)
_PRINT = bytes.fromhex(
    "ac 84c0 7412"  # next: al = *si++; if it is 0: done
    "88c4 bafd03 ec a820 74fb"  # wait until the port takes a byte
    "88e0 baf803 ee ebe9"  # write it; goto next
)
_REST = {
    Guest.OBEDIENT: bytes.fromhex(
        "fb ba0206 b80001 ef"  # sti; let the power button show in the status
        "f4 ba0006 ed f6c401 74f6"  # sleep until a timer tick; again unless it was pressed
        "ba0406 b80020 ef"  # off
        "f4 ebfd"
    ),
    Guest.DEAF: bytes.fromhex("fb f4 ebfd"),
    Guest.HALTING: bytes.fromhex("ba0406 b80020 ef f4 ebfd"),
}


def write_disk(path: Path, guest: Guest) -> None:
    """A raw disk of 1 MiB."""
    rest = _REST[guest]
    message_at = 0x7C00 + len(_BEGIN) + 3 + len(_PRINT) + len(rest)
    point = b"\xbe" + message_at.to_bytes(2, "little")  # si = the greeting
    code = _BEGIN + point + _PRINT + rest + GREETING + b"\0"
    sector = code.ljust(510, b"\0") + b"\x55\xaa"
    with path.open("wb") as disk:
        disk.write(sector)
        disk.truncate(1 << 20)
