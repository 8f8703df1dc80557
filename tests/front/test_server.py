"""The HTTP server over real sockets: slow, endless, broken and impatient callers."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from econe.app import utc_now
from econe.front import server as door
from econe.front.server import CannotListen, bind, make_server, url_of
from econe.settings import Server

BIG = 256 * 1024


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers the body's length, for `/heads` how many headers there are when the body has come;
    refuses at once what asks for `/no`."""
    size, more = 0, scope["path"] != "/no"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    counted = len(scope["headers"]) if scope["path"] == "/heads" else size
    body = b"no" if scope["path"] == "/no" else b"%d" % counted
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def running(**settings: Any) -> Iterator[str]:
    """The URL of a server with these settings."""
    said = Server(**settings)
    ready = threading.Event()
    with bind("127.0.0.1", 0) as listening:
        server = make_server(app, said, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(10)
            yield url_of(listening, said)
        finally:
            server.stop()
            thread.join(20)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(header_timeout_s=0.3, max_header_kib=8) as url:
        yield url


def connected(url: str) -> socket.socket:
    host, port = url.split("//")[1].split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    said = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return said
        if not part:
            return said
        said += part


def ask(url: str, sent: bytes) -> bytes:
    with connected(url) as connection:
        connection.sendall(sent)
        return rest(connection)


def test_an_answer_says_the_time_and_not_what_server_it_is(url: str) -> None:
    said = ask(url, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()
    head = dict(line.split(": ", 1) for line in said.split("\r\n\r\n")[0].split("\r\n")[1:])
    assert abs((parsedate_to_datetime(head["date"]) - utc_now()).total_seconds()) < 5
    assert "server" not in head


def test_a_connection_is_kept_for_the_next_request(url: str) -> None:
    with connected(url) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1000).endswith(b"\r\n\r\n0")


def test_requests_that_come_at_once_are_answered_in_order(url: str) -> None:
    two = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nA" + (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nBC"
    )
    said = ask(url, two)
    assert said.index(b"\r\n\r\n1") < said.index(b"\r\n\r\n2")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_is_not_complete_in_time_ends_the_connection(url: str, sent: bytes) -> None:
    begun = time.monotonic()
    said = ask(url, sent)
    assert 0.2 < time.monotonic() - begun < 3
    assert said == b"" if not sent else said.startswith(b"HTTP/1.1 408")


def test_a_head_that_drips_is_not_waited_for_any_longer(url: str) -> None:
    begun = time.monotonic()
    with connected(url) as connection, pytest.raises(OSError):
        for _ in range(100):
            connection.sendall(b"GET / HTTP/1.1\r\n"[:1])
            time.sleep(0.05)
    assert time.monotonic() - begun < 3


def test_the_second_head_of_a_connection_has_its_limit_too(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000).endswith(b"0")
        connection.sendall(b"GET / HT")
        assert rest(connection).startswith(b"HTTP/1.1 408")


def test_a_slow_answer_or_body_is_not_a_slow_head(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nA")
        time.sleep(0.6)
        connection.sendall(b"B")
        assert connection.recv(1000).endswith(b"\r\n\r\n2")


def test_an_endless_head_ends_the_connection() -> None:
    """Long before its time is up: by its size."""
    with (
        running(header_timeout_s=60, max_header_kib=8) as patient,
        connected(patient) as connection,
    ):
        with suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\n")
            for _ in range(64):
                connection.sendall(b"X: " + b"y" * 1000 + b"\r\n")
        said = rest(connection)
    assert said == b"" or said.startswith(b"HTTP/1.1 431")


def chunked(trailers: bytes) -> bytes:
    """A request with three headers."""
    return (
        b"POST /heads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n1\r\na\r\n0\r\n" + trailers
    )


def test_trailers_are_no_headers(url: str) -> None:
    assert ask(url, chunked(b"Authorization: me\r\n\r\n")).endswith(b"\r\n\r\n3")


def test_endless_trailers_end_the_connection(url: str) -> None:
    said = ask(url, chunked(b"a: bbbbbbbb\r\n" * 2000))
    assert said.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",  # TLS spoken to a plain port
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_as_an_error_document(url: str, sent: bytes) -> None:
    said = ask(url, sent)
    assert said.startswith(b"HTTP/1.1 400")
    assert b"<Response><Errors><Error><Code>MalformedRequest</Code>" in said


def test_the_server_goes_on_after_all_that(url: str) -> None:
    assert ask(url, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").endswith(b"\r\n\r\n0")


def test_a_refusal_can_be_read_although_the_body_is_still_coming(url: str) -> None:
    head = b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (16 * BIG)
    with connected(url) as connection:
        connection.sendall(head)
        for _ in range(16):
            connection.sendall(b"x" * BIG)
        assert connection.recv(1000).endswith(b"no")
        connection.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert rest(connection).endswith(b"\r\n\r\n0")


@pytest.mark.parametrize(("limit", "value"), [("WASTE_LIMIT", BIG), ("WASTE_TIME_S", 0.2)])
def test_what_comes_after_a_refusal_is_not_thrown_away_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(door, limit, value)
    with connected(url) as connection:
        connection.sendall(b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(100):
                connection.sendall(b"x" * (BIG if limit == "WASTE_LIMIT" else 1))
                time.sleep(0.05)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_caller_that_waits_for_100_continue_gets_it_or_the_refusal(
    url: str, tmp_path: Path
) -> None:
    file = tmp_path / "big"
    file.write_bytes(b"x" * (2 << 20))
    command = ["curl", "-sS", "-v", "-H", "Expect: 100-continue", "--data-binary", f"@{file}"]

    def run(where: str) -> Any:
        return subprocess.run(
            [*command, where], capture_output=True, text=True, timeout=20, check=True
        )

    taken = run(url)
    assert taken.stdout == str(2 << 20)
    assert "100 Continue" in taken.stderr
    refused = run(f"{url}/no")
    assert refused.stdout == "no"
    assert "100 Continue" not in refused.stderr


def test_https_by_certificate_files(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    with running(tls_certificate=str(certificate), tls_key=str(key)) as url:
        assert url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(certificate))
        with (
            connected(url) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_certificate_files_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    wrong = tmp_path / "cert.pem"
    wrong.write_text("nonsense")
    for file in (wrong, tmp_path / "nowhere"):
        with pytest.raises(CannotListen, match=str(file)):
            make_server(app, Server(tls_certificate=str(file), tls_key=str(file)), lambda: None)


def test_a_key_without_a_certificate_is_not_served_in_the_clear() -> None:
    with pytest.raises(CannotListen, match="tls_certificate is not"):
        make_server(app, Server(tls_key="/etc/econe/key.pem"), lambda: None)


def test_a_busy_port_is_said() -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: Address already in use"):
            bind("127.0.0.1", port)


def test_a_name_that_is_none_is_said() -> None:
    with pytest.raises(CannotListen, match="cannot listen on no such host"):
        bind("no such host", 0)


def test_the_url_is_one_that_this_machine_reaches() -> None:
    with bind("0.0.0.0", 0) as listening:
        assert url_of(listening, Server()).startswith("http://127.0.0.1:")
