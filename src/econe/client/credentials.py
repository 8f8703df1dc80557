"""Who is asking: the key pair of access key and secret.

In this order, as OpenNebula's tools had it (facts/econe.md, 3.1):

1. the two given on the command line;
2. EC2_ACCESS_KEY and EC2_SECRET_KEY, if both are set;
3. the file named by ONE_AUTH, else ~/.one/one_auth: `user:password`. The access key is the user,
   the secret the hash of the password. It is split at the first colon, so that a password may
   contain one (the old tools cut it there). OpenNebula hashes by SHA-256 since 5.10, and keeps the
   SHA-1 of a user who has not logged in with the password since then (facts/econe.md H8), so there
   are two secrets to try;
4. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, if both are set.
"""

from __future__ import annotations

from collections.abc import Mapping

from econe.client.errors import Misconfigured

DEFAULT_URL = "http://localhost:4567"

_MOST_BYTES = 64 * 1024
"""Of an ONE_AUTH file. It is one line; whatever is longer was not meant."""


class Credentials:
    """Both keys of an account. The secrets do not show in its text.

    `older_secret` is what may prove the account where `secret_key` does not; mostly there is none.
    """

    __slots__ = ("access_key", "older_secret", "secret_key")

    def __init__(self, access_key: str, secret_key: str, older_secret: str = "") -> None:
        self.access_key, self.secret_key = access_key, secret_key
        self.older_secret = older_secret

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r}, …)"


def find_credentials(
    access_key: str | None, secret_key: str | None, environ: Mapping[str, str]
) -> Credentials:
    """The first that applies of the four above. Raises Misconfigured when none does."""
    if access_key and secret_key:
        return Credentials(access_key, secret_key)
    if environ.get("EC2_ACCESS_KEY") and environ.get("EC2_SECRET_KEY"):
        return Credentials(environ["EC2_ACCESS_KEY"], environ["EC2_SECRET_KEY"])
    from_file = _from_one_auth(environ)
    if from_file is not None:
        return from_file
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        return Credentials(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"])
    raise Misconfigured(
        "No authorization data present: give -K and -S, or set EC2_ACCESS_KEY and EC2_SECRET_KEY, "
        "or write user:password into ~/.one/one_auth or the file that ONE_AUTH names"
    )


def find_url(url: str | None, environ: Mapping[str, str]) -> str:
    """`url`, else EC2_URL, else the local server."""
    return url or environ.get("EC2_URL") or DEFAULT_URL


def read_one_auth(text: str) -> Credentials:
    """`user:password` as a key pair. Raises Misconfigured."""
    user, colon, password = text.strip().partition(":")
    if not (user and colon and password) or "\n" in password:
        raise Misconfigured("Authorization data malformed: ONE_AUTH's file must be user:password")
    from hashlib import sha1, sha256  # only this source of credentials needs them before signing

    given = password.encode("utf-8", "surrogateescape")
    older = sha1(given, usedforsecurity=False)  # it protects nothing here: oned keeps it as it is
    return Credentials(user, sha256(given).hexdigest(), older.hexdigest())


def _from_one_auth(environ: Mapping[str, str]) -> Credentials | None:
    """None where no file is named and the usual one does not exist.

    A file that is named and cannot be read is an error and not a reason to go on as someone else.
    """
    named = environ.get("ONE_AUTH")
    home = environ.get("HOME")
    if not named and not home:
        return None
    path = named or f"{home}/.one/one_auth"
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - pathlib takes 5 ms to import
            return read_one_auth(file.read(_MOST_BYTES))
    except FileNotFoundError:
        if not named:
            return None
        raise Misconfigured(
            f"No authorization data present: ONE_AUTH names {path}, which does not exist"
        ) from None
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
