"""Status checks in rounds: when they are made, and what is written of them."""

from datetime import timedelta

import pytest
from tests.support.site import Site

from econe.domain.engine_ports import EngineBusy
from econe.domain.health import Check, Outcome, Pulse
from econe.domain.instances import InstanceState as S

WELL = Outcome(Check.PASSED)


class Looks:
    """When the engine was asked how machines are."""

    def __init__(self, site: Site) -> None:
        self._site, self.made = site, 0
        site.world.script.boundaries.append(self._note)

    def _note(self, method: str, when: str) -> None:
        self.made += (method, when) == ("checks.look", "before")

    def during(self, seconds: float) -> int:
        before = self.made
        self._site.rounds(seconds)
        return self.made - before


@pytest.fixture
def looks(site: Site) -> Looks:
    return Looks(site)


def outcomes(site: Site, instance_id: str) -> tuple[Outcome, Outcome]:
    row = site.row(instance_id)
    return row.system_status, row.guest_status


def guest(site: Site, instance_id: str) -> Outcome:
    return outcomes(site, instance_id)[1]


def silence(site: Site, instance_id: str, pulse: Pulse = Pulse.STILL) -> None:
    site.world.machines[instance_id].guest_answers = pulse


def test_a_guest_that_answers_is_well_within_seconds(site: Site):
    (id_,) = site.running()
    assert outcomes(site, id_) == (Outcome(), Outcome())
    site.rounds(3)
    assert outcomes(site, id_) == (WELL, WELL)


def test_one_that_boots_is_asked_often_and_then_ever_less(site: Site, looks: Looks):
    (id_,) = site.launch()
    site.loop.round()
    silence(site, id_)
    assert looks.during(16) == 8
    site.rounds(100)
    assert 3 <= looks.during(60) <= 5
    assert guest(site, id_) == Outcome()
    silence(site, id_, Pulse.BEATS)
    site.rounds(30)
    assert guest(site, id_) == WELL


def test_one_that_is_well_is_asked_once_a_minute(site: Site, looks: Looks):
    site.running(3)
    site.settle()
    assert looks.during(600) == 10


def test_one_that_never_answers_is_impaired_since_its_start(site: Site):
    (id_,) = site.launch()
    site.loop.round()
    began = site.row(id_).booted_at
    silence(site, id_)
    site.rounds(290)
    assert guest(site, id_) == Outcome()
    site.rounds(50)
    assert outcomes(site, id_) == (WELL, Outcome(Check.FAILED, began))


def test_one_that_was_never_heard_where_silence_says_nothing_is_not_impaired(site: Site):
    (id_,) = site.launch()
    site.loop.round()
    silence(site, id_, Pulse.UNHEARD)
    site.rounds(400)
    assert outcomes(site, id_) == (WELL, Outcome(Check.UNKNOWN))


def test_a_lost_answer_is_no_failure(site: Site, looks: Looks):
    (id_,) = site.running()
    site.settle()
    silence(site, id_)
    while looks.during(1) == 0:
        pass
    silence(site, id_, Pulse.BEATS)
    before = site.row(id_)
    assert looks.during(30) == 1
    assert site.row(id_) == before
    assert guest(site, id_) == WELL


def test_one_that_falls_silent_is_impaired_and_well_when_it_is_back(site: Site):
    (id_,) = site.running()
    site.settle()
    fell_silent = site.clock.now
    silence(site, id_)
    site.rounds(150)
    failed = guest(site, id_)
    assert failed.check is Check.FAILED
    assert failed.failed_at is not None
    assert timedelta(0) <= failed.failed_at - fell_silent <= timedelta(seconds=61)
    silence(site, id_, Pulse.BEATS)
    site.rounds(61)
    assert guest(site, id_) == WELL


def test_an_emulator_that_hangs_fails_the_system_check(site: Site):
    (id_,) = site.running()
    site.settle()
    site.world.machines[id_].answers = Pulse.STILL
    site.rounds(150)
    system, guest = outcomes(site, id_)
    assert (system.check, guest) == (Check.FAILED, WELL)


def test_nothing_is_written_while_nothing_changes(site: Site):
    (id_,) = site.running()
    (failed,) = site.running()
    silence(site, failed)
    site.rounds(400)
    before = [site.row(each) for each in (id_, failed)]
    site.rounds(600)
    assert [site.row(each) for each in (id_, failed)] == before
    assert guest(site, id_) == WELL


def test_an_engine_that_cannot_be_asked_changes_nothing(site: Site):
    (id_,) = site.running()
    site.settle()
    site.world.script.fail("checks.look", 1000, with_=EngineBusy("away"))
    site.rounds(300)
    assert outcomes(site, id_) == (WELL, WELL)
    site.world.script.clear()
    silence(site, id_)
    site.rounds(150)
    assert guest(site, id_).check is Check.FAILED


def test_another_start_is_another_guest(site: Site):
    (id_,) = site.running()
    silence(site, id_)
    site.rounds(400)
    assert guest(site, id_).check is Check.FAILED
    site.stop(id_)
    site.settle()
    site.start(id_)
    site.loop.round()
    assert (site.state(id_), outcomes(site, id_)) == (S.RUNNING, (Outcome(), Outcome()))


def test_what_does_not_run_is_not_looked_at(site: Site, looks: Looks):
    (stopped,), (ended,) = site.running(), site.running()
    site.stop(stopped)
    site.terminate(ended)
    site.settle()
    site.rounds(5)
    assert looks.during(300) == 0


def test_the_next_server_goes_on(site: Site):
    well, failed = site.running(2)
    site.settle()
    silence(site, failed)
    site.rounds(200)
    before = outcomes(site, well), outcomes(site, failed)
    site.restart()
    site.rounds(5)
    assert (outcomes(site, well), outcomes(site, failed)) == before
    silence(site, failed, Pulse.BEATS)
    site.rounds(61)
    assert guest(site, failed) == WELL


def test_many_are_looked_at_a_few_hundred_at_once(site: Site, looks: Looks):
    ids = site.running(450)
    before = looks.made
    site.loop.round()
    assert looks.made - before == 3
    assert all(outcomes(site, id_) == (WELL, WELL) for id_ in ids)
