"""Taps: the host's end of a guest's interface.

A tap lives as long as the file descriptor that QEMU holds. So it outlives a restart of the server
and is gone with QEMU, however that ends: nothing is left to clean up.
"""

import errno
import fcntl
import os
import socket
import struct
from typing import Final

from econe.domain.engine_ports import EngineBusy

# linux/if_tun.h, linux/if.h and linux/sockios.h
_TUNSETIFF: Final = 0x400454CA
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_IFF_VNET_HDR: Final = 0x4000
_IFF_TUN_EXCL: Final = 0x8000
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_SIOCBRADDIF: Final = 0x89A2
_SIOCGIFINDEX: Final = 0x8933
_IFF_UP: Final = 0x1
_NAME: Final = "16s"


def open_tap(name: str, bridge: str) -> int:
    """A descriptor of a new tap on `bridge`, which is up, in the namespace of the calling thread.

    Raises EngineBusy while another process holds a tap of this name; OSError.
    """
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR | _IFF_TUN_EXCL
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack(f"{_NAME}H22x", name.encode(), flags))
        _join(name, bridge)
    except OSError as failure:
        os.close(tap)
        if failure.errno == errno.EBUSY:
            raise EngineBusy(f"{name} is still held by the QEMU before") from failure
        raise
    return tap


def _join(name: str, bridge: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        index = struct.unpack(
            "16xi20x", fcntl.ioctl(asking, _SIOCGIFINDEX, struct.pack("16s24x", name.encode()))
        )[0]
        fcntl.ioctl(asking, _SIOCBRADDIF, struct.pack("16si20x", bridge.encode(), index))
        answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, struct.pack("16s24x", name.encode()))
        flags = struct.unpack("16xH22x", answer)[0] | _IFF_UP
        fcntl.ioctl(asking, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags))
