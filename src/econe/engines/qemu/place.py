"""The directory of one machine and the small records in it.

Every record is written whole or not at all. What exists says how far things have come:

    spec.json     there is a machine (written last by ensure, removed last by destroy)
    power         it was switched on, and not off again by us (written before QEMU is started);
                  holds where ssh reaches the guest if not at its private address
    pid           of its QEMU (may be missing after a crash: find it by its uuid)
    reboot        a reboot was asked for; until when the guest may take to obey
    memory…, waking  of a machine that sleeps: see hibernation.py
    shape         what the running machine was started as, for its memory
    monitor.sock  QMP
    nvram         the UEFI variables of one that boots by UEFI (firmware.py)
    console.log   what the guest wrote to its serial port; stays until forget()
    qemu.log      what QEMU wrote

The directory is ours alone. QEMU's working directory, owned by the user it runs as, is another
(`<state>/running/<id>`): in it nothing lies that we read, so nothing planted there can mislead us.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from econe.domain.engine_ports import EngineBusy, NetworkSpec, NicSpec
from econe.durable import write_whole

_log = logging.getLogger(__name__)

_ID: Final = re.compile(r"i-[0-9a-f]{8,17}", re.ASCII)
_PID: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a machine's spec: what it takes to find it and to take it down."""

    uuid: str
    """Begins with `ec2`; random, so that no process but this machine's QEMU names it."""
    nics: tuple[NicSpec, ...]


@dataclass(frozen=True, slots=True)
class Power:
    address: str = ""
    """Where ssh reaches the guest if not at its private address."""


@dataclass(frozen=True, slots=True)
class Place:
    id: str
    path: Path

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def power(self) -> Path:
        return self.path / "power"

    @property
    def pid(self) -> Path:
        return self.path / "pid"

    @property
    def reboot(self) -> Path:
        return self.path / "reboot"

    @property
    def memory(self) -> Path:
        return self.path / "memory"

    @property
    def memory_part(self) -> Path:
        return self.path / "memory.part"

    @property
    def memory_refused(self) -> Path:
        return self.path / "memory.refused"

    @property
    def memory_note(self) -> Path:
        return self.path / "memory.json"

    @property
    def waking(self) -> Path:
        return self.path / "waking"

    @property
    def shape(self) -> Path:
        return self.path / "shape"

    @property
    def nvram(self) -> Path:
        return self.path / "nvram"

    @property
    def monitor(self) -> Path:
        return self.path / "monitor.sock"

    @property
    def console(self) -> Path:
        return self.path / "console.log"

    @property
    def log(self) -> Path:
        return self.path / "qemu.log"

    @property
    def run(self) -> Path:
        return self.path.parent.parent / "running" / self.id

    def read_record(self) -> Record | None:
        """None also if it is damaged: from outside, as we write it whole or not at all."""
        text = _text(self.spec)
        if text is None:
            return None
        try:
            found = json.loads(text)
            return Record(str(found["uuid"]), tuple(_nic(nic) for nic in found["nics"]))
        except (ValueError, KeyError, TypeError):
            _log.warning("a machine's record is damaged path=%s", self.spec)
            return None

    def write_record(self, record: Record) -> None:
        write_whole(self.spec, json.dumps(asdict(record)))

    def read_power(self) -> Power | None:
        text = _text(self.power)
        return None if text is None else Power(text)

    def write_power(self, power: Power) -> None:
        write_whole(self.power, power.address)

    def read_pid(self) -> int | None:
        text = _text(self.pid)
        return int(text) if text and _PID.fullmatch(text.strip()) else None

    def read_shape(self) -> str:
        return _text(self.shape) or ""

    def read_reboot(self) -> float | None:
        """Seconds since the epoch, or None if no reboot is under way."""
        if not self.reboot.exists():
            return None
        try:
            return float(_text(self.reboot) or "")
        except ValueError:
            _log.warning("a machine's record is damaged path=%s", self.reboot)
            return 0.0  # long ago: the guest is reset, and the record goes

    def clear(self, keep: frozenset[str]) -> None:
        """Remove everything in both directories but the names in `keep`, spec.json last."""
        if self.run.exists():
            shutil.rmtree(self.run)
        names = [entry.name for entry in os.scandir(self.path)] if self.path.is_dir() else []
        for name in sorted(names, key=lambda name: name == self.spec.name):
            if name not in keep:
                _remove(self.path / name)


def place_of(instances: Path, instance_id: str) -> Place:
    """Raises ValueError for what is no id: it would name a directory elsewhere."""
    if not _ID.fullmatch(instance_id):
        raise ValueError(f"no instance id: {instance_id!r}")
    return Place(instance_id, instances / instance_id)


def places(instances: Path) -> Iterator[Place]:
    """All machine directories, also half-made ones."""
    if not instances.is_dir():
        return
    with os.scandir(instances) as entries:
        for entry in entries:
            if _ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield Place(entry.name, Path(entry.path))


@contextmanager
def busy_if_the_system_fails() -> Iterator[None]:
    """A full disk, no more descriptors: all that may pass, so that engine ports raise only what
    they promise."""
    try:
        yield
    except OSError as error:
        raise EngineBusy(f"{type(error).__name__}: {error}") from error


def _text(path: Path) -> str | None:
    """None also for what cannot be a record of ours; one such must not blind us to the others."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (IsADirectoryError, UnicodeDecodeError):
        _log.warning("a machine's record is damaged path=%s", path)
        return None


def _nic(found: Mapping[str, Any]) -> NicSpec:
    return NicSpec(**{**found, "network": NetworkSpec(**found["network"])})


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
