"""One exchange with a server that is silent, slow, too talkative, or gone."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.engines.opennebula.loopback import Loopback, Peer, until_closed

from econe.engines.opennebula import transport as module
from econe.engines.opennebula.transport import (
    Broken,
    Endpoint,
    NotSent,
    Stale,
    Transport,
    read_endpoint,
)

LIMIT_S = 0.4


def post(server, body=b"ask", *, within_s=5.0, most_bytes=10_000):
    transport = Transport(server.url, most_bytes=most_bytes)
    try:
        return transport.post(body, time.monotonic() + within_s)
    finally:
        transport.close()


def cut_off(server, kind=Broken):
    """Post with a short deadline; it holds."""
    began = time.monotonic()
    with pytest.raises(kind, match="timed out"):
        post(server, within_s=LIMIT_S)
    assert LIMIT_S * 0.9 < time.monotonic() - began < LIMIT_S + 1.0


def test_an_answer_comes_back():
    with Loopback(lambda peer: until_closed(peer, b"<x/>")) as server:
        assert post(server, b"ask") == (200, b"<x/>")
        assert server.requests == [b"ask"]


def test_a_silent_server_is_cut_off():
    def silent(peer: Peer) -> None:
        peer.read_request()
        peer.socket.recv(1)

    with Loopback(silent) as server:
        cut_off(server)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    ],
    ids=["counted", "to its end", "chunked", "continue for ever"],
)
def test_a_server_that_drips_is_cut_off(text):
    def dripping(peer: Peer) -> None:
        peer.read_request()
        peer.drip(text, 0.02)

    with Loopback(dripping) as server:
        cut_off(server)


def test_a_server_that_does_not_read_is_cut_off():
    def deaf(peer: Peer) -> None:
        time.sleep(LIMIT_S * 2)

    with Loopback(deaf) as server:
        began = time.monotonic()
        with pytest.raises(Broken, match="timed out"):
            post(server, b"x" * 50_000_000, within_s=LIMIT_S)
        assert time.monotonic() - began < LIMIT_S + 1.0


def test_a_deadline_in_the_past_sends_nothing():
    with Loopback(lambda peer: until_closed(peer, b"<x/>")) as server:
        with pytest.raises(Broken, match="timed out"):
            post(server, within_s=-1.0)
        assert not server.requests


def test_nobody_there_is_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent, match="refused"):
        Transport(f"http://127.0.0.1:{port}/", most_bytes=1).post(b"", time.monotonic() + 5)


def test_a_listener_that_does_not_accept_is_cut_off():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        full = [socket.socket() for _ in range(3)]
        for plain in full:
            plain.setblocking(False)
            plain.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises((NotSent, Broken), match="timed out"):
            Transport(url, most_bytes=1).post(b"", time.monotonic() + LIMIT_S)
        for plain in full:
            plain.close()


def test_a_slow_name_server_is_cut_off(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(module, "_resolve", lambda endpoint: released.wait(5) and [])
    began = time.monotonic()
    with pytest.raises(NotSent, match="timed out"):
        Transport("http://oned.example/", most_bytes=1).post(b"", time.monotonic() + LIMIT_S)
    released.set()
    assert time.monotonic() - began < LIMIT_S + 1.0


@pytest.mark.parametrize("problem", [socket.gaierror(-2, "Name unknown"), UnicodeError("label")])
def test_a_name_that_there_is_not_is_not_sent(monkeypatch, problem):
    def fail(endpoint):
        raise problem

    monkeypatch.setattr(module, "_resolve", fail)
    with pytest.raises(NotSent, match=r"Name unknown|not valid"):
        Transport("http://oned.example/", most_bytes=1).post(b"", time.monotonic() + 5)


def test_each_address_of_a_name_is_tried(monkeypatch):
    with Loopback(lambda peer: until_closed(peer, b"<x/>")) as server:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            nobody = listener.getsockname()
        addresses = [(socket.AF_INET, nobody), (socket.AF_INET, ("127.0.0.1", server.port))]
        monkeypatch.setattr(module, "_resolve", lambda endpoint: addresses)
        transport = Transport("http://oned.example/", most_bytes=100)
        assert transport.post(b"ask", time.monotonic() + 5) == (200, b"<x/>")
        transport.close()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 xyz OK\r\n\r\n",
    ],
)
def test_half_an_answer_and_rubbish_are_broken(text):
    def rude(peer: Peer) -> None:
        peer.read_request()
        peer.send(text)

    with Loopback(rude) as server, pytest.raises(Broken):
        post(server)


def test_a_reset_is_broken():
    def rude(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    with Loopback(rude) as server, pytest.raises(Broken) as broken:
        post(server)
    assert not isinstance(broken.value, Stale)  # a fresh connection is never stale


@pytest.mark.parametrize(
    "head", ["Content-Length: 999999999", "Transfer-Encoding: chunked", "Connection: close"]
)
def test_an_answer_is_not_read_past_its_limit(head):
    def talkative(peer: Peer) -> None:
        peer.read_request()
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        peer.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        for _ in range(10_000):
            peer.send(piece)

    with Loopback(talkative) as server, pytest.raises(Broken, match="too large"):
        post(server, most_bytes=100_000)


def test_an_answer_of_just_the_limit_is_read():
    with Loopback(lambda peer: until_closed(peer, b"x" * 1000)) as server:
        assert post(server, most_bytes=1000) == (200, b"x" * 1000)


def test_chunked_and_unended_answers_are_read():
    def chunked(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"3\r\n<x>\r\n4\r\n</x>\r\n0\r\n\r\n")

    def unended(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\n<x></x>")

    with Loopback(chunked, unended) as server:
        assert post(server) == (200, b"<x></x>")
        assert post(server) == (200, b"<x></x>")


def test_other_statuses_are_given_as_they_are():
    with Loopback(lambda peer: peer.read_request() and peer.answer(b"no", status="503 Busy")) as s:
        assert post(s) == (503, b"no")


class Kept:
    """A transport that is used again and again."""

    def __init__(self, server: Loopback) -> None:
        self.transport = Transport(server.url, most_bytes=10_000)

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *exc: object) -> None:
        self.transport.close()

    def post(self) -> bytes:
        return self.transport.post(b"ask", time.monotonic() + 5)[1]


def test_a_connection_is_kept_where_the_server_keeps_it():
    with Loopback(lambda peer: until_closed(peer, b"<x/>")) as server, Kept(server) as kept:
        assert [kept.post() for _ in range(20)] == [b"<x/>"] * 20
        assert server.connections == 1


def test_a_connection_that_the_server_closes_is_not_kept():
    """oned closes each."""

    def closing(peer: Peer) -> None:
        until_closed(peer, b"<x/>", "Connection: close")

    with Loopback(closing) as server, Kept(server) as kept:
        assert [kept.post() for _ in range(3)] == [b"<x/>"] * 3
        assert server.connections == 3


def test_a_connection_that_ended_meanwhile_is_not_used():
    closed = threading.Event()

    def once(peer: Peer) -> None:
        peer.read_request()
        peer.answer(b"<x/>")
        peer.socket.shutdown(socket.SHUT_RDWR)
        closed.set()

    with Loopback(once) as server, Kept(server) as kept:
        kept.post()
        assert closed.wait(5)
        time.sleep(0.05)
        assert kept.post() == b"<x/>"
        assert server.connections == 2


def test_a_connection_that_is_too_old_is_not_used(monkeypatch):
    with Loopback(lambda peer: until_closed(peer, b"<x/>")) as server, Kept(server) as kept:
        kept.post()
        monkeypatch.setattr(module, "IDLE_S", 0.0)
        kept.post()
        assert server.connections == 2


def test_a_kept_connection_that_ends_without_a_byte_is_stale():
    def once(peer: Peer) -> None:
        peer.read_request()
        peer.answer(b"<x/>")
        peer.read_request()

    with Loopback(once) as server, Kept(server) as kept:
        kept.post()
        with pytest.raises(Stale):
            kept.post()


def test_a_kept_connection_that_ends_after_a_byte_is_broken():
    def once(peer: Peer) -> None:
        peer.read_request()
        peer.answer(b"<x/>")
        peer.read_request()
        peer.send(b"H")

    with Loopback(once) as server, Kept(server) as kept:
        kept.post()
        with pytest.raises(Broken) as broken:
            kept.post()
        assert not isinstance(broken.value, Stale)


def test_threads_have_connections_of_their_own():
    together = threading.Barrier(4, timeout=5)

    def slow(peer: Peer) -> None:
        peer.read_request()
        together.wait()
        peer.answer(b"<x/>")
        until_closed(peer, b"<x/>")

    with Loopback(slow) as server, Kept(server) as kept, ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: kept.post(), range(4))) == [b"<x/>"] * 4
        assert list(threads.map(lambda _: kept.post(), range(40))) == [b"<x/>"] * 40
        assert server.connections == 4


def test_what_is_under_way_at_the_close_is_not_kept():
    begun, may_go_on = threading.Event(), threading.Event()

    def slow(peer: Peer) -> None:
        peer.read_request()
        begun.set()
        may_go_on.wait(5)
        peer.answer(b"<x/>")
        assert peer.read_request() == b""

    with Loopback(slow) as server, ThreadPoolExecutor(1) as threads:
        transport = Transport(server.url, most_bytes=100)
        asked = threads.submit(transport.post, b"ask", time.monotonic() + 5)
        assert begun.wait(5)
        transport.close()
        may_go_on.set()
        assert asked.result(5) == (200, b"<x/>")
        assert not transport._idle


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://one.example:2633/RPC2", Endpoint("http", "one.example", 2633, "/RPC2")),
        ("https://one.example/RPC2", Endpoint("https", "one.example", 443, "/RPC2")),
        ("http://127.0.0.1:2633", Endpoint("http", "127.0.0.1", 2633, "/RPC2")),
        ("http://[::1]:2633/RPC2", Endpoint("http", "::1", 2633, "/RPC2")),
    ],
)
def test_urls(url, endpoint):
    assert read_endpoint(url) == endpoint
    assert read_endpoint(read_endpoint(url).url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:2633",
        "ftp://x/RPC2",
        "http:///RPC2",
        "http://x:y/RPC2",
        "http://x:99999/RPC2",
        "http://helen:secret@x/RPC2",
        "http://x/RPC2?a=b",
        "http://x/RPC2#a",
        "http://x/ä",
        "http://x/a b",
        "http://x/a\r\nb",
    ],
)
def test_what_is_no_url_of_oned_is_refused(url):
    try:
        endpoint = read_endpoint(url)
    except ValueError as error:
        assert "secret" not in str(error)
    else:  # urlsplit drops line ends itself
        assert endpoint.path == "/ab"


# --- TLS ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed one for 127.0.0.1: the file with both parts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "oned")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def tls_server(certificate, *scripts):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return Loopback(*scripts, wrap=lambda plain: context.wrap_socket(plain, server_side=True))


def test_https_is_spoken_with_a_trusted_server(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls_server(certificate, lambda peer: until_closed(peer, b"<x/>")) as server:
        transport = Transport(f"https://127.0.0.1:{server.port}/RPC2", most_bytes=100)
        for _ in range(3):
            assert transport.post(b"ask", time.monotonic() + 5) == (200, b"<x/>")
        transport.close()
        assert server.requests == [b"ask"] * 3


def test_https_is_not_spoken_with_a_stranger(certificate):
    with tls_server(certificate, lambda peer: until_closed(peer, b"<x/>")) as server:
        transport = Transport(f"https://127.0.0.1:{server.port}/RPC2", most_bytes=100)
        with pytest.raises(NotSent, match="certificate is not trusted"):
            transport.post(b"ask", time.monotonic() + 5)
        assert not server.requests


def test_a_silent_handshake_is_cut_off():
    with Loopback(lambda peer: time.sleep(LIMIT_S * 2)) as server:
        transport = Transport(f"https://127.0.0.1:{server.port}/RPC2", most_bytes=100)
        began = time.monotonic()
        with pytest.raises(NotSent, match="timed out"):
            transport.post(b"ask", time.monotonic() + LIMIT_S)
        assert time.monotonic() - began < LIMIT_S + 1.0


def test_no_proxy_is_asked(monkeypatch):
    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Loopback(lambda peer: until_closed(peer, b"<x/>")) as server:
        assert post(server) == (200, b"<x/>")
