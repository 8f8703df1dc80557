"""Help texts made from a tool's table, and docs/tools.md made from the help texts.

`python -m econe.cli.catalogue > docs/tools.md`; a test fails when that page is stale.
"""

from __future__ import annotations

from textwrap import fill

from econe.cli.tool import STANDARD, Option, Tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH = 80
_INDENT = " " * 5
_COLUMN = 31
"""Where the texts of options begin; both figures are those of OpenNebula 5.8's help."""

_ENVIRONMENT = (
    ("EC2_URL", "Where the cloud answers, if --url does not say."),
    ("EC2_ACCESS_KEY, EC2_SECRET_KEY", "Both keys of the account, if the options do not say."),
    (
        "ONE_AUTH",
        "Else: a file with user:password. The user is the access key, the hash of the password "
        "the secret key: SHA-256, or SHA-1 where that is not taken. Default: ~/.one/one_auth.",
    ),
    ("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", "Else: both keys of the account."),
    (
        "AWS_CA_BUNDLE, SSL_CERT_FILE",
        "File with the authorities that https servers are checked against. Default: the system's.",
    ),
)
_STATUSES = (
    ("0", "Done."),
    ("1", "The cloud refused, or something failed: one line on standard error says what."),
    ("2", "The command line cannot be meant."),
    ("130", "Interrupted."),
)


def manual(tool: Tool) -> str:
    """What --help prints: a manual page as plain text."""
    own = "".join(_option(option) for option in tool.options)
    sections = [
        ("NAME", f"{_INDENT}{tool.name} - {tool.gist}\n"),
        ("SYNOPSIS", f"{_INDENT}{tool.name} [OPTION]... {tool.arguments}\n"),
        ("DESCRIPTION", _paragraphs(tool.description)),
        ("OPTIONS", own + "".join(_option(option) for option in STANDARD)),
        ("ENVIRONMENT", "".join(_entry(*entry) for entry in _ENVIRONMENT)),
        ("EXIT STATUS", "".join(_entry(*entry) for entry in _STATUSES)),
        ("EXAMPLES", _examples(tool)),
    ]
    return "\n".join(f"{title}\n{text}" for title, text in sections)


def _paragraphs(text: str) -> str:
    parts = text.split("\n\n")
    return "\n\n".join(_filled(" ".join(part.split()), _INDENT) for part in parts) + "\n"


def _filled(text: str, indent: str) -> str:
    return fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _option(option: Option) -> str:
    names = [f"-{letter}" for letter in option.short] + [f"--{option.long}"]
    return _entry(", ".join(names) + (f" {option.value}" if option.value else ""), option.text)


def _entry(term: str, text: str) -> str:
    """The term, and its text in the column beside it; below it where the term is too long."""
    lines = _filled(text, " " * _COLUMN)
    start = f"{_INDENT}{term}"
    if len(start) < _COLUMN:
        return f"{start:<{_COLUMN}}{lines[_COLUMN:]}\n"
    return f"{start}\n{lines}\n"


def _examples(tool: Tool) -> str:
    shown = (
        "".join(
            f"{_INDENT}{line}\n" for line in [f"$ {example.command}", *example.answer.splitlines()]
        )
        for example in tool.examples
    )
    return "\n".join(shown)


def page(tools: tuple[Tool, ...], servants: Mapping[str, str]) -> str:
    """docs/tools.md. `servants` are the operator's commands: name and whole manual."""
    parts = [
        "# The tools\n\n"
        "<!-- Made from src/econe/cli by `python -m econe.cli.catalogue > docs/tools.md`. -->\n\n"
        "Every tool prints this text with `-h`. Common to all but the operator's two: credentials "
        "and server come from the options, else from the environment; `--json` prints the answer "
        "of the cloud, with EC2's names and with every value as text. Errors are one line on "
        "standard error.\n"
    ]
    texts = {**{tool.name: manual(tool) for tool in tools}, **servants}
    gists = {name: text.splitlines()[1].partition(" - ")[2] for name, text in texts.items()}
    parts += [f"- [{name}](#{name}): {gist}" for name, gist in gists.items()]
    parts += [f"\n## {name}\n\n```text\n{text}```" for name, text in texts.items()]
    return "\n".join(parts) + "\n"
