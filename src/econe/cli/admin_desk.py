"""What the commands of econe-admin have in common."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from econe.settings import Settings

if TYPE_CHECKING:
    from econe.store.sqlite import DatabaseStore


class Failed(Exception):  # noqa: N818
    """It could not be done; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was done or found: for people, and for programs."""

    text: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with."""

    store: "DatabaseStore"
    state: Path
    settings: Settings
    subject: str
    password: str | None
    now: datetime
    options: Mapping[str, Any] = field(default_factory=dict)
    """The command's own options, by argparse's names."""


@dataclass(frozen=True, slots=True)
class Command:
    do: Callable[[Desk], Report]
    subject: str = ""
    """What its one argument is called; empty if it takes none."""
    takes_password: bool = False
    takes: Callable[[argparse.ArgumentParser], None] | None = None
    """Adds the command's own options."""
    only_for: str = ""
    """The engine that it is for."""
    founds: bool = False
    """Whether it makes the state directory. The others refuse one that is not there: it is
    most likely mistyped."""
