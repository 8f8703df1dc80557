"""Which virtual machine is which instance.

Rule 1: what the store says counts (ports.Register: a VM's number, and the instance and account
        that it was known as), as long as the machine is that account's: one that was given to
        another user (one.vm.chown) is not that instance any more.
Rule 2: else a mark that is proven for the machine's owner says it, if its instance is not known
        under another number.
Rule 3: several machines with one mark are one and what a lost answer left beside it. One that this
        process chose, else one that ever ran, else the oldest is the instance. The others are
        surplus if they never ran, since we start none but the one that we choose; if they ran they
        are somebody's copies, and left alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from econe.domain.accounts import FIRST_NUMBER, number_of
from econe.domain.engine_ports import EngineRefused
from econe.domain.ports import Known
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.states import Standing
from econe.engines.opennebula.vms import Vm


@dataclass(frozen=True, slots=True)
class Binding:
    instances: dict[str, Vm] = field(default_factory=dict)
    surplus: list[tuple[str, Vm]] = field(default_factory=list)
    """With the instance whose mark they carry."""
    others: list[tuple[str, Vm]] = field(default_factory=list)
    """With the id that a proven mark says, or an empty text. Also instances that only their mark
    says and that this process did not make: there may be no row of them (a store that was put back
    to an older state)."""


def bind(
    vms: Iterable[Vm], known: Mapping[str, Known], chosen: Mapping[str, str], marks: Marks
) -> Binding:
    """`known` is what the Register says; `chosen` are numbers by instance id that this process
    made or adopted. Machines that are done are nobody's."""
    binding = Binding()
    taken = {each.id for each in known.values()}
    marked: dict[str, list[Vm]] = {}
    for vm in vms:
        if vm.standing is Standing.GONE:
            continue
        its = known.get(vm.ref)
        if its is not None and is_its_owners(vm, its.account):
            binding.instances[its.id] = vm
            continue
        says = marks.verified(vm.our_id, vm.mark, vm.uid)
        if says:
            marked.setdefault(says, []).append(vm)
        else:
            binding.others.append(("", vm))
    for instance_id, candidates in marked.items():
        rest = candidates
        if instance_id not in taken:
            first, *rest = sorted(candidates, key=lambda vm: _rank(vm, chosen.get(instance_id)))
            binding.instances[instance_id] = first
            if instance_id not in chosen:
                binding.others.append((instance_id, first))
        for vm in rest:
            kind = binding.surplus if vm.never_ran else binding.others
            kind.append((instance_id, vm))
    return binding


def _rank(vm: Vm, chosen: str | None) -> tuple[bool, bool, int]:
    return vm.ref != chosen, vm.never_ran, vm.number


def is_its_owners(vm: Vm, account: str) -> bool:
    return number_of(vm.uid) == account


def uid_of(account: str) -> str:
    """The oned user whose account this is. Raises EngineRefused for an account that is none's."""
    if account.isascii() and account.isdigit() and int(account) >= FIRST_NUMBER:
        return str(int(account) - FIRST_NUMBER)
    raise EngineRefused(
        "This account is no user of OpenNebula.", f"account {account}", code="UnauthorizedOperation"
    )
