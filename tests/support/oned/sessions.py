"""Who a session string stands for, as UserPool::authenticate decides it, holes and all.

One token a user is remembered for 15 minutes; a remembered token is believed whatever it says, so
it outlives its expiry, and which server user sends it does not matter. Whom a delegation token was
made for is never looked at. Only the server user must be enabled, not the user he speaks for.
"""

import base64
import binascii
import time
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from tests.support.oned.errors import AUTHENTICATION, Refused
from tests.support.oned.objects import User, password_hash, version_of
from tests.support.oned.rights import Caller

if TYPE_CHECKING:
    from tests.support.oned.world import World

SESSION_EXPIRATION_S = 900


def delegation(
    server: str, secret: str, target: str, expires: int, *, version: str = "7.0.2"
) -> str:
    """The session of `server` who speaks for `target`: what a test's own client would send."""
    key, iv = _key_iv(password_hash(secret, version), version)
    padder = PKCS7(128).padder()
    plain = padder.update(f"{server}:{target}:{expires}".encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    token = base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()
    return f"{server}:{target}:{token}"


def _key_iv(stored: str, version: str) -> tuple[bytes, bytes]:
    """The driver cuts both from the stored hash: see the versions in econe.md, 1.6."""
    zero = version_of(version) < (6, 1, 80)
    return stored[:32].encode(), bytes(16) if zero else stored[:16].encode()


class Sessions:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._kept: dict[int, tuple[str, float]] = {}
        self.checks = 0
        """Calls of the authentication driver: what a client that reuses its token saves."""

    def forget(self) -> None:
        """As a restart of oned does."""
        self._kept.clear()

    def forget_user(self, uid: int) -> None:
        self._kept.pop(uid, None)

    def caller(self, session: str) -> Caller:
        """Raises Refused, with one text for every reason."""
        name, colon, token = session.partition(":")
        user = self._world.user_named(name) if colon else None
        if user is None or not user.enabled:
            raise _unknown()
        if user.driver.startswith("server_"):
            return self._delegated(user, token)
        return self._direct(user, token)

    def _direct(self, user: User, token: str) -> Caller:
        now = self._world.clock.now()
        version = self._world.version
        if version_of(version) >= (5, 10) and user.password == sha1(token.encode()).hexdigest():
            user.password = sha256(token.encode()).hexdigest()
        for each in user.tokens:
            if each.token == token:
                if each.expires != -1 and each.expires <= now:
                    raise _unknown()
                return _as_user(user, each.egid if each.egid != -1 else None)
        if self._is_kept(user, token):
            return _as_user(user, None)
        if user.driver != "core" or password_hash(token, version) != user.password:
            raise _unknown()
        self._keep(user, token)
        return _as_user(user, None)

    def _delegated(self, server: User, rest: str) -> Caller:
        target, colon, token = rest.partition(":")
        if not colon:
            raise _unknown()
        egid = None
        before, colon, after = token.partition(":")
        if colon:
            if not before.lstrip("-").isdigit():
                raise _unknown()
            egid, token = int(before), after
        user = self._world.user_named(target)
        if user is None:
            raise _unknown()
        if not self._is_kept(user, token):
            self._ask_driver(server, token)
            self._keep(user, token)
        return _as_user(user, None if egid == -1 else egid)

    def _ask_driver(self, server: User, token: str) -> None:
        self.checks += 1
        time.sleep(self._world.pace.login_s)
        fields = self._decrypted(server, token).split(":")
        if fields[0] != server.name or not fields[-1].isdigit():
            raise _unknown()
        if int(fields[-1]) <= self._world.clock.now():
            raise _unknown()

    def _decrypted(self, server: User, token: str) -> str:
        key, iv = _key_iv(server.password, self._world.version)
        try:
            raw = base64.b64decode(token, validate=True)
            decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
            padded = decryptor.update(raw) + decryptor.finalize()
            unpadder = PKCS7(128).unpadder()
            return (unpadder.update(padded) + unpadder.finalize()).decode()
        except (binascii.Error, ValueError) as error:
            raise _unknown() from error

    def _is_kept(self, user: User, token: str) -> bool:
        kept = self._kept.get(user.id)
        return kept is not None and kept[0] == token and self._world.clock.now() < kept[1]

    def _keep(self, user: User, token: str) -> None:
        self._kept[user.id] = (token, self._world.clock.now() + SESSION_EXPIRATION_S)


def _as_user(user: User, egid: int | None) -> Caller:
    """A session may set the effective group, without any test of membership."""
    groups = list(user.groups) if egid is None else [egid]
    gid = user.gid if egid is None else egid
    return Caller(user.id, gid, user.name, user.gname, groups)


def _unknown() -> Refused:
    return Refused(AUTHENTICATION, "User couldn't be authenticated, aborting call.")
