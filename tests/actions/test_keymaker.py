"""Keys and fingerprints, held to what OpenSSH and OpenSSL say of them."""

import base64
import hashlib
import hmac
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from tests.support.desk import refused

from econe.actions.keymaker import OpenSshKeys
from econe.domain.faults import Invalid, Noun, Unsupported

# Made once with `ssh-keygen -t rsa -b 2048` and `ssh-keygen -t ed25519`; fingerprints by
# `ssh-keygen -e -m PKCS8 | openssl pkey -pubin -outform DER | md5sum` and `ssh-keygen -l`.
RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCuj4kwIi8tcqeovUmR0mklyBwfAc1OnhyA0KCb2E7V"
    "8f2Bkt84af0Fho/e6Z7ZGZ9Eez09nOXIS6H1qR/jtuPCEKJAcKv7R7ao3RFFMw5ygoLBtePmwWESKTzt"
    "8vFvjp+cMVf6/Kdwas3m3qJ0StozSi/5YDjvpNGeura9skET5WEJuTsnS6aDNTUhMSlh3fFvsbXJjl6e"
    "NSDZ+aKuvA6aY5dU6QAjwFyRhn25sdZPdd4me8/seLPS5nghtVYuz3E05EBke1yKBaKZF2pMRvzxwoar"
    "LC9yLAgPsAXTa76uo3EQ1DU0v6WKUdzARqs8ClnoHRpb6MpJCpjlRbz0HiiB"
)
RSA_MD5 = "24:d3:42:08:d9:db:ba:b5:81:49:61:d5:88:b6:0e:7f"
ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAvQKKUlpQ6s6F1ZXz3zMFOTmmfSJ+ARc2KoXYO2zN6Z"
ED_SHA256 = "V9/gUmWPHxhV59uQveDRixKeruSTMFrc2zSGRU4ORic"
ECDSA = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIY8bcX+"
    "qo2jeurcVbOVNoD4TOzYrXv6h44rVPecu9Zq59o9k5AQ5vqAVZ8BVU7vmuSrmVx8Fa7cqBxkJ8/ljqc="
)
PEM = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAro+JMCIvLXKnqL1JkdJp
JcgcHwHNTp4cgNCgm9hO1fH9gZLfOGn9BYaP3ume2RmfRHs9PZzlyEuh9akf47bj
whCiQHCr+0e2qN0RRTMOcoKCwbXj5sFhEik87fLxb46fnDFX+vyncGrN5t6idEra
M0ov+WA476TRnrq2vbJBE+VhCbk7J0umgzU1ITEpYd3xb7G1yY5enjUg2fmirrwO
mmOXVOkAI8BckYZ9ubHWT3XeJnvP7Hiz0uZ4IbVWLs9xNORAZHtcigWimRdqTEb8
8cKGqywvciwID7AF02u+rqNxENQ1NL+lilHcwEarPApZ6B0aW+jKSQqY5UW89B4o
gQIDAQAB
-----END PUBLIC KEY-----
"""

PKCS1 = """-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAro+JMCIvLXKnqL1JkdJpJcgcHwHNTp4cgNCgm9hO1fH9gZLfOGn9
BYaP3ume2RmfRHs9PZzlyEuh9akf47bjwhCiQHCr+0e2qN0RRTMOcoKCwbXj5sFh
Eik87fLxb46fnDFX+vyncGrN5t6idEraM0ov+WA476TRnrq2vbJBE+VhCbk7J0um
gzU1ITEpYd3xb7G1yY5enjUg2fmirrwOmmOXVOkAI8BckYZ9ubHWT3XeJnvP7Hiz
0uZ4IbVWLs9xNORAZHtcigWimRdqTEb88cKGqywvciwID7AF02u+rqNxENQ1NL+l
ilHcwEarPApZ6B0aW+jKSQqY5UW89B4ogQIDAQAB
-----END RSA PUBLIC KEY-----
"""
"""By `ssh-keygen -e -m PEM`."""
ED_PEM = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAC9AopSWlDqzoXVlfPfMwU5OaZ9In4BFzYqhdg7bM3pk=
-----END PUBLIC KEY-----
"""

KEYS = OpenSshKeys()


def run(*command, given=b""):
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def test_an_imported_rsa_key_has_the_md5_of_its_der():
    key = KEYS.read(f"{RSA} helen@laptop".encode())
    assert (key.type, key.fingerprint) == ("rsa", RSA_MD5)
    assert key.public_key == RSA
    assert key.private is None


def test_an_imported_ed25519_key_has_the_sha256_that_openssh_shows():
    key = KEYS.read(ED.encode())
    assert (key.type, key.fingerprint.rstrip("=")) == ("ed25519", ED_SHA256)
    assert key.public_key == ED


def rfc4716(line):
    blob = line.split()[1]
    lines = [blob[at : at + 70] for at in range(0, len(blob), 70)]
    head = ["---- BEGIN SSH2 PUBLIC KEY ----", 'Comment: "2048-bit RSA, \\', 'of helen"']
    return "\n".join([*head, *lines, "---- END SSH2 PUBLIC KEY ----"])


@pytest.mark.parametrize(
    "material",
    [
        RSA,
        f"  {RSA} a comment with blanks\n",
        PEM,
        "".join(PEM.splitlines()[1:-1]),
        "\n".join(PEM.splitlines()[1:-1]),
        PKCS1,
        PKCS1.replace("\n", "\r\n"),
        "".join(PKCS1.splitlines()[1:-1]),
        rfc4716(RSA),
        rfc4716(RSA).replace("\n", "\r\n") + "\r\n",
    ],
    ids=[
        "line", "commented", "pem", "der", "der-lines", "pkcs1", "pkcs1-crlf", "pkcs1-der",
        "rfc4716", "rfc4716-crlf",
    ],
)  # fmt: skip
def test_every_form_that_ec2_reads_is_the_same_key(material):
    key = KEYS.read(material.encode())
    assert (key.public_key, key.fingerprint) == (RSA, RSA_MD5)


@pytest.mark.parametrize(
    "material",
    [f"{ED} me", ED_PEM, "".join(ED_PEM.splitlines()[1:-1]), rfc4716(ED)],
    ids=["line", "pem", "der", "rfc4716"],
)
def test_ed25519_keys_come_in_the_same_forms(material):
    key = KEYS.read(material.encode())
    assert (key.public_key, key.fingerprint) == (ED, f"{ED_SHA256}=")


@pytest.mark.parametrize(
    "material",
    [
        "",
        f"{RSA}\n{ED}",  # one key a pair
        f'command="id" {RSA}',  # a line of authorized_keys
        base64.b64encode(RSA.encode()).decode(),  # encoded once more than the protocol does
        base64.b64encode(PEM.encode()).decode(),
        "ssh-rsa",
        "ssh-rsa AAAA",
        ECDSA,
        RSA.replace("ssh-rsa", "ssh-ed25519"),
        RSA[:-20],
        "hello world",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "---- BEGIN SSH2 PUBLIC KEY ----\n!!\n---- END SSH2 PUBLIC KEY ----",
        "ssh-dss AAAA",
        "x" * 20000,
    ],
)
def test_what_is_no_such_key_is_refused(material):
    with refused(Invalid, Noun.KEY_PAIR, "OpenSSH public key format"):
        KEYS.read(material.encode())


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda b: b"ssh-rsa " + b))
def test_no_bytes_make_the_reader_fail_otherwise(material):
    with refused(Invalid, Noun.KEY_PAIR):
        KEYS.read(material)


def test_a_private_key_is_not_taken_for_a_public_one():
    made = KEYS.make("ed25519")
    with refused(Invalid, Noun.KEY_PAIR):
        KEYS.read(made.private.reveal().encode())


@pytest.mark.parametrize(
    ("bits", "fits"), [(1024, True), (3072, True), (8192, True), (8200, False)]
)
def test_lengths_from_1024_to_8192_bits_are_read(bits, fits):
    number = (1 << (bits - 1)) + 1
    parts = [b"ssh-rsa", b"\x01\x00\x01", b"\0" + number.to_bytes(bits // 8, "big")]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    line = b"ssh-rsa " + base64.b64encode(blob)
    if fits:
        assert KEYS.read(line).public_key.encode() == line
    else:
        with refused(Invalid, Noun.KEY_PAIR):
            KEYS.read(line)


def test_a_certificate_is_not_taken_for_the_key_in_it(tmp_path):
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    ca, key = str(tmp_path / "ca"), str(tmp_path / "key")
    for path in (ca, key):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    run("ssh-keygen", "-q", "-s", ca, "-I", "helen", f"{key}.pub")
    with refused(Invalid, Noun.KEY_PAIR):
        KEYS.read((tmp_path / "key-cert.pub").read_bytes())


@pytest.mark.parametrize("kind", ["ecdsa", "dsa"])
def test_keys_of_other_kinds_are_refused_in_every_form(tmp_path, kind):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = {
        "ecdsa": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        "dsa": ("dsaparam", "-genkey", "-noout", "1024"),
    }[kind]
    public = run("openssl", "pkey", "-pubout", given=run("openssl", *made))
    for material in (public, b"".join(public.splitlines()[1:-1])):
        with refused(Invalid, Noun.KEY_PAIR):
            KEYS.read(material)


@pytest.mark.parametrize("kind", ["dsa", ""])
def test_other_kinds_cannot_be_made(kind):
    with refused(Unsupported, Noun.KEY_PAIR):
        KEYS.make(kind)


@pytest.mark.parametrize(
    ("kind", "begins"), [("rsa", "-----BEGIN RSA"), ("ed25519", "-----BEGIN OPENSSH")]
)
def test_a_made_key_is_the_pair_that_openssh_says(tmp_path, kind, begins):
    made = KEYS.make(kind)
    assert made.private.reveal().startswith(begins)
    assert made.private.reveal() not in repr(made)
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path / "key.pem"
    path.write_text(made.private.reveal())
    path.chmod(0o600)
    assert run("ssh-keygen", "-y", "-f", str(path)).decode().split()[:2] == made.public_key.split()


def test_a_made_rsa_key_has_the_sha1_of_its_pkcs8(tmp_path):
    made = KEYS.make("rsa")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    pem = made.private.reveal().encode()
    der = run("openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", given=pem)
    assert made.fingerprint == hashlib.sha1(der).digest().hex(":")
    assert len(made.fingerprint) == 59


def test_a_made_ed25519_key_has_the_sha256_that_openssh_shows():
    made = KEYS.make("ed25519")
    blob = base64.b64decode(made.public_key.split()[1])
    assert base64.b64decode(made.fingerprint) == hashlib.sha256(blob).digest()


# --- PuTTY's files -----------------------------------------------------------------------


def read_ppk(text):
    """(algorithm, comment, public, private, MAC), by the manual's words: independent of ours."""
    lines = iter(text.splitlines())
    found = {}
    for line in lines:
        name, _, value = line.partition(": ")
        found[name] = value
        if name.endswith("-Lines"):
            found[name] = base64.b64decode("".join(next(lines) for _ in range(int(value))))
    assert found["Encryption"] == "none"
    return tuple(
        found[name]
        for name in (
            "PuTTY-User-Key-File-2", "Comment", "Public-Lines", "Private-Lines", "Private-MAC"
        )
    )  # fmt: skip


def parts_of(blob):
    while blob:
        length = int.from_bytes(blob[:4], "big")
        yield blob[4 : 4 + length]
        blob = blob[4 + length :]


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_ppk_holds_the_pair_and_proves_itself(kind):
    made = KEYS.make(kind, key_format="ppk", comment="my key")
    algorithm, comment, public, private, mac = read_ppk(made.private.reveal())
    assert (algorithm, comment) == (f"ssh-{kind}", "my key")
    assert base64.b64encode(public).decode() == made.public_key.split()[1]
    said = [algorithm.encode(), b"none", comment.encode(), public, private]
    mac_key = hashlib.sha1(b"putty-private-key-file-mac-key").digest()
    data = b"".join(len(part).to_bytes(4, "big") + part for part in said)
    assert mac == hmac.new(mac_key, data, "sha1").hexdigest()


def test_the_numbers_of_a_ppk_are_those_of_the_key():
    made = KEYS.make("rsa", key_format="ppk")
    _, _, public, private, _ = read_ppk(made.private.reveal())
    _, exponent, modulus = (int.from_bytes(part, "big") for part in parts_of(public))
    d, p, q, inverse = (int.from_bytes(part, "big", signed=True) for part in parts_of(private))
    assert (p * q, inverse * q % p) == (modulus, 1)
    assert p > q
    assert pow(pow(7, exponent, modulus), d, modulus) == 7


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_puttygen_reads_a_ppk_as_the_same_pair(tmp_path, kind):
    if shutil.which("puttygen") is None:
        pytest.skip("puttygen is not installed")
    made = KEYS.make(kind, key_format="ppk", comment="my key")
    path = tmp_path / "key.ppk"
    path.write_text(made.private.reveal())
    line = run("puttygen", str(path), "-O", "public-openssh").decode().strip()
    assert line == f"{made.public_key} my key"
    run("puttygen", str(path), "-O", "private-openssh", "-o", str(tmp_path / "pem"))
    key = serialization.load_ssh_private_key if kind == "ed25519" else _pem
    public = key((tmp_path / "pem").read_bytes(), None).public_key()
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    assert public.public_bytes(*form).decode() == made.public_key


def _pem(text, password):
    return serialization.load_pem_private_key(text, password)


def test_the_fingerprint_does_not_depend_on_the_form():
    made = KEYS.make("rsa", key_format="ppk")
    assert len(made.fingerprint) == 59  # SHA-1
