"""Machines as QEMU processes that outlive us.

What is true is read from the world each time: the records in the machine's directory (place.py),
the process that carries its uuid, and what its monitor last said. Every method repairs what a
crash in the middle of another has left, because it asks what is there and not what was done:

    no spec.json                      ensure() did not finish: nothing was started
    spec.json, no power          off, in order
    power, no process            it died (or we did, before QEMU was started): start anew
    power, process, no pid       we died just after QEMU was started: it is found by its uuid
    waking, process              we died while it loaded saved memory: see hibernation.py
"""

import contextlib
import logging
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import EngineBusy, EngineRefused, MachineSpec, Phase, Seen
from econe.domain.ports import Poke
from econe.durable import sync_directory, write_whole
from econe.engines.qemu import hibernation, processes
from econe.engines.qemu.disks import QemuDisks
from econe.engines.qemu.hibernation import Saved
from econe.engines.qemu.launcher import Host, Launcher
from econe.engines.qemu.monitor import Monitors
from econe.engines.qemu.nic import Wiring
from econe.engines.qemu.place import (
    Place,
    Power,
    Record,
    busy_if_the_system_fails,
    place_of,
    places,
)
from econe.engines.qemu.reboots import Reboots
from econe.settings import Qemu

_log = logging.getLogger(__name__)

START_S: Final = 20.0
"""How long QEMU may take from exec to running (35 to 90 ms on an idle machine)."""
LOOK_S: Final = 1.0
"""How long look() waits for monitors that are not connected yet."""
TURN_S: Final = 10.0
QUIT_S, TERM_S, KILL_S = 3.0, 3.0, 10.0
"""How long a QEMU may take to end after QMP's quit, SIGTERM and SIGKILL. The first two flush."""
ROOM_TO_GO_ON_BYTES: Final = 256 << 20
"""Free space with which guests that were halted by a full disk are let run on."""

EARLY: Final = frozenset({None, "prelaunch"})
LOADING: Final = frozenset({None, "inmigrate"})
"""QEMU's states before it runs, and before it has loaded saved memory."""
PHASES: Final = {
    "shutdown": Phase.HALTED,
    "internal-error": Phase.DIED,
    "guest-panicked": Phase.DIED,
}
"""QEMU's run states that are not simply running (QAPI, RunState)."""


class QemuMachines:
    """ports.Machines."""

    def __init__(
        self, instances: Path, settings: Qemu, host: Host, disks: QemuDisks, networks: Wiring
    ) -> None:
        self._instances = instances
        self._reboots = Reboots(instances, settings.reboot_grace_s)
        self._disks, self._networks = disks, networks
        self._firmware = host.firmware
        self._launcher = Launcher(settings, host, disks, networks)
        self._children = processes.Children()
        self._processes: dict[str, processes.Process] = {}
        """Those found alive at the last look, by instance id."""
        self._turns: dict[str, threading.Lock] = {}
        self._monitors: Monitors | None = None

    def open(self, changed: Poke) -> None:
        self._monitors = Monitors(changed, self._reboots)
        self._monitors.open()
        self.look()

    def close(self) -> None:
        if self._monitors is not None:
            self._monitors.close()
            self._monitors = None

    # --- ports.Machines --------------------------------------------------------------------

    def ensure(self, spec: MachineSpec) -> str:
        with self._turn(spec.id) as place:
            self._ensure(spec, place)
        return spec.id

    def start(self, spec: MachineSpec) -> None:
        with self._turn(spec.id) as place:
            record = self._ensure(spec, place)
            if self._process(place) is not None:
                status = self._status_within(place, START_S)
                if status is None:
                    raise EngineBusy(f"{spec.id} has a QEMU that does not answer")
                if place.waking.exists() and status != "running":
                    if not place.memory.exists():  # this QEMU has the only copy
                        self._go_on(place)
                        return
                elif self._phase_of(place, status) is Phase.RUNNING:
                    return
            self._cut(place, record)
            self._wake_or_boot(spec, place, record)

    def shut_down(self, instance_id: str, *, ending: bool = False) -> None:  # noqa: ARG002 - halting is all
        with self._turn(instance_id) as place:
            if self._process(place) is None:
                return
            self._reboots.end(instance_id)  # the later wish wins
            self._ask(place, "system_powerdown")

    def hibernate(self, instance_id: str) -> None:
        with self._turn(instance_id) as place:
            if self._process(place) is not None and not place.memory.exists():
                self._reboots.end(instance_id)
                hibernation.save(place, place.read_shape(), self.watching())
            self._cut(place, place.read_record())

    def power_off(self, instance_id: str) -> None:
        with self._turn(instance_id) as place:
            self._cut(place, place.read_record())

    def reset(self, instance_id: str) -> None:
        """Begin a reboot and return: see reboots.py."""
        with self._turn(instance_id) as place:
            if self._process(place) is None:
                return
            status = self._status_within(place, LOOK_S)
            if status is None:
                raise EngineBusy(f"{instance_id} has a QEMU that does not answer")
            if self._phase_of(place, status) is not Phase.RUNNING:
                return
            self.watching().reboot(instance_id)

    def destroy(self, instance_id: str) -> None:
        with self._turn(instance_id) as place:
            self._cut(place, place.read_record())
            place.clear(keep=frozenset({place.console.name}))

    def forget(self, instance_id: str) -> None:
        self.destroy(instance_id)
        with self._turn(instance_id) as place:
            if place.path.is_dir():
                shutil.rmtree(place.path)
        self._turns.pop(instance_id, None)

    def ended(self, instance_id: str, ref: str) -> bool:  # noqa: ARG002 - nobody else has machines
        return True

    def look(self, instance_ids: Collection[str] | None = None) -> Mapping[str, Seen]:
        with busy_if_the_system_fails():
            if instance_ids is None:
                return self._look(places(self._instances))
            return self._look(place_of(self._instances, one) for one in instance_ids)

    def _look(self, there: Iterable[Place]) -> Mapping[str, Seen]:
        powered: dict[str, tuple[Place, processes.Process | None]] = {}
        seen: dict[str, Seen] = {}
        for place in there:
            if not place.spec.exists():
                continue
            if place.power.exists():
                powered[place.id] = (place, self._process(place))
            else:
                seen[place.id] = Seen(Phase.DEFINED, place.id)
        alive = {id_: place.monitor for id_, (place, live) in powered.items() if live}
        self.watching().attach(alive, LOOK_S)
        self.watching().follow(live for _, live in powered.values() if live)
        for id_, (place, live) in powered.items():
            seen[id_] = self._seen(place, lives=live is not None)
        return seen

    # --- upkeep ----------------------------------------------------------------------------

    def tidy(self) -> None:
        """Let guests run on that a full disk had halted, when there is room again."""
        for place in places(self._instances):
            if self.watching().status(place.id) == "io-error" and self._has_room():
                _log.info("a guest that a full disk had halted goes on instance=%s", place.id)
                with contextlib.suppress(EngineBusy, EngineRefused):
                    self._ask(place, "cont")

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._instances).free > ROOM_TO_GO_ON_BYTES

    # --- what is there ---------------------------------------------------------------------

    def watching(self) -> Monitors:
        """The connections to all QEMUs. Raises EngineBusy while there are none."""
        if self._monitors is None:
            raise EngineBusy("the engine is not open")
        return self._monitors

    @contextmanager
    def _turn(self, instance_id: str) -> Iterator[Place]:
        """One at a time for each machine."""
        turn = self._turns.setdefault(instance_id, threading.Lock())
        if not turn.acquire(timeout=TURN_S):
            raise EngineBusy(f"{instance_id} is being worked on")
        try:
            with busy_if_the_system_fails():
                yield place_of(self._instances, instance_id)
        finally:
            turn.release()

    def process(self, instance_id: str) -> processes.Process | None:
        """Its QEMU, if it lives."""
        return self._process(place_of(self._instances, instance_id))

    def _process(self, place: Place) -> processes.Process | None:
        known = self._processes.get(place.id)
        if known is not None:
            if not known.ended_within(0):
                return known
            self._children.bury(known.pid)
            self._processes.pop(place.id, None)
        record = place.read_record()
        if record is None or not place.power.exists():
            return None
        found = processes.find(record.uuid, place.read_pid())
        if found is not None:
            self._processes[place.id] = found
        return found

    def _status_within(self, place: Place, seconds: float) -> str | None:
        watching = self.watching()
        watching.attach({place.id: place.monitor}, seconds)
        return watching.status(place.id)

    def _asked_status(self, place: Place) -> str | None:
        try:
            return str(self.watching().ask(place.id, "query-status")["status"])
        except (EngineBusy, EngineRefused, KeyError, TypeError):
            return None

    def _ask(self, place: Place, deed: str) -> None:
        self.watching().attach({place.id: place.monitor}, LOOK_S)
        self.watching().ask(place.id, deed)

    def _seen(self, place: Place, *, lives: bool) -> Seen:
        turn = self._turns.get(place.id)
        in_work = turn is not None and turn.locked()
        if not lives:
            if in_work:  # about to be started, or just switched off: not dead
                return Seen(Phase.DEFINED, place.id)
            return Seen(Phase.DIED, place.id, why=_last_words(place))
        power = place.read_power()
        status = self.watching().status(place.id)
        if in_work and status in {None, "prelaunch"}:
            return Seen(Phase.DEFINED, place.id)
        if place.waking.exists() and status != "running":  # it has yet to be let go on: start()
            return Seen(Phase.DEFINED, place.id)
        # One that does not answer is not off. What is wrong with it, nobody can say from here.
        phase = Phase.RUNNING if status is None else self._phase_of(place, status)
        why = f"QEMU's state is {status}" if phase is Phase.DIED else ""
        return Seen(phase, place.id, power.address if power is not None else "", why)

    def _phase_of(self, place: Place, status: str) -> Phase:
        phase = PHASES.get(status, Phase.RUNNING)
        if phase is Phase.HALTED and self._reboots.under_way(place.id):
            return Phase.RUNNING
        return phase

    # --- on and off ------------------------------------------------------------------------

    def _ensure(self, spec: MachineSpec, place: Place) -> Record:
        record = place.read_record()
        if record is None:
            place.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for disk in spec.disks:
                self._disks.ensure(disk)
            if spec.uefi:
                self._firmware.ensure(place, spec.uefi_data)
            record = Record(uuid=new_uuid(), nics=spec.nics)
        elif record.nics == spec.nics:
            return record
        record = replace(record, nics=spec.nics)
        place.write_record(record)
        sync_directory(place.path.parent)
        return record

    def _wake_or_boot(self, spec: MachineSpec, place: Place, record: Record) -> None:
        """From saved memory where there is some that fits, else from the disk."""
        memory = hibernation.saved(place)
        if memory is None:
            self._power_on(spec, place, record)
            return
        if not self._wake(spec, place, record, memory):
            self._power_on(spec, place, record, in_spite_of_memory=True)
            hibernation.drop(place)

    def _wake(self, spec: MachineSpec, place: Place, record: Record, memory: Saved) -> bool:
        """False if the memory is none of this machine's, or QEMU does not take it."""
        if memory.shape != hibernation.shape_of(spec):
            _log.warning("saved memory fits the machine no more instance=%s", place.id)
            return False
        write_whole(place.waking, "")
        try:
            self._power_on(spec, place, record, memory)
        except EngineRefused as refused:
            _log.warning("saved memory is not taken instance=%s why=%s", place.id, refused.hidden)
            return False
        hibernation.consume(place)
        self._go_on(place)
        return True

    def _go_on(self, place: Place) -> None:
        """Let a guest run whose memory was loaded. Raises EngineBusy: start() tries again."""
        try:
            self._ask(place, "cont")
        except EngineRefused as refused:
            raise EngineBusy(f"a guest that was woken cannot go on: {refused.hidden}") from refused
        place.waking.unlink(missing_ok=True)

    def _power_on(
        self,
        spec: MachineSpec,
        place: Place,
        record: Record,
        memory: Saved | None = None,
        *,
        in_spite_of_memory: bool = False,
    ) -> None:
        place.write_power(Power())
        write_whole(place.shape, hibernation.shape_of(spec))
        try:
            with ExitStack() as held:
                launch = self._launcher.prepare(spec, place, record, held, memory=memory)
                if in_spite_of_memory:  # now, when nothing more is likely to keep it from booting
                    hibernation.put_aside(place)
                process = processes.spawn(launch)
            self._children.add(process.pid)
            self._processes[place.id] = process
            write_whole(place.pid, f"{process.pid}\n")
            self._await_past(EARLY, place, process, START_S)
            if memory is not None:
                self._await_past(LOADING, place, process, hibernation.loading_s(memory))
        except BaseException:
            self._cut(place, record)
            raise

    def _await_past(
        self, early: Set[str | None], place: Place, process: processes.Process, limit_s: float
    ) -> None:
        """Until QEMU's state is none of these. Raises EngineBusy, EngineRefused if it ends."""
        end = time.monotonic() + limit_s
        while True:
            status = self._status_within(place, max(0.0, end - time.monotonic()))
            if status == "inmigrate":  # no event tells of its end
                status = self._asked_status(place)
            if status not in early:
                return
            if process.ended_within(0.01):
                said = place.log.read_text(errors="replace")
                raise processes.why_it_ended(self._children.bury(process.pid), said)
            if time.monotonic() > end:
                raise EngineBusy(f"{place.id}: QEMU is not running {limit_s} s after its start")

    def _cut(self, place: Place, record: Record | None) -> None:
        """Whatever runs or is left of a run: end it. Nothing happens if there is nothing."""
        if record is None:
            return
        process = self._process(place)
        if process is not None:
            self._end(place, process)
        self.watching().let_go(place.id)
        if not place.power.exists():
            return
        for nic in record.nics:
            self._networks.close_nic(nic)
        for left in (place.pid, place.reboot, place.monitor, place.waking, place.memory_part):
            left.unlink(missing_ok=True)
        place.power.unlink(missing_ok=True)

    def _end(self, place: Place, process: processes.Process) -> None:
        ended = self._quit(place) and process.ended_within(QUIT_S)
        for number, seconds in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
            if not ended:
                process.signal(number)
                ended = process.ended_within(seconds)
        if not ended:
            raise EngineBusy(f"{place.id}: process {process.pid} does not end")
        self._children.bury(process.pid)
        self._processes.pop(place.id, None)

    def _quit(self, place: Place) -> bool:
        try:
            self.watching().ask(place.id, "quit", within_s=1.0)
        except (EngineBusy, EngineRefused):
            return False
        return True


def new_uuid() -> str:
    """Begins with `ec2`, which is how cloud-init knows the platform; else random (version 4)."""
    digits = secrets.token_hex(16)
    return f"ec2{digits[3:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


def _last_words(place: Place) -> str:
    try:
        said = place.log.read_text(errors="replace").strip()
    except FileNotFoundError:
        said = ""
    return said[-500:] or "its QEMU process is gone"
