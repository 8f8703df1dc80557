"""The request reader: whatever guests send, it answers with requests or refuses."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from econe.metadata.reader import MOST_BYTES, Reader, Refused

PLAIN = b"GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\nX-A: b\r\n\r\n"


@given(st.lists(st.integers(1, len(PLAIN)), max_size=8))
def test_a_request_is_the_same_however_it_is_cut(cuts):
    reader, found = Reader(), []
    edges = [0, *sorted(cuts), len(PLAIN)]
    for begin, end in itertools.pairwise(edges):
        if begin != end:
            found += reader.feed(PLAIN[begin:end])
    (request,) = found
    assert (request.method, request.path) == ("GET", "/latest/meta-data/")
    assert request.headers == {"host": "169.254.169.254", "x-a": "b"}
    assert request.keep_alive
    assert not reader.is_amid


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_noise_is_refused_or_waited_for_and_nothing_else_happens(chunks):
    reader = Reader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except Refused as why:
        assert why.status in (400, 413)


@given(
    st.sampled_from([b"GET", b"PUT", b"HEAD", b"POST", b"CONNECT", b"get", b""]),
    st.binary(max_size=60),
    st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=5),
)
def test_half_right_requests_are_refused_or_read(method, target, headers):
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    try:
        requests = Reader().feed(method + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n")
    except Refused as why:
        assert why.status in (400, 413)
    else:
        assert all(isinstance(request.path, str) for request in requests)


def test_several_requests_may_come_at_once():
    requests = Reader().feed(PLAIN + PLAIN.replace(b"meta-data", b"user-data"))
    assert [request.path for request in requests] == ["/latest/meta-data/", "/latest/user-data/"]


def test_the_path_of_a_whole_url_is_taken():
    (request,) = Reader().feed(b"GET http://169.254.169.254/latest?x=1 HTTP/1.0\r\n\r\n")
    assert request.path == "/latest"
    assert not request.keep_alive


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * MOST_BYTES,
        PLAIN[:-2] + b"X-Long: " + b"a" * MOST_BYTES,
        b"PUT / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"a" * MOST_BYTES,
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * MOST_BYTES,
    ],
)
def test_too_much_is_refused(endless):
    reader = Reader()
    with pytest.raises(Refused) as why:
        for at in range(0, len(endless), 4096):
            reader.feed(endless[at : at + 4096])
    assert why.value.status == 413


def test_an_upgrade_is_refused():
    with pytest.raises(Refused):
        Reader().feed(b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
