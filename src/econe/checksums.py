"""Checksums as those who publish disk images write them.

SHA256SUMS and SHA512SUMS of coreutils (Debian, Ubuntu, openSUSE), the BSD form (Fedora, Alma,
FreeBSD), and files with nothing in them but one sum. Only the SHA-2 family: whoever can change a
file can make another one with the same MD5 or SHA-1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urljoin, urlsplit

DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_BY_LENGTH: Final = {digits: name for name, digits in DIGITS.items()}
_COREUTILS: Final = re.compile(r"\\?([0-9a-fA-F]{64,128})\s+\*?(\S.*)")
_BSD: Final = re.compile(r"(SHA-?256|SHA-?384|SHA-?512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)", re.I)


class NoChecksum(Exception):  # noqa: N818
    """One line for the operator."""


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str
    """As hashlib calls it."""
    digits: str
    """In lower-case hex."""

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digits}"


def read(text: str) -> Checksum:
    """`sha256:HEX`. Raises NoChecksum."""
    algorithm, colon, digits = text.strip().partition(":")
    if not colon:
        raise NoChecksum(f"{text!r} is no checksum: ALGORITHM:HEX, such as sha256:…")
    return make(algorithm, digits)


def make(algorithm: str, digits: str) -> Checksum:
    """Raises NoChecksum."""
    name = algorithm.strip().lower().replace("-", "")
    if name not in DIGITS:
        raise NoChecksum(f"{algorithm!r} is none of {', '.join(DIGITS)}")
    if re.fullmatch(f"[0-9a-fA-F]{{{DIGITS[name]}}}", digits.strip()) is None:
        raise NoChecksum(f"a {name} sum has {DIGITS[name]} hexadecimal digits")
    return Checksum(name, digits.strip().lower())


def find(text: str, file_name: str) -> Checksum | None:
    """The strongest that `text` gives for the file. Raises NoChecksum where it gives two."""
    found = {made for name, made in _listed(text) if PurePosixPath(name).name == file_name}
    if not found:
        only = text.split()
        return _by_length(only[0]) if len(only) == 1 else None
    strongest = max(DIGITS[made.algorithm] for made in found)
    best = [made for made in found if DIGITS[made.algorithm] == strongest]
    if len(best) > 1:
        raise NoChecksum(f"there are several sums of {file_name}")
    return best[0]


def _listed(text: str) -> Iterator[tuple[str, Checksum]]:
    for line in text.splitlines():
        if bsd := _BSD.fullmatch(line.strip()):
            algorithm, name, digits = bsd.groups()
            made = _by_length(digits)
            if made is not None and made.algorithm == algorithm.lower().replace("-", ""):
                yield name, made
        elif plain := _COREUTILS.fullmatch(line.strip()):
            made = _by_length(plain[1])
            if made is not None:
                yield plain[2], made


def _by_length(digits: str) -> Checksum | None:
    name = _BY_LENGTH.get(len(digits))
    is_hex = re.fullmatch("[0-9a-fA-F]+", digits) is not None
    return Checksum(name, digits.lower()) if name and is_hex else None


def places(url: str) -> list[str]:
    """Where those who publish images put the sums of the file at `url`, best first."""
    path = urlsplit(url)._replace(query="", fragment="").geturl()
    return [
        urljoin(path, "SHA512SUMS"),
        urljoin(path, "SHA256SUMS"),
        f"{path}.sha512",
        f"{path}.sha256",
        f"{path}.SHA256",
        f"{path}.CHECKSUM",
        urljoin(path, "CHECKSUM"),
    ]
