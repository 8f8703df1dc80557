"""The seam between the machines of this engine and its networks.

The machines know QEMU's command line and processes; the networks know namespaces, taps and
forwarded ports. Both kinds of network (a VPC of bridges and taps, and QEMU's user-mode network)
implement Wiring, and the machines need to know nothing else of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from econe.domain.engine_ports import Networks, NicSpec
from econe.domain.health import Pulse


@dataclass(frozen=True, slots=True)
class Nic:
    """The host's end of one interface, ready to be handed to a QEMU that is about to be started."""

    netdev: str
    """The whole value of `-netdev`. Its id is the interface's id; file descriptors stand in it
    under the numbers they have in this process (`tap,id=eni-00000001,fd=7`): the child gets them
    under the same numbers."""
    fds: tuple[int, ...] = ()
    """Handed to the child, and closed here after exec, whether it succeeded or not."""
    spawns: bool = False
    """QEMU must be allowed to start programs (guestfwd=…-cmd:…): seccomp cannot forbid it."""
    address: str = ""
    """Where ssh reaches the guest if not at its private address: `host:port`."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What has gone through an interface since its guest was started, as the guest sees it."""

    bytes_in: int
    bytes_out: int
    packets_in: int
    packets_out: int


class Wiring(Networks, Protocol):
    """ports.Networks plus what QEMU needs of an interface.

    Raises as engine ports do: EngineBusy, EngineRefused, EngineLost.
    """

    @property
    def mode(self) -> str:
        """`vpc` or `user`: Capabilities.network."""

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why something cannot be had here, by name: {"vpc": "no CAP_NET_ADMIN"}."""

    def open_nic(self, nic: NicSpec, instance_dir: Path, owner: int | None) -> Nic:
        """Make the host's end, just before QEMU is started.

        ensure() and admit() were called before. `instance_dir` is named by the instance's id, was
        just emptied, belongs to `owner` and is QEMU's working directory: what QEMU opens there it
        must name without a path, for the directories above may be closed to it. `owner` is the
        user (and group) that QEMU will run as, None for our own. Called again for every start;
        what a start that crashed has left is taken over or replaced.
        """

    def hear(self, nics: Sequence[NicSpec]) -> Mapping[str, Pulse]:
        """By interface id: whether somebody answers at the guest's end. All are asked at once, and
        given a second or two; where nobody can be asked it is UNHEARD."""

    def count(self, nics: Sequence[NicSpec]) -> Mapping[str, Traffic]:
        """By interface id; without those of which nothing is counted."""

    def close_nic(self, nic: NicSpec) -> None:
        """Remove the host's end; the machine is off. Nothing happens if there is none.

        Only interface_id and network are sure to be true of `nic`.
        """
