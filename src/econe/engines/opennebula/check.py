"""What there is at OpenNebula for this engine, and what is missing: `econe-server check`.

Each finding needs those before it: without a login there is nothing to say of datastores.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from lxml import etree

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.hidden import Hidden
from econe.domain.sizes import CATALOGUE
from econe.engines.findings import Finding
from econe.engines.opennebula.datastores import FOR_IMAGES
from econe.engines.opennebula.directory import User, read_user, read_users
from econe.engines.opennebula.errors import OnedError
from econe.engines.opennebula.estate import OpennebulaEstate
from econe.engines.opennebula.login import (
    Delegation,
    Scheme,
    ServerAccount,
    find_delegation,
    read_server_account,
)
from econe.engines.opennebula.rpc import Argument, Oned
from econe.engines.opennebula.upload_way import Way, oned_user, unfit, way_of
from econe.engines.opennebula.xmltree import parse
from econe.settings import Opennebula

ROOM_MIB: Final = 2048
"""Below this there is no use in uploading images."""
SCHEMES: Final = {
    Scheme.SHA1_ZERO_IV: "up to 5.8 (SHA-1)",
    Scheme.SHA256_ZERO_IV: "5.10 to 6.0 (SHA-256, no IV)",
    Scheme.SHA256_KEY_IV: "6.2 and later (SHA-256, IV of the key)",
}


def report(state: Path, settings: Opennebula) -> list[Finding]:
    """Looks, and changes nothing: neither here nor in OpenNebula."""
    return list(_findings(state, settings))


def _findings(state: Path, settings: Opennebula) -> Iterator[Finding]:
    account: ServerAccount | None = None
    try:
        account = read_server_account(settings.credentials)
        yield _account(account, settings.credentials)
    except EngineRefused as refused:
        yield Finding("service account", False, refused.said)
    try:
        oned = Oned(settings.endpoint, timeout_s=settings.timeout_s)
    except ValueError as error:
        yield Finding("oned", False, str(error))
        return
    try:
        reached = _reach(oned)
        yield reached
        if account is not None and reached.ok:
            yield from _inside(oned, account, state, settings)
    finally:
        oned.close()


def _account(account: ServerAccount, path: Path) -> Finding:
    if account.is_open:
        return Finding(
            "service account",
            False,
            f"everybody on this machine may read {path}, and so be oneadmin: chmod 600 it",
        )
    return Finding("service account", True, f"{account.user}, of {path}")


def _reach(oned: Oned) -> Finding:
    """Any answer of oned's is one, also that this is no login: without a colon it asks no driver
    (`name:` hangs 7.0.2 for as long as one waits)."""
    try:
        oned.call(Hidden("nobody"), "one.system.version")
    except OnedError:
        pass
    except (EngineBusy, EngineLost, EngineRefused) as problem:
        return Finding("oned", False, str(problem))
    return Finding("oned", True, f"answers at {oned.url}")


def _inside(
    oned: Oned, account: ServerAccount, state: Path, settings: Opennebula
) -> Iterator[Finding]:
    try:
        delegation, version = find_delegation(oned, account.user, account.secret, time.time())
    except (EngineBusy, EngineLost, EngineRefused) as problem:
        yield Finding("login", False, str(problem))
        return
    scheme = SCHEMES[delegation.scheme]
    yield Finding("login", True, f"OpenNebula {version} takes it; tokens as of {scheme}")
    house = _House(oned, delegation, settings)
    for name, look in (
        ("group", house.group),
        ("users", house.users),
        ("datastore", house.datastore),
        ("uploads", partial(house.uploads, state)),
        ("networks", house.networks),
        ("instance types", house.types),
    ):
        try:
            yield Finding(name, *look())
        except (EngineBusy, EngineLost, EngineRefused, ValueError) as problem:
            yield Finding(name, False, str(problem))


class _House:
    """What can be seen from inside. Each look answers whether it is well, and in words."""

    def __init__(self, oned: Oned, delegation: Delegation, settings: Opennebula) -> None:
        self._oned, self._delegation, self._settings = oned, delegation, settings
        self._estate = OpennebulaEstate(oned, self, settings, strangers=tuple)

    # What an estate needs of a Directory, which would leave its mark in oned.

    def people(self) -> Mapping[str, User]:
        return read_users(self._ask("one.userpool.info"))

    def own_session(self) -> Hidden[str]:
        return self._delegation.session_for(self._delegation.server_user, time.time())

    def _ask(self, method: str, *args: Argument) -> str:
        return self._oned.text(self.own_session(), method, *args)

    def group(self) -> tuple[bool, str]:
        name = self._delegation.server_user
        own = read_user(parse(self._ask("one.user.info", -1, False).encode()))
        if not own.is_administrator:
            return False, f"{name} is not in the group oneadmin (oneuser addgroup {name} oneadmin)"
        return True, f"{name} is in oneadmin"

    def users(self) -> tuple[bool, str]:
        found = self.people().values()
        served = self._settings.auth_drivers
        why = Counter(
            "disabled" if not user.enabled else f"with the driver {user.auth_driver}"
            for user in found
            if not user.enabled or user.auth_driver not in served
        )
        able = len(found) - why.total()
        by = "with their password" if self._settings.password_keys else "with keys of econe-admin's"
        said = f"{able} can sign in {by}"
        rest = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
        return able > 0, f"{said}; not: {rest}" if rest else said

    def datastore(self) -> tuple[bool, str]:
        """oned refuses an image for lack of space before it says anything else, and knows of no
        space before the datastore was monitored (facts/opennebula.md 3, 6)."""
        found = self._datastore()
        name = f"{found.findtext('NAME')} (id {found.findtext('ID')})"
        if found.findtext("TYPE") != FOR_IMAGES:
            return False, f"{name} is not for images"
        free_mib = int(found.findtext("FREE_MB") or 0)
        if free_mib < ROOM_MIB:
            return False, f"{name} has {free_mib} MiB free, as far as OpenNebula has looked yet"
        return True, f"{name} has {free_mib / 1024:.1f} GiB free"

    def _datastore(self) -> etree._Element:
        """By id or name, as the setting has it. Raises ValueError."""
        wanted = self._settings.datastore
        pool = parse(self._ask("one.datastorepool.info").encode())
        for tag in ("ID", "NAME"):
            for each in pool.iterchildren("DATASTORE"):
                if each.findtext(tag) == wanted:
                    return each
        names = sorted(each.findtext("NAME") or "" for each in pool.iterchildren("DATASTORE"))
        raise ValueError(f"there is no datastore {wanted!r}; there are: {', '.join(names)}")

    def uploads(self, state: Path) -> tuple[bool, str]:
        way = way_of(self._settings, state)
        if way.problem:
            return False, way.problem
        if way.by_url:
            return True, f"oned fetches them from {way.url}/staged/, if its host reaches that"
        if problem := _unfit_for_uploads(way):
            return False, f"{way.directory} {problem}"
        template = self._datastore().find("TEMPLATE")
        safe, restricted = (
            (template.findtext(name) or "").split() if template is not None else []
            for name in ("SAFE_DIRS", "RESTRICTED_DIRS")
        )
        if _is_below(way.directory, restricted) and not _is_below(way.directory, safe):
            return (
                False,
                f"{way.directory} is not among the datastore's SAFE_DIRS ({' '.join(safe)})",
            )
        return True, f"oned reads them from {way.directory}"

    def networks(self) -> tuple[bool, str]:
        wanted = {name for name in (self._settings.network, *self._settings.networks) if name}
        offered = self._estate.networks()
        missing = wanted - {each.ref for each in offered} - {each.name for each in offered}
        if missing:
            names = ", ".join(sorted(missing))
            return False, f"there is no virtual network {names} with IPv4 addresses"
        if not offered:
            return False, "there is no virtual network with IPv4 addresses"
        return True, ", ".join(
            f"{each.name} (id {each.ref}) {each.cidr}{' by default' if each.is_default else ''}"
            for each in offered
        )

    def types(self) -> tuple[bool, str]:
        for_all = [size.name for size in self._estate.sizes() if not size.owner]
        said = f"of administrators' VM templates: {', '.join(sorted(for_all)) or 'none'}"
        if self._settings.catalogue:
            return True, f"{said}; and {len(CATALOGUE)} built-in ones"
        return bool(for_all), said


def _unfit_for_uploads(way: Way) -> str:
    directory = way.directory
    if directory.exists():
        return unfit(directory.lstat(), oned_user(way.credentials))
    above = next(parent for parent in directory.absolute().parents if parent.exists())
    return "" if os.access(above, os.W_OK) else f"is not there and cannot be made in {above}"


def _is_below(directory: Path, places: Sequence[str]) -> bool:
    real = directory.resolve()
    return any(real.is_relative_to(Path(place).resolve()) for place in places)
