"""Calls over a loopback connection to a double that proves signatures as the server does."""

import socket
import time

import pytest
from tests.support.cloud_double import ACCESS, SECRET, error, xml

from econe.client.errors import ApiError, BadAnswer, Misconfigured, Unreachable
from econe.client.session import API_VERSION, Session

EMPTY = xml("<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>")


def test_a_call_is_signed_and_its_answer_read(cloud, session):
    cloud.answers = [EMPTY]
    params = [("InstanceId.1", "i-1"), ("Name", "é + & = % ~ * \n漢")]
    assert session.call("DescribeInstances", params) == {"reservationSet": []}
    (request,) = cloud.received
    assert request.method == "POST"
    assert request.params == {
        "Action": "DescribeInstances",
        "Version": API_VERSION,
        **dict(params),
    }
    assert request.header("authorization").startswith("AWS4-HMAC-SHA256 ")
    assert request.header("host") == f"localhost:{cloud.port}"


def test_the_path_of_the_url_is_signed_and_sent(cloud):
    cloud.answers = [EMPTY]
    Session(f"{cloud.url}/services/ec2/", ACCESS, SECRET, environ={}).call("DescribeInstances")
    assert cloud.received[0].target == "/services/ec2/"


def test_the_double_refuses_another_secret(cloud):
    cloud.answers = [EMPTY]
    with pytest.raises(ApiError, match="AuthFailure"):
        Session(cloud.url, ACCESS, "another", environ={}).call("DescribeInstances")


def test_what_the_first_secret_does_not_prove_is_sent_once_more_with_the_older_one(cloud):
    cloud.answers = [EMPTY]
    session = Session(cloud.url, ACCESS, "newer", older_secret=SECRET, environ={})
    session.call("DescribeInstances", [("A", "b")])
    session.call("DescribeRegions")
    names = [asked["Action"] for asked in cloud.asked]
    assert names == ["DescribeInstances", "DescribeInstances", "DescribeRegions"]
    assert cloud.asked[0] == cloud.asked[1]


def test_where_the_first_secret_is_right_there_is_no_second_request(cloud):
    cloud.answers = [EMPTY]
    session = Session(cloud.url, ACCESS, SECRET, older_secret="older", environ={})
    session.call("DescribeInstances")
    assert len(cloud.received) == 1


def test_two_wrong_secrets_are_two_requests_and_one_error(cloud):
    cloud.answers = [EMPTY]
    session = Session(cloud.url, ACCESS, "newer", older_secret="older", environ={})
    with pytest.raises(ApiError, match="AuthFailure"):
        session.call("DescribeInstances")
    assert len(cloud.received) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        ("UnauthorizedOperation", 403),
        ("RequestExpired", 400),
        ("AuthFailure", 500),
        ("InternalError", 500),
    ],
    ids=lambda refusal: "-".join(map(str, refusal)),
)
def test_what_was_refused_for_another_reason_is_not_sent_again(cloud, refusal):
    code, status = refusal
    cloud.answers, cloud.prove = [error(code, "no", status)], False
    session = Session(cloud.url, ACCESS, "newer", older_secret=SECRET, environ={})
    with pytest.raises(ApiError, match=code):
        session.call("RunInstances")
    assert len(cloud.received) == 1


@pytest.mark.parametrize("access", ["hélène", "helen of troy", "a,b=c", "a\nb"])
def test_an_access_key_that_no_header_can_hold_is_signed_by_version_2(cloud, access):
    cloud.answers = [EMPTY]
    Session(cloud.url, access, SECRET, environ={}).call("DescribeInstances", [("A", "b c")])
    form = dict(cloud.received[0].form)
    assert form["AWSAccessKeyId"] == access
    assert form["SignatureVersion"] == "2"
    assert form["A"] == "b c"


@pytest.mark.parametrize("status", [400, 403, 200, 500])
def test_an_error_document_is_an_error_whatever_the_status(cloud, session, status):
    cloud.answers = [error("InvalidAMIID.NotFound", "no &lt;such&gt;", status)]
    with pytest.raises(ApiError) as caught:
        session.call("RunInstances")
    assert str(caught.value) == "no <such> (InvalidAMIID.NotFound)"
    assert (caught.value.code, caught.value.status) == ("InvalidAMIID.NotFound", status)
    assert caught.value.request_id == "req-1"


def test_the_error_document_of_sts_is_read_too(cloud, session):
    cloud.answers = [
        xml("<ErrorResponse><Error><Code>X</Code><Message/></Error></ErrorResponse>", 400)
    ]
    with pytest.raises(ApiError, match=r"^X$"):
        session.call("GetCallerIdentity")


def test_of_several_errors_the_first_is_told(cloud, session):
    one = "<Error><Code>A</Code><Message>a</Message></Error>"
    cloud.answers = [xml(f"<Response><Errors>{one}{one.replace('A', 'B')}</Errors></Response>")]
    with pytest.raises(ApiError, match=r"^a \(A\)$"):
        session.call("X")


@pytest.mark.parametrize("status", [302, 404, 502])
def test_a_page_that_is_no_ec2_error_is_told_with_its_status(cloud, session, status):
    cloud.answers = [xml("<html><body>Bad gateway</body></html>", status)]
    with pytest.raises(BadAnswer, match=f"answered {status}"):
        session.call("X")


def test_an_error_without_xml_is_told_with_its_beginning(cloud, session):
    cloud.answers = [b"HTTP/1.1 502 X\r\nContent-Length: 11\r\n\r\nBad gateway"]
    with pytest.raises(BadAnswer, match="502 without an EC2 error: Bad gateway"):
        session.call("X")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ngarbage",
        b"HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n<r>",
        b"\x15\x03\x01\x00\x02\x02\x50",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
    ],
)
def test_garbage_for_an_answer_is_one_clear_error(cloud, session, answer):
    cloud.answers = [answer]
    with pytest.raises(BadAnswer):
        session.call("X")


def test_a_chunked_answer_is_read(cloud, session):
    body = b"<r><a>1</a></r>"
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    cloud.answers = [head + pieces + b"0\r\n\r\n"]
    assert session.call("X") == {"a": "1"}


def test_an_answer_without_end_is_cut_off_at_the_limit(cloud, session):
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"x" * (1 << 20))

    cloud.instead = flood
    with pytest.raises(BadAnswer, match="larger than 64 MiB"):
        session.call("X")


def test_silence_has_an_end(cloud):
    cloud.instead = lambda connection: time.sleep(0.5)
    with pytest.raises(Unreachable, match="does not answer in time"):
        Session(cloud.url, ACCESS, SECRET, environ={}, silence_s=0.1).call("X")


def test_a_drip_of_bytes_has_an_end(cloud):
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            time.sleep(0.02)
            connection.sendall(b"X: y\r\n")

    cloud.instead = drip
    session = Session(cloud.url, ACCESS, SECRET, environ={}, silence_s=5, answer_s=0.2)
    with pytest.raises(Unreachable):
        session.call("X")


def test_a_connection_that_is_reset_is_told(cloud, session):
    cloud.instead = lambda connection: None
    with pytest.raises((Unreachable, BadAnswer)):
        session.call("X")


def test_nothing_listening_is_told_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(Unreachable, match=f"nothing answers at http://127.0.0.1:{port}/"):
        Session(f"http://127.0.0.1:{port}", ACCESS, SECRET).call("X")


def test_a_host_that_does_not_exist_is_told():
    with pytest.raises(Unreachable, match="not known"):
        Session("http://no-such-host.invalid", ACCESS, SECRET).call("X")


def test_what_is_not_utf8_is_refused_before_it_is_sent(session):
    with pytest.raises(Misconfigured, match="UTF-8"):
        session.call("X", [("Name", "\udcff")])


def test_all_pages_are_collected(cloud, session):
    def page(item: str, token: str) -> bytes:
        return xml(f"<r><xSet><item>{item}</item></xSet><nextToken>{token}</nextToken></r>")

    cloud.answers = [page("a", "t1"), page("b", "t2"), page("c", "")]
    assert session.collect("DescribeX", "xSet", [("A", "b")], page_size=10) == ["a", "b", "c"]
    assert [asked.get("NextToken") for asked in cloud.asked] == [None, "t1", "t2"]
    assert all(asked["MaxResults"] == "10" and asked["A"] == "b" for asked in cloud.asked)


def test_a_token_that_repeats_ends_the_collecting(cloud, session):
    cloud.answers = [xml("<r><xSet/><nextToken>same</nextToken></r>")]
    with pytest.raises(BadAnswer, match="no end"):
        session.collect("DescribeX", "xSet")
    assert len(cloud.received) == 2


# --- TLS ---------------------------------------------------------------------------------


def test_a_certificate_of_a_bundle_is_trusted(secure, certificate):
    secure.answers = [EMPTY]
    environ = {"AWS_CA_BUNDLE": f"{certificate}.crt"}
    answer = Session(secure.url, ACCESS, SECRET, environ=environ).call("DescribeInstances")
    assert answer == {"reservationSet": []}


def test_ssl_cert_file_is_honoured(secure, certificate, monkeypatch):
    secure.answers = [EMPTY]
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    Session(secure.url, ACCESS, SECRET).call("DescribeInstances")


def test_a_certificate_that_nobody_vouches_for_is_refused(secure):
    with pytest.raises(Unreachable, match="not trusted"):
        Session(secure.url, ACCESS, SECRET, environ={}).call("DescribeInstances")
    assert secure.received == []


def test_a_certificate_for_another_name_is_refused(secure, certificate):
    url = secure.url.replace("localhost", "127.0.0.1")
    with pytest.raises(Unreachable, match="not trusted"):
        Session(url, ACCESS, SECRET, environ={"AWS_CA_BUNDLE": f"{certificate}.crt"}).call("X")


def test_a_bundle_that_is_missing_is_told(secure):
    with pytest.raises(Misconfigured, match="AWS_CA_BUNDLE"):
        Session(secure.url, ACCESS, SECRET, environ={"AWS_CA_BUNDLE": "/none"}).call("X")


def test_https_to_a_server_that_speaks_http_is_told(cloud):
    cloud.instead = lambda connection: connection.sendall(error("X", "not TLS"))
    with pytest.raises(Unreachable):
        Session(cloud.url.replace("http:", "https:"), ACCESS, SECRET, environ={}).call("X")
