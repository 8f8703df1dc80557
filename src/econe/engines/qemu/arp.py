"""Whether guests are there: ARP, the one question that every IPv4 kernel answers and none filters.

EC2's instance status check asks the same ("sends an address resolution protocol (ARP) request to
the network interface", User Guide, Status checks). Each request goes to one guest's MAC and not to
all, so a thousand guests hear a thousand frames, and not a million.
"""

import selectors
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

ETHERTYPE: Final = 0x0806
_REQUEST, _REPLY = 1, 2
_HEAD: Final = struct.Struct("!6s6sH")
_BODY: Final = struct.Struct("!HHBBH6s4s6s4s")
"""RFC 826: hardware (1: Ethernet), protocol (IPv4), their lengths, operation, sender, target."""
WINDOW: Final = 64
"""Requests that are sent before answers are taken: a socket keeps only so much."""
TIMES: Final = 3
"""How often one who does not answer is asked."""


@dataclass(frozen=True, slots=True)
class Whom:
    """Somebody who should answer: a MAC in hexadecimal digits with colons, and an address."""

    mac: str
    address: str


@dataclass(slots=True)
class Asker:
    """One link's end: a packet socket bound to it, and who is asked there."""

    socket: socket.socket
    own: Whom
    asked: Sequence[Whom]
    silent: set[Whom] = field(init=False)

    def __post_init__(self) -> None:
        self.silent = set(self.asked)

    def ask(self, some: Sequence[Whom]) -> None:
        for whom in some:
            try:
                self.socket.send(request(self.own, whom))
            except OSError:  # the queue is full, or the link has gone: nobody hears this one
                return

    def listen(self) -> None:
        """Take what has come in."""
        while True:
            try:
                frame = self.socket.recv(128)
            except OSError:
                return
            answer = read_reply(frame, self.own)
            if answer is not None:
                self.silent.discard(answer)


def open_asker(device: str, own: Whom, asked: Sequence[Whom]) -> Asker:
    """In the namespace of the calling thread. Raises OSError."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        made.bind((device, ETHERTYPE))
    except OSError:
        made.close()
        raise
    return Asker(made, own, asked)


def ask_all(askers: Sequence[Asker], within_s: float) -> None:
    """Fill in who is silent: all links at once, everybody up to TIMES times."""
    with selectors.DefaultSelector() as selector:
        for asker in askers:
            selector.register(asker.socket, selectors.EVENT_READ, asker)
        for _ in range(TIMES):
            over = time.monotonic() + within_s / TIMES
            for asker in askers:
                silent = sorted(asker.silent, key=lambda whom: whom.address)
                for start in range(0, len(silent), WINDOW):
                    asker.ask(silent[start : start + WINDOW])
                    asker.listen()
            while any(asker.silent for asker in askers):
                left_s = over - time.monotonic()
                if left_s <= 0:
                    break
                for key, _ in selector.select(left_s):
                    key.data.listen()


def request(own: Whom, whom: Whom) -> bytes:
    """The whole frame."""
    here, there = _digits(own.mac), _digits(whom.mac)
    source, target = IPv4Address(own.address).packed, IPv4Address(whom.address).packed
    body = _BODY.pack(1, 0x0800, 6, 4, _REQUEST, here, source, bytes(6), target)
    return _HEAD.pack(there, here, ETHERTYPE) + body


def read_reply(frame: bytes, own: Whom) -> Whom | None:
    """Who answered us; None if the frame is no answer to us."""
    if len(frame) < _HEAD.size + _BODY.size:
        return None
    body = _BODY.unpack_from(frame, _HEAD.size)
    *kind, sender, source, target, asked = body
    if kind != [1, 0x0800, 6, 4, _REPLY] or target != _digits(own.mac):
        return None
    if asked != IPv4Address(own.address).packed:
        return None
    return Whom(sender.hex(":"), str(IPv4Address(source)))


def _digits(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
