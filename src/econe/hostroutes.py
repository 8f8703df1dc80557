"""Which IPv4 networks this host already reaches by a route of its own."""

import socket
import struct
from ipaddress import IPv4Network
from pathlib import Path

_TABLE = Path("/proc/net/route")


def host_networks(table: Path = _TABLE) -> list[IPv4Network]:
    """All but the default route. Empty where the table cannot be read.

    The kernel writes addresses and masks as eight hex digits in the host's byte order (proc(5)).
    """
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        address, mask = (_dotted(fields[column]) for column in (1, 7))
        network = IPv4Network((address, mask), strict=False)
        if network.prefixlen:
            found.append(network)
    return found


def _dotted(digits: str) -> str:
    return socket.inet_ntoa(struct.pack("=I", int(digits, 16)))
