"""What a command is, as data: one table drives the parser, the help text and docs/tools.md.

Why not argparse: it takes 5 ms to import and builds its parser anew on every start, where the whole
interpreter takes 9; and its help is not the manual page that these tools owe. For the same reason
nothing on the way to a request imports `typing` (2 ms), or makes a NamedTuple or a dataclass
(0.3 ms each, and 7 ms for the dataclasses module): the classes here are plain ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from econe.client.session import Session


class Option:
    """`long` is its name without dashes; `short` one letter, or several that mean the same;
    `value` what the help calls its value, empty for a switch."""

    __slots__ = ("long", "short", "text", "value")

    def __init__(self, long: str, text: str, short: str = "", value: str = "") -> None:
        self.long, self.text, self.short, self.value = long, text, short, value


class Example:
    """A command, and what it prints."""

    __slots__ = ("answer", "command")

    def __init__(self, command: str, answer: str = "") -> None:
        self.command, self.answer = command, answer


class Asked:
    """A command line, read. `values` go by long name; a switch that was given is `yes`."""

    __slots__ = ("arguments", "values")

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.arguments: list[str] = []

    def has(self, option: str) -> bool:
        return option in self.values

    def get(self, option: str) -> str | None:
        return self.values.get(option)


class Tool:
    """`gist` is half a sentence for the NAME section, `arguments` what the synopsis shows,
    `description` paragraphs divided by blank lines; `options` are its own, beside STANDARD."""

    __slots__ = ("act", "arguments", "description", "examples", "gist", "name", "options")

    def __init__(
        self,
        *,
        name: str,
        gist: str,
        arguments: str,
        description: str,
        act: Callable[[Asked, Session], None],
        options: tuple[Option, ...] = (),
        examples: tuple[Example, ...] = (),
    ) -> None:
        self.name, self.gist, self.arguments = name, gist, arguments
        self.description, self.act = description, act
        self.options, self.examples = options, examples

    def __call__(self) -> NoReturn:
        """What the installed command calls."""
        from econe.cli.play import run_command  # which imports this module

        run_command(self)


class UsageError(Exception):
    """The command line cannot be meant. Exit status 2."""


HEADERS = Option("headers", "Print the names of the columns and a rule above the table.", "H")
WAIT = "wait"
STANDARD = (
    Option(
        "access-key",
        "Access key of the account; with econe-admin's or OpenNebula's pair the user name. "
        "Goes together with --secret-key.",
        "K",
        "ID",
    ),
    Option("secret-key", "Secret key of the account.", "S", "KEY"),
    Option(
        "url", "Where the cloud answers. Default: EC2_URL, else http://localhost:4567.", "U", "URL"
    ),
    Option("json", "Print the answer as JSON, and nothing else, on standard output."),
    Option("help", "Print this text.", "h"),
    Option("version", "Print the version and the licence.", "Vv"),
)


def read_command_line(tool: Tool, words: Sequence[str]) -> Asked:
    """Options and arguments in any order, as getopt reads them: `-Kvalue`, `-K value`,
    `--access-key value`, `--access-key=value`; `--` ends the options; of an option given twice
    the last counts. Raises UsageError.
    """
    options = (*tool.options, *STANDARD)
    long = {option.long: option for option in options}
    short = {letter: option for option in options for letter in option.short}
    asked = Asked()
    left = list(reversed(words))
    while left:
        word = left.pop()
        if word == "--":
            asked.arguments.extend(reversed(left))
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            _take(asked, long.get(name), f"--{name}", value if equals else None, left)
        elif word.startswith("-") and word != "-":
            _take_letters(asked, short, word[1:], left)
        else:
            asked.arguments.append(word)
    return asked


def _take_letters(asked: Asked, short: dict[str, Option], letters: str, left: list[str]) -> None:
    """`-Hn3` is the switch -H and the option -n with the value 3."""
    while letters:
        letter, letters = letters[0], letters[1:]
        option = short.get(letter)
        if option is not None and option.value:
            _take(asked, option, f"-{letter}", letters or None, left)
            return
        _take(asked, option, f"-{letter}", None, left)


def _take(
    asked: Asked, option: Option | None, written: str, value: str | None, left: list[str]
) -> None:
    if option is None:
        raise UsageError(f"unknown option {written} (-h shows all)")
    if not option.value:
        if value is not None:
            raise UsageError(f"option {written} takes no value")
        asked.values[option.long] = "yes"
        return
    if value is None:
        if not left:
            raise UsageError(f"option {written} needs a value ({option.value})")
        value = left.pop()
    asked.values[option.long] = value


# --- arguments ---------------------------------------------------------------------------


def one_argument(asked: Asked, name: str) -> str:
    """The only argument. Raises UsageError with the old tools' words where there is none."""
    if not asked.arguments or not asked.arguments[0]:
        raise UsageError(f"missing {name} parameter")
    no_more_arguments(asked, 1)
    return asked.arguments[0]


def no_more_arguments(asked: Asked, most: int) -> None:
    if len(asked.arguments) > most:
        raise UsageError(f"unexpected argument {asked.arguments[most]!r}")


def several_arguments(asked: Asked, name: str) -> list[str]:
    """One or more, divided by blanks or commas. Raises UsageError where there is none."""
    found = any_arguments(asked)
    if not found:
        raise UsageError(f"missing {name} parameter")
    return found


def any_arguments(asked: Asked) -> list[str]:
    return [part for word in asked.arguments for part in word.replace(",", " ").split()]


def long_id(text: str, prefix: str) -> str:
    """`i-15` in the form that the cloud writes, `i-00000015`; anything else as it is."""
    number = text.removeprefix(f"{prefix}-")
    short = number.isascii() and number.isdigit() and len(number) < 8
    return f"{prefix}-{number:0>8}" if short else text


def numbered(name: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """EC2's lists: InstanceId.1, InstanceId.2 and so on."""
    return [(f"{name}.{at}", value) for at, value in enumerate(values, start=1)]
