"""Acting as a user: the server_cipher login, for which oned needs no password of the user.

The service owns a server account (`serveradmin`, driver server_cipher) and writes itself tokens
for others. oned gives the token to its driver and checks little of it: not that the name inside
is the target's, not that the target is enabled, not the token's group, and hardly its age
(facts/opennebula.md 1, recordings 12-14, 21, 243-245). So a session string is as good as
oneadmin's password. It never leaves this process but for oned, and the caller has looked at
whether the user is enabled.

oned keeps one token for each user. The same one again costs it 1 ms, another one 210 ms (a Ruby
process): all workers must make the same bytes, so a token's end is a whole hour.
"""

import base64
import hashlib
import stat
import unicodedata
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.hidden import Hidden
from econe.engines.opennebula.errors import Meaning, OnedBusy
from econe.engines.opennebula.rpc import Oned

HOUR_S: Final = 3600
LONGEST_NAME: Final = 128  # of any OpenNebula object: PoolObjectSQL::name_is_valid


class Scheme(Enum):
    """How the driver of a version of oned makes key and IV of the server account's secret; the
    oldest first."""

    SHA1_ZERO_IV = "sha1-zero-iv"
    """Up to 5.8."""
    SHA256_ZERO_IV = "sha256-zero-iv"
    """5.10 to 6.0."""
    SHA256_KEY_IV = "sha256-key-iv"
    """6.2 and later."""


def check_user_name(name: str) -> None:
    """Refuse what cannot be a user's name in oned, and what would mean something else in a session.

    A session is split at colons, so `helen:0` would be helen with group 0. oned refuses blanks in
    user names itself (User::INVALID_NAME_CHARS). Raises EngineRefused.
    """
    problem = _name_problem(name)
    if problem:
        raise EngineRefused("The user name is not valid.", f"user name {problem}")


def _name_problem(name: str) -> str:
    if not name:
        return "is empty"
    if ":" in name:
        return "has a colon"
    for character in name:
        if character.isspace() or unicodedata.category(character) in {"Cc", "Zl", "Zp"}:
            return "has a blank or a control character"
        if unicodedata.category(character) == "Cs" or character > "\uffff":
            return "has a character that oned cannot read"
    return "is too long" if len(name.encode()) > LONGEST_NAME else ""


@dataclass(frozen=True, slots=True)
class Delegation:
    """A server account that may act as others."""

    server_user: str
    server_secret: Hidden[str]
    scheme: Scheme

    def session_for(self, user_name: str, now: float) -> Hidden[str]:
        """oned's session string for this user; the server's own name gives its own session.

        `now` is in Unix seconds. The token ends one to two hours later, and is the same in every
        process for an hour. Microseconds. Raises EngineRefused for a name that cannot be.
        """
        check_user_name(user_name)
        return self._session(user_name, (int(now) // HOUR_S + 2) * HOUR_S)

    def _session(self, user_name: str, expires: int) -> Hidden[str]:
        padder = PKCS7(128).padder()
        text = f"{self.server_user}:{user_name}:{expires}".encode()
        encryptor = Cipher(*self._key_and_iv()).encryptor()
        secret = encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()
        return Hidden(f"{self.server_user}:{user_name}:{base64.b64encode(secret).decode()}")

    def _key_and_iv(self) -> tuple[algorithms.AES, modes.CBC]:
        secret = self.server_secret.reveal().encode()
        if self.scheme is Scheme.SHA1_ZERO_IV:
            digest = hashlib.sha1(secret, usedforsecurity=False).hexdigest()
        else:
            digest = hashlib.sha256(secret).hexdigest()
        iv = digest[:16].encode() if self.scheme is Scheme.SHA256_KEY_IV else bytes(16)
        return algorithms.AES(digest[:32].encode()), modes.CBC(iv)


def find_delegation(
    oned: Oned, server_user: str, server_secret: Hidden[str], now: float
) -> tuple[Delegation, str]:
    """How this oned wants its tokens, and its version.

    one.system.version wants a login itself, so the schemes are tried, the newest first: 0.2 s for
    each that is not the one. Raises EngineBusy, and says so where oned refuses all.
    """
    for scheme in reversed(Scheme):  # the newest first
        delegation = Delegation(server_user, server_secret, scheme)
        try:
            version = oned.text(delegation.session_for(server_user, now), "one.system.version")
        except OnedBusy as busy:
            if busy.failure.meaning is not Meaning.LOGIN:
                raise
        else:
            return delegation, version
    raise EngineBusy(
        f"oned refuses the login of our service account {server_user!r}: look at its file, at its "
        "driver in oned (server_cipher), and at its password there"
    )


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """What the file of a server account holds."""

    user: str
    secret: Hidden[str]
    is_open: bool
    """Users of this machine beside its owner and group may read the file: whoever does is
    oneadmin."""


def read_server_account(path: Path) -> ServerAccount:
    """Read `serveradmin:secret` (the service's copy of ec2_auth or sunstone_auth).

    The file is stripped at its end and split at the first colon, as OpenNebula's own services do
    it (CloudServer's get_session). Raises EngineRefused; its `said` is for the operator.
    """
    try:
        content = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise EngineRefused(f"{path} cannot be read: {reason}.") from None
    user, colon, secret = content.rstrip().partition(":")
    if not colon or not secret or _name_problem(user) or "\n" in secret:
        raise EngineRefused(f"{path} does not hold one line NAME:SECRET.")
    return ServerAccount(user, Hidden(secret), bool(mode & stat.S_IROTH))
