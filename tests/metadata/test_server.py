"""The server over real sockets of this machine: loopback and unix."""

import http.client
import socket
import threading
import time

import pytest

from econe.domain.instances import MetadataOptions
from econe.metadata.guests import CONNECTIONS
from econe.metadata.server import MetadataServer

ID = "/latest/meta-data/instance-id"


@pytest.fixture
def server(service):
    server = MetadataServer(service, request_limit_s=0.5, idle_limit_s=0.5)
    server.start()
    yield server
    server.close()


@pytest.fixture
def port(server):
    listening = socket.create_server(("127.0.0.1", 0))
    server.serve("vpc-00000001", listening)
    return listening.getsockname()[1]


@pytest.fixture
def known(held, instance):
    """All loopback addresses are an instance's."""
    one = instance(1)
    held.at = lambda vpc_id, address: (
        held.instances.get(one.id) if address.startswith("127.") else None
    )
    held.put(one)
    return one


def ask(port, path=ID, method="GET", headers=None, source="127.0.0.1"):
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=20, source_address=(source, 0)
    )
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def test_a_guest_is_answered(port, known):
    assert ask(port)[:2] == (200, b"i-00000001")
    assert ask(port, "/latest/user-data")[1] == known.user_data.reveal()
    assert ask(port, "/nothing")[0] == 404


def test_head_has_the_length_and_no_body(port, known):
    status, body, headers = ask(port, method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "10")


def test_a_token_is_given_and_taken(port, known, held, instance):
    held.put(instance(1, metadata_options=MetadataOptions(http_tokens="required")))
    assert ask(port)[0] == 401
    status, token, _ = ask(
        port, "/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    assert status == 200
    assert ask(port, headers={"X-aws-ec2-metadata-token": token.decode()})[0] == 200


def time_to_live(packets, answered_from):
    """Of the packet that carries a status line from that port."""
    while True:
        packet = packets.recv(65535)
        head = (packet[0] & 15) * 4
        tcp = packet[head:]
        payload = tcp[(tcp[12] >> 4) * 4 :]
        if int.from_bytes(tcp[:2], "big") == answered_from and payload.startswith(b"HTTP/1.1"):
            return packet[8]


@pytest.mark.root
def test_the_hop_limit_is_the_time_to_live_of_the_packet(port, known, held, instance):
    held.put(instance(1, metadata_options=MetadataOptions(hop_limit=3)))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as packets:
        source = "127.9.8.7"  # nothing else of this machine speaks to it
        packets.bind((source, 0))
        packets.settimeout(20)
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        ask(port, "/latest/api/token", "PUT", headers, source)
        assert time_to_live(packets, port) == 3
        ask(port, source=source)
        assert time_to_live(packets, port) == 64


def test_a_connection_serves_many_requests_also_sent_at_once(port, known):
    with socket.create_connection(("127.0.0.1", port), 5) as guest:
        guest.sendall(f"GET {ID} HTTP/1.1\r\n\r\n".encode() * 3 + b"GET / HTTP/1.0\r\n\r\n")
        said = b"".join(iter(lambda: guest.recv(65536), b""))
    assert said.count(b"HTTP/1.1 200 OK") == 4
    assert said.count(b"i-00000001") == 3


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", b"413"),
    ],
)
def test_nonsense_is_refused_and_the_connection_closed(port, known, sent, status):
    with socket.create_connection(("127.0.0.1", port), 5) as guest:
        guest.sendall(sent)
        assert guest.recv(65536).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("slowly", [b"", b"GET /latest"])
def test_a_slow_guest_is_cut_off(port, slowly):
    with socket.create_connection(("127.0.0.1", port), 5) as guest:
        guest.sendall(slowly)
        begun = time.monotonic()
        assert guest.recv(1) == b""
        assert time.monotonic() - begun < 3


def test_a_guest_that_trickles_is_cut_off(port):
    with socket.create_connection(("127.0.0.1", port), 5) as guest, pytest.raises(OSError):
        for byte in b"GET /latest/meta-data/ HTTP/1.1\r\n" * 3:
            guest.sendall(bytes([byte]))
            time.sleep(0.05)


def test_many_connections_of_one_guest_do_not_pile_up(server, port, known):
    guests = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(CONNECTIONS + 5)]
    try:
        assert ask(port)[0] == 200
        assert len(server.guests.of("vpc-00000001")) <= CONNECTIONS
    finally:
        for guest in guests:
            guest.close()


def test_an_instance_may_have_a_socket_of_its_own(server, known, tmp_path):
    path = tmp_path / "metadata.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    server.serve("i-00000001", listening)
    with socket.socket(socket.AF_UNIX) as guest:
        guest.settimeout(5)
        guest.connect(str(path))
        guest.sendall(f"GET {ID} HTTP/1.0\r\n\r\n".encode())
        assert b"".join(iter(lambda: guest.recv(65536), b"")).endswith(b"\r\n\r\ni-00000001")


def test_a_dropped_owner_is_served_no_more_and_may_come_again(server, port, known):
    server.drop("vpc-00000001")
    server.drop("vpc-00000001")
    with pytest.raises(ConnectionRefusedError):
        ask(port)
    server.serve("vpc-00000001", socket.create_server(("127.0.0.1", port)))
    assert ask(port)[0] == 200


def test_guests_are_answered_side_by_side(port, known):
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(ask(port)[0])) for _ in range(12)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert answers == [200] * 12
