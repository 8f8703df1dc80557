"""Carrying out plans: one instance, one thread, engine calls and then a report.

A job reads the row afresh before it plans, so that what users asked for in the meantime counts.
No engine call is made inside a transaction, and none after `running` was reported. What goes
wrong ends as a sentence in the row (`problem`) and a time for the next try (`retry_at`).
"""

import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from econe.domain import happenings, specs
from econe.domain.engine_ports import (
    Engine,
    EngineBusy,
    EngineLost,
    EngineRefused,
    MachineSpec,
    NetworkSpec,
    NicSpec,
    Seen,
)
from econe.domain.faults import Fault
from econe.domain.instances import Instance, Intent
from econe.domain.ports import Clock, Store, StoreBusy, Transaction
from econe.domain.reasons import Reason, reason_of, server_reason
from econe.domain.sizes import Size
from econe.reconcile import shared_plan
from econe.reconcile.memory import Memories
from econe.reconcile.plan import Move, Plan, Rules, plan, retry_after_s
from econe.reconcile.steps import Step, climb, descend, nothing
from econe.settings import Work

log = logging.getLogger(__name__)


class Jobs:
    """Works on one instance at a time for each thread that calls it."""

    def __init__(
        self, *, store: Store, engine: Engine, sizes: Mapping[str, Size], work: Work, clock: Clock
    ) -> None:
        self.store, self.engine, self.sizes, self.clock = store, engine, sizes, clock
        self._work = work
        self._plan = shared_plan.plan if engine.can.shared else plan
        self.memories = Memories()

    @property
    def rules(self) -> Rules:
        return Rules.of(self._work, self.engine.can)

    def plan(self, row: Instance, seen: Seen | None) -> Plan:
        return self._plan(row, seen, self.clock(), self.rules, self.memories.at(row))

    def work_on(self, instance_id: str, seen: Seen | None) -> None:
        """Plan by the row as it is now, and act; after a launch look, and plan once more.

        `seen` is how the engine showed the machine when no job worked on it. Raises nothing that
        an engine or the store raises: it becomes a problem with a next try.
        """
        job = _Job(self, instance_id, seen)
        try:
            job.run()
        except StoreBusy as busy:  # writing the problem down would only wait for it again
            log.warning(
                "The database is busy id=%s doing=%r problem=%s",
                instance_id,
                job.doing,
                _text(busy),
            )
            self._put_off(instance_id, job.row.generation if job.row else 0)
        except _DiedAtStartError as death:
            self._wait(job, str(death))
        except EngineBusy as busy:
            self._wait(job, f"The engine is busy: {_text(busy)}")
        except EngineLost as lost:
            self._wait(job, f"It is unknown whether the engine did it: {_text(lost)}")
        except EngineRefused as refused:
            self._wait(job, f"The engine refuses: {_text(refused)}")
        except Exception as surprise:
            log.exception("A job failed unexpectedly id=%s doing=%r", instance_id, job.doing)
            self._wait(job, f"Unexpected {type(surprise).__name__}: {_text(surprise)}")

    def destroy_orphan(self, instance_id: str) -> None:
        """Remove a machine that no row knows. A failure is logged, and tried again later."""
        log.warning("Destroying a machine that no row knows id=%s", instance_id)
        try:
            self.engine.machines.destroy(instance_id)
            self.engine.machines.forget(instance_id)
        except Exception:
            log.exception("An unknown machine could not be destroyed id=%s", instance_id)
            self._put_off(instance_id, 0)

    def _wait(self, job: "_Job", why: str) -> None:
        """Put the next try off, in the row where it can tell, else only here."""
        row = job.row
        if row is None:
            self._put_off(job.instance_id, 0)
            return
        problem = f"Could not {job.doing}. {why}"
        log.warning("A try did not work id=%s state=%s problem=%r", row.id, row.state, problem)
        if row.settled:
            self._put_off(row.id, row.generation)
            return
        try:
            now = self.clock()
            delay = timedelta(seconds=retry_after_s(row.attempts, self._work))
            with self.store.writing() as tx:
                happenings.waits(tx, row.id, row.generation, problem, now + delay)
        except Exception:
            log.exception("A problem could not be written down id=%s", row.id)
            self._put_off(row.id, row.generation)

    def _put_off(self, instance_id: str, generation: int) -> None:
        kept = self.memories.of(instance_id)
        until = self.clock() + timedelta(seconds=retry_after_s(kept.attempts, self._work))
        kept.attempts, kept.put_off = kept.attempts + 1, (generation, until)


class _Job:
    """One run over one instance. `row` and `doing` tell what it was at if it raises."""

    def __init__(self, jobs: Jobs, instance_id: str, seen: Seen | None) -> None:
        self._jobs, self.instance_id, self._seen = jobs, instance_id, seen
        self._store, self._engine, self._clock = jobs.store, jobs.engine, jobs.clock
        self._begun = time.monotonic()
        self.row: Instance | None = None
        self.doing = "read its row"

    def run(self) -> None:
        planned = self._turn()
        if Move.LAUNCH in planned.moves:
            self.doing = "look at the machine"
            self._seen = self._engine.machines.look([self.instance_id]).get(self.instance_id)
            self._turn(unless=Move.LAUNCH)  # still starting: the engine pokes, or the next round
        self._jobs.memories.worked(self.instance_id)

    def _turn(self, unless: Move | None = None) -> Plan:
        with self._store.reading() as tx:
            self.row = tx.instances.get(self.instance_id)
        if self.row is None:
            return Plan()
        planned = self._jobs.plan(self.row, self._seen)
        if unless in planned.moves:
            return Plan()
        if planned.why:
            log.info("Moving on id=%s state=%s why=%r", self.row.id, self.row.state, planned.why)
        for move in planned.moves:
            self.doing = str(move)
            self._make(move, self.row)
        return planned

    def _make(self, move: Move, row: Instance) -> None:
        machines = self._engine.machines
        match move:
            case Move.LAUNCH:
                self._launch(row)
            case Move.CONNECT:
                climb(self._connecting(self._spec(row).nics), self._note)
                self._jobs.memories.of(row.id).connected = True
            case Move.ASK:
                machines.shut_down(row.id, ending=row.intent is Intent.TERMINATE)
                self._jobs.memories.of(row.id).asked = (row.generation, self._clock())
            case Move.SAVE:
                self._save(row)
            case Move.CUT:
                machines.power_off(row.id)
            case Move.RESET:
                machines.reset(row.id)
            case Move.DESTROY:
                climb(self._destroying(row), self._note)
            case Move.SAY_VANISHED:
                if not machines.ended(row.id, row.engine_ref):
                    raise EngineBusy(f"{row.engine_ref} is not shown, and is not known to be gone")
                self._report(move, row)
            case Move.TRY_LATER:
                self.doing = "start the machine"
                raise _DiedAtStartError(self._how_it_died())
            case _:
                self._report(move, row)

    # --- doing ---------------------------------------------------------------------------

    def _save(self, row: Instance) -> None:
        """Where it cannot be saved it is stopped as any other: with the next plan."""
        try:
            self._engine.machines.hibernate(row.id)
        except EngineRefused as refused:
            with self._store.writing() as tx:
                happenings.unsaved(tx, row.id, row.generation, self._clock(), refused.said)
            raise EngineBusy(f"it is shut down instead: {_text(refused)}") from refused

    def _launch(self, row: Instance) -> None:
        """A refusal is final: take back what was done, and report it."""
        spec = self._spec(row)
        self._jobs.memories.of(row.id).launched = row.generation
        steps = (*self._connecting(spec.nics), *self._starting(row, spec))
        try:
            climb(steps, self._note)
        except EngineRefused as refused:
            descend(steps, self._note)
            self._fail(row, refused)
        else:
            self._jobs.memories.of(row.id).connected = True

    def _connecting(self, nics: tuple[NicSpec, ...]) -> tuple[Step, ...]:
        networks = self._engine.networks

        def ensure(network: NetworkSpec) -> Step:
            return Step(f"bring up {network.vpc_id}", do=lambda: networks.ensure(network))

        def admit(nic: NicSpec) -> Step:
            return Step(
                f"admit {nic.interface_id} to its network",
                do=lambda: networks.admit(nic),
                undo=lambda: networks.dismiss(nic.network, nic.interface_id),
            )

        needed = dict.fromkeys(nic.network for nic in nics)
        return (*map(ensure, needed), *map(admit, nics))

    def _starting(self, row: Instance, spec: MachineSpec) -> tuple[Step, ...]:
        machines = self._engine.machines
        # Volumes that ensure() made stay when it is undone: they may hold a machine's data, and
        # the termination that follows a failed launch removes them. Where they would go with the
        # machine, one that was there before this launch stays itself.
        keeps = self._engine.can.keeps_disks and not row.hibernation  # memory is kept with it
        stays = bool(row.engine_ref) and not keeps
        undefine = nothing if stays else partial(machines.destroy, spec.id)
        return (
            Step(
                "define the machine",
                do=lambda: _ignore(machines.ensure(spec)),
                undo=undefine,
            ),
            Step(
                "start the machine",
                do=lambda: machines.start(spec),
                undo=lambda: machines.power_off(spec.id),
            ),
        )

    def _destroying(self, row: Instance) -> list[Step]:
        engine = self._engine
        with self._store.reading() as tx:
            nics = [specs.nic_spec(tx, interface) for interface in row.interfaces]

        def dismiss(nic: NicSpec) -> Step:
            return Step(
                f"dismiss {nic.interface_id} from its network",
                do=lambda: engine.networks.dismiss(nic.network, nic.interface_id),
            )

        def remove(volume_id: str) -> Step:
            return Step(f"remove {volume_id}", do=lambda: engine.disks.remove(volume_id))

        doomed = [volume.id for volume in row.volumes if volume.delete_on_termination]
        return [
            Step("destroy the machine", do=lambda: engine.machines.destroy(row.id)),
            *map(dismiss, nics),
            *map(remove, doomed),
        ]

    def _spec(self, row: Instance) -> MachineSpec:
        with self._store.reading() as tx:
            return specs.machine_spec(tx, row, self._jobs.sizes)

    def _note(self, step: str) -> None:
        self.doing = step
        log.debug("Taking a step id=%s step=%r", self.instance_id, step)

    # --- reporting -----------------------------------------------------------------------

    def _report(self, move: Move, row: Instance) -> None:
        now = self._clock()
        with self._store.writing() as tx:
            match move:
                case Move.SAY_STARTED:
                    after = self._say_started(tx, row, now)
                case Move.SAY_HALTED:
                    after = happenings.halted(tx, row.id, row.generation, now)
                case Move.SAY_HALTED_BY_GUEST:
                    after = happenings.halted(tx, row.id, row.generation, now, by_guest=True)
                case Move.SAY_DIED:
                    after = happenings.halted(tx, row.id, row.generation, now, died=True)
                case Move.SAY_REBOOTED:
                    after = happenings.rebooted(tx, row.id, row.reboots_asked)
                case Move.SAY_CONNECTED:
                    after = happenings.connected(tx, row.id, row.version)
                case Move.SAY_FAILED:
                    after = happenings.failed(tx, row.id, row.generation, now, self._why_failed())
                case Move.SAY_GONE:
                    after = happenings.gone(tx, row.id, now)
                case Move.SAY_VANISHED:
                    after = happenings.gone(tx, row.id, now, by_others=True)
                case Move.SAY_KNOWN:
                    after = self._say_known(tx, row, now)
                case _:
                    raise AssertionError(move)
        unlucky = move in (Move.SAY_DIED, Move.SAY_FAILED)
        self._log_report(move, row, after, self._how_it_died() if unlucky else None)

    def _say_started(self, tx: Transaction, row: Instance, now: datetime) -> Instance | None:
        """With what look() told of it: its name in the engine, and where it is reached."""
        seen = self._seen
        if seen is None:
            return None
        return happenings.started(tx, row.id, row.generation, now, seen)

    def _say_known(self, tx: Transaction, row: Instance, now: datetime) -> Instance | None:
        return happenings.known(tx, row.id, now, self._seen) if self._seen else None

    def _why_failed(self) -> Reason:
        """What the engine tells, else what is plain."""
        if self._seen is not None and self._seen.reason.code:
            return self._seen.reason
        return server_reason("The machine ended right after it was started.")

    def _log_report(
        self, move: Move, row: Instance, after: Instance | None, why: str | None = None
    ) -> None:
        if after is None:
            log.info("A report came too late id=%s report=%r", row.id, str(move))
            return
        log.log(
            logging.INFO if why is None else logging.WARNING,
            "An instance moved id=%s from=%s to=%s report=%r ms=%d%s",
            row.id,
            row.state,
            after.state,
            str(move),
            (time.monotonic() - self._begun) * 1000,
            "" if why is None else f" why={why!r}",
        )

    def _fail(self, row: Instance, refused: EngineRefused) -> None:
        with self._store.writing() as tx:
            reason = reason_of(refused.code, refused.said)
            after = happenings.failed(tx, row.id, row.generation, self._clock(), reason)
        self._log_report(Move.SAY_FAILED, row, after, f"{refused.said} {refused.hidden}".strip())

    def _how_it_died(self) -> str:
        if self._seen is None:
            return "The engine has no such machine."
        return f"The machine ended: {self._seen.why or 'the engine does not know why'}"


class _DiedAtStartError(Exception):
    """Worth another try, and counted as one."""


def _ignore(_ref: str) -> None:
    """The engine's name for a machine is written down when it runs: look() tells it too."""


def _text(exc: Exception) -> str:
    if isinstance(exc, (Fault, EngineRefused)):
        return exc.hidden or exc.said or type(exc).__name__
    return str(exc) or type(exc).__name__
