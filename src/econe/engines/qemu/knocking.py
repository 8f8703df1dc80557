"""Whether a guest of the user-mode network is there: its forwarded ssh port is knocked at.

libslirp takes a connection before the guest has, so being connected means nothing. What the guest
does then tells: its sshd greets (RFC 4253, section 4.2), or its kernel refuses, and libslirp hangs
up. A guest that is not there, or drops such packets, does neither.
"""

import selectors
import socket
import time
from collections.abc import Collection
from typing import Final

AT_ONCE: Final = 256


def knock(ports: Collection[int], within_s: float) -> set[int]:
    """Those ports of 127.0.0.1 behind which somebody answers or refuses. Each has `within_s`."""
    waiting, answered = sorted(ports), set()
    for start in range(0, len(waiting), AT_ONCE):
        answered |= _knock(waiting[start : start + AT_ONCE], within_s)
    return answered


def _knock(ports: Collection[int], within_s: float) -> set[int]:
    answered: set[int] = set()
    over = time.monotonic() + within_s
    with selectors.DefaultSelector() as selector:
        try:
            for port in ports:
                selector.register(_connect(port), selectors.EVENT_READ, port)
            while selector.get_map() and (left_s := over - time.monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    end: socket.socket = key.fileobj  # type: ignore[assignment]
                    selector.unregister(end)
                    if _says_something(end):
                        answered.add(key.data)
                    end.close()
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    return answered


def _connect(port: int) -> socket.socket:
    end = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    end.connect_ex(("127.0.0.1", port))
    return end


def _says_something(end: socket.socket) -> bool:
    """A greeting, or the end of the connection. That nobody listens at the host's port itself is
    no answer of the guest's: there is no QEMU."""
    try:
        end.recv(1)
    except ConnectionRefusedError:
        return False
    except OSError:
        return True  # reset: the guest's kernel said so
    return True
