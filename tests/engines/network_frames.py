"""A guest that is nothing but Ethernet frames on its tap: it can say what no kernel would."""

import os
import select
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address

VNET_HEADER = 10
"""Bytes that QEMU's kind of tap puts before each frame."""
BROADCAST = b"\xff" * 6
ARP, IPV4 = 0x0806, 0x0800
UDP, ICMP = 17, 1


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, to: str, protocol: int, payload: bytes) -> bytes:
    def head(check: int) -> bytes:
        return struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, 0, 20 + len(payload), 1, 0, 64, protocol, check),
            IPv4Address(source).packed,
            IPv4Address(to).packed,
        )

    return head(checksum(head(0))) + payload


def udp(source_port: int, port: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload


@dataclass
class Guest:
    tap: int
    mac: bytes
    address: str = "0.0.0.0"

    def send(self, to: bytes, kind: int, payload: bytes, *, mac: bytes | None = None) -> None:
        frame = to + (mac or self.mac) + struct.pack("!H", kind) + payload
        os.write(self.tap, bytes(VNET_HEADER) + frame)

    def hear(self, kind: int, seconds: float = 1.0):
        """Payloads of frames to us or to all, until the time is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.tap], [], [], left)[0]:
                return
            frame = os.read(self.tap, 65536)[VNET_HEADER:]
            self._answer(frame)
            if frame[:6] in (self.mac, BROADCAST) and frame[12:14] == struct.pack("!H", kind):
                yield frame[14:]

    def _answer(self, frame: bytes) -> None:
        """Whoever asks for our address is told our MAC."""
        asked = frame[14:]
        ours = IPv4Address(self.address).packed
        if frame[12:14] == b"\x08\x06" and asked[6:8] == b"\0\x01" and asked[24:28] == ours:
            said = asked[:6] + b"\0\x02" + self.mac + ours + asked[8:18]
            self.send(asked[8:14], ARP, said)

    def arp(self, wanted: str, *, as_address: str | None = None, as_mac: bytes | None = None):
        """The MAC that answers for `wanted`, or None."""
        asked = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + (as_mac or self.mac)
        asked += IPv4Address(as_address or self.address).packed
        asked += bytes(6) + IPv4Address(wanted).packed
        self.send(BROADCAST, ARP, asked)
        for said in self.hear(ARP, 0.7):
            if said[6:8] == b"\0\x02" and said[14:18] == IPv4Address(wanted).packed:
                return said[8:14]
        return None

    def ping(self, router: bytes, to: str, *, source: str | None = None, mac=None) -> bool:
        body = struct.pack("!HH", 7, 1) + b"econe"
        echo = struct.pack("!BBH", 8, 0, checksum(struct.pack("!BBH", 8, 0, 0) + body)) + body
        self.send(router, IPV4, ipv4(source or self.address, to, ICMP, echo), mac=mac)
        for packet in self.hear(IPV4, 0.7):
            if packet[9] == ICMP and packet[20] == 0 and packet[12:16] == IPv4Address(to).packed:
                return True
        return False

    def dhcp(self, kind: int, options: bytes = b"") -> dict[int, bytes] | None:
        """The answer's options, with the given address under 0; None if nobody answers."""
        message = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0xEC0, 0, 0x8000) + bytes(16)
        message += self.mac.ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63"
        message += bytes([53, 1, kind, 55, 4, 3, 6, 12, 15]) + options + b"\xff"
        self.send(
            BROADCAST,
            IPV4,
            ipv4("0.0.0.0", "255.255.255.255", UDP, udp(68, 67, message)),
        )
        for packet in self.hear(IPV4):
            if packet[9] == UDP and packet[20:24] == struct.pack("!HH", 67, 68):
                return _options(packet[28:])
        return None

    def lease(self) -> dict[int, bytes]:
        """As a client does it: discover, then request. The address is ours from then on."""
        offer = self.dhcp(1) or self.dhcp(1)  # a client asks again, too
        assert offer is not None, "nobody offers an address"
        given = self.dhcp(3, b"\x32\x04" + offer[0] + b"\x36\x04" + offer[54])
        assert given is not None
        assert given[53] == b"\x05", "not acknowledged"
        self.address = str(IPv4Address(given[0]))
        return given


def _options(message: bytes) -> dict[int, bytes]:
    found, at = {0: message[16:20]}, 240
    while message[at] != 255:
        length = message[at + 1]
        found[message[at]] = message[at + 2 : at + 2 + length]
        at += 2 + length
    return found
