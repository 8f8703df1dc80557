"""Session tokens (IMDSv2): proof that a guest asked with PUT, good for one instance and a time.

They are not kept anywhere: a token is its expiry and a code over it and the instance, under a key
that stays the same over restarts.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from econe.domain.hidden import Hidden

LONGEST_S: Final = 21600
"""Six hours (EC2 User Guide, IMDSv2)."""
_LENGTH: Final = 8 + hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Tokens:
    key: Hidden[bytes]

    def issue(self, instance_id: str, expires_at: int) -> str:
        """`expires_at` in seconds since 1970."""
        expiry = expires_at.to_bytes(8, "big")
        return base64.urlsafe_b64encode(expiry + self._code(instance_id, expiry)).decode("ascii")

    def seconds_left(self, token: str, instance_id: str, now: float) -> int | None:
        """None if it is not a token of this instance, or was one."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        expiry, code = raw[:8], raw[8:]
        if len(raw) != _LENGTH or not hmac.compare_digest(code, self._code(instance_id, expiry)):
            return None
        left = int.from_bytes(expiry, "big") - now
        return int(left) if left > 0 else None

    def _code(self, instance_id: str, expiry: bytes) -> bytes:
        said = b"imdsv2\0" + instance_id.encode() + b"\0" + expiry
        return hmac.digest(self.key.reveal(), said, "sha256")


def read_ttl(text: str | None) -> int | None:
    """The header's 1 to 21600 seconds; None if it is missing or anything else."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 5:
        return None
    seconds = int(text)
    return seconds if 1 <= seconds <= LONGEST_S else None
