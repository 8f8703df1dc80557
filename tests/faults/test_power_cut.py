"""Every step may be the last: power is cut at each boundary of each story.

A boundary is before and after every engine call that may change something, and before and after
every commit. The server that starts next knows nothing but the rows and the world; its ordinary
rounds must finish the work, without a second machine and with nothing half made left over.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from tests.faults.conftest import MakeSite
from tests.support.power import Fuse, PowerCut
from tests.support.site import ACCOUNT, Site

from econe.domain.engine_ports import EngineRefused, Phase
from econe.domain.instances import InstanceState as S


def nothing(site: Site) -> None:
    """Of what was before, or is to be said."""


@dataclass(frozen=True)
class Story:
    act: Callable[[Site], None]
    """What users, guests or bad luck do. Power is cut in the rounds that follow."""
    ends: Callable[[Site], None]
    """Asserts of the end, whenever power was cut."""
    before: Callable[[Site], None] = nothing
    waits_s: float = 0
    """Time that passes before the rounds."""
    ids: tuple[str, ...] = field(default=("i-00000001",))


FIRST, SECOND = "i-00000001", "i-00000002"


def one_runs(site: Site) -> None:
    site.launch()
    site.settle()


def one_runs_deaf(site: Site) -> None:
    one_runs(site)
    site.world.ignore_acpi(FIRST)


def one_runs_that_ends_for_good(site: Site) -> None:
    site.launch(shutdown_behavior="terminate")
    site.settle()


def one_is_stopped(site: Site) -> None:
    one_runs(site)
    site.stop(FIRST)
    site.settle()


def one_runs_that_may_sleep(site: Site) -> None:
    site.fleet = replace(site.fleet, can=site.engine.can)
    site.launch(hibernation=True)
    site.settle()


def one_sleeps(site: Site) -> None:
    one_runs_that_may_sleep(site)
    hibernate(site)
    site.settle()


def hibernate(site: Site) -> None:
    with site.store.writing() as tx:
        site.fleet.stop(tx, ACCOUNT, [FIRST], site.clock(), hibernate=True)


def one_is_terminated(site: Site) -> None:
    one_runs(site)
    site.terminate(FIRST)
    site.settle()


def refuse_all_starts(site: Site) -> None:
    site.world.script.fail("machines.start", 1000, with_=EngineRefused("No."))


def one_is_stopped_and_starts_are_refused(site: Site) -> None:
    one_is_stopped(site)
    refuse_all_starts(site)


# --- ends --------------------------------------------------------------------------------


def nothing_is_left(site: Site) -> None:
    assert site.state(FIRST) is S.TERMINATED
    assert site.world.machines == {}
    assert site.world.disks == {}
    assert not any(site.world.networks.values())


def two_run_and_booted_once(site: Site) -> None:
    for id_ in (FIRST, SECOND):
        assert site.state(id_) is S.RUNNING
        assert site.world.machines[id_].phase is Phase.RUNNING
        assert site.world.machines[id_].boots == 1
    assert site.world.made == 2
    assert len(site.world.disks) == 2
    (admitted,) = site.world.networks.values()
    assert len(admitted) == 2


def stopped_in_order(site: Site) -> None:
    assert site.state(FIRST) is S.STOPPED
    assert site.world.machines[FIRST].phase is Phase.DEFINED
    assert site.world.made == 1
    assert len(site.world.disks) == 1


def sleeps(site: Site) -> None:
    stopped_in_order(site)
    assert site.world.machines[FIRST].asleep


def runs_after(*boots: int) -> Callable[[Site], None]:
    def ends(site: Site) -> None:
        assert site.state(FIRST) is S.RUNNING
        assert site.world.machines[FIRST].phase is Phase.RUNNING
        assert site.world.machines[FIRST].boots in boots
        assert site.world.made == 1
        assert len(site.world.disks) == 1

    return ends


def stopped_after_a_refusal(site: Site) -> None:
    """Its data is there, and it can be started again."""
    assert site.state(FIRST) is S.STOPPED
    assert len(site.world.disks) == 1
    site.world.script.clear()
    site.start(FIRST)
    site.settle()
    assert site.state(FIRST) is S.RUNNING


def forgotten(site: Site) -> None:
    site.rounds(site.work.network_quiet_s + 60, every_s=10)  # a new server counts it afresh
    with site.store.reading() as tx:
        assert tx.instances.get(FIRST) is None
    assert site.engine.consoles.output(FIRST) is None
    assert site.world.networks == {}


STORIES = {
    "launch": Story(lambda site: _(site.launch(2)), two_run_and_booted_once, ids=(FIRST, SECOND)),
    "refused launch": Story(
        lambda site: _(site.launch()), nothing_is_left, before=refuse_all_starts
    ),
    "stop": Story(lambda site: site.stop(FIRST), stopped_in_order, before=one_runs),
    "stop of a deaf guest": Story(
        lambda site: site.stop(FIRST), stopped_in_order, before=one_runs_deaf
    ),
    "forced stop": Story(
        lambda site: site.stop(FIRST, forced=True), stopped_in_order, before=one_runs
    ),
    "start": Story(lambda site: site.start(FIRST), runs_after(2), before=one_is_stopped),
    "hibernation": Story(hibernate, sleeps, before=one_runs_that_may_sleep),
    "waking": Story(lambda site: site.start(FIRST), runs_after(1), before=one_sleeps),
    "refused start": Story(
        lambda site: site.start(FIRST),
        stopped_after_a_refusal,
        before=one_is_stopped_and_starts_are_refused,
    ),
    # A cut between the reset and its report repeats the reset: better twice than never.
    "reboot": Story(lambda site: site.reboot(FIRST), runs_after(2, 3), before=one_runs),
    "terminate": Story(lambda site: site.terminate(FIRST), nothing_is_left, before=one_runs),
    "terminate of a deaf guest": Story(
        lambda site: site.terminate(FIRST), nothing_is_left, before=one_runs_deaf
    ),
    "terminate of a stopped one": Story(
        lambda site: site.terminate(FIRST), nothing_is_left, before=one_is_stopped
    ),
    "guest switches off": Story(
        lambda site: site.world.power_off_from_inside(FIRST), stopped_in_order, before=one_runs
    ),
    "guest switches off for good": Story(
        lambda site: site.world.power_off_from_inside(FIRST),
        nothing_is_left,
        before=one_runs_that_ends_for_good,
    ),
    # Whatever its shutdown behaviour: a death is not a wish.
    "machine dies": Story(
        lambda site: site.world.die(FIRST), stopped_in_order, before=one_runs_that_ends_for_good
    ),
    "forgetting": Story(nothing, forgotten, before=one_is_terminated, waits_s=4000, ids=()),
}


def _(_ids: list[str]) -> None:
    """Act without an answer."""


def play(site: Site, story: Story, fuse: Fuse, cuts: list[int]) -> bool:
    """Whether all of `cuts` came about: boundary counts, each from the start of a server."""
    story.before(site)
    fuse.arm(0)
    story.act(site)
    site.clock.pass_s(story.waits_s)
    for after in cuts:
        fuse.arm(after)
        try:
            site.settle()
        except PowerCut:
            site.restart()
        else:
            fuse.arm(0)
            return False
    fuse.arm(0)
    site.settle()
    return True


@pytest.mark.parametrize("name", STORIES)
def test_a_story_ends_well_without_a_cut(new_site: MakeSite, name: str):
    site = new_site()
    play(site, STORIES[name], Fuse(site), [])
    STORIES[name].ends(site)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_ends_well_wherever_power_is_cut(new_site: MakeSite, name: str):
    story = STORIES[name]
    for after in itertools.count(1):
        site = new_site()
        came_about = play(site, story, Fuse(site), [after])
        story.ends(site)
        if not came_about:
            break
    assert after > 2, "no boundary was crossed: this story does nothing"


@pytest.mark.parametrize("name", ["launch", "refused launch", "terminate", "reboot"])
def test_a_story_ends_well_though_the_recovery_is_cut_too(new_site: MakeSite, name: str):
    story = STORIES[name]
    for after in itertools.count(1, 3):
        for again in itertools.count(1, 2):
            site = new_site()
            came_about = play(site, story, Fuse(site), [after, again])
            if name != "reboot":  # each cut may cost one more reset
                story.ends(site)
            assert all(site.row(id_).settled for id_ in story.ids)
            if not came_about:
                break
        if again == 1:
            break
