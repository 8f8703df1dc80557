"""Starting the server as a daemon, and ending it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from econe.statedir import Running, running

PATIENCE_S: Final = 60.0
"""Longest time for a start or a stop. Both take about a second."""


class Failed(Exception):  # noqa: N818
    """It could not be done; the text is one line for the operator."""


def start_daemon(words: Sequence[str], log: Path) -> str:
    """Run `econe-server WORDS` detached; the line that it prints when it answers.

    What it writes to stderr goes to the log, and is the reason if it ends instead. Raises Failed.
    """
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        errors = os.fdopen(os.open(log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+b")
    except OSError as problem:
        raise Failed(f"cannot use {log.parent}: {problem.strerror}") from problem
    with errors:
        before = errors.seek(0, os.SEEK_END)
        # -P: without it `-m` imports what lies in the working directory first.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "econe.cli.server", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        assert child.stdout is not None
        with child.stdout:
            line = child.stdout.readline().decode().strip()
        if line:
            child.returncode = 0  # it is on its own now, and nobody here will wait for it
            return line
        child.wait()
        errors.seek(before)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
    raise Failed(said[-1].removeprefix("econe-server: ") if said else "the server ended at once")


def stop_daemon(state: Path, held: Running) -> None:
    """Ask the server to end, and wait until it has. Raises Failed."""
    if held.pid is None:
        raise Failed("the server is just starting; try again")
    try:
        os.kill(held.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it ended by itself just now
    except PermissionError:
        raise Failed(f"not allowed to end process {held.pid}") from None
    end = time.monotonic() + PATIENCE_S
    while (now := running(state)) is not None and now.pid in (held.pid, None):
        if time.monotonic() > end:
            raise Failed(f"process {held.pid} did not end within {PATIENCE_S:.0f} s")
        time.sleep(0.05)
