"""RegisterImage's UefiData: variables that machines of the image begin with."""

from econe.domain.faults import Invalid, Noun, Unsupported
from econe.domain.uefi_data import (
    DictionaryMissingError,
    UnreadableError,
    uefi_data,
    variables_of,
)


def read_seeds(text: str) -> str:
    """The same variables as text that needs no dictionary to be read; empty for none. Raises
    Fault."""
    if not text:
        return ""
    try:
        return uefi_data(variables_of(text, amazons_dictionary()))
    except UnreadableError as error:
        raise Invalid(
            Noun.PARAMETER, "UefiData", f"Invalid value for UefiData: {error}."
        ) from error
    except DictionaryMissingError as error:
        raise Unsupported(
            Noun.PARAMETER,
            "UefiData",
            "UefiData was compressed with Amazon's dictionary, which this server does not have "
            "(the Python package uefivars brings it).",
        ) from error


def amazons_dictionary() -> bytes:
    """That of awslabs/python-uefivars, if that is installed; it is no part of econe."""
    try:
        from pyuefivars.aws_v0 import UEFIVarStoreV0
    except ImportError:
        return b""
    return bytes(UEFIVarStoreV0.dict)
