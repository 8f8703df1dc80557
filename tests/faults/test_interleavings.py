"""Users, guests, faults, power cuts and restarts in any order; what must hold at every commit and
once all has come to rest."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.power import Fuse, PowerCut
from tests.support.site import Site

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused, Phase
from econe.domain.faults import WrongState
from econe.domain.instances import TRANSITIONS, InstanceState

S = InstanceState

METHODS = [
    "machines.ensure",
    "machines.start",
    "machines.shut_down",
    "machines.power_off",
    "machines.reset",
    "machines.destroy",
    "machines.look",
    "networks.ensure",
    "networks.admit",
    "networks.dismiss",
    "disks.remove",
]
FAULTS = [EngineBusy("busy"), EngineLost("lost"), RuntimeError("surprise")]

AT_REST = {
    S.RUNNING: {Phase.RUNNING},
    S.STOPPED: {Phase.DEFINED, None},
    S.TERMINATED: {None},
}

_NEXT = {s: {after for (before, _), after in TRANSITIONS.items() if before is s} for s in S}
# One commit may make two moves: a guest's halt that its shutdown behaviour turns into termination.
REACHABLE = {s: {s} | _NEXT[s] | {b for a in _NEXT[s] for b in _NEXT[a]} for s in S}


class Bedlam(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.site = Site(Path(self._directory.name) / "site")
        self.fuse = Fuse(self.site)
        self.ids: list[str] = []
        self.states: dict[str, InstanceState] = {}
        self.site.store.boundary = self._check_commit

    def teardown(self) -> None:
        try:
            self.fuse.arm(0)
            self.site.world.script.clear()
            self.site.settle()
            self._check_rest()
        finally:
            self.site.store.close()
            self._directory.cleanup()

    # --- what users do -------------------------------------------------------------------

    @precondition(lambda self: len(self.ids) < 4)
    @rule(behaviour=st.sampled_from(["stop", "terminate"]))
    def launch(self, behaviour: str) -> None:
        ids = self.site.launch(shutdown_behavior=behaviour)
        self.ids += ids
        self.states.update(dict.fromkeys(ids, S.PENDING))

    @precondition(lambda self: self.ids)
    @rule(
        data=st.data(),
        wish=st.sampled_from(["start", "stop", "force", "reboot", "terminate"]),
        in_the_middle=st.booleans(),
    )
    def wish(self, data: st.DataObject, wish: str, in_the_middle: bool) -> None:
        """`in_the_middle`: while the next engine call is under way."""
        id_ = data.draw(st.sampled_from(self.ids))

        def do() -> None:
            try:
                if wish == "force":
                    self.site.stop(id_, forced=True)
                else:
                    getattr(self.site, wish)(id_)
            except WrongState:
                pass

        def when_called(method: str, when: str) -> None:
            if not method.endswith(".look"):
                self.site.world.script.boundaries.remove(when_called)
                do()

        if in_the_middle:
            self.site.world.script.boundaries.append(when_called)
        else:
            do()

    # --- what guests and bad luck do -----------------------------------------------------

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), event=st.sampled_from(["off", "die", "deaf"]))
    def guest(self, data: st.DataObject, event: str) -> None:
        id_ = data.draw(st.sampled_from(self.ids))
        if event == "off":
            self.site.world.power_off_from_inside(id_)
        elif event == "die":
            self.site.world.die(id_)
        elif id_ in self.site.world.machines:
            self.site.world.ignore_acpi(id_)

    @rule()
    def reboot_host(self) -> None:
        self.site.world.reboot_host()
        self.site.restart()

    @rule(
        method=st.sampled_from(METHODS),
        fault=st.sampled_from(FAULTS),
        times=st.integers(1, 3),
        before=st.booleans(),
    )
    def break_engine(self, method: str, fault: Exception, times: int, before: bool) -> None:
        self.site.world.script.fail(method, times, with_=fault, before=before)

    @rule(method=st.sampled_from(["machines.ensure", "machines.start", "networks.admit"]))
    def refuse(self, method: str) -> None:
        self.site.world.script.fail(method, 1, with_=EngineRefused("no"))

    # --- what the server does ------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 7.0, 70.0]), cut_after=st.integers(0, 12))
    def work(self, seconds: float, cut_after: int) -> None:
        """One round; power may be cut in it."""
        self.site.clock.pass_s(seconds)
        self.fuse.arm(cut_after)
        try:
            self.site.loop.round()
        except PowerCut:
            self.site.restart()
        except (EngineBusy, EngineLost, RuntimeError):
            pass  # look() failed: the thread would wait and call round() again
        finally:
            self.fuse.arm(0)

    @rule()
    def restart(self) -> None:
        self.site.restart()

    # --- what must hold ------------------------------------------------------------------

    def _check_commit(self, what: str, when: str) -> None:
        """States change by the table, at every single commit."""
        if when == "after":
            for id_ in self.ids:
                before, after = self.states[id_], self.site.state(id_)
                assert after in REACHABLE[before], (id_, before, after)
                self.states[id_] = after
        self.fuse.cross(what, when)

    @invariant()
    def a_terminated_instance_has_no_disk_of_its_own(self) -> None:
        for id_ in self.ids:
            row = self.site.row(id_)
            if row.state is S.TERMINATED:
                assert f"vol-{id_[2:]}" not in self.site.world.disks

    def _check_rest(self) -> None:
        machines = self.site.world.machines
        for id_ in self.ids:
            row = self.site.row(id_)
            phase = machines[id_].phase if id_ in machines else None
            assert row.settled
            assert phase in AT_REST[row.state], (id_, row.state, phase)
        live = {i for i in self.ids if self.site.state(i) is not S.TERMINATED}
        assert set(machines) <= live
        assert {d[4:] for d in self.site.world.disks} <= {i[2:] for i in live}
        admitted = {e for nics in self.site.world.networks.values() for e in nics}
        assert {e[4:] for e in admitted} <= {i[2:] for i in live}
        running = {i for i in live if self.site.state(i) is S.RUNNING}
        assert {i[2:] for i in running} <= {e[4:] for e in admitted}


Bedlam.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
test_bedlam = Bedlam.TestCase
