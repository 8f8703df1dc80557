"""econe-run-instances and the tools for instances that run."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from os import fsencode

from econe.cli.tables import INSTANCES, RUN, lines, printable, show_json, show_lines
from econe.cli.tool import (
    HEADERS,
    WAIT,
    Asked,
    Example,
    Option,
    Tool,
    UsageError,
    any_arguments,
    long_id,
    numbered,
    one_argument,
    several_arguments,
)
from econe.client.answers import listed, text_at
from econe.client.errors import BadAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from econe.client.session import Session


MOST_USER_DATA_BYTES = 16 * 1024
_PAGE = 1000


def owner(owned: dict[str, Any], alias: str, number: str) -> str:
    """The name of the account, or its number where the cloud tells no name."""
    return text_at(owned, alias) or text_at(owned, number)


# --- econe-run-instances -----------------------------------------------------------------


def read_count(text: str) -> tuple[str, str]:
    """`3` or `1-3` as (MinCount, MaxCount). Raises UsageError."""
    least, dash, most = text.partition("-")
    most = most if dash else least
    for number in (least, most):
        if not (number.isascii() and number.isdigit() and 0 < int(number) <= 100_000):
            raise UsageError(f"--instance-count must be N or MIN-MAX, from 1 on, not {text!r}")
    if int(least) > int(most):
        raise UsageError(f"--instance-count {text!r} asks for fewer at most than at least")
    return str(int(least)), str(int(most))


def _user_data(asked: Asked) -> bytes | None:
    given, path = asked.get("user-data"), asked.get("user-data-file")
    if given is not None and path is not None:
        raise UsageError("--user-data and --user-data-file exclude each other")
    if given is not None:
        return fsencode(given)
    if path is None:
        return None
    from econe.cli.files import small_file

    return small_file(path, most_bytes=MOST_USER_DATA_BYTES, what="user data")


def _run(asked: Asked, session: Session) -> None:
    least, most = read_count(asked.get("instance-count") or "1")
    params = [("ImageId", one_argument(asked, "IMAGE-ID")), ("MinCount", least), ("MaxCount", most)]
    for option, name in (
        ("type", "InstanceType"),
        ("keypair", "KeyName"),
        ("client-token", "ClientToken"),
    ):
        value = asked.get(option)
        if value is not None:
            params.append((name, value))
    user_data = _user_data(asked)
    if user_data is not None:
        params.append(("UserData", b64encode(user_data).decode("ascii")))
    answer = session.call("RunInstances", params)
    launched = listed(answer, "instancesSet")
    if not asked.has("json"):
        show_lines(
            lines(
                RUN,
                (
                    (
                        owner(answer, "ownerAlias", "ownerId"),
                        text_at(instance, "imageId"),
                        text_at(instance, "instanceId"),
                        text_at(instance, "instanceType"),
                    )
                    for instance in launched
                ),
                headers=asked.has("headers"),
            )
        )
    settled = _wait(asked, session, [text_at(one, "instanceId") for one in launched], "running")
    if asked.has("json"):
        show_json(answer if settled is None else {**answer, "instancesSet": settled})


def _wait(
    asked: Asked, session: Session, ids: list[str], wanted: str
) -> list[dict[str, Any]] | None:
    """The instances as they then are; None without --wait."""
    if not asked.has(WAIT) or not ids:
        return None
    import sys

    from econe.cli.waiting import wait_until

    sys.stdout.flush()  # the ids are worth knowing while it lasts, also through a pipe
    return wait_until(session, ids, wanted)


def wait_option(until: str) -> Option:
    return Option(
        WAIT,
        f"Return when every instance is {until}; with exit status 1 when one cannot be, or is not "
        "within 10 minutes.",
    )


RUN_INSTANCES = Tool(
    name="econe-run-instances",
    gist="start virtual machines from an image",
    arguments="IMAGE-ID",
    description="""\
Starts one or more instances of a registered image and prints one line for each. An instance is
pending until its machine runs; econe-describe-instances shows its state and address.

With --keypair the public key is installed for the image's user, so that ssh with the private
key logs in. With --user-data the first boot gets a text: a script that begins with #! is run.""",
    act=_run,
    options=(
        Option("type", "Instance type. Default: the cloud's own, usually m1.small.", "t", "TYPE"),
        Option("user-data", "Data for the instance, as plain text.", "d", "TEXT"),
        Option(
            "user-data-file",
            "Data for the instance: the content of FILE, up to 16 KiB; - is standard input.",
            "f",
            "FILE",
        ),
        Option("keypair", "Name of the key pair to log in with.", "k", "NAME"),
        Option(
            "instance-count",
            "How many: N, or as many as there is room for but at least MIN. Default: 1.",
            "n",
            "N|MIN-MAX",
        ),
        Option(
            "client-token",
            "Your own name for this request. Sent again, it starts nothing new and is answered as "
            "the first time.",
            value="TOKEN",
        ),
        wait_option("running"),
        HEADERS,
    ),
    examples=(
        Example(
            "econe-run-instances -H ami-00000001",
            """\
Owner         ImageId         InstanceId     InstanceType
------------------------------------------------------------------------------
helen         ami-00000001    i-00000015     m1.small""",
        ),
        Example("econe-run-instances -k mykey -f setup.sh -n 2-4 --wait ami-00000001"),
    ),
)

# --- econe-describe-instances ------------------------------------------------------------


def address(instance: dict[str, Any]) -> str:
    """Where ssh reaches it: `host:port` in the user-mode network, else the public address, else
    the private one."""
    return (
        text_at(instance, "sshAddress")
        or text_at(instance, "ipAddress")
        or text_at(instance, "privateIpAddress")
    )


def _describe(asked: Asked, session: Session) -> None:
    ids = any_arguments(asked)
    reservations = session.collect(
        "DescribeInstances",
        "reservationSet",
        numbered("InstanceId", ids),
        page_size=None if ids else _PAGE,  # EC2 takes ids or a page size, not both
    )
    if asked.has("json"):
        show_json({"reservationSet": reservations})
        return
    rows = (
        (
            owner(reservation, "ownerAlias", "ownerId"),
            text_at(instance, "instanceId"),
            text_at(instance, "imageId"),
            text_at(instance, "instanceState", "name"),
            address(instance),
            text_at(instance, "instanceType"),
        )
        for reservation in reservations
        for instance in listed(reservation, "instancesSet")
    )
    show_lines(lines(INSTANCES, rows, headers=asked.has("headers")))


DESCRIBE_INSTANCES = Tool(
    name="econe-describe-instances",
    gist="list virtual machines",
    arguments="[INSTANCE-ID[,INSTANCE-ID...]]...",
    description="""\
Prints one line for each of the account's instances, or for those named: owner, id, image, state,
address and type. A terminated instance stays listed for about an hour.

The states are pending, running, stopping, stopped, shutting-down and terminated. The address is
the one that ssh reaches; where the cloud has only the user-mode network it is HOST:PORT.""",
    act=_describe,
    options=(HEADERS,),
    examples=(
        Example(
            "econe-describe-instances -H",
            """\
Owner       Id           ImageId        State        IP              Type
-----------------------------------------------------------------------------------
helen       i-00000015   ami-00000001   running      172.31.0.5      m1.small""",
        ),
        Example("econe-describe-instances i-15 --json"),
    ),
)

# --- econe-start-, -stop-, -reboot- and -terminate-instances ------------------------------


def _change(action: str, doing: str, wanted: str) -> Callable[[Asked, Session], None]:
    """What start, stop and terminate do: change all, tell from which state, wait if asked to."""

    def act(asked: Asked, session: Session) -> None:
        params = numbered("InstanceId", several_arguments(asked, "INSTANCE-ID"))
        if asked.has("force"):
            params.append(("SkipOsShutdown", "true"))
        answer = session.call(action, params)
        changed = listed(answer, "instancesSet")
        if not asked.has("json"):
            show_lines(
                f"Success: {doing} {printable(text_at(one, 'instanceId'))} in "
                f"{printable(text_at(one, 'previousState', 'name'))} state"
                for one in changed
            )
        _wait(asked, session, [text_at(one, "instanceId") for one in changed], wanted)
        if asked.has("json"):
            show_json(answer)

    return act


_ids = "INSTANCE-ID[,INSTANCE-ID...]..."

START_INSTANCES = Tool(
    name="econe-start-instances",
    gist="start stopped virtual machines",
    arguments=_ids,
    description="""\
Starts instances that are stopped. Their disks and private addresses are as they were. Starting one
that runs is not an error.""",
    act=_change("StartInstances", "Starting", "running"),
    options=(wait_option("running"),),
    examples=(
        Example(
            "econe-start-instances i-00000015 --wait",
            "Success: Starting i-00000015 in stopped state",
        ),
    ),
)

STOP_INSTANCES = Tool(
    name="econe-stop-instances",
    gist="stop virtual machines and keep their disks",
    arguments=_ids,
    description="""\
Asks the guests to halt, as their power button would, and cuts their power when they take too long.
econe-start-instances starts them again. Stopping one that is stopped is not an error.""",
    act=_change("StopInstances", "Stopping", "stopped"),
    options=(
        Option("force", "Cut the power at once. What the guest has not written yet is lost."),
        wait_option("stopped"),
    ),
    examples=(
        Example(
            "econe-stop-instances i-00000015",
            "Success: Stopping i-00000015 in running state",
        ),
    ),
)

TERMINATE_INSTANCES = Tool(
    name="econe-terminate-instances",
    gist="end virtual machines and delete their disks",
    arguments=_ids,
    description="""\
Ends instances in whatever state they are, and deletes their root disks. This cannot be undone.
Terminating one that is terminated is not an error.""",
    act=_change("TerminateInstances", "Terminating", "terminated"),
    options=(wait_option("terminated"),),
    examples=(
        Example(
            "econe-terminate-instances i-00000015",
            "Success: Terminating i-00000015 in running state",
        ),
    ),
)


def _reboot(asked: Asked, session: Session) -> None:
    ids = several_arguments(asked, "INSTANCE-ID")
    answer = session.call("RebootInstances", numbered("InstanceId", ids))
    if asked.has("json"):
        show_json(answer)
    else:
        show_lines(
            f"Success: Rebooting {printable(long_id(id_, 'i'))} in running state" for id_ in ids
        )


REBOOT_INSTANCES = Tool(
    name="econe-reboot-instances",
    gist="reboot virtual machines",
    arguments=_ids,
    description="""\
Restarts running instances. They keep their disks and addresses, and stay in the running state;
only a running instance can be rebooted.""",
    act=_reboot,
    examples=(
        Example(
            "econe-reboot-instances i-00000015",
            "Success: Rebooting i-00000015 in running state",
        ),
    ),
)

# --- econe-get-console-output ------------------------------------------------------------


def console_text(answer: dict[str, Any]) -> bytes:
    """What the guest wrote. Raises BadAnswer."""
    try:
        return b64decode(text_at(answer, "output"))
    except ValueError as error:
        raise BadAnswer("the server's console output is not base64") from error


def harmless(console: str) -> str:
    """For terminals: what could steer them is shown as `cat -v` does, but for ends of lines and
    tabs. A guest must not be able to type into the terminal of whoever looks at its console."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _caret(character)
        for character in console.replace("\r\n", "\n")
    )


def _caret(character: str) -> str:
    code = ord(character)
    return f"^{chr(code ^ 0x40)}" if code < 0x80 else "?"


def _console(asked: Asked, session: Session) -> None:
    answer = session.call("GetConsoleOutput", [("InstanceId", one_argument(asked, "INSTANCE-ID"))])
    if asked.has("json"):
        show_json(answer)
        return
    import sys

    console = console_text(answer)
    if console and not console.endswith(b"\n"):
        console += b"\n"
    if sys.stdout.isatty():
        print(harmless(console.decode("utf-8", "replace")), end="")
    else:
        sys.stdout.buffer.write(console)


GET_CONSOLE_OUTPUT = Tool(
    name="econe-get-console-output",
    gist="show what a virtual machine wrote to its console",
    arguments="INSTANCE-ID",
    description="""\
Prints the last 64 KiB that the instance wrote to its serial console, as it wrote them. On a
terminal, characters that would steer it are shown as ^X. Nothing is printed before the first byte.
With --json the output is base64, as EC2 sends it.""",
    act=_console,
    examples=(Example("econe-get-console-output i-00000015 | tail"),),
)
