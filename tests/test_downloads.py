"""Downloads, from servers of every kind."""

import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.shelf import Shelf, leads_to, shelved

from econe import downloads
from econe.downloads import CannotDownload, bare, fetch, fetch_text

MIB = 1 << 20


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with shelved() as made:
        yield made


def get(url: str, most_bytes: int = MIB) -> bytes:
    pieces: list[bytes] = []
    fetch(url, pieces.append, most_bytes=most_bytes)
    return b"".join(pieces)


def test_a_file_comes_as_it_is(shelf):
    shelf.files["/d"] = bytes(range(256)) * 2000
    told = []
    pieces = []
    url = f"{shelf.url}/d"
    fetch(url, pieces.append, most_bytes=MIB, progress=lambda *seen: told.append(seen))
    assert b"".join(pieces) == shelf.files["/d"]
    assert told[-1] == (512000, 512000)
    assert shelf.heads[0]["user-agent"].startswith("econe-admin/")
    assert shelf.heads[0]["accept-encoding"] == "identity"


def test_a_body_of_unknown_length(shelf):
    def chunked(request):
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    shelf.files["/d"] = chunked
    assert get(f"{shelf.url}/d") == b"abcde"


def test_more_than_may_be_is_refused_before_or_while_it_comes(shelf):
    def boundless(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"x" * 5000)

    shelf.files |= {"/d": b"x" * 5000, "/e": boundless}
    for path in "de":
        with pytest.raises(CannotDownload, match="larger than 4999 bytes"):
            get(f"{shelf.url}/{path}", 4999)
        assert len(get(f"{shelf.url}/{path}", 5000)) == 5000


def test_what_is_cut_off_is_nothing(shelf):
    def short(request):
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"x" * 9)

    shelf.files["/d"] = short
    with pytest.raises(CannotDownload, match=r"cut off after 9 of 10 bytes|IncompleteRead"):
        get(f"{shelf.url}/d")


def test_redirects_are_followed_and_bounded(shelf):
    shelf.files |= {"/a": leads_to("/b"), "/b": leads_to(f"{shelf.url}/d"), "/d": b"here"}
    assert get(f"{shelf.url}/a") == b"here"
    shelf.asked.clear()
    for number in range(50):
        shelf.files[f"/{number}"] = leads_to(f"/{number + 1}")
    with pytest.raises(CannotDownload, match="302"):
        get(f"{shelf.url}/0")
    assert len(shelf.asked) <= downloads.MOST_REDIRECTS + 1


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_leads_to_the_web_alone(shelf, to):
    shelf.files["/a"] = leads_to(to)
    with pytest.raises(CannotDownload):
        get(f"{shelf.url}/a")


@pytest.mark.parametrize(
    ("status", "absent"), [(404, True), (410, True), (403, True), (500, False), (401, False)]
)
def test_what_the_server_refuses_is_told(shelf, status, absent):
    shelf.files["/a"] = lambda request: request.send_error(status, "So it is")
    with pytest.raises(CannotDownload, match=f"/a: {status} So it is") as caught:
        get(f"{shelf.url}/a?signature=secret")
    assert caught.value.absent is absent
    assert "secret" not in str(caught.value)


def test_a_server_that_is_silent_is_given_up(shelf, monkeypatch):
    monkeypatch.setattr(downloads, "SILENCE_S", 0.3)

    def silent(request):
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"x")
        time.sleep(2)

    shelf.files["/d"] = silent
    began = time.monotonic()
    with pytest.raises(CannotDownload, match=r"nothing came for 0.3 seconds"):
        get(f"{shelf.url}/d")
    assert time.monotonic() - began < 1.5


def test_a_server_that_drips_is_given_up(shelf, monkeypatch):
    monkeypatch.setattr(downloads, "WINDOW_S", 0.2)

    def drip(request):
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b"x")
            time.sleep(0.02)

    shelf.files["/d"] = drip
    with pytest.raises(CannotDownload, match="too slow"):
        get(f"{shelf.url}/d")


def test_nobody_there(shelf):
    with pytest.raises(CannotDownload, match="refused"):
        get("http://127.0.0.1:1/d")
    for url in ("http://", "http://:x/", "http://127.0.0.1:99999999/", "http://a b/"):
        with pytest.raises(CannotDownload):
            get(url)


def test_no_secret_goes_along_or_is_shown(shelf):
    with pytest.raises(CannotDownload, match="user name") as caught:
        get("http://me:secret@127.0.0.1/d")
    assert "secret" not in str(caught.value)
    assert bare("https://u:p@h:1/a/b?token=t#f") == "https://h:1/a/b"


def test_the_proxy_of_the_environment_is_used(shelf, monkeypatch):
    monkeypatch.setenv("http_proxy", shelf.url)
    shelf.files["http://images.example/d"] = b"by proxy"
    assert get("http://images.example/d") == b"by proxy"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    shelf.files["/d"] = b"direct"
    assert get(f"{shelf.url}/d") == b"direct"


def test_a_text_is_short_and_a_text(shelf):
    shelf.files |= {"/a": "größe".encode(), "/b": b"\xff\xfe"}
    assert fetch_text(f"{shelf.url}/a", most_bytes=10) == "größe"
    with pytest.raises(CannotDownload, match="not a text"):
        fetch_text(f"{shelf.url}/b", most_bytes=10)
    with pytest.raises(CannotDownload, match="larger"):
        fetch_text(f"{shelf.url}/a", most_bytes=3)


# --- https ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its key, for 127.0.0.1."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", path, "-out", f"{path}.cert", "-days", "1",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + Path(f"{path}.cert").read_bytes())
    return path


@pytest.fixture
def safe(certificate: Path) -> Iterator[Shelf]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with shelved(tls) as made:
        yield made


def test_https_is_what_the_system_trusts(safe, certificate, monkeypatch):
    safe.files["/d"] = b"safe"
    with pytest.raises(CannotDownload, match="certificate verify failed"):
        get(f"{safe.url}/d")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get(f"{safe.url}/d") == b"safe"


def test_https_never_leads_to_http(safe, shelf, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    shelf.files["/d"] = b"anybody's"
    safe.files["/a"] = leads_to(f"{shelf.url}/d")
    with pytest.raises(CannotDownload, match="leads from https to http://"):
        get(f"{safe.url}/a")
    assert shelf.asked == []
    safe.files |= {"/b": leads_to("/c"), "/c": b"safe"}
    assert get(f"{safe.url}/b") == b"safe"
    shelf.files["/e"] = leads_to(f"{safe.url}/c")
    assert get(f"{shelf.url}/e") == b"safe"
