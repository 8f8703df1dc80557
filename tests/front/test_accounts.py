"""Accounts, keys and quotas as unmodified boto3 meets them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.cloud import Cloud, codes, make_caller, serving, session, simulator
from tests.support.eventually import eventually

from econe.app import utc_now
from econe.domain import account_book
from econe.store import open_store


def another_key(cloud: Cloud) -> Cloud:
    """The same account, by a second key."""
    with cloud.app.store.writing() as tx:
        key = account_book.create_key(tx, cloud.caller.name, utc_now())
    caller = replace(cloud.caller, access_key=key.access_key, secret=key.secrets[0].reveal())
    return Cloud(cloud.app, cloud.url, caller)


def refusal(call: Any, **asked: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    return codes(refused)


def test_every_key_of_an_account_is_the_account(cloud: Cloud) -> None:
    second = another_key(cloud)
    cloud.client().create_key_pair(KeyName="mine", KeyType="ed25519")
    (pair,) = second.client().describe_key_pairs()["KeyPairs"]
    assert pair["KeyName"] == "mine"
    for each in (cloud, second):
        told = each.client("sts").get_caller_identity()
        number = cloud.caller.number
        assert (told["Account"], told["UserId"]) == (number, number)
        assert told["Arn"] == f"arn:aws:iam::{number}:root"


def test_one_key_is_changed_for_another(cloud: Cloud) -> None:
    """Rotation: make the second, disable the first, look whether all goes on, delete it."""
    second = another_key(cloud)
    old, new = cloud.client(), second.client()
    old.describe_regions()

    def change(deed: Any, **how: bool) -> None:
        with cloud.app.store.writing() as tx:
            deed(tx, cloud.caller.access_key, **how)

    change(account_book.set_key_enabled, enabled=False)
    assert refusal(old.describe_regions) == ("AuthFailure", 401)
    assert refusal(cloud.client("sts").get_caller_identity) == ("AuthFailure", 401)
    new.describe_regions()
    change(account_book.set_key_enabled, enabled=True)
    old.describe_regions()
    change(account_book.delete_key)
    assert refusal(old.describe_regions) == ("AuthFailure", 401)
    new.describe_regions()


def test_no_key_of_a_disabled_account_opens(cloud: Cloud) -> None:
    second = another_key(cloud)
    with cloud.app.store.writing() as tx:
        account_book.set_account_enabled(tx, cloud.caller.name, enabled=False)
    for each in (cloud, second):
        assert refusal(each.client().describe_regions) == ("AuthFailure", 401)


# --- what this cloud does not issue --------------------------------------------------------


def with_token(cloud: Cloud, service: str, **config: Any) -> Any:
    return session.client(
        service,
        endpoint_url=cloud.url,
        aws_access_key_id=cloud.caller.access_key,
        aws_secret_access_key=cloud.caller.secret,
        aws_session_token="FwoGZXIvYXdzE",
        config=Config(retries={"max_attempts": 0}, **config),
    )


@pytest.mark.parametrize("version", ["v4", "v4-query", "v2"])
def test_temporary_credentials_are_refused(cloud: Cloud, version: str) -> None:
    """Also where the key pair itself is good. botocore's words for EC2's ways to sign."""
    client = with_token(cloud, "ec2", signature_version=version)
    assert refusal(client.describe_regions) == ("InvalidClientTokenId", 403)


def test_temporary_credentials_have_no_identity(cloud: Cloud) -> None:
    client = with_token(cloud, "sts")
    assert refusal(client.get_caller_identity) == ("InvalidClientTokenId", 403)


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("get_session_token", {}),
        ("assume_role", {"RoleArn": "arn:aws:iam::123456789012:role/x", "RoleSessionName": "xx"}),
        ("get_federation_token", {"Name": "xx"}),
        ("get_access_key_info", {"AccessKeyId": "AKIA0000000000000000"}),
        ("decode_authorization_message", {"EncodedMessage": "x"}),
    ],
)
def test_the_rest_of_sts_is_refused_by_name(
    cloud: Cloud, action: str, asked: dict[str, str]
) -> None:
    client = cloud.client("sts")
    with pytest.raises(ClientError, match="this cloud has no") as refused:
        getattr(client, action)(**asked)
    assert codes(refused) == ("UnsupportedOperation", 400)


def test_iam_is_refused_by_name(cloud: Cloud) -> None:
    """A user who sends everything to one endpoint (AWS_ENDPOINT_URL)."""
    with pytest.raises(ClientError, match="this cloud has no iam") as refused:
        cloud.client("iam").list_users()
    assert codes(refused) == ("IncompleteSignature", 400)


# --- quotas --------------------------------------------------------------------------------


def limit(cloud: Cloud, **limits: int) -> None:
    with cloud.app.store.writing() as tx:
        account_book.set_limits(tx, cloud.caller.name, limits)


def test_limits_are_among_the_accounts_attributes(cloud: Cloud) -> None:
    limit(cloud, vcpus=3, storage_gib=100)

    def told(**asked: Any) -> dict[str, str]:
        answer = cloud.client().describe_account_attributes(**asked)
        return {
            each["AttributeName"]: each["AttributeValues"][0]["AttributeValue"]
            for each in answer["AccountAttributes"]
        }

    everything = told()
    assert everything["max-instances"] == "1000"
    assert (everything["max-vcpus"], everything["max-storage-gib"]) == ("3", "100")
    assert everything["max-images"] == "unlimited"
    assert told(AttributeNames=["max-vcpus"]) == {"max-vcpus": "3"}
    limit(cloud, vcpus=4)
    assert told(AttributeNames=["max-vcpus"]) == {"max-vcpus": "4"}


def test_a_limit_holds_from_the_next_request_on(cloud: Cloud) -> None:
    ec2, image = cloud.client(), cloud.image()
    asked = {"ImageId": image, "InstanceType": "m1.small"}
    limit(cloud, vcpus=2)
    made = ec2.run_instances(MinCount=1, MaxCount=5, **asked)["Instances"]
    assert len(made) == 2
    many = {"MinCount": 1, "MaxCount": 1, **asked}
    assert refusal(ec2.run_instances, **many) == ("VcpuLimitExceeded", 400)
    dry = {"DryRun": True, **many}
    assert refusal(ec2.run_instances, **dry) == ("VcpuLimitExceeded", 400)
    limit(cloud, vcpus=3, instances=2)
    assert refusal(ec2.run_instances, **many) == ("InstanceLimitExceeded", 400)
    limit(cloud, instances=3)
    ec2.run_instances(**many)


def test_it_is_known_when_a_key_was_last_used(cloud: Cloud) -> None:
    def used(key: Cloud) -> Any:
        cloud.app.key_use.write_down(cloud.app.store)
        with cloud.app.store.reading() as tx:
            found = tx.access_keys.get(key.caller.access_key)
        assert found is not None
        return found.last_used_at

    second = another_key(cloud)
    before = utc_now()
    cloud.client().describe_regions()
    first_use = used(cloud)
    assert before <= first_use <= utc_now()
    assert used(second) is None
    wrong = Cloud(cloud.app, cloud.url, replace(second.caller, secret="wrong"))
    assert refusal(wrong.client().describe_regions) == ("AuthFailure", 401)
    assert used(second) is None, "whoever cannot prove it does not use it"
    second.client().describe_regions()
    assert used(second) >= first_use


@pytest.mark.parametrize("sweep_every_s", [0.2, 3600.0])
def test_when_a_key_was_used_is_written_in_passing_and_at_the_end(
    tmp_path: Path, sweep_every_s: float
) -> None:
    settings = simulator(tmp_path / "state")
    settings = replace(settings, work=replace(settings.work, sweep_every_s=sweep_every_s))

    def used() -> bool:
        store = open_store(settings.state)
        try:
            with store.reading() as tx:
                (key,) = tx.access_keys.of(cloud.caller.number)
                return key.last_used_at is not None
        finally:
            store.close()

    with serving(settings) as (app, url):
        cloud = Cloud(app, url, make_caller(app))
        cloud.client().describe_regions()
        if sweep_every_s < 1:
            eventually(used, within_s=10)
        else:
            assert not used()
    assert used()
