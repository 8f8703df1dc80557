"""Bad luck at every call: whatever oned or the way to it does to one of them, asking again comes
to the end that was wanted, with one machine and never two."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.contract.opennebula import OpennebulaStand
from tests.support.eventually import eventually
from tests.support.oned import Pace
from tests.support.oned.faults import (
    ELECTION,
    Body,
    Drop,
    Hang,
    Slow,
    Trouble,
    Truncated,
)

from econe.domain.engine_ports import Engine, EngineBusy, EngineLost, MachineSpec, Phase

OFF = {Phase.DEFINED, Phase.HALTED}
MOST_TRIES = 200


class Way:
    """The stand, with trouble on order at the n-th crossing of what is asked."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.stand = OpennebulaStand(directory, pace=Pace.even(0.0005), timeout_s=0.25)
        self.crossed = 0
        self.trouble: tuple[int, Trouble] | None = None
        self._asking = False
        self.stand.oned.faults.boundaries.append(self._count)

    def _count(self, _method: str, when: str) -> None:
        if not self._asking:
            return
        if self.trouble is not None and self.trouble[0] == self.crossed:
            self.stand.oned.faults.fail("*", with_=self.trouble[1], before=when == "before")
        self.crossed += 1

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    def until(self, engine: Engine, spec: MachineSpec, ask: Callable[[], object], *ends: object):
        """As the work plane does: look, ask if it is not as wanted, look again."""
        for _ in range(MOST_TRIES):
            try:
                seen = engine.machines.look().get(spec.id)
                engine.tidy()
                if (seen.phase if seen else None) in ends:
                    return
                if seen is None or seen.phase is not Phase.MOVING:
                    with self.asking():
                        ask()
            except (EngineBusy, EngineLost):
                time.sleep(0.01)
            time.sleep(0.003)
        raise AssertionError(f"{ends} never came of it")

    def play(self) -> None:
        """Launch, stop, start, terminate."""
        engine, spec = self.stand.open(), self.stand.spec()

        def launch() -> None:
            engine.machines.ensure(spec)
            engine.machines.start(spec)

        self.until(engine, spec, launch, Phase.RUNNING)
        self.until(engine, spec, lambda: engine.machines.shut_down(spec.id), *OFF)
        self.until(engine, spec, launch, Phase.RUNNING)
        self.until(engine, spec, lambda: engine.machines.destroy(spec.id), None)
        assert self.stand.vms(spec.id) == []
        assert len([vm for vm in self.stand.world.vms(done=True) if vm.history]) == 1


TROUBLES = {
    "dropped": Drop(),
    "silent": Hang(0.5),
    "cut-off": Truncated(60),
    "garbage": Body(),
    "election": ELECTION,
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_at_any_call_ends_as_if_there_had_been_none(name: str, tmp_path: Path):
    plain = Way(tmp_path / "plain")
    plain.play()
    plain.stand.end()
    assert plain.crossed > 20
    for at in range(plain.crossed):
        way = Way(tmp_path / str(at))
        way.trouble = at, TROUBLES[name]
        try:
            way.play()
        finally:
            way.stand.end()


def test_a_machine_that_oned_makes_after_we_gave_up_is_one_too_many_and_ends(tmp_path: Path):
    """Its answer came too late; we looked, saw none, and asked again."""
    way = Way(tmp_path / "way")
    stand, engine, spec = way.stand, way.stand.open(), way.stand.spec()
    engine.machines.look()
    stand.oned.faults.fail("one.template.instantiate", with_=Slow(0.5))
    with pytest.raises(EngineLost):
        engine.machines.ensure(spec)
    ref = engine.machines.ensure(spec)
    eventually(lambda: len(stand.vms(spec.id)) == 2, within_s=5)
    assert engine.machines.look()[spec.id].ref == ref
    engine.tidy()
    assert [str(vm.id) for vm in stand.vms(spec.id)] == [ref]
    engine.machines.start(spec)
    way.until(engine, spec, lambda: None, Phase.RUNNING)
    engine.tidy()
    assert [str(vm.id) for vm in stand.vms(spec.id)] == [ref]
    stand.end()


def test_a_server_that_starts_after_such_a_thing_chooses_the_one_that_ran(tmp_path: Path):
    """It knows no numbers, and sees two machines with one mark."""
    way = Way(tmp_path / "way")
    stand, engine, spec = way.stand, way.stand.open(), way.stand.spec()
    engine.machines.look()
    stand.oned.faults.fail("one.template.instantiate", with_=Slow(0.5))
    with pytest.raises(EngineLost):
        engine.machines.ensure(spec)
    ref = engine.machines.ensure(spec)
    engine.machines.start(spec)
    eventually(lambda: len(stand.vms(spec.id)) == 2, within_s=5)
    engine = stand.open()
    assert engine.machines.look()[spec.id].ref == ref
    engine.tidy()
    assert [str(vm.id) for vm in stand.vms(spec.id)] == [ref]
    stand.end()
