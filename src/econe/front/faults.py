"""The one table that turns our faults into Amazon's words.

Codes and sentences are those of the EC2 API reference, "Error codes for the Amazon EC2 API", and
of what EC2 is seen to answer. Amazon has no page for some pairs; those rows follow its nearest one.
Statuses of 500 and above are for what is our fault alone: EC2 lists the Insufficient…Capacity
codes among its server errors, and so do we.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from econe.domain.faults import Fault, Kind, Noun


@dataclass(frozen=True, slots=True)
class Words:
    """How one (kind, noun) is answered. `{}` in the sentence stands for the fault's subject."""

    code: str
    status: int
    sentence: str
    many: str = ""
    """The sentence for several, where it is another."""


def _not_found(code: str, what: str) -> Words:
    return Words(code, 400, f"The {what} '{{}}' does not exist", f"The {what}s '{{}}' do not exist")


def _malformed(code: str, prefix: str) -> Words:
    return Words(code, 400, f'Invalid id: "{{}}" (expecting "{prefix}-...")')


_VALUE: Final = "InvalidParameterValue"
_K, _N = Kind, Noun

BY_NOUN: Final[Mapping[tuple[Kind, Noun], Words]] = {
    # accounts and keys
    (_K.FORBIDDEN, _N.ACCESS_KEY): Words(
        "AuthFailure", 401, "AWS was not able to validate the provided access credentials"
    ),
    (_K.FORBIDDEN, _N.ACCOUNT): Words(
        "UnauthorizedOperation", 403, "You are not authorized to perform this operation."
    ),
    # An account that is not there and one that cannot be are the same mistake (EC2's words for a
    # launch permission of either).
    (_K.INVALID, _N.ACCOUNT): Words("InvalidAMIAttributeItemValue", 400, "Invalid user id: {}"),
    (_K.NOT_FOUND, _N.ACCOUNT): Words("InvalidAMIAttributeItemValue", 400, "Invalid user id: {}"),
    (_K.MALFORMED, _N.ACCOUNT): Words("InvalidUserID.Malformed", 400, 'Invalid user id: "{}"'),
    # images
    (_K.NOT_FOUND, _N.IMAGE): Words(
        "InvalidAMIID.NotFound",
        400,
        "The image id '[{}]' does not exist",
        "The image ids '[{}]' do not exist",
    ),
    (_K.MALFORMED, _N.IMAGE): _malformed("InvalidAMIID.Malformed", "ami"),
    (_K.FORBIDDEN, _N.IMAGE): Words(
        "OperationNotPermitted", 400, "The operation is not permitted on image '{}'."
    ),
    # Of images that are seen and are others'.
    (_K.FORBIDDEN, _N.OWNER): Words("AuthFailure", 403, "Not authorized for image:{}"),
    (_K.UNAVAILABLE, _N.IMAGE): Words(
        "InvalidAMIID.Unavailable", 400, "The image ID '{}' is not available"
    ),
    (_K.WRONG_STATE, _N.IMAGE): Words(
        "InvalidAMIID.Unavailable", 400, "The image ID '{}' is not available"
    ),
    (_K.DUPLICATE, _N.IMAGE): Words(
        "InvalidAMIName.Duplicate", 400, "AMI name {} is already in use"
    ),
    (_K.INVALID, _N.IMAGE): Words(_VALUE, 400, "The uploaded file is not a disk image: {}"),
    (_K.LIMIT, _N.IMAGE): Words(
        "RequestEntityTooLarge", 413, "The image is larger than this cloud accepts"
    ),
    (_K.CAPACITY, _N.IMAGE): Words(
        "InsufficientVolumeCapacity", 500, "There is not enough free disk space for the image"
    ),
    (_K.MALFORMED, _N.IMAGE_NAME): Words(
        "InvalidAMIName.Malformed", 400, "AMI names must be between 3 and 128 characters long: {}"
    ),
    # instances
    (_K.NOT_FOUND, _N.INSTANCE): _not_found("InvalidInstanceID.NotFound", "instance ID"),
    (_K.MALFORMED, _N.INSTANCE): Words("InvalidInstanceID.Malformed", 400, 'Invalid id: "{}"'),
    (_K.WRONG_STATE, _N.INSTANCE): Words(
        "IncorrectInstanceState", 400, "The instance '{}' is not in a state for this operation."
    ),
    (_K.FORBIDDEN, _N.INSTANCE): Words(
        "OperationNotPermitted", 400, "The operation is not permitted on instance '{}'."
    ),
    (_K.LIMIT, _N.INSTANCE): Words(
        "InstanceLimitExceeded", 400, "You have requested more instances than your limit allows"
    ),
    (_K.CAPACITY, _N.INSTANCE): Words(
        "InsufficientInstanceCapacity", 500, "There is not enough capacity for the request"
    ),
    (_K.LIMIT, _N.VCPU): Words(
        "VcpuLimitExceeded", 400, "You have requested more vCPU capacity than your limit allows"
    ),
    (_K.INVALID, _N.INSTANCE_ATTRIBUTE): Words(
        "InvalidInstanceAttributeValue", 400, "Invalid value '{}' for the instance attribute."
    ),
    # Launches say that a value is invalid, launch templates that it is malformed.
    (_K.INVALID, _N.USER_DATA): Words(_VALUE, 400, "The user data is not valid"),
    (_K.MALFORMED, _N.USER_DATA): Words(
        "InvalidUserData.Malformed", 400, "The user data is not valid"
    ),
    (_K.UNSUPPORTED, _N.HIBERNATION): Words(
        "UnsupportedHibernationConfiguration", 400, "The instance '{}' cannot be hibernated"
    ),
    (_K.UNSUPPORTED, _N.CREDITS): Words(
        "InstanceCreditSpecification.NotSupported",
        400,
        "The {} instance type does not support CPU credits.",
    ),
    (_K.INVALID, _N.INSTANCE_TYPE): Words(_VALUE, 400, "Invalid value '{}' for InstanceType."),
    (_K.NOT_FOUND, _N.INSTANCE_TYPE): Words(
        "InvalidInstanceType", 400, "The following supplied instance types do not exist: [{}]"
    ),
    # key pairs
    (_K.NOT_FOUND, _N.KEY_PAIR): _not_found("InvalidKeyPair.NotFound", "key pair"),
    (_K.MALFORMED, _N.KEY_PAIR): _malformed(_VALUE, "key"),
    (_K.DUPLICATE, _N.KEY_PAIR): Words(
        "InvalidKeyPair.Duplicate", 400, "The keypair '{}' already exists."
    ),
    (_K.INVALID, _N.KEY_PAIR): Words(
        "InvalidKey.Format", 400, "Key is not in valid OpenSSH public key format"
    ),
    (_K.LIMIT, _N.KEY_PAIR): Words(
        "KeyPairLimitExceeded", 400, "The maximum number of key pairs has been reached."
    ),
    # launch templates
    (_K.NOT_FOUND, _N.LAUNCH_TEMPLATE): Words(
        "InvalidLaunchTemplateId.NotFound",
        400,
        "The specified launch template, with template ID {}, does not exist.",
    ),
    (_K.MALFORMED, _N.LAUNCH_TEMPLATE): _malformed("InvalidLaunchTemplateId.Malformed", "lt"),
    (_K.LIMIT, _N.LAUNCH_TEMPLATE): Words(
        "MaxTemplateLimitExceeded", 400, "The maximum number of launch templates has been reached."
    ),
    (_K.NOT_FOUND, _N.LAUNCH_TEMPLATE_NAME): Words(
        "InvalidLaunchTemplateName.NotFoundException",
        400,
        "The specified launch template, with template name {}, does not exist.",
    ),
    (_K.MALFORMED, _N.LAUNCH_TEMPLATE_NAME): Words(
        "InvalidLaunchTemplateName.MalformedException",
        400,
        "A launch template name must be between 3 and 128 characters, and may contain letters, "
        "numbers, and the following characters: - ( ) . / _",
    ),
    (_K.DUPLICATE, _N.LAUNCH_TEMPLATE_NAME): Words(
        "InvalidLaunchTemplateName.AlreadyExistsException",
        400,
        "Launch template name already in use.",
    ),
    (_K.NOT_FOUND, _N.LAUNCH_TEMPLATE_VERSION): Words(
        "InvalidLaunchTemplateId.VersionNotFound",
        400,
        "The specified launch template version {} does not exist.",
    ),
    (_K.INVALID, _N.LAUNCH_TEMPLATE_VERSION): Words(
        _VALUE, 400, "Invalid launch template version: {}"
    ),
    (_K.LIMIT, _N.LAUNCH_TEMPLATE_VERSION): Words(
        "MaxTemplateVersionLimitExceeded",
        400,
        "The maximum number of versions of a launch template has been reached.",
    ),
    # addresses
    (_K.NOT_FOUND, _N.ADDRESS): Words("InvalidAddress.NotFound", 400, "Address '{}' not found."),
    (_K.IN_USE, _N.ADDRESS): Words("InvalidIPAddress.InUse", 400, "Address {} is in use."),
    (_K.MALFORMED, _N.ADDRESS): Words(
        "InvalidAddress.Malformed", 400, "The address '{}' is not valid"
    ),
    (_K.NOT_FOUND, _N.ALLOCATION): _not_found("InvalidAllocationID.NotFound", "allocation ID"),
    # The API reference has no code for a malformed one: it cannot be found.
    (_K.MALFORMED, _N.ALLOCATION): _not_found("InvalidAllocationID.NotFound", "allocation ID"),
    # networks
    (_K.NOT_FOUND, _N.NETWORK_INTERFACE): _not_found(
        "InvalidNetworkInterfaceID.NotFound", "networkInterface ID"
    ),
    (_K.MALFORMED, _N.NETWORK_INTERFACE): _malformed("InvalidNetworkInterfaceId.Malformed", "eni"),
    (_K.IN_USE, _N.NETWORK_INTERFACE): Words(
        "InvalidNetworkInterface.InUse", 400, "Interface: [{}] in use."
    ),
    (_K.NOT_FOUND, _N.SECURITY_GROUP): _not_found("InvalidGroup.NotFound", "security group"),
    (_K.MALFORMED, _N.SECURITY_GROUP): _malformed("InvalidGroupId.Malformed", "sg"),
    (_K.DUPLICATE, _N.SECURITY_GROUP): Words(
        "InvalidGroup.Duplicate", 400, "The security group '{}' already exists"
    ),
    (_K.NOT_FOUND, _N.SUBNET): _not_found("InvalidSubnetID.NotFound", "subnet ID"),
    (_K.MALFORMED, _N.SUBNET): _malformed("InvalidSubnetID.Malformed", "subnet"),
    (_K.CAPACITY, _N.SUBNET): Words(
        "InsufficientFreeAddressesInSubnet", 400, "There are not enough free addresses in subnet {}"
    ),
    (_K.LIMIT, _N.SUBNET): Words(
        "InsufficientFreeAddressesInSubnet", 400, "There are not enough free addresses in subnet {}"
    ),
    (_K.NOT_FOUND, _N.VPC): _not_found("InvalidVpcID.NotFound", "vpc ID"),
    (_K.MALFORMED, _N.VPC): _malformed("InvalidVpcID.Malformed", "vpc"),
    (_K.LIMIT, _N.VPC): Words(
        "VpcLimitExceeded", 400, "The maximum number of VPCs has been reached."
    ),
    (_K.MISSING, _N.VPC): Words("VPCIdNotSpecified", 400, "No default VPC for this user"),
    (_K.CAPACITY, _N.VPC): Words(
        "InsufficientAddressCapacity", 500, "There is no free address range for another VPC"
    ),
    # storage
    (_K.INVALID, _N.BLOCK_DEVICE): Words(
        "InvalidBlockDeviceMapping", 400, "The block device mapping of '{}' is not valid"
    ),
    (_K.NOT_FOUND, _N.BLOCK_DEVICE): Words(
        "InvalidInstanceAttributeValue", 400, "No device is currently mapped at {}"
    ),
    (_K.DUPLICATE, _N.BLOCK_DEVICE): Words(
        "InvalidBlockDeviceMapping", 400, "The device '{}' is used twice."
    ),
    (_K.NOT_FOUND, _N.SNAPSHOT): _not_found("InvalidSnapshot.NotFound", "snapshot"),
    (_K.MALFORMED, _N.SNAPSHOT): _malformed("InvalidSnapshotID.Malformed", "snap"),
    (_K.NOT_FOUND, _N.VOLUME): _not_found("InvalidVolume.NotFound", "volume"),
    (_K.MALFORMED, _N.VOLUME): _malformed("InvalidVolumeID.Malformed", "vol"),
    (_K.IN_USE, _N.VOLUME): Words("VolumeInUse", 400, "The volume '{}' is in use"),
    (_K.WRONG_STATE, _N.VOLUME): Words(
        "IncorrectState", 400, "The volume '{}' is not in a state for this operation"
    ),
    (_K.LIMIT, _N.VOLUME): Words(
        "VolumeLimitExceeded", 400, "You've reached the limit on your volume storage."
    ),
    (_K.CAPACITY, _N.VOLUME): Words(
        "InsufficientVolumeCapacity", 500, "There is not enough free disk space for the volume"
    ),
    # tags
    (_K.LIMIT, _N.TAG): Words(
        "TagLimitExceeded", 400, "The maximum number of Tags for a resource has been reached."
    ),
    (_K.MISSING, _N.TAG): Words(_VALUE, 400, "Tag specification must have at least one tag"),
    (_K.INVALID, _N.TAG): Words(_VALUE, 400, "The tag '{}' is not valid."),
    (_K.DUPLICATE, _N.TAG): Words(_VALUE, 400, "Duplicate tag key '{}' specified."),
    (_K.LIMIT, _N.RESOURCE): Words(
        "ResourceLimitExceeded", 400, "You have reached a limit of your account."
    ),
    (_K.MALFORMED, _N.RESOURCE): Words("InvalidID", 400, "The ID '{}' is not valid"),
    (_K.NOT_FOUND, _N.RESOURCE): Words("InvalidID", 400, "The ID '{}' is not valid"),
    # places
    (_K.NOT_FOUND, _N.REGION): Words(_VALUE, 400, "Invalid region name: {}"),
    (_K.INVALID, _N.REGION): Words(_VALUE, 400, "Invalid region name: {}"),
    (_K.NOT_FOUND, _N.ZONE): Words(_VALUE, 400, "Invalid availability zone: [{}]"),
    (_K.INVALID, _N.ZONE): Words(_VALUE, 400, "Invalid availability zone: [{}]"),
    # the request itself
    (_K.LIMIT, _N.FILTER): Words(
        "FilterLimitExceeded", 400, "The request uses too many filters or too many values"
    ),
    (_K.INVALID, _N.PARAMETER): Words(_VALUE, 400, "Invalid value for parameter: {}"),
    (_K.MALFORMED, _N.PARAMETER): Words(_VALUE, 400, "Invalid value for parameter: {}"),
    (_K.LIMIT, _N.PARAMETER): Words(_VALUE, 400, "Too much for parameter: {}"),
    (_K.MISSING, _N.PARAMETER): Words(
        "MissingParameter", 400, "The request must contain the parameter {}"
    ),
    (_K.CONFLICT, _N.PARAMETER): Words(
        "InvalidParameterCombination", 400, "The parameters may not be used together: {}"
    ),
    (_K.DUPLICATE, _N.PARAMETER): Words(_VALUE, 400, "The value '{}' is given more than once"),
    (_K.UNSUPPORTED, _N.PARAMETER): Words(
        "UnsupportedOperation", 400, "The parameter {} is not supported by this cloud."
    ),
    (_K.CONFLICT, _N.REQUEST): Words(
        "IdempotentParameterMismatch",
        400,
        "The client token '{}' was used before for a request with other parameters",
    ),
    (_K.WRONG_STATE, _N.REQUEST): Words(
        "IdempotentInstanceTerminated",
        400,
        "The instances of the client token '{}' have been terminated; use another token.",
    ),
    (_K.LIMIT, _N.REQUEST): Words(
        "RequestEntityTooLarge", 413, "The request is larger than this cloud accepts"
    ),
    (_K.MALFORMED, _N.REQUEST): Words(
        "MalformedQueryString", 400, "The query string contains a syntax error: {}"
    ),
    (_K.UNAVAILABLE, _N.REQUEST): Words(
        "Unavailable", 503, "The server is overloaded and cannot handle the request; try again"
    ),
}
"""The pairs for which EC2 has words of its own."""

BY_KIND: Final[Mapping[Kind, Words]] = {
    _K.NOT_FOUND: Words(_VALUE, 400, "The value '{}' does not exist"),
    _K.MALFORMED: Words(_VALUE, 400, 'Invalid id: "{}"'),
    _K.INVALID: Words(_VALUE, 400, "The value '{}' is not valid"),
    _K.MISSING: Words("MissingParameter", 400, "The request must contain the parameter {}"),
    _K.CONFLICT: Words(
        "InvalidParameterCombination", 400, "The parameters may not be used together: {}"
    ),
    _K.DUPLICATE: Words(_VALUE, 400, "The value '{}' is taken"),
    _K.LIMIT: Words("ResourceLimitExceeded", 400, "The limit for '{}' has been reached"),
    _K.WRONG_STATE: Words("IncorrectState", 400, "'{}' is not in a state for this operation"),
    _K.UNAVAILABLE: Words("IncorrectState", 400, "'{}' is not available"),
    _K.IN_USE: Words("DependencyViolation", 400, "'{}' has dependencies and cannot be deleted"),
    _K.UNSUPPORTED: Words(
        "UnsupportedOperation", 400, "The functionality you requested is not supported: {}"
    ),
    _K.FORBIDDEN: Words(
        "UnauthorizedOperation", 403, "You are not authorized to perform this operation."
    ),
    _K.CAPACITY: Words(
        "InsufficientCapacity", 500, "There is not enough capacity to fulfill the request"
    ),
    _K.BROKEN: Words("InternalError", 500, "An internal error has occurred"),
}
"""The rest: EC2's general word for each kind, so that every fault has an answer."""


INTERNAL: Final = (BY_KIND[_K.BROKEN].code, BY_KIND[_K.BROKEN].sentence, 500)
"""What is said of whatever nobody foresaw."""


def words_of(kind: Kind, noun: Noun) -> Words:
    return BY_NOUN.get((kind, noun)) or BY_KIND[kind]


def tell(fault: Fault) -> tuple[str, str, int]:
    """The fault's code, sentence and HTTP status. What is hidden stays hidden, and a broken
    thing says nothing of itself at all."""
    words = words_of(fault.kind, fault.noun)
    if fault.kind is Kind.BROKEN:
        return words.code, words.sentence, words.status
    sentence = words.many if fault.many and words.many else words.sentence
    return words.code, fault.said or sentence.replace("{}", fault.subject), words.status
