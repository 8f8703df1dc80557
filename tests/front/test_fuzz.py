"""Whatever a caller sends, it is never answered with a status of 500 or above."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.front.conftest import Desk, reply

from econe.actions.registry import HANDLERS
from econe.front.messages import Incoming
from econe.wire import model

fuzzing = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SERVICE = model.load()
ACTIONS = sorted(HANDLERS)

# Words that mean something here, so that many requests get far.
MEANINGFUL = [
    "i-00000001", "i-1", "i-", "ami-00000001", "ami-1", "vol-00000001", "key-00000001",
    "subnet-00000001", "sg-00000001", "vpc-00000001", "eni-00000001", "r-1", "-",
    "i-0123456789abcdef0", "0", "1", "5", "-1", "1000", "99999999999", "1e3", "true", "false",
    "True", "", " ", "*", "?", "\\", "m1.small", "t2.micro", "x9.huge", "us-east-1", "us-east-1a",
    "self", "all", "instance", "image", "key-pair", "rsa", "ed25519", "stop", "terminate",
    "required", "enabled", "/dev/sda1", "gp3", "tag:Name", "tag-key", "instance-state-name",
    "instance-id", "name", "2026-11-23T16:00:00Z", "state", "owner-id", "private-ip-address",
    "10.0.0.1", "AAAA", "====", "ünï", "\x01", "🦫", "aws:x",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(MEANINGFUL), st.text(max_size=40))


def names_of(action: str) -> list[str]:
    """Names of parameters that the action's model has, with lists numbered: two levels deep."""
    shape = SERVICE.expect(action).input_shape
    return sorted(_names(shape, 3)) if shape is not None else []


def _names(shape: Any, depth: int) -> set[str]:
    if shape.type_name == "list":
        return {
            f"{number}{'.' if rest else ''}{rest}"
            for number in ("0", "1", "2")
            for rest in _names(shape.member, depth)
        }
    if shape.type_name != "structure" or depth == 0:
        return {""}
    found = set()
    for name, member in shape.members.items():
        wire = member.serialization.get("queryName") or member.serialization.get("name", name)
        wire = wire[:1].upper() + wire[1:]
        found |= {f"{wire}{'.' if rest else ''}{rest}" for rest in _names(member, depth - 1)}
    return found


NAMES = {action: names_of(action) for action in ACTIONS}


@st.composite
def parameters(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """An action that is here, with parameters that are mostly its own."""
    action = draw(st.sampled_from(ACTIONS))
    name = st.one_of(st.sampled_from(NAMES[action]), TEXTS) if NAMES[action] else TEXTS
    asked = draw(st.dictionaries(name, TEXTS, max_size=8))
    return action, {key: value for key, value in asked.items() if key not in ("Action", "")}


@fuzzing
@given(parameters())
@example(("DescribeInstances", {"MaxResults": "5", "NextToken": "x"}))
@example(("RunInstances", {"ImageId": "ami-1", "MinCount": "99999999999", "MaxCount": "1"}))
def test_no_parameters_break_an_action(desk: Desk, asked: tuple[str, dict[str, str]]) -> None:
    action, given_ = asked
    try:
        answer = desk.ask(action, **given_)
    except UnicodeEncodeError:
        return  # a lone surrogate: no client can sign it
    assert answer.status < 500, (action, given_, answer.text)
    assert answer.request_id


@pytest.fixture
def rich(desk: Desk) -> Desk:
    """An account with an image and an instance whose ids the fuzzer knows."""
    from tests.support.cloud import Cloud

    image = Cloud(desk.app, "", desk.caller).image()
    made = desk.ask("RunInstances", ImageId=image, MinCount="1", MaxCount="2")
    assert made.status == 200
    ids = [image, *made.all("instanceId"), *made.all("volumeId"), *made.all("networkInterfaceId")]
    MEANINGFUL.extend(each for each in ids if each not in MEANINGFUL)
    return desk


@fuzzing
@given(parameters())
def test_no_parameters_break_an_action_that_finds_something(
    rich: Desk, asked: tuple[str, dict[str, str]]
) -> None:
    action, given_ = asked
    try:
        answer = rich.ask(action, **given_)
    except UnicodeEncodeError:
        return
    assert answer.status < 500, (action, given_, answer.text)


HEADER_VALUES = st.one_of(
    st.just(
        "AWS4-HMAC-SHA256 Credential=a/20261123/r/ec2/aws4_request, SignedHeaders=host, Signature=0"
    ),
    st.text(st.characters(max_codepoint=255), max_size=80),
)


@fuzzing
@given(
    method=st.sampled_from(["GET", "POST"]),
    query=st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(quote_from_bytes)),
    body=st.binary(max_size=200),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "x-amz-date", "date", "host", "x-amz-content-sha256"]),
        HEADER_VALUES,
    ),
)
def test_no_bytes_break_the_pipeline(
    desk: Desk, method: str, query: Any, body: bytes, headers: dict[str, str]
) -> None:
    raw = query.encode() if isinstance(query, str) else query
    answer = reply(desk.pipeline.answer(Incoming(method, "/", raw, headers, body)))
    assert 400 <= answer.status < 500, answer.text


@fuzzing
@given(
    how=st.sampled_from(["v4", "v4-get", "v4-query", "v2", "v2-get"]),
    at=st.integers(min_value=0, max_value=500),
    put=st.binary(max_size=4),
    cut=st.integers(min_value=0, max_value=5),
)
def test_a_signed_request_that_was_changed_is_refused_or_means_the_same(
    desk: Desk, how: str, at: int, put: bytes, cut: int
) -> None:
    signed = desk.signed("DescribeKeyPairs", how, **{"KeyName.1": "nothing"})
    part = "query" if signed.query else "body"
    whole = getattr(signed, part)
    at %= len(whole)
    changed = replace(signed, **{part: whole[:at] + put + whole[at + cut :]})
    answer = reply(desk.pipeline.answer(changed))
    assert 400 <= answer.status < 500, answer.text  # unchanged, it is InvalidKeyPair.NotFound


def test_every_action_survives_each_of_its_parameters_alone(rich: Desk) -> None:
    values = ["", "1", "x", "i-00000001", "true", "-1", "2026-11-23T16:00:00Z", "AAAA"]
    for action in ACTIONS:
        for name in NAMES[action]:
            for value in values:
                answer = rich.ask(action, "v2", **{name: value})
                assert answer.status < 500, (action, name, value, answer.text)


def test_the_longest_request_that_may_come_is_answered(desk: Desk) -> None:
    ids = {f"InstanceId.{n}": f"i-{n:08d}" for n in range(1, 9000)}
    assert len(urlencode(ids)) < 1 << 20
    assert desk.ask("DescribeInstances", **ids).code == "InvalidInstanceID.NotFound"
