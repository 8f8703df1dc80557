"""The protocol of answers, without a socket."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from econe.client.errors import BadAnswer, Misconfigured
from econe.client.http import MOST_HEAD_BYTES, AnswerReader, read_endpoint, write_head

COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
)


@pytest.mark.parametrize("whole", [COUNTED, CHUNKED])
@given(cuts=st.lists(st.integers(0, 110)))
def test_an_answer_reads_the_same_however_it_is_cut(whole, cuts):
    reader = AnswerReader()
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    for start, end in pairwise(places):
        reader.feed(whole[start:end])
    assert reader.complete
    assert (reader.answer().status, reader.answer().body) == (200, b"hello")


def test_without_a_length_the_body_ends_with_the_connection():
    reader = AnswerReader()
    reader.feed(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhel")
    reader.feed(b"lo")
    assert not reader.complete
    reader.end()
    assert reader.answer().body == b"hello"
    assert reader.answer().headers == {"x": "y"}


def test_interim_answers_are_passed_over_and_continue_is_noted():
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    assert not reader.may_continue
    reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED)
    assert reader.may_continue
    assert reader.answer().body == b"hello"


def test_an_answer_without_body_is_complete_with_its_head():
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert reader.complete


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\n", COUNTED[:-1], CHUNKED[:-1], CHUNKED[:60]]
)
def test_a_connection_that_ends_too_early_is_told(start):
    reader = AnswerReader()
    reader.feed(start)
    with pytest.raises(BadAnswer, match="closed the connection"):
        reader.end()


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "hostile",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 5 5\r\n\r\n",
        HEAD + "Content-Length: \u00b2\r\n\r\n".encode("latin-1"),
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nab",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"x" * (MOST_HEAD_BYTES + 1),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * (MOST_HEAD_BYTES + 1),
    ],
)
def test_what_is_not_http_is_refused(hostile):
    with pytest.raises(BadAnswer):
        AnswerReader().feed(hostile)


@pytest.mark.parametrize(
    "large",
    [
        HEAD + b"Content-Length: 101\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\n1\r\n",
        HEAD + b"\r\n" + b"x" * 101,
    ],
)
def test_a_body_beyond_the_limit_is_refused_before_it_is_kept(large):
    with pytest.raises(BadAnswer, match="larger than"):
        AnswerReader(most_body_bytes=100).feed(large)


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waited_for_and_nothing_else(data):
    reader = AnswerReader()
    try:
        reader.feed(data)
        reader.end()
    except BadAnswer:
        pass


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://localhost:4567", "localhost:4567", "/"),
        ("http://cloud.example.com/", "cloud.example.com", "/"),
        ("https://Cloud.example.com:443/ec2/", "cloud.example.com", "/ec2/"),
        ("http://[::1]:4567", "[::1]:4567", "/"),
        ("http://bücher.example:80/a%20b", "xn--bcher-kva.example", "/a%20b"),
    ],
)
def test_urls_are_read(url, authority, path):
    endpoint = read_endpoint(url)
    assert (endpoint.authority, endpoint.path) == (authority, path)
    assert read_endpoint(endpoint.url).url == endpoint.url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:4567",
        "ftp://localhost/",
        "http://",
        "http://localhost:port/",
        "http://localhost:99999/",
        "http://[::1/",
        "http://user:secret@localhost/",
        "http://localhost/?x=y",
        "http://localhost/#x",
        "http://localhost/a b",
        "http://localhost/é",
        "http://.ü./",
    ],
)
def test_urls_that_cannot_be_meant_are_refused(url):
    with pytest.raises(Misconfigured):
        read_endpoint(url)


def test_a_header_that_would_begin_another_is_refused():
    with pytest.raises(Misconfigured):
        write_head("POST", "/", {"Authorization": "helen\r\nX-Evil: 1"})
