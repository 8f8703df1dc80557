"""Memory of machines that sleep: saved to a file by QEMU's migration, and loaded from it once.

Files in the machine's directory, each made whole under another name and then renamed:

    memory.part      is being written; never loaded
    memory.json      what the memory belongs to: the machine's shape, and QEMU's name for its kind
    memory           whole, and the guest has not run since: it may be loaded
    memory.refused   did not fit; goes when the guest has booted without it
    waking           a QEMU was started to load it, and the guest has not run yet

Rule 1: `memory` appears when QEMU has written and we have synced all of it, and nothing lets the
        guest go on after that but start().
Rule 2: it goes before the guest runs its first instruction. From then on the QEMU that loaded it
        has the only copy, and that one is let go on whatever happens; so memory is never loaded
        twice, as a disk that went on would not fit it any more.
Rule 3: memory that does not fit the machine, by its shape or in QEMU's eyes, is dropped and the
        guest boots from its disk, which is as it was when it fell asleep.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qemu.qmp import QMPClient

from econe.domain.engine_ports import EngineBusy, EngineRefused, MachineSpec
from econe.durable import sync_directory, write_whole
from econe.engines.qemu.monitor import Monitors
from econe.engines.qemu.place import Place

_log = logging.getLogger(__name__)

ROOM_BYTES: Final = 256 << 20
"""What must be left on the disk after the memory was saved."""
ANSWER_S: Final = 10.0
SLOWEST_BYTES_S: Final = 8 << 20
"""A disk that takes less a second is given up."""
PAUSE_S: Final = 0.1
FASTEST_BYTES_S: Final = 1 << 40
"""Instead of QEMU's 128 MiB a second, which is meant for networks."""

_UNDER_WAY: Final = frozenset({"setup", "active", "device", "pre-switchover"})
_FILE: Final = "memory"
"""What QEMU calls the file that it is handed."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Memory that can be loaded."""

    path: Path
    shape: str
    kind: str
    """QEMU's name for the kind of machine that it was: a newer QEMU must play the old one."""


def shape_of(spec: MachineSpec) -> str:
    """What memory depends on and QEMU itself would not notice: which disk is where, above all."""
    shown = [spec.threads_per_core] if spec.threads_per_core > 1 else []  # as older ones had it
    told = [
        [spec.vcpus, *shown, spec.memory_mib, spec.instance_type],
        sorted([disk.device, disk.volume_id, disk.is_root] for disk in spec.disks),
        [[nic.interface_id, nic.mac] for nic in spec.nics],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def saved(place: Place) -> Saved | None:
    if not place.memory.exists():
        return None
    try:
        told = json.loads(place.memory_note.read_text("utf-8"))
        return Saved(place.memory, str(told["shape"]), str(told["kind"]))
    except (OSError, ValueError, KeyError, TypeError):
        _log.warning("saved memory that nothing is known of is dropped path=%s", place.memory)
        drop(place)
        return None


def drop(place: Place) -> None:
    """Nothing happens if there is none. After it a crash leaves none, too."""
    for path in (place.memory_part, place.memory, place.memory_refused, place.memory_note):
        path.unlink(missing_ok=True)
    if place.path.is_dir():
        sync_directory(place.path)


def put_aside(place: Place) -> None:
    """Before a guest boots from its disk: Rule 1."""
    place.memory.rename(place.memory_refused)
    sync_directory(place.path)


def save(place: Place, shape: str, monitors: Monitors) -> None:
    """The memory of a running or paused machine, which is paused from then on; may be called again
    after an interruption.

    Raises EngineRefused if QEMU or the disk cannot; the guest goes on then. EngineBusy.
    """
    if not shape:
        raise EngineRefused("The instance was started by an older econe.", place.id)
    place.waking.unlink(missing_ok=True)  # it runs: that is long over
    talk = _Talk(place, monitors)
    try:
        if not talk.is_saving() or not place.memory_part.exists():
            _begin(place, talk)
        _wait(place, talk)
    except EngineRefused:
        place.memory_part.unlink(missing_ok=True)
        talk.go_on()
        raise
    _keep(place, shape, talk.kind())


def _begin(place: Place, talk: "_Talk") -> None:
    size = talk.memory_bytes()
    free = shutil.disk_usage(place.path).free
    if free < size + ROOM_BYTES:
        raise EngineRefused(
            "There is not enough disk space to save the instance's memory.",
            f"{place.id}: {size} bytes of memory, {free} bytes free",
        )
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    file = os.open(place.memory_part, flags, 0o600)
    try:
        talk.begin(file)
    finally:
        os.close(file)


def _wait(place: Place, talk: "_Talk") -> None:
    over = time.monotonic() + 60 + talk.memory_bytes() / SLOWEST_BYTES_S
    while (status := talk.migration()).get("status") in _UNDER_WAY:
        if time.monotonic() > over:
            talk.cancel()
            raise EngineRefused("The instance's memory could not be saved in time.", place.id)
        time.sleep(PAUSE_S)
    if status.get("status") != "completed":
        raise EngineRefused("The instance's memory could not be saved.", f"{place.id}: {status}")


def _keep(place: Place, shape: str, kind: str) -> None:
    with place.memory_part.open("rb") as written:
        os.fsync(written.fileno())  # tells also of what a failing disk did not take
    write_whole(place.memory_note, json.dumps({"shape": shape, "kind": kind}))
    place.memory_part.rename(place.memory)
    sync_directory(place.path)


def consume(place: Place) -> None:
    """The memory is loaded, and the guest is about to run: Rule 2."""
    place.memory.unlink()
    sync_directory(place.path)
    place.memory_note.unlink(missing_ok=True)


def loading_s(memory: Saved) -> float:
    """How long a QEMU may take to load it."""
    return 20 + memory.path.stat().st_size / SLOWEST_BYTES_S


class _Talk:
    """With the QEMU of one machine. Everything raises EngineBusy, EngineRefused."""

    def __init__(self, place: Place, monitors: Monitors) -> None:
        self._place, self._monitors = place, monitors
        self._monitors.attach({place.id: place.monitor}, ANSWER_S)

    def is_saving(self) -> bool:
        """Or has saved, and waits: an earlier server began it."""
        status = self.migration().get("status")
        return status in _UNDER_WAY or (
            status == "completed" and self._ask("query-status")["status"] == "postmigrate"
        )

    def begin(self, file: int) -> None:
        async def conversation(client: QMPClient) -> None:
            await client.execute("stop")
            await client.execute("migrate-set-parameters", {"max-bandwidth": FASTEST_BYTES_S})
            client.send_fd_scm(file)
            await client.execute("getfd", {"fdname": _FILE})
            await client.execute("migrate", {"uri": f"fd:{_FILE}"})

        self._monitors.talk(self._place.id, self._place.monitor, conversation, ANSWER_S)

    def migration(self) -> dict[str, Any]:
        answer = self._ask("query-migrate")
        return answer if isinstance(answer, dict) else {}

    def cancel(self) -> None:
        self._ask("migrate_cancel")
        over = time.monotonic() + ANSWER_S
        while self.migration().get("status") in {*_UNDER_WAY, "cancelling"}:
            if time.monotonic() > over:
                raise EngineBusy(f"{self._place.id}: the saving of memory does not end")
            time.sleep(PAUSE_S)

    def go_on(self) -> None:
        self._ask("cont")

    def memory_bytes(self) -> int:
        return int(self._ask("query-memory-size-summary")["base-memory"])

    def kind(self) -> str:
        """`pc-q35-7.2`."""
        said = self._ask("qom-get", path="/machine", property="type")
        return str(said).removesuffix("-machine")

    def _ask(self, command: str, **arguments: object) -> Any:
        try:
            return self._monitors.ask(self._place.id, command, ANSWER_S, **arguments)
        except (KeyError, TypeError, ValueError) as error:
            raise EngineBusy(f"{self._place.id}: {command}: {error!r}") from error
