"""econe-create-, -import-, -describe- and -delete-keypair."""

import base64
import json
import os

import pytest
from tests.support.cloud_double import error, xml

from econe.cli.keypairs import CREATE_KEYPAIR, DELETE_KEYPAIR, DESCRIBE_KEYPAIRS, IMPORT_KEYPAIR

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMII=\n-----END RSA PRIVATE KEY-----"
CREATED = xml(
    "<CreateKeyPairResponse><keyName>mykey</keyName><keyFingerprint>1f:51</keyFingerprint>"
    f"<keyMaterial>{PEM}</keyMaterial></CreateKeyPairResponse>"
)


def test_create_prints_as_opennebula_did(cloud, run):
    cloud.answers = [CREATED]
    played = run(CREATE_KEYPAIR, "mykey")
    assert played.out == f"keyName: mykey\nFingerprint: 1f:51\nPrivate Key:\n{PEM}\n"
    assert cloud.asked == [{"Action": "CreateKeyPair", "Version": "2016-11-15", "KeyName": "mykey"}]


def test_create_writes_a_file_that_only_its_owner_can_read(cloud, run, tmp_path):
    cloud.answers = [CREATED]
    path = tmp_path / "my.pem"
    before = os.umask(0o777)
    try:
        played = run(CREATE_KEYPAIR, "mykey", "-o", str(path), "-t", "rsa")
    finally:
        os.umask(before)
    assert played.out == "keyName: mykey\nFingerprint: 1f:51\n"
    assert path.read_text() == PEM + "\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert cloud.asked[0]["KeyType"] == "rsa"


def test_a_key_for_putty_is_asked_for_as_such(cloud, run):
    cloud.answers = [CREATED]
    run(CREATE_KEYPAIR, "mykey", "--format", "ppk")
    assert cloud.asked[0]["KeyFormat"] == "ppk"


def test_with_a_file_the_key_is_not_in_the_json(cloud, run, tmp_path):
    cloud.answers = [CREATED]
    told = json.loads(run(CREATE_KEYPAIR, "mykey", "--json", "-o", str(tmp_path / "k")).out)
    assert told == {"keyName": "mykey", "keyFingerprint": "1f:51"}
    assert json.loads(run(CREATE_KEYPAIR, "mykey", "--json").out)["keyMaterial"] == PEM


def test_no_key_is_made_when_there_is_no_place_for_it(cloud, run, tmp_path):
    there = tmp_path / "there"
    there.write_text("precious")
    for path in (there, tmp_path / "no" / "such"):
        played = run(CREATE_KEYPAIR, "mykey", "-o", str(path))
        assert played.status == 1
        assert f"cannot make {path}" in played.err
    assert there.read_text() == "precious"
    assert cloud.received == []


def test_no_file_is_left_when_no_key_is_made(cloud, run, tmp_path):
    cloud.answers = [error("InvalidKeyPair.Duplicate", "exists")]
    played = run(CREATE_KEYPAIR, "mykey", "-o", str(tmp_path / "k"))
    assert played.err == "econe-create-keypair: exists (InvalidKeyPair.Duplicate)\n"
    assert list(tmp_path.iterdir()) == []


def test_an_answer_without_a_key_is_an_error(cloud, run):
    cloud.answers = [xml("<R><keyName>mykey</keyName></R>")]
    assert run(CREATE_KEYPAIR, "mykey").status == 1


def test_import_sends_the_public_key(cloud, run, tmp_path):
    cloud.answers = [xml("<R><keyName>mykey</keyName><keyFingerprint>aa</keyFingerprint></R>")]
    (tmp_path / "k.pub").write_text("ssh-ed25519 AAAA me\n")
    played = run(IMPORT_KEYPAIR, "mykey", str(tmp_path / "k.pub"))
    assert played.out == "keyName: mykey\nFingerprint: aa\n"
    assert base64.b64decode(cloud.asked[0]["PublicKeyMaterial"]) == b"ssh-ed25519 AAAA me\n"


def test_import_never_sends_a_private_key(cloud, run, tmp_path):
    (tmp_path / "k").write_text(PEM)
    played = run(IMPORT_KEYPAIR, "mykey", str(tmp_path / "k"))
    assert played.status == 2
    assert "private key" in played.err
    assert cloud.received == []


@pytest.mark.parametrize("words", [[], ["mykey"], ["mykey", "/none"], ["a", "b", "c"]])
def test_import_needs_a_name_and_a_file(cloud, run, words):
    assert run(IMPORT_KEYPAIR, *words).status in {1, 2}
    assert cloud.received == []


def test_describe_prints_a_table(cloud, run):
    cloud.answers = [
        xml(
            "<R><keySet><item><keyName>mykey</keyName><keyFingerprint>1f:51</keyFingerprint>"
            "</item></keySet></R>"
        )
    ]
    assert run(DESCRIBE_KEYPAIRS, "-H", "mykey").out.splitlines() == [
        "keyName         keyFingerprint",
        "-" * 76,
        "mykey           1f:51",
    ]
    assert cloud.asked[0]["KeyName.1"] == "mykey"


def test_names_with_blanks_and_commas_are_names(cloud, run):
    cloud.answers = [xml("<R><keySet/></R>")]
    assert run(DESCRIBE_KEYPAIRS, "my key, the old one", "b").status == 0
    assert cloud.asked[0]["KeyName.1"] == "my key, the old one"
    assert cloud.asked[0]["KeyName.2"] == "b"


def test_delete_prints_nothing(cloud, run):
    cloud.answers = [xml("<R><return>true</return></R>")]
    played = run(DELETE_KEYPAIR, "mykey")
    assert (played.status, played.out, played.err) == (0, "", "")


def test_delete_at_a_server_of_opennebula_can_fail_with_false(cloud, run):
    cloud.answers = [xml("<DeleteKeyPair><return>false</return></DeleteKeyPair>")]
    played = run(DELETE_KEYPAIR, "mykey")
    assert (played.status, played.err) == (
        1,
        "econe-delete-keypair: Key mykey could not be removed\n",
    )
