"""What is in oned anyway: users, VM templates that are instance types, networks, machines.

All of it is read as the service account, and nothing is written. What users wrote into their own
things is read with tolerance: nonsense in it is as if it were not there, and nobody else's.
"""

import base64
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from lxml import etree

from econe.domain.accounts import number_of
from econe.domain.engine_ports import EngineBusy, EngineRefused, OfferedNetwork, Person, Stranger
from econe.domain.hidden import Hidden
from econe.domain.sizes import Size
from econe.engines.opennebula.datastores import read_datastores
from econe.engines.opennebula.directory import User
from econe.engines.opennebula.documents import (
    NetworkDocument,
    TemplateDocument,
    number,
    read_networks,
    read_templates,
)
from econe.engines.opennebula.login import check_user_name
from econe.engines.opennebula.quotas import limits_of
from econe.engines.opennebula.ranges import read_all
from econe.engines.opennebula.rpc import Oned
from econe.engines.opennebula.xmltree import parse
from econe.settings import Opennebula

log = logging.getLogger(__name__)

ALL: Final = -2
"""A pool's filter: of every user."""

# A hash in hex, as the core driver stores it (SHA-1 up to 5.8). Users of other drivers have `-`
# there, and whoever is changed to core without a new password keeps that: it is nobody's secret.
_HASH: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_SERVICES: Final = "server_"
"""Drivers of service accounts begin so (server_cipher, server_x509)."""
_TYPE_NAME: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
_MOST_KEY_PAIRS: Final = 1000
_LONGEST_KEY_NAME: Final = 255


class Users(Protocol):
    """What is needed of a Directory."""

    def people(self) -> Mapping[str, User]: ...
    def own_session(self) -> Hidden[str]: ...


class OpennebulaEstate:
    """Implements ports.Estate."""

    def __init__(
        self,
        oned: Oned,
        directory: Users,
        settings: Opennebula,
        strangers: Callable[[], Sequence[Stranger]],
    ) -> None:
        """`strangers`: those of the last look at all machines."""
        self._oned, self._directory, self._settings = oned, directory, settings
        self._strangers = strangers
        self._served: frozenset[str] = frozenset()
        """Accounts of the users who were served when they were last read."""
        self._said: set[str] = set()

    # --- users -----------------------------------------------------------------------------

    def people(self) -> Sequence[Person]:
        users = self._directory.people()
        default = _understood(self._ask("one.userquota.info"))
        datastores = read_datastores(self._ask("one.datastorepool.info"))
        people = [
            Person(
                ref=user.uid,
                name=user.name,
                secret=_secret_of(user) if self._is_served(user) else None,
                enabled=self._is_served(user),
                groups=user.groups,
                limits=limits_of(user.quotas, default, datastores),
                key_pairs=key_pairs_of(user.attribute("EC2_KEYPAIRS") or ""),
            )
            for user in users.values()
            if not user.auth_driver.startswith(_SERVICES)
        ]
        self._served = frozenset(number_of(each.ref) for each in people if each.enabled)
        return people

    def _is_served(self, user: User) -> bool:
        """Whether we may act for them (Directory.session_of)."""
        try:
            check_user_name(user.name)
        except EngineRefused as refused:
            self._say_once(f"OpenNebula's user {user.uid} is not served: {refused.hidden}")
            return False
        return user.enabled and user.auth_driver in self._settings.auth_drivers

    # --- types -----------------------------------------------------------------------------

    def sizes(self) -> Sequence[Size]:
        users = self._directory.people()
        found: dict[tuple[str, str], Size] = {}
        templates, _ = read_all(
            "VM templates",
            lambda start, end: read_templates(self._ask("one.templatepool.info", ALL, start, end)),
        )
        for template in sorted(templates, key=lambda template: template.id):
            owner = users.get(str(template.uid))
            if not template.instance_type or owner is None:
                continue
            size = self._size_of(template, owner)
            if size is None:
                continue
            first = found.setdefault((size.name, size.owner), size)
            if first is not size:
                self._say_once(
                    f"The instance type {size.name} of VM template {size.engine_ref} is not used:"
                    f" template {first.engine_ref} has the same name"
                )
        return list(found.values())

    def _size_of(self, template: TemplateDocument, owner: User) -> Size | None:
        name, vcpus, memory_mib = template.instance_type, template.vcpus, template.memory_mib
        if not _TYPE_NAME.fullmatch(name):
            self._say_once(f"The instance type of VM template {template.id} has no usable name")
            return None
        if vcpus is None or memory_mib is None:
            self._say_once(
                f"The instance type {name} of VM template {template.id} is not used: its VCPU or"
                " MEMORY is no whole number (of MiB)"
            )
            return None
        account = "" if owner.is_administrator else number_of(owner.uid)
        return Size(name, vcpus, memory_mib, owner=account, engine_ref=str(template.id))

    # --- networks --------------------------------------------------------------------------

    def networks(self) -> Sequence[OfferedNetwork]:
        users = self._directory.people()
        found, _ = read_all(
            "networks",
            lambda start, end: read_networks(self._ask("one.vnpool.info", ALL, start, end)),
        )
        usable = sorted((each for each in found if each.cidr), key=lambda each: each.id)
        # Users can have networks (reservations), and give them any name.
        usable.sort(key=lambda each: not _is_administrators(each, users))
        default = self._default_of(usable)
        chosen = [default, *(self._named(usable, wanted) for wanted in self._settings.networks)]
        offered = {each.id: each for each in chosen if each is not None}
        return [
            OfferedNetwork(
                ref=str(each.id), name=each.name, cidr=str(each.cidr), is_default=each is default
            )
            for each in offered.values()
        ]

    def _default_of(self, usable: Sequence[NetworkDocument]) -> NetworkDocument | None:
        if self._settings.network:
            return self._named(usable, self._settings.network)
        return usable[0] if usable else None

    def _named(self, usable: Sequence[NetworkDocument], wanted: str) -> NetworkDocument | None:
        by_id = next((each for each in usable if each.id == number(wanted)), None)
        found = by_id or next((each for each in usable if each.name == wanted), None)
        if found is None:
            self._say_once(
                f"OpenNebula has no virtual network {wanted!r} with IPv4 addresses: machines cannot"
                " be launched on it"
            )
        return found

    # --- machines --------------------------------------------------------------------------

    def strangers(self) -> Sequence[Stranger]:
        return [each for each in self._strangers() if each.account in self._served]

    # ---------------------------------------------------------------------------------------

    def _ask(self, method: str, *args: int) -> str:
        try:
            return self._oned.text(self._directory.own_session(), method, *args)
        except EngineRefused as refused:
            raise EngineBusy(f"The service account is refused: {refused.hidden}") from None

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)


def _understood(xml: str) -> etree._Element:
    try:
        return parse(xml.encode())
    except ValueError as error:
        raise EngineBusy(f"oned's answer is not understood: {error}") from None


def _secret_of(user: User) -> Hidden[str] | None:
    return user.password if _HASH.fullmatch(user.password.reveal()) else None


def _is_administrators(network: NetworkDocument, users: Mapping[str, User]) -> bool:
    owner = users.get(str(network.uid))
    return owner is not None and owner.is_administrator


def key_pairs_of(said: str) -> tuple[tuple[str, str], ...]:
    """Names and public keys that an older econe kept in EC2_KEYPAIRS of the user's template: JSON
    in base64, `{name: {"fingerprint": …, "public_key": …}}` (facts/econe.md 2.7).

    Its public keys end with the name; only what OpenSSH needs is given.
    """
    try:
        kept = json.loads(base64.b64decode(said)) if said else {}
    except (ValueError, RecursionError):
        return ()
    if not isinstance(kept, dict):
        return ()
    found = []
    for name, pair in list(kept.items())[:_MOST_KEY_PAIRS]:
        key = pair.get("public_key") if isinstance(pair, dict) else None
        words = key.split() if isinstance(key, str) else []
        if words and 0 < len(name) <= _LONGEST_KEY_NAME:
            found.append((name, " ".join(words[:2])))
    return tuple(found)
