"""What the simulated cluster tells of its own, for the census."""

from collections.abc import Mapping, Sequence

from econe.domain.engine_ports import OfferedNetwork, Person, Register, Stranger
from econe.domain.ports import Known
from econe.domain.sizes import Size
from econe.engines.simulator.world import Machine, World


def nothing_known() -> Mapping[str, Known]:
    """The register of a store that is empty."""
    return {}


class SimulatedEstate:
    """`register`: which machines rows know."""

    def __init__(self, world: World, register: Register = nothing_known) -> None:
        self._world, self._register = world, register
        self._shown: list[Stranger] = []

    def people(self) -> Sequence[Person]:
        with self._world.script.call("estate.people"), self._world.lock:
            return list(self._world.cluster.people.values())

    def sizes(self) -> Sequence[Size]:
        with self._world.script.call("estate.sizes"), self._world.lock:
            return list(self._world.cluster.sizes)

    def networks(self) -> Sequence[OfferedNetwork]:
        with self._world.script.call("estate.networks"), self._world.lock:
            return list(self._world.cluster.networks)

    def strangers(self) -> Sequence[Stranger]:
        return self._shown

    def sort_out(self) -> None:
        """Part of a look at all machines: strangers that rows know by now are machines like any;
        the others are told of until the next look."""
        with self._world.lock:
            strangers = self._world.cluster.strangers
            known = self._register()
            for ref in [ref for ref in strangers if ref in known]:
                stranger = strangers[ref]
                if known[ref].account == stranger.account:
                    self._take_up(known[ref].id, strangers.pop(ref))
            self._shown = list(strangers.values())

    def _take_up(self, instance_id: str, stranger: Stranger) -> None:
        seen = stranger.seen
        self._world.machines[instance_id] = Machine(
            None, stranger.ref, seen.phase, boots=1, why=seen.why, nics=seen.nics
        )
