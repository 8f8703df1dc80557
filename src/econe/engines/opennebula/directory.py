"""oned's users as we know them, and the sessions with which we act for them.

oned lets a server account act as anybody and asks nothing: not whether the user is enabled, not
for whom the token was made (facts/opennebula.md 1). So what it does not ask is asked here, of a
user pool that is at most a minute old, at every session that is given out.

Here, too, is the guard against another database. An oned that was set up anew, or an endpoint
that was changed, knows none of our machines, and "no such machine" would read as "terminated". So
the service user's own template carries an attribute that only the oned of our first contact has.
"""

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from lxml import etree

from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.hidden import Hidden
from econe.domain.ports import Clock
from econe.durable import sync_directory, write_whole
from econe.engines.opennebula.errors import Meaning, meaning_of
from econe.engines.opennebula.login import (
    Delegation,
    find_delegation,
    read_server_account,
)
from econe.engines.opennebula.rpc import Argument, Oned, OnedChoked
from econe.engines.opennebula.xmltree import parse
from econe.settings import Opennebula

T = TypeVar("T")

log = logging.getLogger(__name__)

MARK: Final = "opennebula.mark"
"""The file in the state directory that says which oned ours is."""
OLDEST_S: Final = 60.0
"""No user list is believed for longer, whatever is set."""
MOST_USERS: Final = 100_000
LONGEST_GAP: Final = 100
"""Where users are read one by one: how many numbers in a row may be unused."""
QUIET_S: Final = 1.0
"""How long a failed reading is not repeated."""
ADMINISTRATORS: Final = "0"
"""The group oneadmin. Whoever is in it may do everything."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of oned's, as one.userpool.info shows them."""

    uid: str
    name: str
    gid: str
    groups: tuple[str, ...]
    """All of them, the primary one too."""
    password: Hidden[str]
    """As it is stored: a hash, where the driver is core."""
    auth_driver: str
    enabled: bool
    document: etree._Element
    """USER. Its TEMPLATE holds what the user and other programs keep there."""
    quotas: etree._Element | None
    """QUOTAS of this user; those of groups are not there."""

    @property
    def is_administrator(self) -> bool:
        return self.uid == "0" or ADMINISTRATORS in self.groups

    def attribute(self, name: str) -> str | None:
        """A plain attribute of the user's template."""
        found: str | None = self.document.findtext(f"TEMPLATE/{name}")
        return found


def read_users(pool: str) -> dict[str, User]:
    """By uid. Raises ValueError for what is no user pool."""
    root = parse(pool.encode())
    if root.tag != "USER_POOL":
        raise ValueError("it is no user pool")
    quotas = {found.findtext("ID"): found for found in root.iterfind("QUOTAS")}
    users = (read_user(found, quotas.get(found.findtext("ID"))) for found in root.iterfind("USER"))
    return {user.uid: user for user in users}


def read_user(document: etree._Element, quotas: etree._Element | None = None) -> User:
    """Raises ValueError. Only the first child of each name counts: see documents.py."""
    uid = document.findtext("ID") or ""
    groups = document.find("GROUPS")  # not `GROUPS/ID`, which goes on into forged ones
    if not (uid.isascii() and uid.isdigit()):
        raise ValueError("a user without a number")
    return User(
        uid=uid,
        name=document.findtext("NAME") or "",
        gid=document.findtext("GID") or "",
        groups=() if groups is None else tuple(found.text or "" for found in groups.iterfind("ID")),
        password=Hidden(document.findtext("PASSWORD") or ""),
        auth_driver=document.findtext("AUTH_DRIVER") or "",
        enabled=document.findtext("ENABLED") == "1",
        document=document,
        quotas=quotas,
    )


class Directory:
    """One for each engine. Thread-safe: who needs a new list while another thread reads it waits
    for that one.

    Every method raises EngineBusy where oned cannot be asked now, where it refuses our service
    account, and where it is not the oned that it was (see check_same_oned).
    """

    def __init__(
        self,
        oned: Oned,
        settings: Opennebula,
        state: Path,
        clock: Clock,
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._oned, self._settings, self._clock, self._timer = oned, settings, clock, timer
        self._mark = _Mark(state / MARK)
        self._lock = threading.Lock()
        self._delegation: Delegation | None = None
        self._version = ""
        self._users: Mapping[str, User] = MappingProxyType({})
        self._read_at: float | None = None
        self._failed: tuple[float, str] | None = None

    def people(self) -> Mapping[str, User]:
        """All users by uid, the service account too, at most `users_every_s` old."""
        with self._lock:
            return self._fresh()

    def session_of(self, uid: str) -> Hidden[str]:
        """The session with which oned takes us for this user; it is for `oned.call` only.

        Raises EngineBusy for a user who is gone, disabled, of an authentication driver that is not
        served, or whose name means something else in a session.
        """
        with self._lock:
            user = self._fresh().get(uid)
            if user is None:
                raise EngineBusy(f"OpenNebula has no user {uid} any more")
            self._check_served(user)
            return self._session(user.name)

    def own_session(self) -> Hidden[str]:
        """The service account's own: for pools, and for what nobody else may see."""
        with self._lock:
            self._fresh()
            return self._session(self._account())

    def version(self) -> str:
        """oned's: `7.0.2`."""
        with self._lock:
            self._fresh()
            return self._version

    def check_same_oned(self) -> None:
        """Ask oned now whether it is the one of our first contact: before an answer of `no such
        machine` is believed. One cheap call."""
        with self._lock:
            self._fresh()
            answer = self._own_call("one.user.info", -1, False)
            self._mark.check(_understood(lambda: read_user(parse(answer.encode()))))

    # --- below the lock ------------------------------------------------------------------

    def _fresh(self) -> Mapping[str, User]:
        longest_s = min(self._settings.users_every_s, OLDEST_S)
        if self._read_at is None or self._timer() - self._read_at >= longest_s:
            self._try_to_read()
        return self._users

    def _try_to_read(self) -> None:
        """What failed a moment ago is not tried again: threads that waited while oned was silent
        would each wait as long once more."""
        if self._failed and self._timer() - self._failed[0] < QUIET_S:
            raise EngineBusy(self._failed[1])
        try:
            self._read()
        except EngineBusy as error:
            self._failed = (self._timer(), str(error))
            raise

    def _read(self) -> None:
        began = self._timer()
        try:
            answer = self._own_call("one.userpool.info")
            users = _understood(lambda: read_users(answer))
        except OnedChoked as choked:
            log.warning("The list of users is read one by one problem=%s", choked)
            users = self._read_one_by_one()
        self._make_sure_of_mark(self._own(users))
        self._users, self._read_at = MappingProxyType(users), began

    def _read_one_by_one(self) -> dict[str, User]:
        """Any user can make it impossible for oned to write the list (rpc.OnedChoked), and shall
        lock out nobody but himself: whoever cannot be read is as one who was disabled."""
        users: dict[str, User] = {}
        last = max((int(uid) for uid in self._users), default=0)
        for number in range(MOST_USERS):
            if number > last + LONGEST_GAP:
                return users
            try:
                user = self._read_one(number)
            except OnedChoked:
                known = self._users.get(str(number))
                user = known and replace(known, enabled=False)
                last = max(last, number)
            if user:
                users[user.uid] = user
                last = max(last, number)
        raise EngineBusy("oned has too many users to be read one by one")

    def _read_one(self, number: int) -> User | None:
        session = self._session(self._account())
        try:
            answer = self._oned.text(session, "one.user.info", number, False)
        except EngineRefused as refused:
            if meaning_of(refused) is Meaning.ABSENT:
                return None
            raise EngineBusy(f"A user cannot be read: {refused.hidden}") from None
        return _understood(lambda: read_user(parse(answer.encode())))

    def _own(self, users: Mapping[str, User]) -> User:
        name = self._account()
        own = next((user for user in users.values() if user.name == name), None)
        if own is None or ADMINISTRATORS not in own.groups:
            raise EngineBusy(
                f"OpenNebula's user {name} must be in the group oneadmin to read users and machines"
            )
        return own

    def _make_sure_of_mark(self, own: User) -> None:
        if not self._mark.exists():
            attribute = self._mark.make()
            # Appended: a template that is replaced loses TOKEN_PASSWORD (facts/opennebula.md 1).
            self._own_call("one.user.update", int(own.uid), f'{attribute}="YES"', 1)
            self._mark.keep(attribute)
            log.info(
                "This OpenNebula is ours from now on url=%s mark=%s", self._oned.url, attribute
            )
        else:
            self._mark.check(own)

    def _check_served(self, user: User) -> None:
        if not user.enabled:
            raise EngineBusy(f"OpenNebula's user {user.uid} is disabled")
        if user.auth_driver not in self._settings.auth_drivers:
            raise EngineBusy(
                f"OpenNebula's user {user.uid} has the authentication driver {user.auth_driver!r}"
            )

    # --- logging in ----------------------------------------------------------------------

    def _own_call(self, method: str, *args: Argument) -> str:
        """As the service account; whatever goes wrong is nothing that a user asked for. After a
        refused login the next call logs in anew: with another secret from the file, or at an oned
        that was upgraded."""
        session = self._session(self._account())
        try:
            return str(self._oned.call(session, method, *args))
        except EngineBusy as error:
            if meaning_of(error) is Meaning.LOGIN:
                self._delegation = None
            raise
        except EngineRefused as refused:
            raise EngineBusy(f"The service account is refused: {refused.hidden}") from None
        except EngineLost as lost:
            raise EngineBusy(str(lost)) from None

    def _account(self) -> str:
        return self._logged_in().server_user

    def _session(self, name: str) -> Hidden[str]:
        delegation = self._logged_in()
        try:
            return delegation.session_for(name, self._clock().timestamp())
        except EngineRefused as refused:
            raise EngineBusy(f"This user cannot be acted for: {refused.hidden}") from None

    def _logged_in(self) -> Delegation:
        if self._delegation is None:
            self._delegation, self._version = self._log_in()
        return self._delegation

    def _log_in(self) -> tuple[Delegation, str]:
        path = self._settings.credentials
        try:
            account = read_server_account(path)
        except EngineRefused as refused:
            raise EngineBusy(refused.said) from None
        if account.is_open:
            log.warning("Everybody may read the secret of the service account path=%s", path)
        now = self._clock().timestamp()
        delegation, version = find_delegation(self._oned, account.user, account.secret, now)
        log.info("Logged in at OpenNebula version=%s scheme=%s", version, delegation.scheme.value)
        return delegation, version


class _Mark:
    """The name of the attribute that our oned has, kept in a file. Both are made once: the
    attribute first, so that a crash between the two asks for nothing that was not written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        return self._path.exists()

    def make(self) -> str:
        return f"ECONE_{secrets.token_hex(8).upper()}"

    def keep(self, attribute: str) -> None:
        write_whole(self._path, f"{attribute}\n")
        sync_directory(self._path.parent)

    def check(self, own: User) -> None:
        """Raises EngineBusy."""
        try:
            attribute = self._path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise EngineBusy(f"{self._path} cannot be read: {error.strerror}") from None
        if not re.fullmatch(r"ECONE_[0-9A-F]{16}", attribute) or own.attribute(attribute) is None:
            raise EngineBusy(
                f"This is not the OpenNebula that it was: user {own.name} lacks the attribute"
                f" {attribute[:40]!r}. Nothing is done until it has it again. If this database is"
                f" to be used from now on, delete {self._path}: machines that it does not know"
                " will be terminated instances"
            )


def _understood(read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise EngineBusy(f"oned's answer is not understood: {error}") from None
