"""Small files that are whole, and stay: a crash leaves the old content or the new one."""

import os
from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace the content of `path`. Durable itself; sync_directory() makes a new name so."""
    part = path.with_name(f".{path.name}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, no path
        os.fchmod(fd, mode)  # whatever the umask is
        file.write(text)
        file.flush()
        os.fsync(fd)
    part.replace(path)


def sync_directory(path: Path) -> None:
    """Make what was renamed, linked and removed in it durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
