"""What ports of 127.0.0.1 do when they are knocked at, as libslirp does it for guests."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from econe.engines.qemu.knocking import knock


@contextlib.contextmanager
def behind(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose connections are taken, and then treated so."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])
                    act(kept[-1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for end in kept:
                end.close()


def greet(end: socket.socket) -> None:
    end.sendall(b"SSH-2.0-dropbear\r\n")


def reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


@pytest.mark.parametrize("act", [greet, socket.socket.close, reset])
def test_a_guest_that_greets_or_refuses_is_there(act: Callable[[socket.socket], None]):
    with behind(act) as port:
        began = time.monotonic()
        assert knock([port], 5.0) == {port}
        assert time.monotonic() - began < 2


def test_one_that_says_nothing_is_not_and_holds_nobody_up():
    with behind(lambda end: None) as silent, behind(greet) as there:
        began = time.monotonic()
        assert knock([silent, there], 0.5) == {there}
        assert 0.4 < time.monotonic() - began < 3


def test_a_port_at_which_nobody_listens_is_no_guest():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert knock([port], 1.0) == set()


def test_nobody_is_knocked_at_for_nothing():
    assert knock([], 5.0) == set()
