#!/usr/bin/env python3
"""Makes docs/settings.md, docs/errors.md and docs/actions.md out of what the program reads.

.venv/bin/python tools/make_docs.py           write them
.venv/bin/python tools/make_docs.py --check   say which are stale, and fail if any is
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import econe.actions  # noqa: F401 - registers every action
from econe.actions.filters import text_of
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


# --- actions -------------------------------------------------------------------------------

TEMPLATE: Final = "LaunchTemplateData"
LAUNCH: Final = "RunInstances"


@dataclass(frozen=True)
class Coverage:
    """What an action does with the members that the model gives it, each by its dotted path."""

    takes: frozenset[str] = frozenset()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moot: Mapping[str, str] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()

    def below(self, head: str) -> "Coverage":
        """Of the members of one member, by their paths in it."""

        def inside(paths: Iterable[str]) -> Iterator[str]:
            return (path.removeprefix(f"{head}.") for path in paths if path.startswith(f"{head}."))

        return Coverage(
            frozenset(inside(self.takes)),
            {path: self.only[f"{head}.{path}"] for path in inside(self.only)},
            {path: self.moot[f"{head}.{path}"] for path in inside(self.moot)},
            frozenset(inside(self.refuses)),
        )

    def without(self, head: str) -> "Coverage":
        def beside(paths: Iterable[str]) -> Iterator[str]:
            return (path for path in paths if not path.startswith(f"{head}."))

        return Coverage(
            frozenset(beside(self.takes)),
            {path: self.only[path] for path in beside(self.only)},
            {path: self.moot[path] for path in beside(self.moot)},
            frozenset(beside(self.refuses)),
        )


def coverage(name: str) -> Coverage:
    handler, shape = HANDLERS[name], model.load().expect(name).input_shape
    members = set(shape.members) if shape is not None else set()
    always = {"DryRun"} | (TAKEN if handler.writes else set())
    taken = handler.takes | (always & members)
    return Coverage(
        frozenset(taken - {"DryRun", *handler.only, *handler.moot}),
        {path: tuple(text_of(value) for value in values) for path, values in handler.only.items()},
        handler.moot,
        frozenset(_refused(shape, taken, "")) if shape is not None else frozenset(),
    )


def _refused(shape: Any, taken: Collection[str], head: str) -> Iterator[str]:
    """The outermost members of which nothing is taken."""
    while shape.type_name == "list":
        shape = shape.member
    for name, member in shape.members.items():
        path = f"{head}{name}"
        if path in taken:
            continue
        if any(each.startswith(f"{path}.") for each in taken):
            yield from _refused(member, taken, f"{path}.")
        else:
            yield path


def actions() -> str:
    names = model.load().names
    found = {name: coverage(name) for name in sorted(HANDLERS)}
    whole = [name for name, each in found.items() if not (each.only or each.moot or each.refuses)]
    lines = [
        "# Actions",
        "",
        MADE,
        f"Of the {len(names)} operations in the service model {len(HANDLERS)} are supported. An "
        "operation that is not, a",
        "parameter that is refused, and a value other than those listed are answered with",
        "`UnsupportedOperation`. DryRun is taken everywhere. A name stands for all below it, and",
        "`A.(b, c)` for `A.b` and `A.c`. What an engine cannot do is refused as well; what differs",
        "on OpenNebula stands in [opennebula.md](opennebula.md).",
        "",
        "## Supported in full",
        "",
        "With every parameter that the model gives them:",
        "",
        ", ".join(f"`{name}`" for name in whole) + ".",
        "",
        "## Supported, but for some parameters or values",
    ]
    for name, each in found.items():
        if name not in whole:
            lines += ["", f"### {name}", "", *_told(each, found[LAUNCH])]
    rest = sorted(set(names) - set(HANDLERS))
    lines += ["", "## Not supported", "", ", ".join(rest) + "."]
    return "\n".join(lines) + "\n"


def _told(all_of_it: Coverage, launch: Coverage) -> list[str]:
    """Lines of a list. What a launch template holds is told by what it differs in from a launch."""
    inner, each = all_of_it.below(TEMPLATE), all_of_it.without(TEMPLATE)
    is_template = bool(inner.takes)
    lines = [f"- takes {_grouped(each.takes)}"] if each.takes else []
    if is_template:
        lines.append(f"- `{TEMPLATE}` takes what {LAUNCH} takes{_less(launch, inner)}")
    if each.only:
        lines += ["- takes only certain values of"]
        lines += [f"  - `{path}`: {_values(each.only[path])}" for path in sorted(each.only)]
    lines += [
        f"- takes `{path}`, which makes no difference: {each.moot[path]}"
        for path in sorted(each.moot)
    ]
    refused = set(each.refuses)
    if is_template:
        refused |= {f"{TEMPLATE}.{path}" for path in inner.refuses - launch.refuses}
    if refused or inner.refuses:
        said = [_grouped(refused)] if refused else []
        said += [f"of `{TEMPLATE}` what {LAUNCH} refuses"] if inner.refuses & launch.refuses else []
        lines.append(f"- refuses {', and '.join(said)}")
    return lines


def _less(launch: Coverage, template: Coverage) -> str:
    """How far what a template takes is from what a launch does."""
    less = (launch.takes | set(launch.only)) - (template.takes | set(template.only))
    more = (template.takes | set(template.only)) - (launch.takes | set(launch.only))
    other = {path for path, values in template.only.items() if launch.only.get(path) != values}
    other |= {path for path in launch.only if path in template.takes}
    said = f", less {_grouped(less)}" if less else ""
    said += f", and {_grouped(more)}" if more else ""
    return said + (f"; with other values of {_grouped(other)}" if other else "")


def _values(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" if value else "the empty text" for value in values)


def _grouped(paths: Iterable[str]) -> str:
    """`A.(b, c.d)`, `E`."""
    groups: dict[str, list[str]] = {}
    for path in sorted(paths):
        head, _, rest = path.partition(".")
        groups.setdefault(head, []).append(rest)
    return ", ".join(
        f"`{head}.({', '.join(rest)})`" if len(rest) > 1 else f"`{head}{rest[0] and '.'}{rest[0]}`"
        for head, rest in groups.items()
    )


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
