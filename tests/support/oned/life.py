"""How machines go from state to state: the scheduler, the drivers' ends, what the monitor sees.

The table at the end of the file `machine_rules.py` says what may be asked when; here is what
follows. Read from src/lcm/LifeCycleStates.cc and src/dm/DispatchManager*.cc at 7.0.2.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.oned import capacity, context, nics
from tests.support.oned.drivers import SUCCESS, Outcome
from tests.support.oned.errors import ACTION, Refused
from tests.support.oned.image_life import log_time
from tests.support.oned.images import ImageState
from tests.support.oned.machine import NOBODY, Action, Actor, History, Lcm, Machine, State

if TYPE_CHECKING:
    from tests.support.oned.world import World

End = Callable[[Machine, Outcome], None]

_AFTER_PROLOG = {
    Lcm.PROLOG: Lcm.BOOT,
    Lcm.PROLOG_RESUME: Lcm.BOOT_STOPPED,
    Lcm.PROLOG_UNDEPLOY: Lcm.BOOT_UNDEPLOY,
}
_PROLOG_FAILED = {
    Lcm.PROLOG: Lcm.PROLOG_FAILURE,
    Lcm.PROLOG_RESUME: Lcm.PROLOG_RESUME_FAILURE,
    Lcm.PROLOG_UNDEPLOY: Lcm.PROLOG_UNDEPLOY_FAILURE,
}
_BOOT_FAILED = {
    Lcm.BOOT: (State.ACTIVE, Lcm.BOOT_FAILURE),
    Lcm.BOOT_UNKNOWN: (State.ACTIVE, Lcm.UNKNOWN),
    Lcm.BOOT_POWEROFF: (State.POWEROFF, Lcm.LCM_INIT),
    Lcm.BOOT_SUSPENDED: (State.SUSPENDED, Lcm.LCM_INIT),
    Lcm.BOOT_STOPPED: (State.ACTIVE, Lcm.BOOT_STOPPED_FAILURE),
    Lcm.BOOT_UNDEPLOY: (State.ACTIVE, Lcm.BOOT_UNDEPLOY_FAILURE),
}
BOOTING = frozenset(_BOOT_FAILED)
_EPILOG_FAILED = {
    Lcm.EPILOG: Lcm.EPILOG_FAILURE,
    Lcm.EPILOG_STOP: Lcm.EPILOG_STOP_FAILURE,
    Lcm.EPILOG_UNDEPLOY: Lcm.EPILOG_UNDEPLOY_FAILURE,
}
_SHUTTING = (Lcm.SHUTDOWN, Lcm.SHUTDOWN_POWEROFF, Lcm.SHUTDOWN_UNDEPLOY)


class Life:
    def __init__(self, world: "World") -> None:
        self._world = world
        self.stalled = False

    @property
    def _now(self) -> int:
        return self._world.now

    def driver(self, machine: Machine, action: str, usual_s: float, end: End) -> None:
        """Ask a driver; `end` hears of it if the machine is still in the state it is in now."""
        self.conclude(machine, self._world.drivers.next(action), usual_s, end)

    def conclude(self, machine: Machine, outcome: Outcome, usual_s: float, end: End) -> None:
        if outcome.never:
            return
        expected = (machine.state, machine.lcm, len(machine.history))

        def ended() -> None:
            now = self._world.edit(machine.id)
            if (now.state, now.lcm, len(now.history)) == expected:
                end(now, outcome)

        self._world.agenda.after(usual_s if outcome.seconds is None else outcome.seconds, ended)

    # From PENDING to RUNNING.

    def born(self, machine: Machine) -> None:
        if machine.state == State.PENDING:
            self.wait_for_place(machine)

    def wait_for_place(self, machine: Machine) -> None:
        wait = self._world.pace.schedule_s
        self._world.agenda.after(wait, lambda: self._place(machine.id))

    def place_all(self) -> None:
        for machine in list(self._world.machines.values()):
            if machine.state == State.PENDING:
                self.wait_for_place(machine)

    def _place(self, machine_id: int) -> None:
        machine = self._world.edit(machine_id)
        if machine.state != State.PENDING or self.stalled:
            return
        if not capacity.fits(self._world, machine):
            stamp = log_time(self._world.clock.now())
            text = f"{stamp}: Cannot allocate VM. Not enough capacity in hosts 0"
            machine.user_template.set("SCHED_MESSAGE", text)
            return
        machine.user_template.drop("SCHED_MESSAGE")
        self.deploy(machine)

    def deploy(self, machine: Machine, actor: Actor = NOBODY) -> None:
        before = machine.record.action if machine.history else Action.NONE
        lcm = Lcm.PROLOG
        if before == Action.STOP:
            lcm = Lcm.PROLOG_RESUME
        elif before in (Action.UNDEPLOY, Action.UNDEPLOY_HARD):
            lcm = Lcm.PROLOG_UNDEPLOY
        record = History(len(machine.history), self._now, prolog_start=self._now)
        machine.history.append(record)
        machine.become(State.ACTIVE, lcm)
        machine.template.set("TM_MAD_SYSTEM", "dummy")
        nics.open_screen(machine)
        self.driver(machine, "prolog", self._world.pace.prolog_s, self._prolog_ended)

    def _prolog_ended(self, machine: Machine, outcome: Outcome) -> None:
        # An image that was enabled though its copy had failed has no source (337, 338).
        empty = any("IMAGE_ID" in disk and not disk["SOURCE"] for disk in machine.disks())
        if outcome.fails or empty:
            if outcome.text:
                self.say_error(machine, outcome.text)
            machine.lcm = _PROLOG_FAILED[machine.lcm]
            return
        machine.record.prolog_end = machine.record.running_start = self._now
        self.boot(machine, _AFTER_PROLOG[machine.lcm])

    def boot(self, machine: Machine, lcm: Lcm) -> None:
        machine.become(State.ACTIVE, lcm)
        context.fill_network(self._world, machine)
        action = "restore" if lcm in (Lcm.BOOT_SUSPENDED, Lcm.BOOT_STOPPED) else "deploy"
        self.driver(machine, action, self._world.pace.boot_s, self._boot_ended)

    def _boot_ended(self, machine: Machine, outcome: Outcome) -> None:
        if outcome.fails:
            restored = machine.lcm in (Lcm.BOOT_SUSPENDED, Lcm.BOOT_STOPPED)
            text = outcome.text or ("" if restored else f"DEPLOY: {self._deploy_id(machine)}")
            if text:
                self.say_error(machine, text)
            machine.become(*_BOOT_FAILED[machine.lcm])
            machine.record.running_end = self._now
            if machine.state != State.ACTIVE:
                capacity.stopped(self._world, machine)
            return
        machine.deploy_id = self._deploy_id(machine)
        self._running(machine)

    def _running(self, machine: Machine) -> None:
        machine.become(State.ACTIVE, Lcm.RUNNING)
        machine.record.act(Action.NONE)
        machine.record.end = machine.record.running_end = 0

    @staticmethod
    def _deploy_id(machine: Machine) -> str:
        return f"{machine.record.host}:{machine.name}:dummy"

    def say_error(self, machine: Machine, text: str) -> None:
        stamp = log_time(self._world.clock.now())
        machine.user_template.set("ERROR", f"{stamp}: {text}")

    def disks_changed(self, machine_id: int) -> None:
        """An image that the machine waits for was copied, or not."""
        machine = self._world.edit(machine_id)
        waits = failed = False
        for disk in machine.disks():
            image = self._world.images.get(int(disk.get("IMAGE_ID", "-1")))
            if image is None or "CLONING" not in disk:
                continue
            if image.state in (ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS):
                waits = True
            elif image.state == ImageState.ERROR:
                failed = True
            else:
                del disk["CLONING"]
                disk["SOURCE"] = image.source
                if image.format:
                    disk["DRIVER"] = disk["FORMAT"] = image.format
        if failed:
            machine.become(State.CLONING_FAILURE)
        elif not waits:
            on_hold = "SUBMIT_ON_HOLD" in machine.template
            machine.become(State.HOLD if on_hold else State.PENDING)
            self.born(machine)

    # Down: by order of a user.

    def shut_down(self, machine: Machine, lcm: Lcm, action: Action, actor: Actor) -> None:
        """To SHUTDOWN, SHUTDOWN_POWEROFF or SHUTDOWN_UNDEPLOY, by ACPI or by cutting power."""
        hard = action in (Action.TERMINATE_HARD, Action.POWEROFF_HARD, Action.UNDEPLOY_HARD)
        machine.become(State.ACTIVE, lcm)
        machine.record.act(action, actor)
        pace = self._world.pace
        outcome = self._world.drivers.next("cancel" if hard else "shutdown")
        if machine.ignores_acpi and not hard and outcome is SUCCESS:
            outcome = Outcome(fails=True, seconds=pace.shutdown_timeout_s)
        self.conclude(machine, outcome, pace.shutdown_s, self._shutdown_ended)

    def _shutdown_ended(self, machine: Machine, outcome: Outcome) -> None:
        if outcome.fails:
            # "Assuming that the VM is still RUNNING": no ERROR is left anywhere (303, 304).
            machine.lcm = Lcm.RUNNING
            machine.record.act(Action.NONE)
            if outcome.text:
                self.say_error(machine, outcome.text)
            return
        self._is_down(machine)

    def _is_down(self, machine: Machine) -> None:
        capacity.drop_system_snapshots(self._world, machine)
        if machine.lcm == Lcm.SHUTDOWN_POWEROFF:
            self.powered_off(machine)
            return
        machine.record.running_end = machine.record.epilog_start = self._now
        undeploys = machine.lcm == Lcm.SHUTDOWN_UNDEPLOY
        self.epilog(machine, Lcm.EPILOG_UNDEPLOY if undeploys else Lcm.EPILOG)

    def powered_off(self, machine: Machine) -> None:
        was_running = machine.lcm == Lcm.SHUTDOWN_POWEROFF
        machine.become(State.POWEROFF)
        machine.record.running_end = self._now
        if was_running:
            capacity.stopped(self._world, machine)

    def epilog(self, machine: Machine, lcm: Lcm) -> None:
        machine.become(State.ACTIVE, lcm)
        self.driver(machine, "epilog", self._world.pace.epilog_s, self._epilog_ended)

    def _epilog_ended(self, machine: Machine, outcome: Outcome) -> None:
        if outcome.fails:
            self.say_error(machine, outcome.text or "Error in the epilog")
            machine.lcm = _EPILOG_FAILED[machine.lcm]
            return
        machine.record.epilog_end = machine.record.end = self._now
        if machine.lcm != Lcm.EPILOG_STOP:
            nics.close_screen(machine)
        if machine.lcm == Lcm.EPILOG:
            self.done(machine)
            return
        state = State.STOPPED if machine.lcm == Lcm.EPILOG_STOP else State.UNDEPLOYED
        machine.become(state)
        capacity.stopped(self._world, machine)

    def done(self, machine: Machine) -> None:
        """Give back all it has; its row stays, with its disks and NICs."""
        running = capacity.is_charged_as_running(machine)
        nics.close_screen(machine)
        nics.give_back_all(self._world, machine)
        for disk in machine.disks():
            if "IMAGE_ID" in disk:
                self._world.image_life.release(int(disk["IMAGE_ID"]), machine.id)
        capacity.gone(self._world, machine, running=running)
        machine.become(State.DONE)
        machine.etime = self._now
        if machine.history:
            record = machine.record
            if record.running_start and not record.running_end:
                record.running_end = self._now
            record.end = record.end or self._now

    def deleted(self, machine: Machine, actor: Actor) -> None:
        """vm.recover's delete, and terminate in a *_FAILURE state."""
        machine.record.act(Action.DELETE, actor)
        machine.become(State.ACTIVE, Lcm.CLEANUP_DELETE)
        wait = self._world.pace.epilog_s
        self.driver(machine, "epilog", wait, lambda now, _: self.done(now))

    def save(self, machine: Machine, lcm: Lcm, action: Action, actor: Actor) -> None:
        machine.become(State.ACTIVE, lcm)
        machine.record.act(action, actor)
        self.driver(machine, "save", self._world.pace.save_s, self._save_ended)

    def _save_ended(self, machine: Machine, outcome: Outcome) -> None:
        if outcome.fails:
            self._running(machine)
            return
        machine.record.running_end = self._now
        capacity.drop_system_snapshots(self._world, machine)
        if machine.lcm == Lcm.SAVE_SUSPEND:
            machine.become(State.SUSPENDED)
            capacity.stopped(self._world, machine)
            return
        machine.record.epilog_start = self._now
        self.epilog(machine, Lcm.EPILOG_STOP)

    def new_record(self, machine: Machine) -> History:
        """Close the last record at this moment and go on in a copy of it."""
        last = machine.record
        last.end = self._now
        if not last.running_end:
            last.running_end = self._now
        record = History(len(machine.history), self._now, running_start=self._now)
        machine.history.append(record)
        return record

    def recovered(self, machine: Machine, operation: int) -> None:
        """vm.recover's 0 failure, 1 success, 2 retry: what the driver would have said."""
        if machine.is_in(*BOOTING):
            self._boot_ended(machine, Outcome(fails=operation == 0))
        elif machine.is_in(Lcm.BOOT_FAILURE) and operation:
            if operation == 1:
                self._running(machine)
            else:
                self.boot(machine, Lcm.BOOT)
        elif machine.is_in(*_SHUTTING):
            self._shutdown_ended(machine, Outcome(fails=operation == 0))
        elif machine.is_in(*_EPILOG_FAILED.values()) and operation:
            back = {failure: lcm for lcm, failure in _EPILOG_FAILED.items()}
            self.epilog(machine, back[machine.lcm])
        elif machine.state != State.ACTIVE:
            text = f"Could not perform a recover operation on VM {machine.id}"
            raise Refused(ACTION, f"{text}, wrong state {machine.state_name}.")

    # What the monitor sees.

    def seen_off(self, machine_id: int) -> None:
        """The hypervisor reports POWEROFF."""
        machine = self._world.edit(machine_id)
        if machine.is_in(Lcm.RUNNING, Lcm.UNKNOWN):
            machine.record.act(Action.MONITOR)
            machine.lcm = Lcm.SHUTDOWN_POWEROFF
            self._is_down(machine)
        elif machine.is_in(*_SHUTTING):
            self._is_down(machine)

    def seen_gone(self, machine_id: int) -> None:
        """The hypervisor does not report it any more, or the host is silent."""
        machine = self._world.edit(machine_id)
        if machine.is_in(Lcm.RUNNING):
            machine.lcm = Lcm.UNKNOWN

    def seen_running(self, machine_id: int) -> None:
        """The hypervisor reports it running: found again, or started behind oned's back."""
        machine = self._world.edit(machine_id)
        if machine.is_in(Lcm.UNKNOWN):
            machine.lcm = Lcm.RUNNING
        elif machine.state in (State.POWEROFF, State.SUSPENDED):
            machine.become(State.ACTIVE, Lcm.RUNNING)
            self.new_record(machine)
            capacity.started(self._world, machine)
        elif machine.is_in(*BOOTING):
            self._running(machine)
