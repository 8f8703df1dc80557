"""`econe-admin image …`: the operator's catalogue of images."""

import argparse
import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from econe import checksums
from econe.checksums import NoChecksum
from econe.cli.admin_desk import Desk, Failed, Report
from econe.cli.admin_text import moment, table
from econe.cli.progress import Bar
from econe.configuration import usual_limits
from econe.domain import account_book
from econe.domain.faults import Malformed, Noun
from econe.domain.gallery import Gallery, is_protected
from econe.domain.ids import read_id
from econe.domain.images import BootMode, Image, ImageState
from econe.domain.instances import InstanceState
from econe.domain.launch import GIB
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query
from econe.downloads import CannotDownload
from econe.statedir import running
from econe.stock import CannotStock, Stock, Stocked, Wanted

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


def take_add_options(words: argparse.ArgumentParser) -> None:
    for name in ("account", "name", "description", "arch"):
        words.add_argument(f"--{name}", default="")
    words.add_argument("--boot-mode", choices=[mode.value for mode in BootMode])
    words.add_argument("--public", action="store_true")
    words.add_argument("--tag", action="append", default=[], type=_tag, metavar="KEY=VALUE")
    proof = words.add_mutually_exclusive_group()
    proof.add_argument("--sha256", metavar="HEX", type=_sum("sha256"), dest="checksum")
    proof.add_argument("--sha512", metavar="HEX", type=_sum("sha512"), dest="checksum")
    proof.add_argument("--checksum", metavar="ALGORITHM:HEX", type=_sum(""))
    proof.add_argument("--checksum-url", metavar="URL", default="")
    proof.add_argument("--unverified", action="store_true")


def take_list_options(words: argparse.ArgumentParser) -> None:
    words.add_argument("--account", default="")


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("KEY=VALUE is meant")
    return key, value


def _sum(algorithm: str) -> Any:
    def read(text: str) -> checksums.Checksum:
        try:
            return checksums.make(algorithm, text) if algorithm else checksums.read(text)
        except NoChecksum as problem:
            raise argparse.ArgumentTypeError(str(problem)) from problem

    return read


# --- adding --------------------------------------------------------------------------------


def add(desk: Desk) -> Report:
    _refuse_wrong_user(desk.state)
    # Late: the other commands need neither.
    from econe.app import image_capabilities, make_vault

    said = desk.options
    wanted = Wanted(
        source=desk.subject,
        account=said["account"],
        name=said["name"],
        description=said["description"],
        architecture=said["arch"] or None,
        boot_mode=BootMode(said["boot_mode"]) if said["boot_mode"] else None,
        public=said["public"],
        tags=dict(said["tag"]),
        checksum=said["checksum"],
        checksum_url=said["checksum_url"],
        unverified=said["unverified"],
    )
    bar = Bar(wanted.file_name, "it is looked at")
    with _ended_tidily():
        try:
            stock = Stock(
                store=desk.store,
                vault=make_vault(replace(desk.settings, state=desk.state)),
                can=image_capabilities(desk.settings),
                limits=usual_limits(desk.settings),
                most_bytes=desk.settings.images.max_upload_gib * GIB,
                has_users=desk.settings.engine == "opennebula",
            )
            stocked = stock.add(wanted, lambda: datetime.now(UTC), bar)
        except (CannotStock, CannotDownload, NoChecksum) as problem:
            raise Failed(str(problem)) from problem
        except OSError as problem:
            raise Failed(f"{problem.filename or desk.state}: {problem.strerror}") from problem
        finally:
            bar.clear()
    return _told(stocked, desk)


def _refuse_wrong_user(state: Path) -> None:
    """Content that is root's in a directory of the server's user could never be renewed by it."""
    owner = state.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise Failed(f"{state} is {name}'s: run this as that user (sudo -u {name} econe-admin …)")


@contextmanager
def _ended_tidily() -> Iterator[None]:
    """Whoever is told to end removes what has come so far."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(stocked: Stocked, desk: Desk) -> Report:
    image, account, vouched = stocked.image, stocked.account, stocked.vouched
    facts = {
        **_facts(image, account.name, desk.now),
        "outcome": "known" if stocked.known else "added",
        "account_number": account.number,
        "location": image.location,
        "format": image.disk_format.value,
        "checksum": str(vouched.checksum) if vouched.checksum else None,
        "checksum_by": vouched.by if vouched.checksum else None,
    }
    checked = (
        f"{vouched.checksum.algorithm}, by {vouched.by}"
        if vouched.checksum
        else f"by no checksum: {vouched.by}"
    )
    lines = [
        f"image    {image.id}, {'known already' if stocked.known else 'added'}",
        f"name     {image.name}",
        f"account  {account.name} {account.number}",
        f"state    {image.state.value}, {_visibility(image)}",
        f"size     {image.size_bytes / GIB:.2f} GiB",
        f"checked  {checked}",
    ]
    if image.state is ImageState.PENDING:
        when = "within a minute" if running(desk.state) else "once the server runs"
        lines.append(f"It is handed over to OpenNebula {when}.")
    return Report("\n".join(lines), facts)


# --- listing and removing ------------------------------------------------------------------


def list_images(desk: Desk) -> Report:
    with desk.store.reading() as tx:
        names = {account.number: account.name for account in tx.accounts.all()}
        owner = None
        if desk.options["account"]:
            owner = account_book.find_account(tx, desk.options["account"]).number
        images = [
            _facts(image, names.get(image.account, image.account), desk.now)
            for image in tx.images.find(Query(account=owner)).items
            if image.state is not ImageState.DEREGISTERED
        ]
    head = ("IMAGE", "NAME", "ACCOUNT", "STATE", "VISIBILITY", "GiB", "CREATED")
    rows = [
        (
            each["id"],
            each["name"],
            each["account"],
            each["state"] if each["registered"] else f"{each['state']}, not registered",
            each["visibility"],
            f"{each['size_bytes'] / GIB:.2f}",
            each["created_at"],
        )
        for each in images
    ]
    return Report(table(head, rows) if rows else "There are no images.", {"images": images})


def remove(desk: Desk) -> Report:
    # Late: the other commands need no engine's word.
    from econe.app import image_capabilities

    with desk.store.writing() as tx:
        image = _find(tx, desk.subject)
        gallery = Gallery(image_capabilities(desk.settings))
        gallery.deregister(tx, image.account, image.id, desk.now)
        count = _instances_of(tx, image.id)
    kept = {0: "", 1: "; 1 instance of it keeps its disk"}
    told = kept.get(count, f"; {count} instances of it keep their disks")
    return Report(
        f"{image.id} ({image.name}) is deregistered{told}",
        {"deregistered": image.id, "name": image.name, "instances": count},
    )


def _find(tx: Transaction, asked: str) -> Image:
    try:
        image = tx.images.get(read_id(Noun.IMAGE, asked))
    except Malformed:
        image = None
    if image is None:
        raise Failed(f"there is no image {asked}")
    return image


def _instances_of(tx: Transaction, image_id: str) -> int:
    live = tuple(state.value for state in InstanceState if state is not InstanceState.TERMINATED)
    query = Query(criteria=(Criterion("image_id", (image_id,)), Criterion("state", live)))
    return len(tx.instances.keys(query).items)


def _facts(image: Image, account: str, now: datetime) -> dict[str, Any]:
    return {
        "id": image.id,
        "name": image.name,
        "description": image.description,
        "account": account,
        "state": image.state.value,
        "registered": image.registered,
        "visibility": _visibility(image),
        "protected": is_protected(image, now),
        "size_bytes": image.size_bytes,
        "architecture": image.architecture,
        "boot_mode": image.boot_mode.value if image.boot_mode else None,
        "created_at": moment(image.created_at),
    }


def _visibility(image: Image) -> str:
    if image.public:
        return "public"
    return f"shared with {len(image.shares)}" if image.shares else "private"
