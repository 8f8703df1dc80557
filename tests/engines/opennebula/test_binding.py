"""Which VM is which instance: the store's word, then a proven mark, then the oldest."""

import pytest
from tests.engines.opennebula.vm_xml import vm

from econe.domain.engine_ports import EngineRefused
from econe.domain.hidden import Hidden
from econe.domain.ports import Known
from econe.engines.opennebula.binding import Binding, bind, uid_of
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.vms import Vm

MARKS = Marks(Hidden(b"k" * 32))
ONE, TWO = "i-00000001", "i-00000002"
HELEN, BOB = "100000000002", "100000000003"


def marked(number: int, our_id: str = ONE, *, uid: int = 2, mark_of: int | None = None, **more):
    mark = MARKS.attributes(our_id, str(uid if mark_of is None else mark_of))
    return vm(number, uid=uid, user=mark, **more)


def on_hold(number: int, our_id: str = ONE, **more) -> Vm:
    return marked(number, our_id, state=2, lcm=0, history="", **more)


def instances(binding: Binding) -> dict[str, int]:
    return {id_: each.number for id_, each in binding.instances.items()}


def others(binding: Binding) -> list[tuple[str, int]]:
    return [(id_, each.number) for id_, each in binding.others]


def surplus(binding: Binding) -> list[tuple[str, int]]:
    return [(id_, each.number) for id_, each in binding.surplus]


def test_a_proven_mark_makes_an_instance():
    """Whether it has a row only the store can tell: so it is told of as a stranger, too."""
    binding = bind([marked(5)], {}, {}, MARKS)
    assert instances(binding) == {ONE: 5}
    assert others(binding) == [(ONE, 5)]


def test_one_that_this_process_made_has_a_row():
    assert others(bind([marked(5)], {}, {ONE: "5"}, MARKS)) == []


def test_what_the_store_knows_needs_no_mark():
    """Adopted machines have none, and users can take ours away."""
    assert instances(bind([vm(5)], {"5": Known(ONE, HELEN)}, {}, MARKS)) == {ONE: 5}


def test_the_store_wins_over_marks():
    known = {"5": Known(TWO, HELEN)}
    binding = bind([marked(5, ONE), marked(6, TWO)], known, {}, MARKS)
    assert instances(binding) == {TWO: 5}
    assert others(binding) == [(TWO, 6)]


def test_an_id_of_anothers_machine_is_no_mark():
    """Bob writes helen's id and mark into his machine."""
    binding = bind([marked(5, uid=3, mark_of=2)], {}, {}, MARKS)
    assert instances(binding) == {}
    assert others(binding) == [("", 5)]


def test_a_machine_that_was_given_away_is_not_that_instance():
    binding = bind([marked(5, uid=3, mark_of=2)], {"5": Known(ONE, HELEN)}, {}, MARKS)
    assert instances(binding) == {}
    assert others(binding) == [("", 5)]


def test_a_machine_that_was_given_away_can_be_its_new_owners():
    assert instances(bind([vm(5, uid=3)], {"5": Known(TWO, BOB)}, {}, MARKS)) == {TWO: 5}


def test_a_machine_that_is_done_is_nobodys():
    binding = bind([marked(5, state=6, lcm=0)], {"5": Known(ONE, HELEN)}, {}, MARKS)
    assert binding == Binding()


def test_of_two_on_hold_the_older_counts_and_the_other_is_surplus():
    binding = bind([on_hold(7), on_hold(5)], {}, {}, MARKS)
    assert instances(binding) == {ONE: 5}
    assert surplus(binding) == [(ONE, 7)]


def test_one_that_ran_counts_before_an_older_one_on_hold():
    binding = bind([marked(7), on_hold(5)], {}, {}, MARKS)
    assert instances(binding) == {ONE: 7}
    assert surplus(binding) == [(ONE, 5)]


def test_one_that_was_chosen_counts_before_all():
    binding = bind([on_hold(5), on_hold(7)], {}, {ONE: "7"}, MARKS)
    assert instances(binding) == {ONE: 7}
    assert surplus(binding) == [(ONE, 5)]


def test_a_second_one_that_ran_is_somebodys_copy_and_is_left_alone():
    binding = bind([marked(5), marked(7), on_hold(9)], {"5": Known(ONE, HELEN)}, {}, MARKS)
    assert instances(binding) == {ONE: 5}
    assert others(binding) == [(ONE, 7)]
    assert surplus(binding) == [(ONE, 9)]


def test_one_that_was_stopped_on_hold_again_has_run():
    """Released, placed, undeployed, held: it has a history."""
    again = marked(9, state=2, lcm=0)
    assert surplus(bind([marked(5), again], {"5": Known(ONE, HELEN)}, {}, MARKS)) == []


def test_a_mark_whose_instance_is_known_elsewhere_binds_nothing_even_if_that_is_gone():
    """The row's machine ended; ended() says so, and no copy takes its place."""
    binding = bind([marked(7)], {"5": Known(ONE, HELEN)}, {}, MARKS)
    assert instances(binding) == {}


@pytest.mark.parametrize(("account", "uid"), [(HELEN, "2"), ("100000000000", "0")])
def test_an_account_is_its_user(account: str, uid: str):
    assert uid_of(account) == uid


@pytest.mark.parametrize("account", ["000000000001", "", "x"])
def test_an_account_of_nobodys_has_no_user(account: str):
    with pytest.raises(EngineRefused, match="no user of OpenNebula"):
        uid_of(account)
