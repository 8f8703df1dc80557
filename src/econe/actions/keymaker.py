"""SSH keys, by the cryptography library.

Fingerprints are EC2's (User Guide, "Verify the fingerprint"): of imported RSA keys the MD5 of the
DER public key, of made RSA keys the SHA-1 of the DER PKCS#8 private key, of ED25519 keys the
SHA-256 that OpenSSH shows, in base64.
"""

import base64
import binascii
import hashlib
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)

from econe.actions.putty import write_ppk
from econe.domain.faults import Invalid, Noun, Unsupported
from econe.domain.hidden import Hidden
from econe.domain.ports import KnownKey

RSA_BITS: Final = 2048
READ_BITS: Final = range(1024, 8193)
"""EC2 promises 1024, 2048 and 4096, and takes what lies between and up to 8192 as well (seen by
users: 3072 is what ssh-keygen makes)."""
LONGEST: Final = 16384
_RFC4716: Final = re.compile(
    rb"\A---- BEGIN SSH2 PUBLIC KEY ----\r?\n(.*)\r?\n---- END SSH2 PUBLIC KEY ----\s*\Z", re.S
)


class OpenSshKeys:
    """domain.ports.KeyMaker."""

    def make(self, key_type: str, *, key_format: str = "pem", comment: str = "") -> KnownKey:
        if key_type == "rsa":
            rsa = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
            pem = forms.PrivateFormat.TraditionalOpenSSL
            return _made(rsa, pem, _sha1(rsa), key_format, comment)
        if key_type == "ed25519":
            ed25519 = Ed25519PrivateKey.generate()
            fingerprint = _sha256(ed25519.public_key())
            return _made(ed25519, forms.PrivateFormat.OpenSSH, fingerprint, key_format, comment)
        raise Unsupported(Noun.KEY_PAIR, key_type)

    def read(self, material: bytes) -> KnownKey:
        if len(material) > LONGEST:
            raise _unreadable("longer than any key")
        try:
            key = _load(material.strip())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _unreadable(str(error)) from error
        if isinstance(key, RSAPublicKey) and key.key_size in READ_BITS:
            digest = hashlib.md5(_der(key), usedforsecurity=False).digest()
            return KnownKey("rsa", _line(key), digest.hex(":"))
        if isinstance(key, Ed25519PublicKey):
            return KnownKey("ed25519", _line(key), _sha256(key))
        raise _unreadable("a key of another kind or length")


def _unreadable(hidden: str) -> Invalid:
    return Invalid(
        Noun.KEY_PAIR, said="Key is not in valid OpenSSH public key format", hidden=hidden
    )


def _load(material: bytes) -> object:
    """OpenSSH's line, PEM, RFC 4716 or base64 of DER; in the last two of these SubjectPublicKeyInfo
    or PKCS#1. Raises ValueError, UnsupportedAlgorithm."""
    if material.startswith(b"-----BEGIN "):
        return forms.load_pem_public_key(material)
    if found := _RFC4716.match(material):
        return forms.load_ssh_public_key(_openssh_line(found[1]))
    if material.startswith(b"ssh-"):
        _check_line(material)
        return forms.load_ssh_public_key(material)
    try:
        der = base64.b64decode(b"".join(material.split()), validate=True)
        return forms.load_der_public_key(der)
    except binascii.Error as error:
        raise ValueError("neither a line, PEM, RFC 4716 nor base64") from error


def _check_line(material: bytes) -> None:
    """One key a pair: the library reads the first line alone, and of a certificate the key."""
    if len(material.splitlines()) > 1:
        raise ValueError("more than one line")
    if b"-cert-v01@" in material.split()[0]:
        raise ValueError("a certificate")


def _openssh_line(body: bytes) -> bytes:
    """RFC 4716, section 3: headers (a backslash continues one), then base64 in lines."""
    lines = body.replace(b"\\\r\n", b"").replace(b"\\\n", b"").splitlines()
    blob = b"".join(line.strip() for line in lines if b":" not in line)
    raw = base64.b64decode(blob, validate=True)
    length = int.from_bytes(raw[:4], "big")
    return raw[4 : 4 + length] + b" " + blob


def _made(
    key: RSAPrivateKey | Ed25519PrivateKey,
    pem: forms.PrivateFormat,
    fingerprint: str,
    key_format: str,
    comment: str,
) -> KnownKey:
    """`pem` is the form that EC2 gives keys of this type in."""
    if key_format == "ppk":
        private = write_ppk(key, comment)
    else:
        private = key.private_bytes(forms.Encoding.PEM, pem, forms.NoEncryption()).decode()
    kind = "rsa" if isinstance(key, RSAPrivateKey) else "ed25519"
    return KnownKey(kind, _line(key.public_key()), fingerprint, Hidden(private))


def _sha1(key: RSAPrivateKey) -> str:
    pkcs8 = key.private_bytes(forms.Encoding.DER, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    return hashlib.sha1(pkcs8, usedforsecurity=False).digest().hex(":")


def _line(key: RSAPublicKey | Ed25519PublicKey) -> str:
    return key.public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH).decode()


def _der(key: RSAPublicKey) -> bytes:
    return key.public_bytes(forms.Encoding.DER, forms.PublicFormat.SubjectPublicKeyInfo)


def _sha256(key: Ed25519PublicKey) -> str:
    """As `ssh-keygen -l` computes it, with the padding that EC2 keeps."""
    blob = base64.b64decode(_line(key).split()[1])
    return base64.b64encode(hashlib.sha256(blob).digest()).decode()
