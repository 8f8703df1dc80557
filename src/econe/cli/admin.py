"""econe-admin: accounts, access keys, and what waits.

Works on the state directory itself, not through the API: also before the server first starts, and
beside it while it runs.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from econe.cli import admin_images, admin_limits, admin_metrics
from econe.cli.admin_desk import Command, Desk, Failed, Report
from econe.cli.admin_manual import MANUAL, NAME
from econe.cli.admin_text import moment, table
from econe.configuration import SettingsError, load
from econe.domain import account_book
from econe.domain.accounts import AccessKey, Account
from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.faults import Fault, Malformed, Noun
from econe.domain.ids import read_id
from econe.domain.images import Image, ImageState
from econe.domain.instances import Instance, InstanceState
from econe.domain.ports import StoreUnusable, Transaction
from econe.domain.queries import Criterion, Query
from econe.hostroutes import host_networks
from econe.statedir import CannotStart, running


class _Parser(argparse.ArgumentParser):
    def format_help(self) -> str:
        return MANUAL

    def error(self, message: str) -> Any:
        print(f"{NAME}: {message} (-h shows how it is used)", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    """The common options may stand before the command's words or after them."""
    top = _Parser(prog=NAME, allow_abbrev=False)
    top.add_argument("-V", "--version", action="version", version=f"{NAME} {version('econe')}")
    _common(top, absent=None)
    nouns = top.add_subparsers(dest="noun", required=True, metavar="COMMAND", parser_class=_Parser)
    for noun, verbs in COMMANDS.items():
        beneath = nouns.add_parser(noun, allow_abbrev=False)
        _common(beneath, absent=argparse.SUPPRESS)
        if "" in verbs:
            _takes(beneath, verbs[""])
            continue
        chosen = beneath.add_subparsers(dest="verb", required=True, metavar="COMMAND")
        for verb, command in verbs.items():
            words = chosen.add_parser(verb, allow_abbrev=False)
            _common(words, absent=argparse.SUPPRESS)
            _takes(words, command)
    return top


def _takes(words: argparse.ArgumentParser, command: Command) -> None:
    if command.subject:
        words.add_argument("subject", metavar=command.subject)
    if command.takes_password:
        given = words.add_mutually_exclusive_group()
        given.add_argument("--password")
        given.add_argument("--password-file", metavar="FILE")
    if command.takes is not None:
        command.takes(words)


def _common(parser: argparse.ArgumentParser, *, absent: str | None) -> None:
    parser.add_argument("--state", type=Path, default=absent)
    parser.add_argument("--config", type=Path, default=absent)
    parser.add_argument("--json", action="store_true", default=absent or False)


def main(words: Sequence[str] | None = None) -> int:
    """What the installed command calls; returns the exit status."""
    asked = _parser().parse_args(words)
    try:
        report = _perform(asked)
    except Fault as fault:
        print(f"{NAME}: {fault.said or fault.hidden}", file=sys.stderr)
        return 1
    except (Failed, SettingsError, StoreUnusable) as problem:
        print(f"{NAME}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if asked.json:
        print(json.dumps(report.facts, ensure_ascii=False, indent=2))
    elif report.text:
        print(report.text)
    return 0


def _perform(asked: argparse.Namespace) -> Report:
    command = COMMANDS[asked.noun][getattr(asked, "verb", "")]
    settings = load(asked.config, os.environ, {"state": asked.state})
    if command.only_for and settings.engine != command.only_for:
        raise Failed(f"the engine is {settings.engine} here: name the server's --config")
    state = settings.state.absolute()
    if not command.founds and not (state / "econe.db").exists():
        first = "start econe-server" if settings.engine == "opennebula" else "create an account"
        raise Failed(f"there is no cloud in {state} yet: {first}, or name another --state")
    password = _password(asked) if command.takes_password else None

    from econe.store import open_store  # late: help and usage errors answer at once

    store = open_store(state)
    try:
        subject = getattr(asked, "subject", "")
        now = datetime.now(UTC)
        return command.do(Desk(store, state, settings, subject, password, now, vars(asked)))
    finally:
        store.close()


def _password(asked: argparse.Namespace) -> str | None:
    """One line feed at the end of a file is the editor's, not the password's."""
    if asked.password_file is None:
        return asked.password  # type: ignore[no-any-return]
    try:
        if asked.password_file == "-":  # noqa: S105 - standard input, no password
            text = sys.stdin.read()
        else:
            text = Path(asked.password_file).read_text("utf-8")
    except OSError as error:
        raise Failed(f"{asked.password_file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failed(f"{asked.password_file}: not UTF-8") from error
    return text.removesuffix("\n").removesuffix("\r")


# --- accounts


def _create_account(desk: Desk) -> Report:
    cloud = desk.settings.cloud
    with desk.store.writing() as tx:
        if desk.settings.engine == "opennebula" or _has_users_of_an_engine(tx):
            raise Failed("accounts are OpenNebula's users here: make one with oneuser create")
        account, key = account_book.create_account(
            tx,
            desk.subject,
            desk.password,
            desk.now,
            zone=cloud.zone,
            pools=cloud.default_vpc_cidrs,
            busy=host_networks(),
        )
    facts = {"name": account.name, "number": account.number, **_pair(key)}
    if desk.password is not None:
        facts["password_access_key"] = account.name
    lines = [f"{name:<11} {value}" for name, value in facts.items() if not name.startswith("pass")]
    if desk.password is not None:
        lines.append(f"ONE_AUTH    {account.name}:<the password> works as well")
    return Report("\n".join(lines), facts)


def _has_users_of_an_engine(tx: Transaction) -> bool:
    return any(account.engine_ref for account in tx.accounts.all())


def _list_accounts(desk: Desk) -> Report:
    with desk.store.reading() as tx:
        accounts = tx.accounts.all()
    rows = [(a.name, a.number, _enabled(a), moment(a.created_at)) for a in accounts]
    return Report(
        table(("NAME", "NUMBER", "STATE", "CREATED"), rows),
        {"accounts": [_account_facts(account) for account in accounts]},
    )


def _set_account(*, enabled: bool) -> Callable[[Desk], Report]:
    def do(desk: Desk) -> Report:
        with desk.store.writing() as tx:
            account = account_book.set_account_enabled(tx, desk.subject, enabled=enabled)
        return Report(f"{account.name} is {_enabled(account)}", _account_facts(account))

    return do


def _set_password(desk: Desk) -> Report:
    if desk.password is None:
        raise Failed("--password or --password-file must be given")
    with desk.store.writing() as tx:
        key = account_book.set_password(tx, desk.subject, desk.password, desk.now)
    return Report(
        f"ONE_AUTH {key.access_key}:<the password> works", {"password_access_key": key.access_key}
    )


def _account_facts(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "number": account.number,
        "enabled": account.enabled,
        "created_at": moment(account.created_at),
        "engine_ref": account.engine_ref or None,
    }


# --- access keys


def _create_key(desk: Desk) -> Report:
    with desk.store.writing() as tx:
        key = account_book.create_key(tx, desk.subject, desk.now)
    facts = _pair(key)
    return Report("\n".join(f"{name:<11} {value}" for name, value in facts.items()), facts)


def _list_keys(desk: Desk) -> Report:
    with desk.store.reading() as tx:
        keys = account_book.list_keys(tx, desk.subject)
    rows = [
        (k.access_key, _kind(k), _enabled(k), moment(k.created_at), _last_used(k) or "-")
        for k in keys
    ]
    return Report(
        table(("ACCESS KEY", "KIND", "STATE", "CREATED", "LAST USED"), rows),
        {"access_keys": [_key_facts(key) for key in keys]},
    )


def _set_key(*, enabled: bool) -> Callable[[Desk], Report]:
    def do(desk: Desk) -> Report:
        with desk.store.writing() as tx:
            key = account_book.set_key_enabled(tx, desk.subject, enabled=enabled)
        return Report(f"{key.access_key} is {_enabled(key)}", _key_facts(key))

    return do


def _delete_key(desk: Desk) -> Report:
    with desk.store.writing() as tx:
        key = account_book.delete_key(tx, desk.subject)
    return Report(f"{key.access_key} is deleted", {"deleted": key.access_key})


def _pair(key: AccessKey) -> dict[str, str]:
    return {"access_key": key.access_key, "secret_key": key.secrets[0].reveal()}


def _key_facts(key: AccessKey) -> dict[str, Any]:
    return {
        "access_key": key.access_key,
        "kind": _kind(key),
        "enabled": key.enabled,
        "created_at": moment(key.created_at),
        "last_used_at": _last_used(key),
    }


def _last_used(key: AccessKey) -> str | None:
    return None if key.last_used_at is None else moment(key.last_used_at)


# --- what an older econe left


def _import_opennebula(desk: Desk) -> Report:
    # Late: the other commands need no engine.
    from econe.app import make_opennebula, refuse_anothers_accounts
    from econe.cli.admin_import import facts_of, rows_of, summary_of
    from econe.inheritance import inherit

    settings = replace(desk.settings, state=desk.state)
    try:
        refuse_anothers_accounts(settings, desk.store)
        engine = make_opennebula(settings, desk.store)
        try:
            found = inherit(desk.store, engine, settings, desk.now)
        finally:
            engine.close()
    except (CannotStart, EngineBusy, EngineLost) as problem:
        raise Failed(str(problem)) from problem
    except EngineRefused as problem:
        raise Failed(problem.said) from problem
    with desk.store.reading() as tx:
        names = {account.number: account.name for account in tx.accounts.all()}
    head = ("WHAT", "ACCOUNT", "WAS", "IS", "OUTCOME", "WHY")
    listed = [table(head, rows_of(found, names)), ""] if found else []
    return Report("\n".join([*listed, *summary_of(found)]), facts_of(found, names))


# --- what waits


def _status(desk: Desk) -> Report:
    with desk.store.reading() as tx:
        names = {account.number: account.name for account in tx.accounts.all()}
        counts = {state.value: _count(tx, state) for state in InstanceState}
        waiting = [_waiting_facts(row, names) for row in tx.instances.waiting()]
        images = [_image_facts(row, names) for row in tx.images.find(Query()).items if _waits(row)]
    server = running(desk.state)
    where = f"process {server.pid}, {server.url or 'starting'}" if server else "not running"
    lines = [
        f"server     {where}",
        f"instances  {', '.join(f'{n} {state}' for state, n in counts.items() if n) or 'none'}",
        "",
    ]
    if waiting:
        head = ("INSTANCE", "ACCOUNT", "STATE", "WANTED", "TRIES", "NEXT TRY", "WHY")
        lines.append(table(head, [_waiting_row(facts) for facts in waiting]))
    if images:
        columns = ("IMAGE", "ACCOUNT", "STATE", "TRIES", "NEXT TRY", "WHY")
        lines += ["", table(columns, [_image_row(facts) for facts in images])]
    if not (waiting or images):
        lines.append("Nothing waits.")
    facts = {
        "server": {"pid": server.pid, "url": server.url} if server else None,
        "instances": counts,
        "waiting": waiting,
        "waiting_images": images,
    }
    return Report("\n".join(lines), facts)


def _count(tx: Transaction, state: InstanceState) -> int:
    return len(tx.instances.keys(Query(criteria=(Criterion("state", (state.value,)),))).items)


def _waits(row: Image) -> bool:
    """For the engine to take its content over, or for a try of something to work."""
    return row.state is ImageState.PENDING or row.retry_at is not None


def _image_facts(row: Image, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "account": names.get(row.account, row.account),
        "state": row.state.value,
        **_tries(row),
    }


def _image_row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    return (facts["id"], facts["account"], facts["state"], *_tries_cells(facts))


def _tries(row: Instance | Image) -> dict[str, Any]:
    return {
        "attempts": row.attempts,
        "next_try": moment(row.retry_at) if row.retry_at else None,
        "problem": row.problem,
    }


def _tries_cells(facts: Mapping[str, Any]) -> tuple[str, ...]:
    why = " ".join(facts["problem"].split()) or "-"
    return (str(facts["attempts"]), facts["next_try"] or "now", why)


def _waiting_facts(row: Instance, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "account": names.get(row.account, row.account),
        "state": row.state.value,
        "intent": row.intent.value,
        "reboot": row.reboots_asked > row.reboots_done,
        **_tries(row),
    }


def _waiting_row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    wanted = "reboot" if facts["reboot"] else facts["intent"]
    return (facts["id"], facts["account"], facts["state"], wanted, *_tries_cells(facts))


def _kind(key: AccessKey) -> str:
    return "password" if key.is_password else "key"


def _enabled(thing: Account | AccessKey) -> str:
    return "enabled" if thing.enabled else "disabled"


# --- what was used


def _metrics(desk: Desk) -> Report:
    from econe.store.samples import FileSamples  # late, as the store

    with desk.store.reading() as tx:
        try:
            row = tx.instances.get(read_id(Noun.INSTANCE, desk.subject))
        except Malformed:
            row = None
    if row is None:
        raise Failed(f"there is no instance {desk.subject}")
    samples = FileSamples(desk.state)
    try:
        kept = samples.of(row.id, desk.now - timedelta(seconds=desk.settings.work.samples_kept_s))
    finally:
        samples.close()
    return Report(admin_metrics.text_of(row, kept), admin_metrics.facts_of(row, kept))


COMMANDS: Final[Mapping[str, Mapping[str, Command]]] = {
    "account": {
        "create": Command(_create_account, "NAME", takes_password=True, founds=True),
        "list": Command(_list_accounts),
        "disable": Command(_set_account(enabled=False), "NAME"),
        "enable": Command(_set_account(enabled=True), "NAME"),
        "password": Command(_set_password, "NAME", takes_password=True),
        "limits": Command(admin_limits.limits, "NAME", takes=admin_limits.take_options),
    },
    "key": {
        "create": Command(_create_key, "NAME"),
        "list": Command(_list_keys, "NAME"),
        "disable": Command(_set_key(enabled=False), "ACCESS-KEY"),
        "enable": Command(_set_key(enabled=True), "ACCESS-KEY"),
        "delete": Command(_delete_key, "ACCESS-KEY"),
    },
    "image": {
        "add": Command(admin_images.add, "SOURCE", takes=admin_images.take_add_options),
        "list": Command(admin_images.list_images, takes=admin_images.take_list_options),
        "remove": Command(admin_images.remove, "IMAGE"),
    },
    "import-opennebula": {"": Command(_import_opennebula, only_for="opennebula", founds=True)},
    "metrics": {"": Command(_metrics, "INSTANCE")},
    "status": {"": Command(_status)},
}

if __name__ == "__main__":
    sys.exit(main())
