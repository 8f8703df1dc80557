"""What oned's refusals mean: one table from its codes and texts to ours.

oned's code alone says little (0x0200 is no permission, a full quota, a locked object and a
restricted attribute; facts/opennebula.md 2), so its text decides, and what the text does not say
the code decides. The texts are those of 6.x and 7.0.2: recorded, or read where a comment says so.

Not told apart by anything oned says: an object that is locked, and one that the caller may not
use. Whoever needs to know looks at the object's lock.

`said` is ours and for the user; oned's own words (with wrong line numbers, ids, and paths in them)
go to `hidden`.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused


class Code(IntEnum):
    """Request::ErrorCode of include/Request.h."""

    AUTHENTICATION = 0x0100
    AUTHORIZATION = 0x0200
    NO_EXISTS = 0x0400
    ACTION = 0x0800
    XML_RPC_API = 0x1000
    INTERNAL = 0x2000
    ALLOCATE = 0x4000
    LOCKED = 0x8000
    REPLICATION = 0x10000


class Meaning(StrEnum):
    """What a refusal comes to, for callers that decide by it."""

    LOGIN = "login"
    """The service's login, or the user that it acts for, is not accepted."""
    FORBIDDEN = "forbidden"
    """Not permitted; or locked, which oned says in the same words."""
    QUOTA = "quota"
    ABSENT = "absent"
    """The object that the call is about, or one that it names, does not exist."""
    WRONG_STATE = "wrong-state"
    IN_USE = "in-use"
    LOCKED = "locked"
    TAKEN = "taken"
    """A name that another object has, an address or device that another one holds."""
    NO_ROOM = "no-room"
    """No space in a datastore, no free address."""
    UNREADABLE = "unreadable"
    """oned cannot read the file that it was given."""
    UNFIT = "unfit"
    """What was asked for cannot be: values that do not fit, or not each other."""
    AWAY = "away"
    """oned is not in a state to work: an election, a disabled zone."""
    OURS = "ours"
    """Our mistake, or the administrator's: no user can do anything about it."""
    UNKNOWN = "unknown"
    """A text that the table does not know."""


@dataclass(frozen=True, slots=True)
class Failure:
    """oned's refusal as it came, and what it means."""

    code: int
    text: str
    object_id: int = -1
    """Of the object that it is about; -1 where oned does not say."""
    meaning: Meaning = Meaning.UNKNOWN


class OnedError(Exception):
    """oned answered, and did not do it. Each is one of ports' exceptions, too."""

    failure: Failure
    method: str


class OnedRefused(EngineRefused, OnedError):  # noqa: N818
    """oned refuses for good."""

    def __init__(self, failure: Failure, method: str, said: str, code: str) -> None:
        super().__init__(said, _in_words(failure, method), code=code)
        self.failure, self.method = failure, method


class OnedBusy(EngineBusy, OnedError):  # noqa: N818
    """oned refuses now, and did nothing."""

    def __init__(self, failure: Failure, method: str, hint: str = "") -> None:
        super().__init__(_in_words(failure, method, hint))
        self.failure, self.method = failure, method


class OnedLost(EngineLost, OnedError):  # noqa: N818
    """oned does not know whether it was done."""

    def __init__(self, failure: Failure, method: str) -> None:
        super().__init__(_in_words(failure, method))
        self.failure, self.method = failure, method


def _in_words(failure: Failure, method: str, hint: str = "") -> str:
    words = f"{method}: oned says 0x{failure.code:04x}: {failure.text}"
    return f"{words} ({hint})" if hint else words


def meaning_of(error: BaseException) -> Meaning | None:
    """What oned's refusal means; None for whatever was not said by oned."""
    return error.failure.meaning if isinstance(error, OnedError) else None


# --- the table ---------------------------------------------------------------------------


class How(StrEnum):
    REFUSED = "refused"
    BUSY = "busy"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Rule:
    """`text` is searched in oned's; the first rule that fits counts.

    `code` is EC2's, empty where it is our fault or nobody sees it.
    """

    text: str
    meaning: Meaning
    how: How = How.REFUSED
    code: str = ""
    said: str = ""
    """For the user."""
    hint: str = ""
    """For the operator, where oned's words do not help."""
    codes: tuple[Code, ...] = ()
    """oned's codes that it is for; all if empty."""
    method: str = ""
    """A regular expression for the call's name; any if empty."""


M = Meaning
SORRY: Final = "The cloud could not do this."
REFUSED_LOGIN: Final = (
    "the login of our service account is refused, or the user whom it acts for is not known: "
    "look at the service account's file, at its driver (server_cipher), and at the user"
)

RULES: Final[tuple[Rule, ...]] = (
    # Not in a state to work. A cluster's follower passes calls on and gives up after 10 s: then the
    # leader may have done it (Request.cc, Client.cc; read).
    Rule("oned cluster in election mode", M.AWAY, How.BUSY),
    Rule("no leader found", M.AWAY, How.BUSY),
    Rule("oned cluster is replicating log", M.AWAY, How.BUSY),
    Rule("Cannot process request, zone disabled", M.AWAY, How.BUSY),
    Rule("RPC call timed out and aborted", M.AWAY, How.LOST, codes=(Code.INTERNAL,)),
    Rule("libcurl|HTTP POST transaction", M.AWAY, How.LOST, codes=(Code.INTERNAL,)),
    Rule("Error replicating log entry", M.AWAY, How.LOST),
    # Quotas: Quota.cc. EC2 has no limit on images of one's own that its error list names;
    # ResourceLimitExceeded is its code for limits without one. RVMS: machines of one image.
    Rule(
        r"limit of \S+ reached for (SIZE|SYSTEM_DISK_SIZE) quota",
        M.QUOTA,
        code="VolumeLimitExceeded",
        said="You have reached your limit on disk space.",
    ),
    Rule(
        r"limit of \S+ reached for IMAGES quota",
        M.QUOTA,
        code="ResourceLimitExceeded",
        said="You have reached your limit on the number of images.",
    ),
    Rule(
        r"limit of \S+ reached for LEASES quota",
        M.QUOTA,
        code="AddressLimitExceeded",
        said="You have reached your limit on addresses.",
    ),
    Rule(
        r"limit of \S+ reached for \w+ quota",
        M.QUOTA,
        code="InstanceLimitExceeded",
        said="You have reached your limit on instances, or on what they use together.",
    ),
    # 0x0100 has one text for a wrong secret, an unknown user and a token that is too old.
    Rule("couldn't be authenticated", M.LOGIN, How.BUSY, hint=REFUSED_LOGIN),
    # 0x0200
    Rule(
        "includes a restricted attribute",
        M.FORBIDDEN,
        code="UnauthorizedOperation",
        said="The request uses what only administrators may set.",
    ),
    Rule(
        "[Nn]ot authorized to perform",
        M.FORBIDDEN,
        code="UnauthorizedOperation",
        said="You are not authorized to perform this operation.",
    ),
    # 0x0400, and the same in the words of 0x2000 and 0x0800
    Rule(
        r"Error getting image|Image with ID: \S+ does not exist|does not own an image with name",
        M.ABSENT,
        code="InvalidAMIID.NotFound",
        said="The image does not exist.",
    ),
    Rule(
        "Error getting virtual machine template",
        M.ABSENT,
        code="InvalidInstanceType",
        said="The instance type does not exist.",
    ),
    Rule(
        "Error getting virtual machine",
        M.ABSENT,
        code="InvalidInstanceID.NotFound",
        said="The instance does not exist.",
    ),
    Rule(
        r"Error getting virtual network|[Vv]irtual network (with ID: )?\S+ does not exist"
        "|does not own a network with name",
        M.ABSENT,
        code="InvalidSubnetID.NotFound",
        said="The network does not exist.",
    ),
    Rule(
        "Error getting security group",
        M.ABSENT,
        code="InvalidGroup.NotFound",
        said="The security group does not exist.",
    ),
    Rule("Error getting ", M.ABSENT, said=SORRY),  # a datastore, a user: the administrator's
    # What a machine has and has not
    Rule(
        "Could not detach .* it does not exist",
        M.ABSENT,
        code="InvalidAttachment.NotFound",
        said="It is not attached.",
    ),
    Rule(
        "DISK does not exist|VM disk does not exist",
        M.ABSENT,
        code="InvalidVolume.NotFound",
        said="The disk does not exist.",
    ),
    Rule(
        r"Target \S+ is already in use|Two disks have defined the same target",
        M.TAKEN,
        code="InvalidParameterValue",
        said="The device name is already in use.",
    ),
    # States of images
    Rule("it is locked|Image locked", M.LOCKED, How.BUSY),
    Rule(r"Cannot acquire image \d+, it is in state: (CLONE|INIT)", M.WRONG_STATE, How.BUSY),
    Rule(
        r"Cannot acquire image \d+, it is in state: ",
        M.WRONG_STATE,
        code="InvalidAMIID.Unavailable",
        said="The image is not available.",
    ),
    Rule(
        "it is persistent and already in use",
        M.IN_USE,
        code="VolumeInUse",
        said="The volume is in use.",
    ),
    Rule("VMs using it|active clone operations|Image cannot be in state", M.IN_USE, How.BUSY),
    Rule(
        "Can not remove a virtual network with leases in use",
        M.IN_USE,
        code="DependencyViolation",
        said="The network is in use.",
    ),
    # States of machines: every one passes
    Rule("wrong state|not available for state|Action is not available", M.WRONG_STATE, How.BUSY),
    # Room
    Rule(
        "Not enough space in datastore",
        M.NO_ROOM,
        code="InsufficientVolumeCapacity",
        said="There is not enough free disk space.",
    ),
    Rule(
        "Cannot get IP/MAC lease",
        M.NO_ROOM,
        code="InsufficientFreeAddressesInSubnet",
        said="The network has no such free address, or none at all.",
    ),
    Rule(
        "Not enough free addresses",
        M.NO_ROOM,
        code="InsufficientAddressCapacity",
        said="There are not enough free addresses.",
    ),
    Rule(
        "Address is not part of the address range or in use",
        M.TAKEN,
        code="InvalidIPAddress.InUse",
        said="The address is in use, or is none of the network's.",
    ),
    # Names
    Rule(
        "NAME is already taken by IMAGE",
        M.TAKEN,
        code="InvalidAMIName.Duplicate",
        said="The name is already in use by another image.",
    ),
    Rule(
        "NAME is already taken by SecurityGroup",
        M.TAKEN,
        code="InvalidGroup.Duplicate",
        said="The security group already exists.",
    ),
    Rule("NAME is already taken by", M.TAKEN, said=SORRY),
    Rule(
        "Invalid NAME,",
        M.UNFIT,
        code="InvalidAMIName.Malformed",
        said="The name has characters that cannot be used, or too many.",
        method=r"one\.image\.|one\.vm\.disksaveas",
    ),
    Rule("Invalid NAME,", M.UNFIT, code="InvalidParameterValue", said="The name is not valid."),
    # Content. The first is 7.0's; the second 6.2's, of a path; the last 6.2's, of a URL (libfs.sh).
    Rule(
        "Cannot parse image SIZE: (cannot access|File not found|Failed to get image head)",
        M.UNREADABLE,
        said=SORRY,
    ),
    # What does not fit
    Rule(
        "Incompatible cluster",  # VirtualMachine.cc automatic_requirements; read
        M.UNFIT,
        code="Unsupported",
        said="The image and the network cannot be used together.",
    ),
    Rule(
        "not supported by driver",
        M.UNFIT,
        code="UnsupportedOperation",
        said="The hypervisor cannot do this.",
    ),
    Rule(
        "Wrong PROTOCOL in rule|RANGE out of bounds",
        M.UNFIT,
        code="InvalidParameterValue",
        said="The rule is not valid.",
    ),
    Rule(
        r"is less than the image",  # ImagePool.cc, a DISK with SIZE; read
        M.UNFIT,
        code="InvalidBlockDeviceMapping",
        said="The volume is smaller than its image.",
    ),
    # Ours, or the administrator's
    Rule("Parse error|Internal error parsing", M.OURS, said=SORRY),
    Rule("Cannot parse image SIZE: Wrong number or missing", M.OURS, said=SORRY),
    Rule("can only be allocated in a files or image datastore", M.OURS, said=SORRY),
    Rule("attribute must be a positive integer", M.OURS, said=SORRY),
    Rule("Unknown type", M.OURS, said=SORRY),
    Rule('Action "[^"]*" is not supported', M.OURS, said=SORRY),
    Rule("Incorrect filter_flag", M.OURS, said=SORRY),
    Rule("JSON query search is not supported", M.OURS, said=SORRY),
)

# Where no text fits. An action that is refused may work in another state; a refusal to make
# something says that it cannot be.
BY_CODE: Final[dict[int, Rule]] = {
    Code.AUTHENTICATION: Rule("", M.LOGIN, How.BUSY, hint=REFUSED_LOGIN),
    Code.AUTHORIZATION: Rule(
        "",
        M.FORBIDDEN,
        code="UnauthorizedOperation",
        said="You are not authorized to perform this operation.",
    ),
    Code.NO_EXISTS: Rule("", M.ABSENT, said=SORRY),
    Code.ACTION: Rule("", M.UNKNOWN, How.BUSY),
    Code.LOCKED: Rule("", M.LOCKED, How.BUSY),
    Code.REPLICATION: Rule("", M.AWAY, How.LOST),
}
DEFAULT: Final = Rule("", M.UNKNOWN, said=SORRY)

_COMPILED: Final = tuple(
    (rule, re.compile(rule.text), re.compile(rule.method) if rule.method else None)
    for rule in RULES
)


def rule_for(failure: Failure, method: str) -> Rule | None:
    """The rule whose text fits; None where only the code is known."""
    for rule, text, for_method in _COMPILED:
        if rule.codes and failure.code not in rule.codes:
            continue
        if for_method is not None and not for_method.search(method):
            continue
        if text.search(failure.text):
            return rule
    return None


def judge(failure: Failure, method: str, *, is_read: bool) -> OnedError:
    """The exception for what oned refused. A read that is lost is only busy: it can be repeated."""
    rule = rule_for(failure, method) or BY_CODE.get(failure.code, DEFAULT)
    meant = Failure(failure.code, failure.text, failure.object_id, rule.meaning)
    if rule.how is How.REFUSED:
        return OnedRefused(meant, method, rule.said, rule.code)
    if rule.how is How.LOST and not is_read:
        return OnedLost(meant, method)
    return OnedBusy(meant, method, rule.hint)
