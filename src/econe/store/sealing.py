"""The key file, and secrets sealed with it.

What lies in the database is useless without `secret.key`: a copy of the one without the other
gives no secret away. AES-256-GCM; the access key's name is bound in, so that one key's sealed
secrets cannot be put in another's place.
"""

import json
import os
import secrets
import stat
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from econe.domain.hidden import Hidden
from econe.domain.ports import StoreBroken, StoreUnusable
from econe.durable import sync_directory

_FORM: Final = b"\x01"
"""The first byte says how the rest is made; another cipher takes another number."""
_NONCE: Final = 12
_KEY: Final = 32
_CHECK_NAME: Final = "secret.key"
_CHECK: Final = (Hidden("this is the right key file"),)
_KEPT_OPEN: Final = 256


def make_key_file(path: Path) -> None:
    """Make it with mode 0600 if there is none; complete or not at all, also after a crash."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, AESGCM.generate_key(_KEY * 8).hex().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(draft, path)  # fails, as it should, if another process was first
        except FileExistsError:
            return
        sync_directory(path.parent)
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be made: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def read_key_file(path: Path) -> bytes:
    """Raises StoreUnusable if it is missing, malformed, or others may read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise StoreUnusable(
            f"{path} is missing: the secrets in the database cannot be opened without it"
        ) from None
    except (OSError, ValueError) as error:
        raise StoreUnusable(f"{path} cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise StoreUnusable(
            f"{path} can be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 it"
        )
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise StoreUnusable(f"{path} is no key file: it must hold {_KEY * 2} hex digits")
    return key


class Seal:
    """Seals the secrets of access keys and opens them."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        # Authenticating a request must not cost a decryption. Keyed by what is sealed, so a
        # change in the database is seen at once.
        self._opened = lru_cache(maxsize=_KEPT_OPEN)(self._open)

    def close(self, access_key: str, opened: tuple[Hidden[str], ...]) -> bytes:
        """The sealed form. Differs each time."""
        nonce = os.urandom(_NONCE)
        plain = json.dumps([secret.reveal() for secret in opened]).encode()
        return _FORM + nonce + self._cipher.encrypt(nonce, plain, access_key.encode())

    def open(self, access_key: str, sealed: bytes) -> tuple[Hidden[str], ...]:
        """Raises StoreBroken if it was sealed with another key or for another access key."""
        return self._opened(access_key, sealed)

    def _open(self, access_key: str, sealed: bytes) -> tuple[Hidden[str], ...]:
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            if sealed[:1] != _FORM:
                raise InvalidTag
            plain = self._cipher.decrypt(nonce, body, access_key.encode())
        except (InvalidTag, ValueError):
            raise StoreBroken(f"the secrets of access key {access_key} cannot be opened") from None
        return tuple(Hidden(secret) for secret in json.loads(plain))

    def check_mark(self) -> bytes:
        """Kept in the database, to know the right key file again."""
        return self.close(_CHECK_NAME, _CHECK)

    def made(self, mark: bytes) -> bool:
        """Whether the mark was made with this key."""
        try:
            return self.open(_CHECK_NAME, mark) == _CHECK
        except StoreBroken:
            return False
