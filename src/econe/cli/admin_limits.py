"""`econe-admin account limits NAME`: what an account may have, and what it has."""

import argparse
from dataclasses import fields
from typing import Any, Final

from econe.cli.admin_desk import Desk, Report
from econe.cli.admin_text import table
from econe.configuration import usual_limits
from econe.domain import account_book
from econe.domain.accounts import UNLIMITED, Account, Limits
from econe.domain.limits import MIB_IN_GIB, Holdings, holdings_of, limits_of

_NAMES: Final = tuple(each.name for each in fields(Limits))
_MOST: Final = 1_000_000_000_000
"""Far more than there is of anything, and far less than the database can hold."""


def take_options(words: argparse.ArgumentParser) -> None:
    for name in ("instances", "vcpus", "images", "storage-gib"):
        words.add_argument(f"--{name}", type=_limit, metavar="N")
    memory = words.add_mutually_exclusive_group()
    memory.add_argument("--memory-mib", type=_limit, metavar="N")
    memory.add_argument("--memory-gib", type=_limit, metavar="N")


def _limit(text: str) -> tuple[int | None]:
    """In a tuple, so that None for `default` is not what argparse has for an absent option."""
    if text in ("default", "unlimited"):
        return (None if text == "default" else UNLIMITED,)
    if not (text.isascii() and text.isdigit()) or int(text) > _MOST:
        raise argparse.ArgumentTypeError("a whole number, `default` or `unlimited`")
    return (int(text),)


def limits(desk: Desk) -> Report:
    changes = _changes(desk.options)
    opened = desk.store.writing() if changes else desk.store.reading()
    with opened as tx:
        if changes:
            account = account_book.set_limits(tx, desk.subject, changes)
        else:
            account = account_book.find_account(tx, desk.subject)
        held = holdings_of(tx, account)
    most = limits_of(account, usual_limits(desk.settings))
    rows = [
        (name.replace("_", "-"), _said(getattr(most, name)), str(_held(held, name)), whose)
        for name, whose in ((name, _whose(account, name)) for name in _NAMES)
    ]
    facts = {name: _facts(account, most, held, name) for name in _NAMES}
    return Report(
        table(("LIMIT", "MOST", "HELD", "SET BY"), rows),
        {"name": account.name, "number": account.number, "limits": facts},
    )


def _changes(options: Any) -> dict[str, int | None]:
    changes = {name: options[name][0] for name in _NAMES if options.get(name) is not None}
    if options.get("memory_gib") is not None:
        (gib,) = options["memory_gib"]
        changes["memory_mib"] = gib if gib in (None, UNLIMITED) else gib * MIB_IN_GIB
    return changes


def _facts(account: Account, most: Limits, held: Holdings, name: str) -> dict[str, Any]:
    return {
        "most": getattr(most, name),
        "held": _held(held, name),
        "set_by": _whose(account, name),
    }


def _held(held: Holdings, name: str) -> int:
    amount: int = getattr(held, name)
    return amount


def _said(limit: int | None) -> str:
    return "unlimited" if limit is None else str(limit)


def _whose(account: Account, name: str) -> str:
    if getattr(account.limits, name) is None:
        return "default"
    return "engine" if account.engine_ref else "operator"
