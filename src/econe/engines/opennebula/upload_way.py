"""Which way uploads go into oned, and the directory that they wait in."""

import os
import pwd
import re
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from econe.domain.engine_ports import EngineBusy
from econe.settings import Opennebula

ONED: Final = "oneadmin"
"""Whom a packaged oned runs as."""

# oned's drivers are shell scripts that take a path apart at blanks and hand a URL to eval
# (remotes/downloader.sh, libfs.sh: check_restricted).
_HARMLESS: Final = re.compile(r"/[A-Za-z0-9._/+-]*", re.ASCII)
_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._/~-]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Way:
    """Where files wait, and how oned is told of one."""

    directory: Path
    url: str = ""
    """What comes before `/staged/<token>`; empty where oned is told a path."""
    by_url: bool = False
    credentials: Path = Path()
    """The service account's file, whose owner is taken for oned's user."""
    problem: str = ""
    """Why nothing can be handed over, for the operator."""

    def url_of(self, token: str) -> str:
        """Empty where oned is told a path."""
        return f"{self.url}/staged/{token}" if self.by_url else ""


def way_of(settings: Opennebula, state: Path) -> Way:
    """What the settings say. A name in the endpoint may be looked up: seconds, where that fails."""
    by_path = settings.upload_by == "path" or (
        settings.upload_by == "auto" and is_here(settings.endpoint)
    )
    if settings.upload_by not in ("auto", "path", "url"):
        problem = f"upload_by is {settings.upload_by!r}: use auto, path or url"
    elif by_path:
        problem = _path_problem(settings.upload_path)
    else:
        problem = _url_problem(settings)
    if by_path:
        return Way(settings.upload_path, credentials=settings.credentials, problem=problem)
    return Way(state / "staged", settings.upload_url.rstrip("/"), by_url=True, problem=problem)


def _path_problem(path: Path) -> str:
    if not _HARMLESS.fullmatch(str(path)) or ".." in path.parts:
        return f"upload_path {str(path)!r} must be absolute, of letters, digits and . _ + -"
    return ""


def _url_problem(settings: Opennebula) -> str:
    if not settings.upload_url:
        return (
            f"oned is on another machine ({urlsplit(settings.endpoint).hostname}): upload_url must"
            " say how it reaches this server"
        )
    if not _URL.fullmatch(settings.upload_url):
        return f"upload_url {settings.upload_url!r} is no plain http or https URL"
    return ""


def is_here(endpoint: str) -> bool:
    """Whether the URL's host is this machine: an address of ours can be bound to."""
    try:
        found = socket.getaddrinfo(urlsplit(endpoint).hostname, None, type=socket.SOCK_DGRAM)
    except (OSError, ValueError):
        return False
    return any(_is_ours(family, str(address[0])) for family, _, _, _, address in found)


def _is_ours(family: int, address: str) -> bool:
    if address.startswith("127.") or address == "::1":
        return True
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


# --- the directory -------------------------------------------------------------------------


def make_room(way: Way) -> None:
    """Make the directory, for us and for oned's user only as far as that can be.

    Raises EngineBusy where it is not fit, with a text for the operator, and OSError.
    """
    if way.problem:
        raise EngineBusy(way.problem)
    reader = None if way.by_url else oned_user(way.credentials)
    with suppress(FileExistsError):
        way.directory.mkdir(mode=0o700, parents=True)
    found = way.directory.lstat()
    problem = unfit(found, reader)
    if problem:
        raise EngineBusy(f"{way.directory} {problem}")
    if found.st_uid == os.geteuid():
        mode = 0o700 if way.by_url else _let_in(way.directory, found, reader)
        if stat.S_IMODE(found.st_mode) != mode:
            way.directory.chmod(mode)


def oned_user(credentials: Path) -> pwd.struct_passwd | None:
    """Whoever owns the service account's file; if that is root or ourselves, by the usual name."""
    with suppress(OSError, KeyError):
        owner = credentials.stat().st_uid
        if owner not in (0, os.geteuid()):
            return pwd.getpwuid(owner)
    with suppress(KeyError):
        return pwd.getpwnam(ONED)
    return None


def unfit(found: os.stat_result, reader: pwd.struct_passwd | None) -> str:
    """Nobody but those who could do it anyway may put other files into the place of ours."""
    owners = {0, os.geteuid(), *([reader.pw_uid] if reader else [])}
    if not stat.S_ISDIR(found.st_mode):
        return "is no directory"
    if found.st_uid not in owners:
        return "belongs to somebody else"
    shared = reader is not None and found.st_gid == reader.pw_gid
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not shared):
        return "can be written to by others"
    return ""


def _let_in(directory: Path, found: os.stat_result, reader: pwd.struct_passwd | None) -> int:
    """The mode of a directory of ours that oned's user can pass through. See staging.py."""
    if reader is None:
        return 0o711
    if reader.pw_uid == os.geteuid():
        return 0o700
    if found.st_gid != reader.pw_gid:
        try:
            os.chown(directory, -1, reader.pw_gid)
        except PermissionError:
            return 0o711
    return 0o710 | (found.st_mode & stat.S_IWGRP)
