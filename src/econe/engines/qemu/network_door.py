"""Where guests' questions to the metadata service come in: made here, answered elsewhere."""

import socket
from typing import Protocol


class MetadataDoor(Protocol):
    """The metadata server as the networks see it. Both methods may be called from any thread."""

    def serve(self, owner: str, listening: socket.socket) -> None:
        """Answer what comes in; the socket is the server's from now on.

        `owner` is the VPC that a TCP socket was bound in, or the instance that a unix socket
        belongs to. A socket that the owner had before is closed.
        """

    def drop(self, owner: str) -> None:
        """Close the owner's socket and connections. Nothing happens if it has none."""
