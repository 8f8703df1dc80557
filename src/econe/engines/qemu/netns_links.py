"""Links, addresses and routes, of the host or of the namespace that the calling thread is in.

The `ip` program is asked in batches: one call reads, one call changes, 4 ms each. (pyroute2 does
the same for 150 ms of import time and 23 MB of memory, more than the rest of this engine.)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from econe.engines.qemu.netns import run
from econe.engines.qemu.nic import Traffic


@dataclass(frozen=True, slots=True)
class Route:
    to: IPv4Network
    device: str
    """Empty for routes that have several, or none (unreachable)."""

    @property
    def is_default(self) -> bool:
        return self.to.prefixlen == 0


@dataclass(frozen=True, slots=True)
class Links:
    """What is there: devices with their addresses, and the routes of the main table."""

    addresses: dict[str, tuple[IPv4Interface, ...]]
    """Of every device; devices without an address are there too."""
    routes: tuple[Route, ...]


def look() -> Links:
    """Raises CommandFailed."""
    devices, routes = _read_batch(("address show", "route show table main"))
    return Links(
        addresses={
            device["ifname"]: tuple(
                IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")
                for entry in device.get("addr_info", ())
                if entry.get("family") == "inet"
            )
            for device in devices
            if "ifname" in device
        },
        routes=tuple(
            Route(_network(route["dst"]), route.get("dev", ""))
            for route in routes
            if "dst" in route
        ),
    )


def change(commands: Sequence[str]) -> None:
    """Do them in order; the first that fails ends it. Raises CommandFailed."""
    if commands:
        run(("ip", "-batch", "-"), "".join(f"{command}\n" for command in commands))


def set_kernel(setting: str, value: str) -> None:
    """Write below /proc/sys/net, which shows the namespace of the calling thread. Raises OSError.

    A value that is already right is not written: containers mount /proc/sys read-only.
    """
    if kernel(setting) != value:
        (Path("/proc/sys/net") / setting).write_text(value, "ascii")


def kernel(setting: str) -> str:
    """Raises OSError."""
    return (Path("/proc/sys/net") / setting).read_text("ascii").strip()


def counters() -> str:
    """Of every device of the namespace that the calling thread is in. Raises OSError."""
    return Path("/proc/thread-self/net/dev").read_text("ascii")


def read_counters(text: str) -> dict[str, Traffic]:
    """Of taps: what such a device receives its guest has sent (proc(5), /proc/net/dev)."""
    found = {}
    for line in text.splitlines():
        device, colon, figures = line.partition(":")
        words = figures.split()
        if colon and len(words) == 16:
            numbers = [int(word) for word in words]
            found[device.strip()] = Traffic(
                bytes_in=numbers[8],
                bytes_out=numbers[0],
                packets_in=numbers[9],
                packets_out=numbers[1],
            )
    return found


def _read_batch(questions: Sequence[str]) -> list[list[dict[str, Any]]]:
    """One list of objects for each question: `ip` writes one JSON array after the other."""
    text = run(("ip", "-json", "-batch", "-"), "".join(f"{line}\n" for line in questions))
    decoder, answers, at = json.JSONDecoder(), [], 0
    for _ in questions:
        at += len(text[at:]) - len(text[at:].lstrip())
        answer, at = decoder.raw_decode(text, at)
        answers.append(answer)
    return answers


def _network(text: str) -> IPv4Network:
    return IPv4Network("0.0.0.0/0" if text == "default" else text)
