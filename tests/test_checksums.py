"""Checksums in the forms in which images' publishers write them."""

import pytest

from econe.checksums import Checksum, NoChecksum, find, make, places, read

A, B = "ab" * 32, "cd" * 32
LONG = "0f" * 64


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        (f"sha256:{A}", Checksum("sha256", A)),
        (f" SHA-512:{LONG.upper()}\n", Checksum("sha512", LONG)),
        (f"sha384:{A}{A[:32]}", Checksum("sha384", A + A[:32])),
    ],
)
def test_a_sum_that_is_given(text, read_as):
    assert read(text) == read_as
    assert str(read_as) == f"{read_as.algorithm}:{read_as.digits}"


@pytest.mark.parametrize(
    "text",
    ["", A, "sha256:", f"sha256:{A[:-1]}", f"sha256:{A}0", f"md5:{A[:32]}", "sha256:" + "g" * 64],
)
def test_what_is_no_sum(text):
    with pytest.raises(NoChecksum):
        read(text)


def test_weak_sums_are_not_taken():
    with pytest.raises(NoChecksum, match="sha256, sha384, sha512"):
        make("sha1", "a" * 40)


@pytest.mark.parametrize(
    "text",
    [
        f"{B}  other.img\n{A}  disk.img\n",
        f"{A} *disk.img\n",
        f"{A}  ./disk.img\r\n{B}  disk.img.xz\n",
        f"SHA256 (disk.img) = {A}\nSHA256 (disk.img.xz) = {B}\n",
        # Fedora's, signed
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# disk.img: 5 bytes\n"
        f"SHA256 (disk.img) = {A}\n-----BEGIN PGP SIGNATURE-----\n\niQIz/x\n",
        f"{A}\n",
        f"{A}  disk.img\n{A}  old/disk.img\n",
    ],
)
def test_the_files_sum_is_found(text):
    assert find(text, "disk.img") == Checksum("sha256", A)


def test_the_strongest_of_several_is_found():
    assert find(f"{A}  d\n{LONG}  d\n", "d") == Checksum("sha512", LONG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{A}  disk.img.xz\n",
        f"{A} disk.img and\n",
        "d" * 32 + "  disk.img\n",
        f"MD5 (disk.img) = {A}",
        f"SHA512 (disk.img) = {A}",
        "<html>404</html>",
        f"{A} {B}",
        f"x{A}\n",
    ],
)
def test_no_sum_is_found_where_there_is_none(text):
    assert find(text, "disk.img") is None


def test_two_different_sums_are_none():
    with pytest.raises(NoChecksum, match="several"):
        find(f"{A}  disk.img\n{B}  old/disk.img\n", "disk.img")


def test_where_sums_lie():
    found = places("https://example.org/images/d.qcow2?token=x#y")
    assert found[:3] == [
        "https://example.org/images/SHA512SUMS",
        "https://example.org/images/SHA256SUMS",
        "https://example.org/images/d.qcow2.sha512",
    ]
    assert not any("token" in place for place in found)
