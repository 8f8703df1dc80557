"""One run of one tool: read the command line, find the cloud, act, and say what went wrong.

Exit status: 0 done; 1 refused or failed, with one line on standard error; 2 the command line
cannot be meant; 130 interrupted. (The old tools printed errors to standard output and exited 255.)
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence

from econe.cli.tables import printable
from econe.cli.tool import Asked, Tool, UsageError, read_command_line
from econe.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from econe.client.session import Session


FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def run_command(tool: Tool) -> NoReturn:
    """The whole life of a process that is `tool`."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # it was closed: what is written must not go elsewhere
            setattr(sys, name, os.fdopen(_nowhere(descriptor), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a name shows `?`
    leave(play(tool))


def leave(status: int) -> NoReturn:
    """End the process here and now: taking the interpreter down in order takes 4 ms, and there is
    nothing left to be done in order."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or FAILED
    os._exit(status)


def play(
    tool: Tool, words: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> int:
    """Returns the exit status."""
    try:
        status = _act(
            tool,
            sys.argv[1:] if words is None else words,
            os.environ if environ is None else environ,
        )
        sys.stdout.flush()
        return status
    except UsageError as error:
        return _complain(tool, str(error), MISUSED)
    except ClientError as error:
        return _complain(tool, str(error), FAILED)
    except KeyboardInterrupt:
        return _complain(tool, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has enough of it. What is left in the buffer must not be flushed
        # into the closed pipe again when the interpreter ends.
        _nowhere(sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _complain(tool, f"cannot write the answer: {error.strerror or error}", FAILED)


def _act(tool: Tool, words: Sequence[str], environ: Mapping[str, str]) -> int:
    asked = read_command_line(tool, words)
    if asked.has("help"):
        from econe.cli.manual import manual

        sys.stdout.write(manual(tool))
        return 0
    if asked.has("version"):
        from econe import __version__

        print(f"{tool.name} (econe) {__version__}\nLicensed under the Apache License, Version 2.0")
        return 0
    if asked.has("access-key") != asked.has("secret-key"):
        raise UsageError("--access-key and --secret-key go together")
    tool.act(asked, _session(asked, environ))
    return 0


def _session(asked: Asked, environ: Mapping[str, str]) -> Session:
    # Late, so that help and usage errors come without the cost of hashes and sockets.
    from econe.client.credentials import find_credentials, find_url
    from econe.client.session import Session

    credentials = find_credentials(asked.get("access-key"), asked.get("secret-key"), environ)
    return Session(
        find_url(asked.get("url"), environ),
        credentials.access_key,
        credentials.secret_key,
        older_secret=credentials.older_secret,
        environ=environ,
    )


def _nowhere(descriptor: int) -> int:
    """Have the descriptor lead to /dev/null."""
    return os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _complain(tool: Tool, message: str, status: int) -> int:
    one_line = printable(" ".join(message.split()))
    print(f"{tool.name}: {one_line}", file=sys.stderr)
    return status
