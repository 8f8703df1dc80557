"""CPU credits, of which there are none: no guest is ever held back, whatever its type.

Amazon gives its burstable types (t2, t3, …) a share of a processor, and credits for more.
`unlimited` lets them have more for as long as they like, and that is how every guest here runs.
`standard` would have to slow down those that have used up their credits; nothing here does, so it
is refused (decision 43).
"""

from typing import Final

from econe.domain.families import BURSTABLE_FAMILIES
from econe.domain.faults import Noun, Unsupported, WrongState
from econe.domain.instances import Instance, InstanceState
from econe.domain.sizes import Size, family_of

UNLIMITED: Final = "unlimited"
STANDARD: Final = "standard"
CHANGEABLE: Final = (InstanceState.RUNNING, InstanceState.STOPPED)
"""API reference, ModifyInstanceCreditSpecification."""


def is_burstable(name: str) -> bool:
    """Whether the type of this name is one that Amazon gives credits."""
    return family_of(name) in BURSTABLE_FAMILIES


def credits_of(row: Instance) -> str:
    """As EC2 says it of any instance that is asked about: of those without credits, `standard`
    (API reference, DescribeInstanceCreditSpecifications)."""
    return UNLIMITED if is_burstable(row.instance_type) else STANDARD


def check_credits(size: Size, asked: str | None) -> None:
    """Raises Unsupported where credits are spoken of that the type does not have."""
    if asked is not None and not is_burstable(size.name):
        raise Unsupported(Noun.CREDITS, size.name)


def check_changeable(row: Instance) -> None:
    """Raises WrongState, Unsupported where its credits cannot be spoken of now."""
    if row.state not in CHANGEABLE:
        raise WrongState(
            Noun.INSTANCE, row.id, f"The instance '{row.id}' is neither running nor stopped."
        )
    if not is_burstable(row.instance_type):
        raise Unsupported(Noun.CREDITS, row.instance_type)
