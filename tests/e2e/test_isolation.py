"""Guests of two accounts on one host: none sees, reaches or speaks for another."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.guest import Guest
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

NETWORKS = 2
SECRET = "the secret of "

# Runs in a guest that knows its neighbour's address and MAC, and tells on its console what came of
# each lie. $1 is what it lies about; the first answer of each is without a lie.
LIAR = b"""#!/bin/sh
say() { echo "lie: $*" >/dev/ttyS0; }
ask() { # the answer to a fresh question, or nothing
    printf 'GET /latest/meta-data/local-ipv4 HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' |
        nc -w 2 169.254.169.254 80 2>/dev/null | tail -n 1
}
reach() { ping -c 1 -W 2 ROUTER >/dev/null 2>&1 && echo reached; }
mine=$(ip -4 -o address show eth0 | sed 's/.* inet \\([0-9.]*\\)\\/.*/\\1/')
mac=$(cat /sys/class/net/eth0/address)
be() { # be ADDRESS
    ip address flush dev eth0
    ip address add $1/20 dev eth0
    ip route add default via ROUTER
}
say honest "[$(ask)]" "[$(reach)]"
be THEIRS
say neighbour "[$(ask)]" "[$(reach)]"
be ROUTER
say router "[$(ask)]"
be STRANGER
say stranger "[$(ask)]"
be $mine
say again "[$(ask)]" "[$(reach)]"
ip link set eth0 down; ip link set eth0 address THEIR_MAC; ip link set eth0 up
be $mine
say mac "[$(ask)]" "[$(reach)]"
ip link set eth0 down; ip link set eth0 address $mac; ip link set eth0 up
be $mine
say last "[$(ask)]" "[$(reach)]"
"""


@pytest.fixture(scope="module")
def other(server: Server) -> Account:
    return server.account("other")


@pytest.fixture(scope="module")
def guests(
    helen: Account, tiny: str, key: Path, other: Account, tiny_image: Path
) -> tuple[Guest, Guest, Guest]:
    """Two of helen's and one of the other's."""
    theirs, their_key = other.image(tiny_image), other.key_pair()
    asked = [(helen, tiny, key), (helen, tiny, key), (other, theirs, their_key)]
    ids = [
        account.launch(
            image, KeyName="mykey", UserData=(SECRET + account.name).encode(), ClientToken=str(n)
        )
        for n, (account, image, _) in enumerate(asked)
    ]
    found = []
    for id_, (account, _, private) in zip(ids, asked, strict=True):
        account.until(id_, "running")
        found.append(account.guest(id_, private).until_there())
    return found[0], found[1], found[2]


def reaches(guest: Guest, host: str, port: int = 22) -> bool:
    """Whether a service there greets the guest."""
    asking = f"nc -w 2 {host} {port} </dev/null 2>/dev/null | head -c 1 | grep -q ."
    return guest.try_run(asking).returncode == 0


def test_each_guest_has_the_metadata_of_itself_alone(
    helen: Account, other: Account, guests: tuple[Guest, Guest, Guest]
):
    for guest, account in zip(guests, (helen, helen, other), strict=True):
        assert guest.metadata("latest/meta-data/instance-id") == (200, guest.id.encode())
        assert guest.metadata("latest/user-data") == (200, f"{SECRET}{account.name}".encode())


def test_guests_reach_those_of_their_network_and_no_others(guests: tuple[Guest, Guest, Guest]):
    mine, neighbour, stranger = guests
    assert reaches(mine, neighbour.host)
    assert reaches(neighbour, mine.host)
    for near in (mine, neighbour):
        assert not reaches(near, stranger.host)
        assert not reaches(stranger, near.host)
    assert mine.try_run(f"ping -c 2 -W 2 {stranger.host}").returncode != 0
    assert mine.try_run(f"ping -c 2 -W 2 {neighbour.host}").returncode == 0


def test_guests_reach_no_service_of_the_host(guests: tuple[Guest, Guest, Guest]):
    mine = guests[0]
    router = mine.run("ip route show default").split()[2]
    with greeting() as port:
        own = own_address()
        with socket.create_connection((own, port), 3) as near:
            assert near.recv(5) == b"hello"
        assert not reaches(mine, own, port)
        assert not reaches(mine, router, port)


@contextmanager
def greeting() -> Iterator[int]:
    """A service on all addresses of this host; its port."""

    class Hello(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"hello")

    with socketserver.ThreadingTCPServer(("0.0.0.0", 0), Hello) as service:
        threading.Thread(target=service.serve_forever, args=(0.05,)).start()
        yield service.server_address[1]
        service.shutdown()


def own_address() -> str:
    """The one of this host that others would use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("198.51.100.1", 9))  # sends nothing
        return str(asking.getsockname()[0])


def test_accounts_see_nothing_of_each_other(
    helen: Account, other: Account, guests: tuple[Guest, Guest, Guest]
):
    mine, _, stranger = guests
    for account, foreign in ((helen, stranger), (other, mine)):
        for action in ("describe_instances", "terminate_instances", "stop_instances"):
            with pytest.raises(account.ec2.exceptions.ClientError, match="NotFound"):
                getattr(account.ec2, action)(InstanceIds=[foreign.id])
        with pytest.raises(account.ec2.exceptions.ClientError, match="NotFound"):
            account.ec2.get_console_output(InstanceId=foreign.id)
        shown = account.ec2.describe_instances()["Reservations"]
        assert foreign.id not in str(shown)
    assert {helen.state(mine.id), other.state(stranger.id)} == {"running"}


def test_a_guest_that_lies_about_its_address_is_heard_by_nobody(
    server: Server, helen: Account, tiny: str, guests: tuple[Guest, Guest, Guest]
):
    neighbour, stranger = guests[1], guests[2]
    told = helen.describe(neighbour.id)
    router = neighbour.run("ip route show default").split()[2]
    script = LIAR.decode()
    for name, value in {
        "THEIRS": neighbour.host,
        "THEIR_MAC": told["NetworkInterfaces"][0]["MacAddress"],
        "ROUTER": router,
        "STRANGER": stranger.host,
    }.items():
        script = script.replace(f" {name}", f" {value}")
    id_ = helen.launch(tiny, UserData=script.encode())
    eventually(lambda: "tiny: ready" in server.console(id_), within_s=120)
    own = helen.describe(id_)["PrivateIpAddress"]
    lines = server.console(id_).replace("\r", "").split("\n")
    assert [line.removeprefix("lie: ") for line in lines if line.startswith("lie: ")] == [
        f"honest [{own}] [reached]",
        "neighbour [] []",
        "router []",
        "stranger []",
        f"again [{own}] [reached]",
        "mac [] []",
        f"last [{own}] [reached]",
    ]
    # And who was lied about notices nothing.
    assert neighbour.run("imds meta-data/local-ipv4") == neighbour.host
