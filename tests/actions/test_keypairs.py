import pytest
from tests.support.desk import refused

from econe.domain.faults import (
    Conflict,
    Duplicate,
    Invalid,
    Malformed,
    Missing,
    NotFound,
    Noun,
)


def create(desk, name="mykey", **asked):
    return desk("CreateKeyPair", KeyName=name, **({"KeyType": "ed25519"} | asked))


def names(desk, **asked):
    return [pair["KeyName"] for pair in desk("DescribeKeyPairs", **asked)["KeyPairs"]]


def test_the_private_half_is_told_once_and_not_kept(helen):
    made = create(helen)
    assert made["KeyMaterial"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    (shown,) = helen("DescribeKeyPairs")["KeyPairs"]
    assert shown["KeyFingerprint"] == made["KeyFingerprint"]
    assert shown["KeyPairId"] == made["KeyPairId"] == "key-00000001"
    assert "PRIVATE" not in repr(helen.find("key_pairs", "key-00000001"))


def test_rsa_is_the_kind_unless_another_is_asked_for(helen):
    made = helen("CreateKeyPair", KeyName="k")
    assert made["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert helen("DescribeKeyPairs")["KeyPairs"][0]["KeyType"] == "rsa"


def test_the_public_key_is_shown_only_if_asked_for(helen):
    create(helen)
    (shown,) = helen("DescribeKeyPairs")["KeyPairs"]
    assert "PublicKey" not in shown
    (shown,) = helen("DescribeKeyPairs", IncludePublicKey=True)["KeyPairs"]
    assert shown["PublicKey"].startswith("ssh-ed25519 ")
    assert shown["PublicKey"].endswith(" mykey")


def test_a_name_is_taken_once_in_an_account(helen, paris):
    create(helen)
    with refused(Duplicate, Noun.KEY_PAIR, "mykey"):
        create(helen)
    public = helen.cloud.key_maker.make("ed25519").public_key.encode()
    with refused(Duplicate, Noun.KEY_PAIR, "mykey"):
        helen("ImportKeyPair", KeyName="mykey", PublicKeyMaterial=public)
    create(paris)
    create(helen, "my*")  # no pattern


@pytest.mark.parametrize("name", ["", "x" * 256, "ключ", "a\nb", " a", "a "])
def test_names_are_printable_ascii(helen, name):
    with refused(Invalid, Noun.PARAMETER, "KeyName"):
        create(helen, name)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_puttys_form_bears_the_name(helen, kind):
    """API reference, CreateKeyPair: KeyFormat."""
    made = create(helen, "my key", KeyType=kind, KeyFormat="ppk")
    head = made["KeyMaterial"].splitlines()[:3]
    assert head == [f"PuTTY-User-Key-File-2: ssh-{kind}", "Encryption: none", "Comment: my key"]
    (shown,) = helen("DescribeKeyPairs")["KeyPairs"]
    assert (shown["KeyType"], shown["KeyFingerprint"]) == (kind, made["KeyFingerprint"])


def test_tags_of_other_things_cannot_be_given_to_a_key_pair(helen):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    with refused(Invalid, Noun.PARAMETER, "not a valid taggable resource type"):
        create(helen, TagSpecifications=tags)


def test_tags_at_creation_are_found(helen):
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "team", "Value": "a"}]}]
    made = create(helen, "a", TagSpecifications=tags)
    create(helen, "b")
    assert made["Tags"] == [{"Key": "team", "Value": "a"}]
    for name, value in (("tag:team", "a"), ("tag-key", "team"), ("key-pair-id", "key-1")):
        assert names(helen, Filters=[{"Name": name, "Values": [value]}]) == ["a"]
    assert helen("DescribeKeyPairs")["KeyPairs"][0]["Tags"] == made["Tags"]


def test_an_import_keeps_the_key_and_its_tags(helen):
    public = helen.cloud.key_maker.make("rsa").public_key
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "of", "Value": "helen"}]}]
    made = helen(
        "ImportKeyPair",
        KeyName="k",
        PublicKeyMaterial=f"{public} me@home".encode(),
        TagSpecifications=tags,
    )
    assert made["Tags"] == [{"Key": "of", "Value": "helen"}]
    assert len(made["KeyFingerprint"]) == 47  # MD5, in bytes with colons
    row = helen.find("key_pairs", made["KeyPairId"])
    assert row.public_key == f"{public} k"


def test_an_import_of_no_key_is_refused(helen):
    with refused(Invalid, Noun.KEY_PAIR):
        helen("ImportKeyPair", KeyName="k", PublicKeyMaterial=b"hello")
    assert names(helen) == []


def test_deleting_what_is_not_there_succeeds(helen, paris):
    create(paris)
    assert helen("DeleteKeyPair", KeyName="mykey") == {"Return": True}
    assert helen("DeleteKeyPair", KeyPairId="key-00000001") == {"Return": True}
    assert names(paris) == ["mykey"]


@pytest.mark.parametrize("by", [{"KeyName": "mykey"}, {"KeyPairId": "key-00000001"}])
def test_deleting_by_name_or_id(helen, by):
    create(helen)
    assert helen("DeleteKeyPair", **by) == {"Return": True, "KeyPairId": "key-00000001"}
    assert names(helen) == []


def test_a_name_and_an_id_are_of_one_pair(helen):
    create(helen, "a")
    with refused(Conflict, Noun.PARAMETER, "is not the key pair 'b'"):
        helen("DeleteKeyPair", KeyName="b", KeyPairId="key-00000001")
    helen("DeleteKeyPair", KeyName="a", KeyPairId="key-00000001")
    assert names(helen) == []


def test_deleting_needs_a_name_or_an_id(helen):
    with refused(Missing, Noun.PARAMETER):
        helen("DeleteKeyPair")
    with refused(Malformed, Noun.KEY_PAIR):
        helen("DeleteKeyPair", KeyPairId="mykey")


def test_describing_by_name_id_and_filter(helen, paris):
    first, second = create(helen, "a"), create(helen, "b")
    create(paris, "c")
    assert names(helen) == ["a", "b"]
    assert names(helen, KeyNames=["b"]) == ["b"]
    assert names(helen, KeyPairIds=[first["KeyPairId"]]) == ["a"]
    fingerprint = [{"Name": "fingerprint", "Values": [second["KeyFingerprint"]]}]
    assert names(helen, Filters=fingerprint) == ["b"]
    assert names(helen, Filters=[{"Name": "key-name", "Values": ["?"]}]) == ["a", "b"]
    assert names(helen, KeyNames=["a"], Filters=fingerprint) == []


def test_names_and_ids_that_are_not_there_are_not_found(helen, paris):
    create(paris, "c")
    for asked in ({"KeyNames": ["c"]}, {"KeyPairIds": ["key-00000001"]}, {"KeyNames": ["?"]}):
        with refused(NotFound, Noun.KEY_PAIR):
            helen("DescribeKeyPairs", **asked)
    with refused(NotFound, Noun.KEY_PAIR, "x, y"):
        helen("DescribeKeyPairs", KeyNames=["x", "y"])
