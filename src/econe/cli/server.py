"""econe-server: run the cloud, in front or as a daemon, and look at it."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from econe.cli.daemon import Failed, start_daemon, stop_daemon
from econe.configuration import SettingsError, load, write_toml
from econe.settings import Settings
from econe.statedir import CannotStart, Running, running

NAME: Final = "econe-server"
NOT_RUNNING: Final = 3
"""Exit status of `status` when nothing runs (LSB: "program is not running")."""

MANUAL: Final = """\
NAME
     econe-server - an EC2-compatible cloud on this machine

SYNOPSIS
     econe-server run    [OPTION]...
     econe-server start  [OPTION]...
     econe-server stop   [OPTION]...
     econe-server down   [OPTION]...
     econe-server status [OPTION]...
     econe-server check  [OPTION]...
     econe-server config [OPTION]...

DESCRIPTION
     Serves the EC2 Query API and runs the machines that are asked of it. All
     that lasts is in one state directory; one server at a time uses it.
     Machines go on running when the server stops, and are found again when
     it starts.

COMMANDS
     run                  Serve until SIGTERM or SIGINT. Prints
                          `econe-server: ready on URL` when it answers.
     start                The same as a daemon; returns when it answers. Its
                          process id and URL are in DIR/server.pid.
     stop                 End the server of the state directory, and wait
                          until it has ended.
     down                 Stop every guest, as StopInstances does, and take
                          down the networks; no server may run. Instances and
                          disks stay, and can be started again. Refused
                          with the engine opennebula: its guests run on
                          other machines.
     status               Say whether a server runs there, and where it
                          answers. Exit status 3 if none does.
     check                Say what this machine can do for the engine, and
                          why not: for QEMU, or what there is at OpenNebula.
     config               Print the settings in force, as a file that --config
                          reads.

OPTIONS
     --state DIR          Where everything that lasts is kept. Default:
                          $ECONE_STATE, else /var/lib/econe for root, else
                          ~/.local/share/econe
     --listen HOST:PORT   Where to answer; port 0 takes a free one.
                          Default: 127.0.0.1:4567
     --engine NAME        qemu, or simulator (no machines run), or opennebula.
                          Default: qemu
     --config FILE        Settings in TOML; docs/settings.md lists them.
     --log FILE           Where to log; - is standard error.
                          Default: DIR/server.log
     --json               Print JSON; a server is told as its ready, pid, url.
     -V, --version        Print the version and exit.
     -h, --help           Print this text and exit.

ENVIRONMENT
     ECONE_<SECTION>_<KEY>
                          Any setting, such as ECONE_SERVER_LISTEN; and
                          ECONE_STATE and ECONE_ENGINE, which have no section.
                          Options come first, then the environment, then the
                          file.

EXIT STATUS
     0                    Done.
     1                    It could not be done: one line on standard error
                          says why.
     2                    The command line cannot be meant.
     3                    status: no server runs.

EXAMPLES
     $ econe-server run --state /var/lib/econe --listen 127.0.0.1:4567
     econe-server: ready on http://127.0.0.1:4567

     $ econe-admin --state /var/lib/econe account create helen
"""


class _Parser(argparse.ArgumentParser):
    def format_help(self) -> str:
        return MANUAL

    def error(self, message: str) -> Any:
        print(f"{NAME}: {message}", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=NAME, allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"{NAME} {version('econe')}")
    parser.add_argument("command", choices=sorted(COMMANDS))
    for name in ("state", "config"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("listen", "engine", "log"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--json", action="store_true")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """What the installed command calls; returns the exit status."""
    asked = _parser().parse_args(words)
    try:
        report = COMMANDS[asked.command](_settings(asked), asked)
    except (SettingsError, CannotStart, Failed) as problem:
        print(f"{NAME}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if report is None:
        return 0
    print(json.dumps(report.facts, indent=2, default=str) if asked.json else report.said)
    return report.status


@dataclass(frozen=True, slots=True)
class Report:
    """What a command says: as text, and with --json."""

    said: str
    facts: Any
    status: int = 0


def _settings(asked: argparse.Namespace) -> Settings:
    flags = {"state": asked.state, "server.listen": asked.listen, "engine": asked.engine}
    settings = load(asked.config, os.environ, flags)
    return replace(settings, state=settings.state.absolute())


def _log_file(settings: Settings, asked: argparse.Namespace) -> Path | None:
    if asked.log == "-":
        return None
    return Path(asked.log).absolute() if asked.log else settings.state / "server.log"


def _run(settings: Settings, asked: argparse.Namespace) -> Report | None:
    from econe.app import serve  # late: it loads the whole server

    def announce(url: str) -> None:
        said = json.dumps(_facts(os.getpid(), url)) if asked.json else f"{NAME}: ready on {url}"
        with suppress(BrokenPipeError):  # whoever started it does not read: serve all the same
            print(said, flush=True)

    serve(settings, _log_file(settings, asked), announce)
    return None


def _start(settings: Settings, asked: argparse.Namespace) -> Report:
    held = running(settings.state)
    if held is not None:
        said = f"{NAME}: already running{_where(held)}"
        return Report(said, _facts(held.pid, held.url))
    words = ["run", "--state", str(settings.state)]
    for name in ("listen", "engine"):
        if value := getattr(asked, name):
            words += [f"--{name}", value]
    if asked.config:
        words += ["--config", str(asked.config.absolute())]
    words += ["--log", str(_log_file(settings, asked) or settings.state / "server.log")]
    said = start_daemon(words, settings.state / "server.log")
    held = running(settings.state)
    return Report(said, _facts(held.pid, held.url) if held else _facts())


def _stop(settings: Settings, _: argparse.Namespace) -> Report:
    held = running(settings.state)
    if held is None:
        return Report(f"{NAME}: not running", _facts())
    stop_daemon(settings.state, held)
    return Report(f"{NAME}: stopped", _facts())


def _down(settings: Settings, asked: argparse.Namespace) -> Report:
    from econe.takedown import take_down  # late: it loads the whole server

    done = take_down(settings, _log_file(settings, asked))
    return Report(
        f"{NAME}: down; guests stopped: {len(done.stopped)}, networks: {len(done.networks)}",
        {"stopped": list(done.stopped), "networks": list(done.networks)},
    )


def _status(settings: Settings, _: argparse.Namespace) -> Report:
    held = running(settings.state)
    if held is None:
        return Report(f"{NAME}: not running", _facts(), NOT_RUNNING)
    said = f"{NAME}: {'running' if held.url else 'starting'}{_where(held)}"
    return Report(said, _facts(held.pid, held.url))


def _where(held: Running) -> str:
    pid, url = held.pid, held.url
    return (f", process {pid}" if pid else "") + (f", on {url}" if url else "")


def _facts(pid: int | None = None, url: str = "") -> dict[str, Any]:
    """What --json says of a server: `ready` when it answers."""
    return {"ready": bool(url), "pid": pid, "url": url or None}


def _check(settings: Settings, _: argparse.Namespace) -> Report:
    # Late: each loads its engine, and needs none of the other's programs.
    if settings.engine == "opennebula":
        from econe.engines.opennebula import check as opennebula

        logging.getLogger("econe").addHandler(logging.NullHandler())  # what it finds is printed
        found = opennebula.report(settings.state, settings.opennebula)
    else:
        from econe.engines.qemu import check as qemu

        found = qemu.report(settings.state, settings.qemu)
    lines = [f"{'yes' if each.ok else 'no ':3}  {each.name}: {each.said}" for each in found]
    return Report("\n".join(lines), [asdict(each) for each in found])


def _config(settings: Settings, _: argparse.Namespace) -> Report:
    return Report(write_toml(settings).rstrip("\n"), asdict(settings))


Command = Callable[[Settings, argparse.Namespace], Report | None]

COMMANDS: Final[Mapping[str, Command]] = {
    "run": _run,
    "start": _start,
    "stop": _stop,
    "down": _down,
    "status": _status,
    "check": _check,
    "config": _config,
}

if __name__ == "__main__":
    sys.exit(main())
