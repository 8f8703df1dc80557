"""Files as bodies of requests: what arrives, what is refused, what a refusal costs."""

import os
import socket
import subprocess
import sys
import time

import pytest
from tests.support.cloud_double import ACCESS, SECRET, error, xml

from econe.client.errors import ApiError, BadAnswer, Misconfigured, Unreachable
from econe.client.session import Session
from econe.client.uploads import Source, open_source

KEPT = xml("<RegisterImageResponse><imageId>ami-00000001</imageId></RegisterImageResponse>")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(os.urandom(3_000_001))
    opened = open_source(str(path))
    yield opened
    os.close(opened.descriptor)


def content(source: Source) -> bytes:
    return os.pread(source.descriptor, source.size, 0)


def test_the_body_is_the_file_and_its_hash_is_not_signed(cloud, session, source):
    cloud.answers = [KEPT]
    told = []
    answer = session.upload(source, [("Name", "my & disk")], progress=told.append)
    assert answer == {"imageId": "ami-00000001"}
    (request,) = cloud.received
    assert request.body == content(source)
    assert request.method == "POST"
    assert dict(request.query)["Action"] == "UploadImage"
    assert dict(request.query)["Name"] == "my & disk"
    assert request.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    assert told == sorted(told)
    assert told[-1] == source.size


@pytest.mark.parametrize("multipart", [False, True])
@pytest.mark.parametrize("regions", [xml("<DescribeRegionsResponse/>"), error("Unsupported", "?")])
def test_the_right_one_of_two_secrets_is_found_before_the_file_is_sent(
    cloud, source, multipart, regions
):
    cloud.answers = [regions, regions, KEPT]
    session = Session(cloud.url, ACCESS, "newer", older_secret=SECRET, environ={})
    session.upload(source, multipart=multipart)
    actions = [asked["Action"] for asked in cloud.asked]
    assert actions == ["DescribeRegions", "DescribeRegions", "UploadImage"]
    assert cloud.received[2].file == content(source)


def test_an_upload_that_neither_of_two_secrets_proves_sends_no_file(cloud, source):
    cloud.answers = [KEPT]
    session = Session(cloud.url, ACCESS, "newer", older_secret="older", environ={})
    with pytest.raises(ApiError, match="AuthFailure"):
        session.upload(source)
    assert [asked["Action"] for asked in cloud.asked] == ["DescribeRegions"] * 2


def test_an_empty_file_is_sent_as_it_is(cloud, session, tmp_path):
    (tmp_path / "empty").touch()
    cloud.answers = [error("InvalidParameterValue", "empty")]
    empty = open_source(str(tmp_path / "empty"))
    with pytest.raises(ApiError, match="empty"):
        session.upload(empty)
    os.close(empty.descriptor)


def test_a_form_has_its_fields_first_and_the_file_last(cloud, session, source):
    cloud.answers = [KEPT]
    session.upload(source, [("Name", 'a "b" é')], multipart=True)
    (request,) = cloud.received
    assert request.file == content(source)
    fields = dict(request.form)
    assert fields["Action"] == "UploadImage"
    assert fields["Name"] == 'a "b" é'
    assert fields["SignatureVersion"] == "2"


def test_a_server_that_knows_no_continue_gets_the_file_all_the_same(
    cloud, session, source, monkeypatch
):
    monkeypatch.setattr("econe.client.uploads.CONTINUE_S", 0.05)
    cloud.answers, cloud.continues = [KEPT], False
    session.upload(source)
    assert cloud.received[0].body == content(source)


def test_a_refusal_before_the_first_byte_spares_the_upload(cloud, session, source):
    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(error("AuthFailure", "not you", 401))

    cloud.instead = refuse
    told = []
    with pytest.raises(ApiError, match="not you"):
        session.upload(source, progress=told.append)
    assert told == []


def test_a_refusal_in_the_middle_is_read_and_not_lost_to_a_broken_pipe(cloud, session, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 30)

    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.recv(100_000)
        connection.sendall(error("RequestEntityTooLarge", "too large", 413))

    cloud.instead = refuse
    large = open_source(str(path))
    told = []
    with pytest.raises(ApiError, match="too large"):
        session.upload(large, progress=told.append)
    assert told[-1] < 1 << 30
    os.close(large.descriptor)


def test_a_server_that_goes_away_in_the_middle_is_told(cloud, session, source):
    def vanish(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.recv(1000)

    cloud.instead = vanish
    with pytest.raises((Unreachable, BadAnswer)):
        session.upload(source)


def test_a_server_that_takes_nothing_more_is_given_up(cloud, session, tmp_path, monkeypatch):
    monkeypatch.setattr("econe.client.uploads.SILENCE_S", 0.2)
    monkeypatch.setattr("econe.client.uploads.CONTINUE_S", 0.05)
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    cloud.instead = lambda connection: time.sleep(1)
    large = open_source(str(path))
    with pytest.raises(Unreachable, match="takes no more"):
        session.upload(large)
    os.close(large.descriptor)


def test_a_file_that_shrinks_while_it_is_sent_is_told(cloud, session, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 1000)
    opened = open_source(str(path))
    os.truncate(path, 10)
    cloud.answers = [KEPT]
    with pytest.raises(Misconfigured, match="became shorter"):
        session.upload(opened)
    os.close(opened.descriptor)


@pytest.mark.parametrize("what", ["missing", "directory", "fifo", "below a file", "a\0b"])
def test_what_is_no_file_is_refused_in_the_old_words(tmp_path, what):
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    path = tmp_path / ("file/x" if what == "below a file" else what)
    with pytest.raises(Misconfigured, match="missing IMAGE-PATH parameter or file not found"):
        open_source(str(path))


def test_an_upload_over_tls_arrives(secure, certificate, source):
    secure.answers = [KEPT]
    session = Session(secure.url, ACCESS, SECRET, environ={"AWS_CA_BUNDLE": f"{certificate}.crt"})
    session.upload(source)
    session.upload(source, multipart=True)
    assert secure.received[0].body == content(source)
    assert secure.received[1].file == content(source)


def test_the_memory_of_an_upload_does_not_depend_on_its_size(cloud, tmp_path):
    """In a process of its own: the peak of resident memory counts from its start."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(600 << 20)

    def swallow(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = path.stat().st_size
        while left > 0:
            left -= len(connection.recv(1 << 20))
        connection.sendall(KEPT)

    cloud.instead = swallow
    program = (
        "import re\n"
        "from econe.client.session import Session\n"
        "from econe.client.uploads import open_source\n"
        f"Session({cloud.url!r}, 'a', 'b', environ={{}}).upload(open_source({str(path)!r}))\n"
        "print(re.search('VmHWM:\\s*([0-9]+)', open('/proc/self/status').read())[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.stderr == b""
    assert int(done.stdout) < 40_000
