"""Files that the tools read and write for their user."""

from __future__ import annotations

import os
import stat
import sys

from econe.client.errors import Misconfigured


def small_file(path: str, *, most_bytes: int, what: str) -> bytes:
    """The content of the file, or of standard input for `-`. Raises Misconfigured."""
    try:
        if path == "-":
            content = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes 5 ms to import
                content = file.read(most_bytes + 1)
    except OSError as error:
        raise Misconfigured(f"cannot read the {what} in {path}: {error.strerror}") from error
    if len(content) > most_bytes:
        raise Misconfigured(f"the {what} in {path} is larger than {most_bytes} bytes")
    return content


class SecretFile:
    """A new file that only its owner can read, made before the secret is asked for: a secret that
    is told once must not be lost because the file cannot be made. Unless `keep` has been called
    the file is gone at the end of the `with`. Raises Misconfigured.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept = False

    def __enter__(self) -> SecretFile:
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise Misconfigured(f"cannot make {self._path}: {error.strerror}") from error
        return self

    def keep(self, secret: bytes) -> None:
        try:
            os.fchmod(self._descriptor, stat.S_IRUSR | stat.S_IWUSR)  # whatever the umask was
            left = memoryview(secret)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise Misconfigured(f"cannot write {self._path}: {error.strerror}") from error
        self._kept = True

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)
        if not self._kept:
            os.unlink(self._path)  # noqa: PTH108 - pathlib takes 5 ms to import
