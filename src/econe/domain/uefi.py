"""UEFI variables: what firmware and guests keep beside the disks (UEFI specification 2.10, 8.2)."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

NON_VOLATILE: Final = 0x01
"""EFI_VARIABLE_NON_VOLATILE: it outlasts a reset."""
AUTHENTICATED: Final = 0x20
"""EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS: only who has its key may change it."""


@dataclass(frozen=True, slots=True)
class UefiVariable:
    """Everything in it is of the guest's choosing."""

    name: str
    """May be any text, also none."""
    vendor: UUID
    """Whose name it is."""
    attributes: int
    """32 bits; the two above are among them."""
    data: bytes
    timestamp: bytes = b""
    """The 16 bytes of an EFI_TIME: of the last authenticated change. Empty for none."""
    signer: bytes = b""
    """SHA-256 of the certificate that may change it. Empty for none."""
