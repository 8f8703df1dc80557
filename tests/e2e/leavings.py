"""What a server has on the host: processes, taps, disks, directories, leases, namespaces.

Read from the system, not from the server; and cleared away after a test, only what belongs to the
one state directory.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually

from econe.engines.qemu import netns, vpc_names
from econe.engines.qemu.vpc import VpcNetworks


@dataclass(frozen=True)
class Qemu:
    pid: int
    instance: str


def qemus(state: Path) -> list[Qemu]:
    """All emulators that work in the state directory, also where that is gone."""
    return [
        Qemu(pid, Path(place.removesuffix(" (deleted)")).name)
        for pid, place in _processes()
        if place.startswith(f"{state.resolve()}/running/")
    ]


def _processes() -> Iterator[tuple[int, str]]:
    """Process ids and working directories; of those that end meanwhile, nothing."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                yield int(entry.name), str((entry / "cwd").readlink())


def namespaces(state: Path) -> set[str]:
    return netns.names(vpc_names.namespace_prefix(vpc_names.tag_of(state)))


def taps(state: Path) -> list[str]:
    return [
        line.partition(":")[0]
        for name in namespaces(state)
        for line in _said("ip", "-n", name, "tuntap", "show").splitlines()
    ]


def leases(state: Path) -> list[str]:
    """The interfaces that the networks know."""
    runtime = vpc_names.RUNTIME / vpc_names.tag_of(state)
    paths = [*runtime.glob("*/hosts/eni-*"), *state.glob("networks/*/eni-*")]
    return sorted(path.name.partition(".")[0] for path in paths)


def of_instances(state: Path) -> list[str]:
    """Everything that instances have on the host, but for the consoles of terminated ones."""
    found = [f"process {qemu.pid} of {qemu.instance}" for qemu in qemus(state)]
    found += [f"tap {name}" for name in taps(state)]
    found += [f"lease of {name}" for name in leases(state)]
    for below in ("running/*", "volumes/*", "instances/*/*"):
        paths = (path for path in state.glob(below) if path.name != "console.log")
        found += [str(path.relative_to(state)) for path in paths]
    return found


def clear(state: Path) -> None:
    """End and remove all of it, and the directory itself. The server does not run."""
    for qemu in qemus(state):
        with contextlib.suppress(ProcessLookupError):
            os.kill(qemu.pid, signal.SIGKILL)
    eventually(lambda: not qemus(state), within_s=10)
    networks = VpcNetworks(state, domain="", door=NoDoor())
    for vpc_id in networks.look():
        networks.remove(vpc_id)
    shutil.rmtree(state, ignore_errors=True)
    assert not namespaces(state)


class NoDoor:
    def serve(self, owner: str, listening: object) -> None:
        raise AssertionError

    def drop(self, owner: str) -> None:
        """Nobody listens here."""


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
