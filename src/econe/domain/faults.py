"""What can go wrong, in our words. Amazon's words are one table at the edge (front/faults.py).

A fault has two texts: `said` may be read by the caller; `hidden` goes only to the log, under
the request id.
"""

from collections.abc import Sequence
from enum import StrEnum


class Noun(StrEnum):
    """What a fault is about."""

    ACCOUNT = "account"
    ACCESS_KEY = "access-key"
    ADDRESS = "address"
    ALLOCATION = "allocation"
    BLOCK_DEVICE = "block-device"
    CREDITS = "credits"
    FILTER = "filter"
    HIBERNATION = "hibernation"
    IMAGE = "image"
    IMAGE_NAME = "image-name"
    INSTANCE = "instance"
    INSTANCE_TYPE = "instance-type"
    KEY_PAIR = "key-pair"
    LAUNCH_TEMPLATE = "launch-template"
    LAUNCH_TEMPLATE_NAME = "launch-template-name"
    LAUNCH_TEMPLATE_VERSION = "launch-template-version"
    INSTANCE_ATTRIBUTE = "instance-attribute"
    NETWORK_INTERFACE = "network-interface"
    OWNER = "owner"
    PARAMETER = "parameter"
    REGION = "region"
    REQUEST = "request"
    RESOURCE = "resource"
    SECURITY_GROUP = "security-group"
    SNAPSHOT = "snapshot"
    SUBNET = "subnet"
    TAG = "tag"
    USER_DATA = "user-data"
    VCPU = "vcpu"
    VOLUME = "volume"
    VPC = "vpc"
    ZONE = "zone"


class Kind(StrEnum):
    """The few kinds of fault. Each maps, with a noun, to one EC2 code and HTTP status."""

    NOT_FOUND = "not-found"
    MALFORMED = "malformed"
    INVALID = "invalid"
    MISSING = "missing"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"
    LIMIT = "limit"
    WRONG_STATE = "wrong-state"
    UNAVAILABLE = "unavailable"
    IN_USE = "in-use"
    UNSUPPORTED = "unsupported"
    FORBIDDEN = "forbidden"
    CAPACITY = "capacity"
    BROKEN = "broken"


class Fault(Exception):  # noqa: N818 - faults are the caller's or ours; not all are errors of this program
    """A refusal with its reason.

    `subject` is the id, name or value it is about, as the caller wrote it. `said` replaces the
    table's sentence where a better one is known. `hidden` is for the log only.
    """

    kind: Kind
    many = False
    """Whether the subject is several, joined by commas."""

    def __init__(self, noun: Noun, subject: str = "", said: str = "", *, hidden: str = "") -> None:
        super().__init__(self.kind, noun, subject, said, hidden)
        self.noun, self.subject, self.said, self.hidden = noun, subject, said, hidden


class NotFound(Fault):
    """No such thing, or not one that the caller may know of."""

    kind = Kind.NOT_FOUND


def all_missing(noun: Noun, names: Sequence[str]) -> NotFound:
    """One fault for all that are not there: EC2 names them in one sentence."""
    fault = NotFound(noun, ", ".join(names))
    fault.many = len(names) > 1
    return fault


class Malformed(Fault):
    """An id or value that cannot be one."""

    kind = Kind.MALFORMED


class Invalid(Fault):
    """A value that is well-formed and not permitted."""

    kind = Kind.INVALID


class Missing(Fault):
    """A parameter that must be given and was not."""

    kind = Kind.MISSING


class Conflict(Fault):
    """Parameters that may not be given together, or a token used again for something else."""

    kind = Kind.CONFLICT


class Duplicate(Fault):
    """A name that is taken."""

    kind = Kind.DUPLICATE


class LimitExceeded(Fault):
    """More than the account, or the resource, may have."""

    kind = Kind.LIMIT


class WrongState(Fault):
    """The thing exists, and is in a state in which this cannot be done."""

    kind = Kind.WRONG_STATE


class Unavailable(Fault):
    """The thing exists and cannot be used yet (an image that is not registered)."""

    kind = Kind.UNAVAILABLE


class InUse(Fault):
    """Something else depends on it."""

    kind = Kind.IN_USE


class Unsupported(Fault):
    """Amazon's EC2 has this; this cloud does not."""

    kind = Kind.UNSUPPORTED


class Forbidden(Fault):
    """The caller is known and may not do this."""

    kind = Kind.FORBIDDEN


class NoCapacity(Fault):
    """The host cannot hold it now."""

    kind = Kind.CAPACITY


class Broken(Fault):
    """Our fault, never the caller's: answered with 500 and the cause in the log."""

    kind = Kind.BROKEN
