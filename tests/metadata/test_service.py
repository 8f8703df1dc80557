"""Who is answered what (EC2 User Guide, "Use the Instance Metadata Service…")."""

import pytest

from econe.domain.hidden import Hidden
from econe.domain.instances import InstanceState, MetadataOptions
from econe.metadata.reader import Request
from econe.metadata.tokens import Tokens, read_ttl

VPC, ADDRESS = "vpc-00000001", "172.31.0.4"
ID = "/latest/meta-data/instance-id"


def ask(service, path=ID, method="GET", owner=VPC, source=ADDRESS, **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.respond(owner, source, Request(method, path, fields, keep_alive=True))


def put(service, ttl="60", **more):
    return ask(
        service,
        "/latest/api/token",
        "PUT",
        **{"x_aws_ec2_metadata_token_ttl_seconds": ttl},
        **more,
    )


def test_the_caller_is_known_by_vpc_and_address(service, held, instance):
    held.put(instance(1), instance(2))
    assert ask(service).body == b"i-00000001"
    assert ask(service, source="172.31.0.5").body == b"i-00000002"
    assert ask(service, source="172.31.0.9").status == 404
    assert ask(service, owner="vpc-00000002").status == 404


def test_the_caller_is_known_by_its_own_socket(service, held, instance):
    held.put(instance(1), instance(2))
    assert ask(service, owner="i-00000002", source="").body == b"i-00000002"
    assert ask(service, owner="i-00000003", source="").status == 404


def test_a_terminated_instance_is_answered_nothing(service, held, instance):
    held.put(instance(1, state=InstanceState.TERMINATED))
    assert ask(service).status == 404
    assert ask(service, owner="i-00000001", source="").status == 404


def test_a_token_opens_what_requires_one(service, held, instance):
    held.put(instance(1, metadata_options=MetadataOptions(http_tokens="required", hop_limit=2)))
    assert ask(service).status == 401
    given = put(service, "21600")
    assert (given.status, given.hop_limit) == (200, 2)
    assert given.headers == {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": "21600"}
    answer = ask(service, x_aws_ec2_metadata_token=given.body.decode())
    assert (answer.status, answer.body, answer.hop_limit) == (200, b"i-00000001", None)
    assert answer.headers == {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": "21599"}


def test_a_wrong_token_is_refused_also_where_none_is_required(service, held, instance):
    held.put(instance(1), instance(2))
    of_another = put(service, source="172.31.0.5").body.decode()
    for token in ("", "x", "é", "A" * 54, of_another, of_another[:-2], of_another + "A"):
        assert ask(service, x_aws_ec2_metadata_token=token).status == 401


def test_a_token_ends():
    tokens = Tokens(Hidden(b"k"))
    token = tokens.issue("i-00000001", 1000)
    assert tokens.seconds_left(token, "i-00000001", 999.0) == 1
    assert tokens.seconds_left(token, "i-00000001", 1000.0) is None
    assert Tokens(Hidden(b"other")).seconds_left(token, "i-00000001", 1.0) is None


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "6e1", "１２", "1" * 5000, " 60"])
def test_a_bad_time_to_live_is_refused(service, held, instance, ttl):
    held.put(instance(1))
    assert put(service, ttl).status == 400
    assert read_ttl(None) is None


def test_what_came_through_a_proxy_is_refused(service, held, instance):
    held.put(instance(1))
    assert ask(service, x_forwarded_for="10.0.0.1").status == 403
    assert put(service, x_forwarded_for="").status == 403


def test_a_disabled_endpoint_says_so(service, held, instance):
    held.put(instance(1, metadata_options=MetadataOptions(http_endpoint="disabled")))
    assert ask(service).status == 403
    assert put(service).status == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ID),
        ("DELETE", ID),
        ("PUT", ID),
        ("GET", "/latest/api/token"),
        ("PUT", "/2018-09-24/api/token"),
        ("OPTIONS", "/"),
    ],
)
def test_other_methods_are_refused(service, held, instance, method, path):
    held.put(instance(1))
    assert ask(service, path, method, x_aws_ec2_metadata_token_ttl_seconds="60").status == 405


def test_our_own_fault_is_500_and_logged(service, held, caplog):
    held.broken = True
    assert ask(service).status == 500
    assert "the store is away" in caplog.text
