"""PuTTY's private key files, as CreateKeyPair gives them for KeyFormat `ppk`.

The form is that of version 2 of the file (PuTTY manual, appendix C, "PPK file format", and C.5 on
older versions), without a passphrase. Every PuTTY since 2002 reads it, and what else takes such
files (WinSCP, FileZilla); version 3 is read only since PuTTY 0.75.
"""

import base64
import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ENCRYPTION: Final = "none"
LINE: Final = 64
MAC_KEY: Final = hashlib.sha1(b"putty-private-key-file-mac-key", usedforsecurity=False).digest()
"""Of a file without a passphrase: the MAC proves that the file is whole, and nothing else."""


def write_ppk(key: RSAPrivateKey | Ed25519PrivateKey, comment: str) -> str:
    """The file's text. `comment` is one line of printable ASCII."""
    line = key.public_key().public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
    algorithm, encoded = line.decode().split()[:2]
    public, private = base64.b64decode(encoded), _private(key)
    proven = [algorithm.encode(), ENCRYPTION.encode(), comment.encode(), public, private]
    mac = hmac.new(MAC_KEY, b"".join(map(_text, proven)), hashlib.sha1).hexdigest()
    lines = [
        f"PuTTY-User-Key-File-2: {algorithm}",
        f"Encryption: {ENCRYPTION}",
        f"Comment: {comment}",
        *_lines("Public", public),
        *_lines("Private", private),
        f"Private-MAC: {mac}",
    ]
    return "\n".join(lines) + "\n"


def _private(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    """What the public half does not say: of RSA the exponent, both primes, the greater one first,
    and the inverse of the second modulo the first; of ED25519 the 32 bytes of the seed."""
    if isinstance(key, Ed25519PrivateKey):
        return _text(key.private_bytes_raw())
    numbers = key.private_numbers()
    p, q = max(numbers.p, numbers.q), min(numbers.p, numbers.q)
    return b"".join(map(_number, (numbers.d, p, q, pow(q, -1, p))))


def _lines(name: str, data: bytes) -> list[str]:
    text = base64.b64encode(data).decode()
    lines = [text[at : at + LINE] for at in range(0, len(text), LINE)]
    return [f"{name}-Lines: {len(lines)}", *lines]


def _text(data: bytes) -> bytes:
    """RFC 4251, section 5, `string`."""
    return len(data).to_bytes(4, "big") + data


def _number(number: int) -> bytes:
    """RFC 4251, section 5, `mpint`, of what is not negative: the highest bit is a sign."""
    return _text(number.to_bytes(number.bit_length() // 8 + 1, "big"))
