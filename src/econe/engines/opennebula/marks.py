"""Which virtual machine is which instance: a mark in USER_TEMPLATE that only we can make.

Users may write what they like into the USER_TEMPLATE of their machines, other people's ids too.
So a mark is an HMAC over the id and the owner's uid, under a key that lies in our state
directory: one that was copied to another user's machine, or kept through a chown, is no mark.
A user can copy a mark between his own machines; what that means is for machines.py to say.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from econe.domain.hidden import Hidden

ID: Final = "ECONE_ID"
MARK: Final = "ECONE_MARK"
_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Marks:
    key: Hidden[bytes]

    def mark(self, our_id: str, uid: str) -> str:
        """Of an instance or image of ours that belongs to oned's user `uid`: 32 hex digits."""
        text = f"{our_id} {uid}".encode()
        return hmac.new(self.key.reveal(), text, hashlib.sha256).hexdigest()[:_DIGITS]

    def attributes(self, our_id: str, uid: str) -> dict[str, str]:
        """For the template of a thing that is made for `uid`."""
        return {ID: our_id, MARK: self.mark(our_id, uid)}

    def verified(self, our_id: str, mark: str, uid: str) -> str:
        """`our_id` where `mark` proves it for this owner, else an empty text."""
        if not our_id or not mark:
            return ""
        proven = hmac.compare_digest(self.mark(our_id, uid).encode(), mark.encode())
        return our_id if proven else ""
