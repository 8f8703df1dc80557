"""Requests through the whole pipeline, without a socket."""

import logging
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import pytest
from tests.front.conftest import Desk, reply

from econe.actions.registry import HANDLERS, Handler
from econe.app import utc_now
from econe.domain.faults import Broken, Noun
from econe.domain.ports import StoreBusy
from econe.front.pipeline import ARRIVE, DO, PROVE

WAYS = ("v4", "v4-get", "v4-query", "v2", "v2-get", "v2-sha1")


@pytest.mark.parametrize("how", WAYS)
def test_every_way_of_signing_is_believed(desk: Desk, how: str) -> None:
    assert desk.ask("DescribeRegions", how).all("regionName") == ["us-east-1"]


@pytest.mark.parametrize("how", WAYS)
def test_a_wrong_secret_an_unknown_key_and_a_disabled_one_look_the_same(
    desk: Desk, how: str
) -> None:
    right = desk.caller
    desk.caller = replace(right, secret="wrong")
    wrong = desk.ask("DescribeRegions", how)
    desk.caller = replace(right, access_key="AKIANOBODY")
    unknown = desk.ask("DescribeRegions", how)
    desk.caller = right
    with desk.app.store.writing() as tx:
        key = tx.access_keys.get(right.access_key)
        assert key is not None
        tx.access_keys.save(replace(key, enabled=False))
    disabled = desk.ask("DescribeRegions", how)
    with desk.app.store.writing() as tx:
        tx.access_keys.save(replace(key, enabled=True))
        account = tx.accounts.get(right.number)
        assert account is not None
        tx.accounts.save(replace(account, enabled=False))
    closed = desk.ask("DescribeRegions", how)
    said = {(each.status, each.code, each.message) for each in (wrong, unknown, disabled, closed)}
    assert said == {
        (401, "AuthFailure", "AWS was not able to validate the provided access credentials")
    }


@pytest.mark.parametrize("how", WAYS)
def test_a_request_that_is_too_old_is_refused_however_well_it_is_signed(
    desk: Desk, how: str
) -> None:
    old = desk.signed_at(utc_now() - timedelta(seconds=1000), "DescribeRegions", how)
    assert reply(desk.pipeline.answer(old)).code == "RequestExpired"


def test_a_request_without_signature_is_refused_and_costs_no_transaction(desk: Desk) -> None:
    class NoStore:
        def reading(self) -> Any:
            raise AssertionError("a transaction")

    desk.with_door(store=NoStore())
    bare = replace(desk.signed("DescribeRegions"), headers={"host": "127.0.0.1:4567"})
    assert reply(desk.pipeline.answer(bare)).code == "MissingAuthenticationToken"


@pytest.mark.parametrize("version", ["1", "0", "3", "", "x"])
def test_other_versions_of_signing_are_refused(desk: Desk, version: str) -> None:
    """OpenNebula's econe-server believed any caller that named an unknown version (until 3.8.4)."""
    signed = desk.signed("DescribeRegions", "v2")
    changed = signed.body.replace(b"SignatureVersion=2", b"SignatureVersion=" + version.encode())
    refused = reply(desk.pipeline.answer(replace(signed, body=changed)))
    assert (refused.status, refused.code) == (400, "IncompleteSignature")


def test_what_was_signed_cannot_be_changed(desk: Desk) -> None:
    signed = desk.signed("DescribeRegions", "v4")
    refused = reply(desk.pipeline.answer(replace(signed, body=signed.body + b"&DryRun=true")))
    assert refused.status in (401, 403)


def test_a_form_that_the_signature_does_not_cover_is_refused(desk: Desk) -> None:
    """A presigned URL with a form added to it, its body said to be unsigned."""
    signed = desk.signed("DescribeRegions", "v4-query")
    headers = {**signed.headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    forged = replace(signed, headers=headers, body=b"DryRun=true")
    assert reply(desk.pipeline.answer(forged)).status in (400, 401, 403)


@pytest.mark.parametrize(
    ("action", "asked", "code"),
    [
        ("", {}, "MissingAction"),
        ("MakeCoffee", {}, "InvalidAction"),
        ("describeregions", {}, "InvalidAction"),
        ("CreateFleet", {}, "UnsupportedOperation"),
        ("DescribeRegions", {"Colour": "red"}, "UnknownParameter"),
        ("DescribeRegions", {"DryRun": "perhaps"}, "InvalidParameterValue"),
        ("RunInstances", {"MinCount": "1"}, "MissingParameter"),
        (
            "RunInstances",
            {"ImageId": "x", "MinCount": "x", "MaxCount": "1"},
            "InvalidParameterValue",
        ),
        ("DescribeInstances", {"InstanceId.1": "i-zzz"}, "InvalidInstanceID.Malformed"),
        ("DescribeInstances", {"InstanceId.1": "i-77"}, "InvalidInstanceID.NotFound"),
        ("TerminateInstances", {"InstanceId.1": "i-77"}, "InvalidInstanceID.NotFound"),
        ("UploadImage", {}, "MissingParameter"),
        ("DescribeInstances", {"Version": "yesterday"}, "NoSuchVersion"),
    ],
)
def test_what_cannot_be_done_is_refused_by_ec2s_word(
    desk: Desk, action: str, asked: dict[str, str], code: str
) -> None:
    refused = desk.ask(action, **asked)
    assert (refused.status, refused.code) == (400, code)
    assert refused.request_id


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_a_dry_run_says_whether_it_would_have_worked_and_changes_nothing(
    desk: Desk, name: str
) -> None:
    """Of actions that need nothing: the rest are refused before or tell what they need."""
    asked = desk.ask(name, DryRun="true")
    if asked.code == "UnknownParameter":
        return  # the model gives this action no DryRun
    assert asked.status == (412 if asked.code == "DryRunOperation" else 400)


def test_a_dry_run_of_a_change_leaves_nothing(desk: Desk) -> None:
    dry = desk.ask("CreateKeyPair", KeyName="k", DryRun="true")
    assert (dry.status, dry.code) == (412, "DryRunOperation")
    assert dry.message == "Request would have succeeded, but DryRun flag is set."
    assert desk.ask("DescribeKeyPairs").all("keyName") == []


def test_a_dry_run_of_what_would_fail_says_so(desk: Desk) -> None:
    refused = desk.ask("TerminateInstances", **{"InstanceId.1": "i-5", "DryRun": "true"})
    assert refused.code == "InvalidInstanceID.NotFound"


def test_an_answer_is_in_the_namespace_of_the_version_that_was_asked_for(desk: Desk) -> None:
    answer = desk.ask("DescribeRegions", Version="2010-08-31")
    assert (
        '<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2010-08-31/">' in answer.text
    )


def test_form_and_query_string_are_taken_together(desk: Desk) -> None:
    signed = desk.signed("DescribeRegions", "v2")
    action, _, rest = signed.body.partition(b"&")
    assert action == b"Action=DescribeRegions"
    answer = reply(desk.pipeline.answer(replace(signed, query=action, body=rest)))
    assert answer.all("regionName") == ["us-east-1"]


@pytest.mark.parametrize("raw", [b"Action=%FF", b"Action=\xff", b"%C3%28=x", b"a=\xed\xa0\x80"])
def test_what_is_no_utf8_is_the_callers_mistake(desk: Desk, raw: bytes) -> None:
    signed = replace(desk.signed("DescribeRegions"), body=raw)
    assert reply(desk.pipeline.answer(signed)).status == 400


def test_a_committed_change_pokes_the_work_plane_and_nothing_else_does(desk: Desk) -> None:
    pokes: list[str] = []
    desk.with_door(poke=lambda: pokes.append("poke"))
    desk.ask("DescribeRegions")
    desk.ask("CreateKeyPair", KeyName="k", DryRun="true")
    desk.ask("DeregisterImage", ImageId="ami-9")
    assert pokes == []
    desk.ask("CreateKeyPair", KeyName="k", KeyType="ed25519")
    assert pokes == ["poke"]


def test_a_listing_is_one_transaction_and_a_change_is_two(desk: Desk) -> None:
    store, begun = desk.app.store, []

    class Counting:
        def reading(self) -> Any:
            begun.append("reading")
            return store.reading()

        def writing(self) -> Any:
            begun.append("writing")
            return store.writing()

        def mark(self) -> Any:
            return store.mark()

    desk.with_door(store=Counting())
    desk.ask("DescribeInstances")
    assert begun == ["reading"]
    begun.clear()
    desk.ask("CreateKeyPair", KeyName="k", KeyType="ed25519")
    assert begun == ["reading", "writing"]


def test_keys_are_made_while_no_transaction_is_open(desk: Desk) -> None:
    """An RSA key takes a tenth of a second and more, and whoever writes holds the one writer."""
    store, maker = desk.app.store, desk.app.cloud.key_maker
    open_now: list[str] = []
    open_then: list[list[str]] = []

    class Watched:
        @contextmanager
        def reading(self) -> Any:
            with store.reading() as tx:
                open_now.append("reading")
                yield tx
            open_now.pop()

        @contextmanager
        def writing(self) -> Any:
            with store.writing() as tx:
                open_now.append("writing")
                yield tx
            open_now.pop()

        def mark(self) -> Any:
            return store.mark()

    class Maker:
        def make(self, *what: Any, **more: Any) -> Any:
            open_then.append(list(open_now))
            return maker.make(*what, **more)

    cloud = replace(desk.app.cloud, key_maker=Maker())
    desk.with_door(store=Watched(), cloud=cloud)
    assert desk.ask("CreateKeyPair", KeyName="k", KeyType="rsa").status == 200
    assert open_then == [[]]
    assert desk.ask("CreateKeyPair", KeyName="k").code == "InvalidKeyPair.Duplicate"
    assert open_then == [[]]


def _handled_by(desk: Desk, call: Any) -> None:
    handlers = {**HANDLERS, "DescribeRegions": Handler("DescribeRegions", call, False, frozenset())}
    desk.with_door(handlers=handlers)


def test_what_nobody_foresaw_is_told_to_the_log_and_not_to_the_caller(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(ctx: Any, asked: Any) -> Any:
        raise KeyError("the secret reason")

    _handled_by(desk, fails)
    with caplog.at_level(logging.INFO, "econe"):
        answer = desk.ask("DescribeRegions")
    assert (answer.status, answer.code) == (500, "InternalError")
    assert "secret" not in answer.text
    (cause,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert answer.request_id in cause.getMessage()
    assert cause.exc_info
    assert "the secret reason" in str(cause.exc_info[1])


def test_what_a_fault_hides_is_in_the_log_under_the_request_id(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(ctx: Any, asked: Any) -> Any:
        raise Broken(Noun.IMAGE, "ami-1", "said aloud", hidden="row without content")

    _handled_by(desk, fails)
    with caplog.at_level(logging.INFO, "econe"):
        answer = desk.ask("DescribeRegions")
    assert (answer.status, answer.code) == (500, "InternalError")
    assert "content" not in answer.text
    assert "said aloud" not in answer.text
    told = [r.getMessage() for r in caplog.records if "row without content" in r.getMessage()]
    assert len(told) == 1
    assert answer.request_id in told[0]


def test_a_busy_store_is_unavailable_and_may_be_asked_again(desk: Desk) -> None:
    class Busy:
        def mark(self) -> Any:
            raise StoreBusy("database is locked")

        reading = mark

    desk.with_door(store=Busy())
    answer = desk.ask("DescribeRegions")
    assert (answer.status, answer.code) == (503, "Unavailable")
    assert "locked" not in answer.text


def test_an_answer_that_cannot_be_written_undoes_the_change(desk: Desk) -> None:
    made = HANDLERS["CreateKeyPair"]

    def wrong(ctx: Any, asked: Any) -> Any:
        made.call(ctx, asked)
        return {"NotInTheModel": 1}

    handlers = {**HANDLERS, "CreateKeyPair": replace(made, call=wrong)}
    desk.with_door(handlers=handlers)
    assert desk.ask("CreateKeyPair", KeyName="k", KeyType="ed25519").status == 500
    assert desk.ask("DescribeKeyPairs").all("keyName") == []


def test_each_request_is_one_line_and_no_secret_is_in_it(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = desk.ask("CreateKeyPair", "v2-get", KeyName="very private name")
        desk.ask("Act\nion id=fake", "v2")
    (line, forged) = [r.getMessage() for r in caplog.records if r.name == "econe.request"]
    assert line.startswith(
        f"Answered a request. id={answer.request_id} action=CreateKeyPair "
        f"account={desk.caller.name} ms="
    )
    assert line.endswith("status=200 code=-")
    assert "\n" not in forged
    assert 'action="Act\\nion id=fake"' in forged
    everything = "\n".join(r.getMessage() for r in caplog.records)
    for secret in (desk.caller.secret, quote_plus(desk.caller.secret), "Signature", "PRIVATE KEY"):
        assert secret not in everything


def test_the_three_groups_of_steps_are_what_the_documents_say() -> None:
    assert [step.__name__ for step in (*ARRIVE, *PROVE, *DO)] == [
        "read_parameters",
        "check_time",
        "remind",
        "authenticate",
        "find_action",
        "parse",
        "check",
        "recall",
        "perform",
        "refuse_dry_run",
        "render",
        "remember",
    ]


def test_accounts_do_not_see_each_others_things(desk: Desk) -> None:
    desk.ask("CreateKeyPair", KeyName="mine", KeyType="ed25519")
    other = Desk(desk.app, desk.vault)
    assert other.ask("DescribeKeyPairs").all("keyName") == []
    assert other.ask("DescribeKeyPairs", **{"KeyName.1": "mine"}).code == "InvalidKeyPair.NotFound"
