"""UEFI firmware for guests: which the host has, and each machine's own variables.

Distributions describe their firmware in JSON files (QEMU, docs/interop/firmware.json): what kind it
is, what machines it fits, and where code and the template of the variables lie. Of those that fit
the first is taken, as every user of the descriptors does. The code is shared and only read; each
machine gets a copy of the template, `nvram` in its directory, which lasts as long as the machine.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.uefi import UefiVariable
from econe.domain.uefi_data import DictionaryMissingError, UnreadableError, variables_of
from econe.durable import sync_directory
from econe.engines.qemu.command import Flash
from econe.engines.qemu.place import Place, busy_if_the_system_fails, place_of
from econe.engines.qemu.varstore import (
    LARGEST_BYTES,
    DamagedError,
    read_variables,
    with_variables,
)
from econe.settings import Qemu

DESCRIPTORS: Final = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
"""In order of precedence: a file of the same name in the first hides that of the second."""
UNWANTED: Final = frozenset({"requires-smm", "secure-boot", "enrolled-keys"})
"""Features of firmware that wants more of its machine than ours have, or trusts some keys only."""
TIDYING_S: Final = 0.3
"""How long firmware may take to write its store anew, without what was deleted."""
MACHINE: Final = "pc-q35-7.2"
"""What the descriptors' patterns are matched with; ours are q35."""


@dataclass(frozen=True, slots=True)
class Uefi:
    code: Path
    template: Path
    """Of the variables."""


def find(settings: Qemu, directories: tuple[Path, ...] = DESCRIPTORS) -> Uefi | str:
    """What the settings say, else what the host has; or why there is none, as a clause."""
    if settings.uefi_code or settings.uefi_vars:
        said = Uefi(Path(settings.uefi_code), Path(settings.uefi_vars))
        if said.code.is_file() and said.template.is_file():
            return said
        return "qemu.uefi_code and qemu.uefi_vars do not both name files"
    found = (_fitting(path) for path in _descriptors(directories))
    return next((uefi for uefi in found if uefi), "no firmware is installed (Debian: ovmf)")


def _descriptors(directories: tuple[Path, ...]) -> list[Path]:
    by_name: dict[str, Path] = {}
    for directory in directories:
        for path in directory.glob("*.json"):
            by_name.setdefault(path.name, path)
    return [by_name[name] for name in sorted(by_name)]


def _fitting(path: Path) -> Uefi | None:
    """None for firmware that our machines cannot have; an empty file is the way to hide one."""
    try:
        told = json.loads(path.read_text("utf-8"))
        flash = told["mapping"]
        code, template = flash["executable"], flash["nvram-template"]
        fits = (
            "uefi" in told["interface-types"]
            and flash["device"] == "flash"
            and flash.get("mode", "split") == "split"
            and code["format"] == template["format"] == "raw"
            and UNWANTED.isdisjoint(told["features"])
            and any(_is_ours(target) for target in told["targets"])
        )
        uefi = Uefi(Path(code["filename"]), Path(template["filename"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return uefi if fits and uefi.code.is_file() and uefi.template.is_file() else None


def _is_ours(target: Mapping[str, Any]) -> bool:
    return target["architecture"] == "x86_64" and any(
        fnmatchcase(MACHINE, pattern) for pattern in target["machines"]
    )


def _seeded(template: Path, seeds: str) -> bytes:
    content = template.read_bytes()
    if not seeds:
        return content
    try:
        return with_variables(content, variables_of(seeds))
    except (DamagedError, ValueError, UnreadableError, DictionaryMissingError) as error:
        raise EngineRefused(
            "The image's UEFI variables cannot be given to a machine.", f"{template}: {error}"
        ) from error


class QemuFirmware:
    """ports.Firmware, and what the machines need of it."""

    def __init__(self, instances: Path, found: Uefi | str) -> None:
        self._instances, self._found = instances, found

    @property
    def uefi(self) -> Uefi | None:
        return self._found if isinstance(self._found, Uefi) else None

    @property
    def reason(self) -> str:
        """Why there is none."""
        return self._found if isinstance(self._found, str) else ""

    def ensure(self, place: Place, seeds: str = "") -> None:
        """Give the machine its variables unless it has some: those of the template and of `seeds`
        (MachineSpec.uefi_data). Raises EngineRefused."""
        if place.nvram.exists():
            return
        content = _seeded(self._wanted().template, seeds)
        part = place.nvram.with_name(place.nvram.name + ".part")
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:  # noqa: PTH123 - a descriptor, no path
            made.write(content)
            made.flush()
            os.fsync(made.fileno())
        part.rename(place.nvram)
        sync_directory(place.path)

    def open(self, place: Place, held: ExitStack) -> Flash:
        """For a machine that starts; closed with `held`. Raises EngineRefused where the firmware
        or the machine's variables are gone."""
        uefi = self._wanted()
        try:
            variables = os.open(place.nvram, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise EngineRefused(
                "The UEFI variables of the machine are gone.", str(place.nvram)
            ) from error
        held.callback(os.close, variables)
        if os.fstat(variables).st_size != uefi.template.stat().st_size:
            raise EngineRefused(
                "The UEFI variables of the machine are those of another firmware.",
                f"{place.nvram} and {uefi.template} differ in size",
            )
        code = os.open(uefi.code, os.O_RDONLY | os.O_CLOEXEC)
        held.callback(os.close, code)
        return Flash(code, variables)

    def _wanted(self) -> Uefi:
        if isinstance(self._found, str):
            raise EngineRefused("This host has no UEFI firmware.", self._found)
        return self._found

    def variables(self, instance_id: str) -> tuple[UefiVariable, ...]:
        """A store that is just being tidied up by the firmware is looked at again."""
        try:
            return read_variables(self._content(instance_id))
        except DamagedError:
            time.sleep(TIDYING_S)
        try:
            return read_variables(self._content(instance_id))
        except DamagedError as damage:
            raise EngineRefused(
                "The instance's UEFI variables cannot be read.", f"{instance_id}: {damage}"
            ) from damage

    def _content(self, instance_id: str) -> bytes:
        with busy_if_the_system_fails():
            try:
                with place_of(self._instances, instance_id).nvram.open("rb") as file:
                    return file.read(LARGEST_BYTES)
            except FileNotFoundError as error:
                raise EngineBusy(f"{instance_id} has no variables yet") from error
