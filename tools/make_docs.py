#!/usr/bin/env python3
"""Makes docs/settings.md, docs/errors.md and docs/actions.md out of what the program reads.

.venv/bin/python tools/make_docs.py           write them
.venv/bin/python tools/make_docs.py --check   say which are stale, and fail if any is
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import econe.actions  # noqa: F401 - registers every action
from econe.actions.registry import HANDLERS
from econe.configuration import CHOICES, RANGES, known
from econe.front.faults import BY_KIND, BY_NOUN, Words
from econe.front.repeats import TAKEN
from econe.settings import default_state
from econe.wire import model

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
MADE: Final = "<!-- Made by tools/make_docs.py. Change what it reads, not this page. -->\n"


def settings() -> str:
    lines = [
        "# Settings",
        "",
        MADE,
        "`econe-server` reads them from the file that `--config` names (TOML), then from the",
        "environment, then from its options; what comes later wins. An unknown key is an error.",
        "`econe-server config` prints those in force, as such a file.",
    ]
    section = None
    for key in known().values():
        head, _, name = key.name.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"## [{head}]" if head else "## Outside any section", ""]
            lines += ["| Key | Default | Environment | What it is |", "|---|---|---|---|"]
        said = key.said + _allowed(key.name)
        lines.append(f"| `{name}` | `{_default(key.default)}` | `{key.variable}` | {_cell(said)} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if value == default_state():  # depends on who asks
        return "/var/lib/econe as root, else ~/.local/share/econe"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value) if value != "" else " "


def _allowed(name: str) -> str:
    if name in RANGES:
        least, most = RANGES[name]
        return f" From {least:g} to {most:g}."
    return f" One of: {', '.join(CHOICES[name])}." if name in CHOICES else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def errors() -> str:
    lines = [
        "# Errors",
        "",
        MADE,
        "What can go wrong with things, as the API tells it. `{}` stands for the id, name or value",
        "in question; where more is known, a better sentence is said. Statuses from 500 on are the",
        "server's own fault, and its log has the cause under the request id. Refusals of the",
        "protocol itself (signatures, parameters that the model does not know) have the codes of",
        "EC2's client errors.",
        "",
        "| Fault | Of | Code | Status | Sentence |",
        "|---|---|---|---|---|",
    ]
    for (kind, noun), words in sorted(BY_NOUN.items()):
        lines.append(_error(kind, noun, words))
    for kind, words in sorted(BY_KIND.items()):
        lines.append(_error(kind, "anything else", words))
    return "\n".join(lines) + "\n"


def _error(kind: str, noun: str, words: Words) -> str:
    return f"| {kind} | {noun} | `{words.code}` | {words.status} | {_cell(words.sentence)} |"


def actions() -> str:
    service = model.load()
    rest = sorted(set(service.names) - set(HANDLERS))
    lines = [
        "# Actions",
        "",
        MADE,
        f"Of the {len(service.names)} operations in the service model {len(HANDLERS)} are "
        "supported. A parameter that is not",
        "listed is refused with `UnsupportedOperation`, and so is an operation that is not.",
        "A name covers all below it; DryRun is taken everywhere.",
        "",
        "| Action | Parameters that are taken |",
        "|---|---|",
    ]
    for name in sorted(HANDLERS):
        handler = HANDLERS[name]
        operation = service.expect(name)
        shape = operation.input_shape
        taken = set(handler.takes)
        if handler.writes and shape is not None:
            taken |= TAKEN & set(shape.members)
        lines.append(f"| {name} | {', '.join(f'`{path}`' for path in sorted(taken)) or '-'} |")
    lines += ["", "## Not supported", "", ", ".join(rest) + "."]
    return "\n".join(lines) + "\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "settings.md": settings,
    "errors.md": errors,
    "actions.md": actions,
}


def main() -> int:
    stale = []
    for name, make in PAGES.items():
        page, text = DOCS / name, make()
        if not page.exists() or page.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(text, "utf-8")
    if stale:
        print(f"make_docs: {'stale' if '--check' in sys.argv else 'made'}: {', '.join(stale)}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
