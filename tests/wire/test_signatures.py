"""Signatures, with botocore's own signers as oracles."""

import hashlib
import sys
import time
from datetime import UTC, datetime, timedelta
from subprocess import run
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import SigV2Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from econe.wire import query
from econe.wire.refusal import Refusal
from econe.wire.signatures import (
    EMPTY_SHA256,
    UNSIGNED,
    Request,
    presign_v4,
    read_claim,
    sign_v2,
    sign_v4,
    unproven,
)

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
URL = "http://127.0.0.1:4567/"
NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded; charset=utf-8"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
parameters = st.dictionaries(
    texts.filter(lambda name: name and not query.is_authentication(name)), texts, max_size=6
)


def credentials():
    return Credentials(KEY, SECRET)


def arrived(aws: AWSRequest) -> Request:
    """What the server sees of a request that botocore has prepared."""
    sent = aws.prepare()
    url = urlsplit(sent.url)
    body = sent.body or b""
    body = body.encode() if isinstance(body, str) else body
    headers = [(name, str(value)) for name, value in sent.headers.items()]
    return Request(
        sent.method,
        url.path,
        query.read_pairs(url.query.encode()),
        [("host", url.netloc), *headers],
        query.read_pairs(body) if sent.method == "POST" else (),
        hashlib.sha256(body).hexdigest(),
    )


def proven(request: Request, secret: str = SECRET) -> bool:
    return read_claim(request).is_proven_by(secret)


def refusal(request: Request) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_claim(request)
    return caught.value


# --- version 4 in the header ---------------------------------------------------------------


@given(parameters)
def test_what_boto3_signs_is_proven(asked):
    aws = AWSRequest("POST", URL, {"Content-Type": FORM, "User-Agent": "x"}, urlencode(asked))
    SigV4Auth(credentials(), "ec2", "eu-west-1").add_auth(aws)
    claim = read_claim(arrived(aws))
    assert (claim.access_key, claim.scheme, claim.body_is_signed) == (KEY, "v4", True)
    assert claim.is_proven_by(SECRET)
    assert not claim.is_proven_by(SECRET + "x")


@given(parameters)
def test_what_boto3_signs_with_get_is_proven(asked):
    aws = AWSRequest("GET", f"{URL}?{urlencode(asked, quote_via=quote)}")
    SigV4Auth(credentials(), "ec2", "eu-west-1").add_auth(aws)
    assert proven(arrived(aws))


@pytest.mark.parametrize("path", ["/", "", "/services/Cloud", "/a//b/../c/./d/", "/a%20b/ü~"])
def test_paths_are_signed_as_botocore_signs_them(path):
    aws = AWSRequest("POST", f"http://cloud.example{path}", data="Action=X")
    SigV4Auth(credentials(), "ec2", "us-east-1").add_auth(aws)
    assert proven(arrived(aws))


def test_a_date_header_serves_instead_of_x_amz_date():
    aws = AWSRequest("POST", URL, {"Date": "to be replaced"}, "Action=X")
    SigV4Auth(credentials(), "ec2", "us-east-1").add_auth(aws)
    assert "X-Amz-Date" not in aws.headers
    request = arrived(aws)
    claim = read_claim(request)
    assert claim.is_proven_by(SECRET)
    claim.check_time(datetime.now(UTC), 900)


def test_inner_white_space_of_headers_is_one_blank():
    aws = AWSRequest("POST", URL, {"X-Amz-Meta": "  a   b\tc  "}, "Action=X")
    SigV4Auth(credentials(), "ec2", "us-east-1").add_auth(aws)
    assert proven(arrived(aws))


def test_repeated_query_keys_are_signed_in_order_of_their_values():
    url = f"{URL}?InstanceId=b&InstanceId=a&InstanceId=a%20c"
    aws = AWSRequest("GET", url)
    SigV4Auth(credentials(), "ec2", "us-east-1").add_auth(aws)
    assert proven(arrived(aws))


def signed(body: bytes = b"Action=X", **changes) -> Request:
    """A request signed by ourselves, with parts of it changed on the way."""
    digest = hashlib.sha256(body).hexdigest()
    headers = sign_v4(
        method="POST",
        url=URL,
        headers={"Content-Type": FORM},
        body_sha256=changes.pop("body_sha256", digest),
        access_key=changes.pop("access_key", KEY),
        secret=SECRET,
        now=changes.pop("now", NOW),
        service=changes.pop("service", "ec2"),
    )
    headers |= {"Content-Type": FORM, "Host": "127.0.0.1:4567"}
    headers |= changes.pop("headers", {})
    made = {
        "method": "POST",
        "path": "/",
        "query": [],
        "headers": [(name, value) for name, value in headers.items() if value is not None],
        "form": query.read_pairs(body),
        "body_sha256": digest,
    }
    return Request(**(made | changes))


def authorization(**changes) -> str:
    return signed(**changes).headers["authorization"]


def test_our_own_signatures_are_proven_and_those_of_others_are_not():
    assert proven(signed())
    assert not proven(signed(), "another")
    assert not proven(signed(), "")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"path": "/other"},
        {"query": [("Action", "TerminateInstances")]},
        {"headers": {"Host": "evil.example"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"X-Amz-Content-SHA256": UNSIGNED}},
        {"headers": {"X-Amz-Date": "20261123T160001Z"}},
        {"headers": {"X-Amz-Content-SHA256": None}, "body_sha256": "0" * 64},
    ],
)
def test_a_request_changed_on_the_way_is_not_proven(change):
    body_sha256 = change.pop("body_sha256", None) if "headers" in change else None
    request = signed(**change)
    if body_sha256:
        request.body_sha256 = body_sha256
    assert not proven(request)


def test_another_body_than_the_one_that_was_hashed_is_refused():
    request = signed()
    request.body_sha256 = hashlib.sha256(b"Action=Y").hexdigest()
    found = refusal(request)
    assert (found.code, found.status) == ("SignatureDoesNotMatch", 403)


def test_an_unread_body_is_promised_by_its_hash_or_not_signed_at_all():
    request = signed()
    request.body_sha256 = None
    claim = read_claim(request)
    assert claim.body_sha256 == hashlib.sha256(b"Action=X").hexdigest()
    assert claim.is_proven_by(SECRET)
    unsigned = signed(body_sha256=UNSIGNED)
    unsigned.body_sha256 = None
    claim = read_claim(unsigned)
    assert (claim.body_is_signed, claim.body_sha256) == (False, None)
    assert claim.is_proven_by(SECRET)
    del request.headers["x-amz-content-sha256"]
    assert refusal(request).code == "IncompleteSignature"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": "Basic aGVsZW46cHc="}, "IncompleteSignature"),
        ({"Authorization": ""}, "IncompleteSignature"),
        ({"Authorization": "AWS4-HMAC-SHA256"}, "IncompleteSignature"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=a, Signature=b"}, "IncompleteSignature"),
        ({"Authorization": "AWS4-ECDSA-P256-SHA256 Credential=a"}, "IncompleteSignature"),
        ({"X-Amz-Date": None}, "IncompleteSignature"),
        ({"X-Amz-Date": "20261399T160000Z"}, "IncompleteSignature"),
        ({"X-Amz-Date": "2026-11-23T16:00:00Z"}, "IncompleteSignature"),
        ({"X-Amz-Date": "20261124T160000Z"}, "IncompleteSignature"),
        ({"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "IncompleteSignature"),
        ({"X-Amz-Security-Token": "t"}, "InvalidClientTokenId"),
    ],
)
def test_malformed_headers_are_refused(headers, code):
    assert refusal(signed(headers=headers)).code == code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("aws4_request", "aws3_request"),
        ("/ec2/", "/s3/"),
        (KEY + "/", "/"),
        ("SignedHeaders=content-type;host;", "SignedHeaders=content-type;"),
        ("Signature=", "Signature=,Signature="),
        ("SignedHeaders=", "SignedHeaders=" + "a;" * 1000),
        ("SignedHeaders=", "SignedHeaders=x;x;"),
        ("Credential=", "Credential=" + "k" * 600),
    ],
)
def test_malformed_authorizations_are_refused(old, new):
    header = authorization()
    assert old in header
    found = refusal(signed(headers={"Authorization": header.replace(old, new)}))
    assert (found.code, found.status) == ("IncompleteSignature", 400)


def test_user_names_with_slashes_and_signatures_for_sts_are_fine():
    assert read_claim(signed(access_key="dept/helen")).access_key == "dept/helen"
    assert proven(signed(service="sts"))


def test_old_boto_calls_the_service_by_the_first_label_of_the_host():
    """boto 2.49's auth.py, of an endpoint that is not Amazon's."""
    assert proven(signed(service="127"))
    assert refusal(signed(service="0")).code == "IncompleteSignature"
    request = signed(service="cloud")
    assert refusal(request).code == "IncompleteSignature"
    request.public_host = "cloud.example.org"
    assert read_claim(request).access_key == KEY


def test_a_public_name_is_accepted_beside_the_host_header():
    request = signed(headers={"Host": "10.0.0.7:8080"})
    assert not proven(request)
    request.public_host = "127.0.0.1:4567"
    assert proven(request)


# --- presigned -----------------------------------------------------------------------------


@given(parameters)
def test_what_boto3_presigns_is_proven(asked):
    aws = AWSRequest("GET", f"{URL}?{urlencode(asked)}")
    SigV4QueryAuth(credentials(), "ec2", "eu-west-1", expires=60).add_auth(aws)
    claim = read_claim(arrived(aws))
    assert (claim.access_key, claim.scheme) == (KEY, "v4-query")
    assert claim.is_proven_by(SECRET)
    assert not claim.is_proven_by("another")
    claim.check_time(datetime.now(UTC), 900)
    with pytest.raises(Refusal):
        claim.check_time(datetime.now(UTC) + timedelta(seconds=62), 900)


def presigned(**changes) -> Request:
    asked = {"Action": "DescribeRegions", "A b": "c/d"}
    url = f"{URL}?{urlencode(asked)}"
    added = presign_v4(
        method="GET", url=url, access_key=KEY, secret=SECRET, now=NOW, expires_s=3600
    )
    everything = asked | added | changes
    pairs = [(name, value) for name, value in everything.items() if value is not None]
    return Request("GET", "/", pairs, [("Host", "127.0.0.1:4567")])


def test_our_own_presigned_requests_are_proven_until_they_expire():
    claim = read_claim(presigned())
    assert claim.is_proven_by(SECRET)
    claim.check_time(NOW + timedelta(seconds=3599), 900)
    for wrong in (timedelta(seconds=3601), -timedelta(seconds=901)):
        with pytest.raises(Refusal) as caught:
            claim.check_time(NOW + wrong, 900)
        assert caught.value.code == "RequestExpired"


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Amz-Algorithm": "AWS4"},
        {"X-Amz-Credential": None},
        {"X-Amz-Date": None},
        {"X-Amz-Expires": None},
        {"X-Amz-Expires": "0"},
        {"X-Amz-Expires": "604801"},
        {"X-Amz-Expires": "1e3"},
        {"X-Amz-SignedHeaders": "date"},
        {"X-Amz-Signature": None},
        {"X-Amz-Signature": ""},
        {
            "X-Amz-Date": "99991231T235959Z",
            "X-Amz-Credential": f"{KEY}/99991231/r/ec2/aws4_request",
        },
    ],
)
def test_malformed_presigned_requests_are_refused(changes):
    assert refusal(presigned(**changes)).code == "IncompleteSignature"


def test_a_changed_presigned_request_is_not_proven():
    assert not proven(presigned(Action="TerminateInstances"))
    assert not proven(presigned(Extra="1"))
    assert not proven(presigned(**{"X-Amz-Expires": "7200"}))


# --- version 2 -----------------------------------------------------------------------------


@given(parameters, st.booleans())
def test_what_boto_signs_with_version_2_is_proven(asked, as_form):
    asked = {"Action": "X"} | {name: value for name, value in asked.items() if name != "file"}
    aws = AWSRequest("POST" if as_form else "GET", URL)
    aws.data, aws.params = (asked, {}) if as_form else ({}, asked)
    SigV2Auth(credentials()).add_auth(aws)
    claim = read_claim(arrived(aws))
    assert (claim.access_key, claim.scheme) == (KEY, "v2")
    assert claim.is_proven_by(SECRET)
    assert not claim.is_proven_by("another")
    claim.check_time(datetime.now(UTC), 900)


def v2(host="127.0.0.1:4567", url=URL, algorithm="HmacSHA256", **changes) -> Request:
    made = sign_v2(
        method="POST",
        url=url,
        parameters={"Action": "DescribeImages", "A-1": "a b", "A.1": "~*"},
        access_key=KEY,
        secret=SECRET,
        now=NOW,
        algorithm=algorithm,
    )
    pairs = [(name, value) for name, value in (made | changes).items() if value is not None]
    return Request("POST", "/", [], [("Host", host)], pairs)


@pytest.mark.parametrize("algorithm", ["HmacSHA256", "HmacSHA1"])
def test_both_hashes_of_version_2_are_proven(algorithm):
    assert proven(v2(algorithm=algorithm))
    assert not proven(v2(algorithm=algorithm), "another")


@pytest.mark.parametrize(
    "url", ["http://localhost/", "http://localhost:4567/", "http://LOCALHOST:4567/"]
)
def test_version_2_may_sign_the_host_with_or_without_port_and_in_any_case(url):
    assert proven(v2(host="LocalHost:4567", url=url))
    assert not proven(v2(host="LocalHost:4567", url="http://other:4567/"))


def test_version_2_may_sign_a_configured_public_name():
    request = v2(host="10.0.0.7:8080", url="https://cloud.example:443/")
    assert not proven(request)
    request.public_host = "cloud.example:443"
    assert proven(request)


def test_the_body_of_an_upload_is_no_part_of_version_2():
    assert proven(v2(file="whatever"))
    assert not proven(v2(Name="added"))


def test_version_2_signs_parameters_of_query_and_form_together():
    request = v2()
    moved = Request("POST", "/", request.form[:3], [("Host", "127.0.0.1:4567")], request.form[3:])
    assert proven(moved)


def test_a_signature_may_carry_an_expiry_instead_of_a_time():
    pairs = [("Expires", "2026-11-23T17:00:00Z")]
    text = f"AWSAccessKeyId={KEY}&SignatureMethod=HmacSHA256&SignatureVersion=2&Signature=x"
    pairs += [tuple(pair.split("=")) for pair in text.split("&")]
    claim = read_claim(Request("GET", "/", pairs, [("Host", "h")]))
    claim.check_time(NOW + timedelta(minutes=59), 900)
    with pytest.raises(Refusal) as caught:
        claim.check_time(NOW + timedelta(minutes=61), 900)
    assert (caught.value.code, caught.value.status) == ("RequestExpired", 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"SignatureVersion": None, "Signature": None},  # the hole in econe 3.0 to 3.8.3
        {"SignatureVersion": None},
        {"Signature": None},
        {"Signature": ""},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "0"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": "4"},
        {"SignatureVersion": ""},
        {"AWSAccessKeyId": None},
        {"SignatureMethod": None},
        {"SignatureMethod": "HmacMD5"},
        {"Timestamp": None},
        {"Expires": "2026-11-23T17:00:00Z"},
        {"Timestamp": "yesterday"},
        {"Timestamp": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_version_2_with_parts_missing_or_unknown_is_refused(changes):
    found = refusal(v2(**changes))
    assert (found.code, found.status) == ("IncompleteSignature", 400)


def test_a_signature_given_twice_is_refused():
    request = v2()
    request.form = [*request.form, ("Signature", "x")]
    assert refusal(request).code == "IncompleteSignature"


def test_a_key_without_anything_else_is_refused():
    found = refusal(Request("GET", "/", [("AWSAccessKeyId", "helen")], []))
    assert found.code == "IncompleteSignature"


def test_a_request_without_signature_is_refused():
    found = refusal(Request("GET", "/", [("Action", "DescribeInstances")], [("Host", "h")]))
    assert (found.code, found.status) == ("MissingAuthenticationToken", 403)


def test_a_request_signed_in_two_ways_is_refused():
    both = signed(form=v2().form)
    assert refusal(both).code == "IncompleteSignature"


# --- time ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-901, 901])
def test_a_signing_time_outside_the_window_is_refused(seconds):
    for request in (signed(), v2()):
        claim = read_claim(request)
        claim.check_time(NOW + timedelta(seconds=seconds * 0.99), 900)
        with pytest.raises(Refusal) as caught:
            claim.check_time(NOW + timedelta(seconds=seconds), 900)
        assert caught.value.code == "RequestExpired"


def test_who_cannot_be_proven_is_answered_as_ec2_does():
    assert (unproven().code, unproven().status) == ("AuthFailure", 401)


# --- fuzz ----------------------------------------------------------------------------------

pieces = st.one_of(st.text(max_size=20), st.sampled_from(["2", "HmacSHA1", "host", "x;host", ""]))
auth_names = st.sampled_from(
    [
        "AWSAccessKeyId",
        "Signature",
        "SignatureVersion",
        "SignatureMethod",
        "Timestamp",
        "Expires",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ]
)
scopes = st.sampled_from(["a/20260101/r/ec2/aws4_request", "20260101T000000Z", "AWS4-HMAC-SHA256"])
pairs = st.lists(st.tuples(auth_names | pieces, pieces | scopes), max_size=10)
headers = st.lists(
    st.tuples(
        st.sampled_from(["authorization", "x-amz-date", "date", "host", "x-amz-content-sha256"]),
        pieces
        | scopes
        | st.builds(
            "AWS4-HMAC-SHA256 Credential={}, SignedHeaders={},Signature={}".format,
            pieces | scopes,
            pieces,
            pieces,
        ),
    ),
    max_size=4,
)


@given(st.text(max_size=5), st.text(max_size=9), pairs, headers, pairs)
def test_reading_a_claim_raises_nothing_but_refusals_and_proves_nothing(
    method, path, asked, head, form
):
    try:
        claim = read_claim(Request(method, path, asked, head, form))
        claim.check_time(NOW, 900)
    except Refusal:
        return
    assert not claim.is_proven_by(SECRET)


def test_proving_is_fast():
    claim_of = signed()
    proven(claim_of)
    began = time.process_time()
    for _ in range(200):
        read_claim(claim_of).is_proven_by(SECRET)
    assert (time.process_time() - began) / 200 < 0.001


def test_signing_imports_no_botocore():
    code = "import sys, econe.wire.signatures; print([m for m in sys.modules if 'botocore' in m])"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_empty_hash_is_that_of_no_bytes():
    assert hashlib.sha256(b"").hexdigest() == EMPTY_SHA256
