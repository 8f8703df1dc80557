"""Starts the probe (probe.py) on a received file and reads its verdict."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from econe.domain.faults import Broken, Noun
from econe.settings import Images

NOBODY: Final = 65534
"""Whom the probe becomes where it starts as root."""

_SCRIPT: Final = Path(__file__).with_name("probe.py")
_NO_SITE: Final = ("-I", "-S")
"""Started without site packages: 6 ms instead of 20, and nothing but the standard library in it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    format: str = ""
    file: str = ""
    """The name of the file to keep, in the directory."""
    refused: str = ""
    """Why it is not an image: a sentence for the user."""
    full: bool = False
    hidden: str = ""


def look(directory: Path, images: Images, lock: int) -> Verdict:
    """What the file `data` in `directory` is. Blocks: seconds to minutes.

    `lock` stays open in the probe, so that nobody clears the directory away under a probe that
    outlives this process. Raises Broken where the probe fails in a way that is not the file's.
    """
    seconds = max(1, int(images.probe_timeout_s))
    task = {
        "most_virtual_bytes": images.max_virtual_gib << 30,
        "keep_free_bytes": images.keep_free_mib << 20,
        "memory_bytes": images.probe_memory_mib << 20,
        "seconds": seconds,
    }
    child = subprocess.Popen(
        [sys.executable, *_NO_SITE, str(_SCRIPT), json.dumps(task)],
        cwd=directory,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "MALLOC_ARENA_MAX": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(lock,),
        start_new_session=True,  # so that its own children can be ended with it
    )
    with child:
        try:
            said, wrong = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return Verdict(refused=f"The file took more than {seconds} seconds to be examined.")
        finally:
            _end(child)
    return _read(said, wrong.decode(errors="replace"), child.returncode)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End what is left of the probe: all of it, or what it started if it was killed itself."""
    if child.returncode is None or child.returncode < 0:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _read(said: bytes, wrong: str, status: int) -> Verdict:
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return Verdict(refused="The file needs more time or memory to be examined than is allowed.")
    try:
        told: dict[str, Any] = json.loads(said)
    except ValueError:
        raise Broken(Noun.IMAGE, hidden=f"the probe ended with {status}: {wrong[-2000:]}") from None
    return Verdict(
        format=told.get("format", ""),
        file=told.get("file", ""),
        refused=told.get("refused", ""),
        full=told.get("full", False),
        hidden=wrong[-2000:],
    )
