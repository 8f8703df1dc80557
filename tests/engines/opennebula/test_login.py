"""Tokens of the server_cipher login: the bytes that OpenNebula's own Ruby makes."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from econe.domain.engine_ports import EngineRefused
from econe.domain.hidden import Hidden
from econe.engines.opennebula.login import (
    Delegation,
    Scheme,
    check_user_name,
    read_server_account,
)

# Made by server_cipher_auth.rb of 5.4.0, 5.12.0 and 7.0.2 (facts/opennebula.md 1): secret
# "throwaway-secret", serveradmin for helen, the token's end 1900000000.
REFERENCE = {
    Scheme.SHA1_ZERO_IV: "6dSwflAoBXvlsAYBuWdNxPZlHJcOuNixjLY+kcXxaVc=",
    Scheme.SHA256_ZERO_IV: "Cm87uybcYh3CskSrfNY+3C/Q7JIBIz40XLAw24/pe2w=",
    Scheme.SHA256_KEY_IV: "9F+mgWjHmh/AWRVG6duxCsJKAtnoATl3Ww7g5+MZJr8=",
}
SECRET = Hidden("throwaway-secret")


def delegation(scheme=Scheme.SHA256_KEY_IV):
    return Delegation("serveradmin", SECRET, scheme)


@pytest.mark.parametrize("scheme", Scheme)
def test_the_token_is_the_one_that_the_driver_of_that_version_makes(scheme):
    session = delegation(scheme)._session("helen", 1900000000)
    assert session.reveal() == f"serveradmin:helen:{REFERENCE[scheme]}"


def expiry_in(session):
    """As the driver reads it."""
    key, iv = delegation()._key_and_iv()
    opened = Cipher(algorithms.AES(key.key), modes.CBC(iv.initialization_vector)).decryptor()
    clear = opened.update(base64.b64decode(session.reveal().split(":")[2])) + opened.finalize()
    server, target, expires = clear[: -clear[-1]].decode().split(":")
    assert (server, target) == ("serveradmin", "helen")
    return int(expires)


@given(st.floats(0, 4e9))
def test_a_token_lasts_at_least_an_hour_and_at_most_two(now):
    assert 3600 <= expiry_in(delegation().session_for("helen", now)) - int(now) <= 7200


def test_every_worker_makes_the_same_token_within_an_hour():
    tokens = {delegation().session_for("helen", 7200 + second) for second in range(0, 3600, 7)}
    assert len(tokens) == 1
    assert delegation().session_for("helen", 7200 + 3600) not in tokens


@pytest.mark.parametrize(
    "name",
    [
        "",
        "helen:0",  # would be helen in group 0 (recording 243)
        ":",
        " helen",
        "helen ",
        "he len",
        "helen\n",
        "he\x00len",
        "he\x7flen",
        "he\x85len",
        "he\u2028len",
        "he\u00a0len",
        "he\udc80len",
        "he😀len",
        "h" * 129,
        "ü" * 65,
    ],
)
def test_names_that_mean_something_else_get_no_session(name):
    with pytest.raises(EngineRefused) as refused:
        delegation().session_for(name, 0)
    assert refused.value.said == "The user name is not valid."


@given(st.text())
def test_a_session_has_two_colons_whatever_the_name(name):
    try:
        session = delegation().session_for(name, 0).reveal()
    except EngineRefused:
        return
    assert session.count(":") == 2
    assert session.split(":")[1] == name
    session.encode()


@pytest.mark.parametrize("name", ["helen", "h", "helen@example.com", "ülf", "h" * 128, "a&b"])
def test_ordinary_names_are_taken(name):
    check_user_name(name)


def test_nothing_shows_the_secret_or_the_session():
    session = delegation().session_for("helen", 0)
    assert "throwaway" not in repr(delegation())
    assert session.reveal() not in f"{session} {session!r}"


def test_the_account_file_is_split_at_its_first_colon(tmp_path: Path):
    path = tmp_path / "ec2_auth"
    path.write_text("serveradmin:43371b:42\n\n")
    path.chmod(0o640)
    account = read_server_account(path)
    assert (account.user, account.secret.reveal()) == ("serveradmin", "43371b:42")
    assert not account.is_open
    assert "43371b" not in repr(account)


def test_a_file_that_all_may_read_is_told_of(tmp_path: Path):
    path = tmp_path / "ec2_auth"
    path.write_text("serveradmin:x")
    path.chmod(0o644)
    assert read_server_account(path).is_open


@pytest.mark.parametrize(
    "content", [b"", b"serveradmin", b"serveradmin:", b":x", b"a b:x", b"a:b\nc:d\n", b"a:\xff"]
)
def test_a_file_that_holds_no_account_is_refused_without_showing_it(tmp_path: Path, content):
    path = tmp_path / "ec2_auth"
    path.write_bytes(content)
    with pytest.raises(EngineRefused) as refused:
        read_server_account(path)
    assert str(path) in refused.value.said
    assert "c:d" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(EngineRefused, match="No such file"):
        read_server_account(tmp_path / "none")
