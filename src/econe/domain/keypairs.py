"""SSH key pairs. The private half is told once and never kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class KeyPair:
    id: str
    account: str
    name: str
    type: str
    """`rsa` or `ed25519`."""
    fingerprint: str
    public_key: str
    """OpenSSH's one-line form, with the key's name as its comment."""
    created_at: datetime
    version: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
