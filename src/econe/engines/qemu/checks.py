"""What EC2's two status checks are made of here: QEMU's word, and the guest's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from econe.domain.engine_ports import Subject, Vitals
from econe.domain.health import Pulse
from econe.engines.qemu.monitor import Monitors
from econe.engines.qemu.nic import Wiring
from econe.engines.qemu.place import busy_if_the_system_fails, place_of

ANSWER_S: Final = 2.0
"""How long QEMUs may take to say how they are; all are asked at once."""


class QemuChecks:
    """ports.Checks."""

    def __init__(self, instances: Path, networks: Wiring, watching: Callable[[], Monitors]) -> None:
        self._instances, self._networks, self._watching = instances, networks, watching

    def look(self, subjects: Mapping[str, Subject]) -> Mapping[str, Vitals]:
        places = [place_of(self._instances, instance_id) for instance_id in subjects]
        with busy_if_the_system_fails():
            here = {place.id: place.monitor for place in places if place.power.exists()}
            answers = self._watching().ask_all(here, "query-status", ANSWER_S)
            heard = self._networks.hear([nic for id_ in here for nic in subjects[id_].nics[:1]])
        return {
            id_: Vitals(
                machine=_machine(answers.get(id_)),
                guest=_guest(subjects[id_], heard),
            )
            for id_ in here
        }


def _machine(answer: Any) -> Pulse:
    """One whose disk fails is halted by its QEMU: that is nothing its guest could mend."""
    run_state = answer.get("status") if isinstance(answer, dict) else None
    return Pulse.STILL if run_state in (None, "io-error", "internal-error") else Pulse.BEATS


def _guest(subject: Subject, heard: Mapping[str, Pulse]) -> Pulse:
    """By its first interface, the one whose address is the instance's."""
    nics = subject.nics[:1]
    return heard.get(nics[0].interface_id, Pulse.UNHEARD) if nics else Pulse.UNHEARD
