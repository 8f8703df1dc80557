"""econe-server, which kills itself by SIGKILL at one line of its work.

    python -m tests.e2e.kill_at POINT before|after econe-server's words…

POINT is one of POINTS: a function of the real server, all of whose other lines are untouched. It
dies before the first call of it, or when that has returned; nothing is flushed, closed or told.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from econe.cli import server
from econe.domain import happenings
from econe.engines.qemu import (
    disks,
    dnsmasq,
    launcher,
    machines,
    network_check,
    place,
    processes,
    vpc,
    vpc_host,
)
from econe.reconcile import job

POINTS: dict[str, tuple[Any, str]] = {
    # the engine's methods
    "networks.ensure": (vpc.VpcNetworks, "ensure"),
    "networks.admit": (vpc.VpcNetworks, "admit"),
    "networks.dismiss": (vpc.VpcNetworks, "dismiss"),
    "machines.ensure": (machines.QemuMachines, "ensure"),
    "machines.start": (machines.QemuMachines, "start"),
    "machines.shut_down": (machines.QemuMachines, "shut_down"),
    "machines.power_off": (machines.QemuMachines, "power_off"),
    "machines.destroy": (machines.QemuMachines, "destroy"),
    "disks.remove": (disks.QemuDisks, "remove"),
    # inside of them
    "trial": (network_check, "_try_inside"),
    "namespace": (vpc.VpcNetworks, "_write"),
    "rules": (vpc, "_settle"),
    "way to the host": (vpc_host, "join"),
    "dnsmasq": (dnsmasq.Dnsmasq, "keep_running"),
    "lease": (dnsmasq.Dnsmasq, "admit"),
    "disk": (disks.QemuDisks, "_create"),
    "record": (place.Place, "write_record"),
    "power": (place.Place, "write_power"),
    "run directory": (launcher, "_make_run_directory"),
    "tap": (vpc, "open_tap"),
    "spawn": (processes, "spawn"),
    "pid": (machines.QemuMachines, "_await_past"),
    "quit": (machines.QemuMachines, "_quit"),
    "end": (machines.QemuMachines, "_end"),
    "clear": (place.Place, "clear"),
    # reports: before the transaction and after its commit, or in the middle of it
    "report": (job._Job, "_report"),
    "started": (happenings, "started"),
    "halted": (happenings, "halted"),
    "gone": (happenings, "gone"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(call: Callable[..., Any], when: str) -> Callable[..., Any]:
    def killed(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        answer = call(*args, **kwargs)
        die()
        return answer

    return killed


def main(point: str, when: str, *words: str) -> int:
    owner, name = POINTS[point]
    setattr(owner, name, dying(getattr(owner, name), when))
    return server.main(words)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
