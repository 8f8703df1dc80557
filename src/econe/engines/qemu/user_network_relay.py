"""Joins one connection of a guest (stdin and stdout, given by QEMU) to a unix socket.

Copied into the machine's directory and run there by QEMU for each connection to 169.254.169.254,
as QEMU's user and below its seccomp filter: `python3 -I -S …/metadata-relay.py metadata.sock`. So
it imports little, and says nothing: its stderr, too, is the guest's connection.
"""

import os
import select
import socket
import sys

CHUNK = 65536


def join(guest_in: int, guest_out: int, server: socket.socket) -> None:
    """Copy both ways until the server has said all."""
    watched = [guest_in, server.fileno()]
    while True:
        for ready in select.select(watched, [], [])[0]:
            chunk = os.read(ready, CHUNK)
            if ready == guest_in:
                if chunk:
                    server.sendall(chunk)
                else:
                    watched.remove(guest_in)
                    server.shutdown(socket.SHUT_WR)
            elif chunk:
                while chunk:
                    chunk = chunk[os.write(guest_out, chunk) :]
            else:
                return


def main() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.connect(sys.argv[1])
            join(0, 1, server)
        except OSError:
            sys.exit(1)


if __name__ == "__main__":
    main()
