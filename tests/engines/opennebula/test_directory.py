"""Whom we act for, with which session, and at which oned."""

import base64
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from econe.domain.engine_ports import EngineBusy, EngineLost
from econe.domain.hidden import Hidden
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.errors import Failure, judge
from econe.engines.opennebula.rpc import OnedChoked
from econe.settings import Opennebula

SECRET = "serveradmin-secret"


@dataclass
class FakeUser:
    uid: int
    name: str
    enabled: bool = True
    driver: str = "core"
    groups: tuple[int, ...] = (100,)
    template: dict[str, str] = field(default_factory=dict)

    def xml(self) -> str:
        groups = "".join(f"<ID>{gid}</ID>" for gid in self.groups)
        template = "".join(f"<{n}>{v}</{n}>" for n, v in self.template.items())
        return (
            f"<USER><ID>{self.uid}</ID><GID>{self.groups[0]}</GID><GROUPS>{groups}</GROUPS>"
            f"<NAME>{self.name}</NAME><PASSWORD>hash</PASSWORD><AUTH_DRIVER>{self.driver}"
            f"</AUTH_DRIVER><ENABLED>{int(self.enabled)}</ENABLED>"
            f"<TEMPLATE>{template}</TEMPLATE></USER>"
            f"<QUOTAS><ID>{self.uid}</ID><VM_QUOTA></VM_QUOTA></QUOTAS>"
        )


class FakeOned:
    """As much of oned as the directory asks, with the key scheme of 6.2 and later."""

    url = "http://127.0.0.1:2633/RPC2"

    def __init__(self) -> None:
        admin = FakeUser(1, "serveradmin", driver="server_cipher", groups=(0,))
        self.users = {1: admin, 2: FakeUser(2, "helen"), 3: FakeUser(3, "bob")}
        self.calls: list[str] = []
        self.secret = SECRET
        self.down: Callable[[], object] | None = None
        self.choking: set[int] = set()
        """Users whom oned cannot write into its answers."""

    def call(self, session: Hidden[str], method: str, *args: str | int | bool) -> str | int:
        self.calls.append(method)
        if self.down is not None:
            self.down()
        if not self._is_proven(session.reveal()):
            refused = Failure(0x0100, f"[{method}] User couldn't be authenticated, aborting call.")
            raise judge(refused, method, is_read=True)
        match method:
            case "one.system.version":
                return "7.0.2"
            case "one.userpool.info" if self.choking:
                raise OnedChoked("one.userpool.info: fault -500: not valid UTF-8")
            case "one.userpool.info":
                return f"<USER_POOL>{''.join(u.xml() for u in self.users.values())}</USER_POOL>"
            case "one.user.info":
                return self._one(1 if args[0] == -1 else int(args[0]))
            case "one.user.update":
                uid, text, append = args
                assert append == 1
                name, _, value = str(text).partition("=")
                self.users[int(uid)].template[name] = value.strip('"')
                return int(uid)
        raise AssertionError(method)

    def text(self, session: Hidden[str], method: str, *args: str | int | bool) -> str:
        return str(self.call(session, method, *args))

    def _one(self, uid: int) -> str:
        if uid in self.choking:
            raise OnedChoked("one.user.info: fault -500: not valid UTF-8")
        if uid not in self.users:
            absent = Failure(0x0400, f"[one.user.info] Error getting user [{uid}].")
            raise judge(absent, "one.user.info", is_read=True)
        return self.users[uid].xml().partition("<QUOTAS>")[0]

    def _is_proven(self, session: str) -> bool:
        try:
            return opened(session, self.secret)[0] == "serveradmin"
        except ValueError:
            return False


def opened(session: str, secret: str = SECRET) -> tuple[str, str, str, int]:
    """(server, target inside, target outside, end) of a session string."""
    server, target, token = session.split(":")
    digest = hashlib.sha256(secret.encode()).hexdigest()
    cipher = Cipher(algorithms.AES(digest[:32].encode()), modes.CBC(digest[:16].encode()))
    decryptor, unpadder = cipher.decryptor(), PKCS7(128).unpadder()
    padded = decryptor.update(base64.b64decode(token)) + decryptor.finalize()
    text = (unpadder.update(padded) + unpadder.finalize()).decode()
    inside, within, end = text.split(":")
    assert inside == server
    return server, within, target, int(end)


class Site:
    def __init__(self, state: Path) -> None:
        self.state = state
        self.oned = FakeOned()
        self.now, self.elapsed = datetime(2026, 11, 26, 12, 30, tzinfo=UTC), 0.0
        self.credentials = state / "ec2_auth"
        self.credentials.write_text(f"serveradmin:{SECRET}\n")
        self.credentials.chmod(0o600)

    def directory(self, **set_: object) -> Directory:
        settings = Opennebula(credentials=self.credentials, **set_)  # type: ignore[arg-type]
        return Directory(
            self.oned,  # type: ignore[arg-type]
            settings,
            self.state,
            lambda: self.now,
            timer=lambda: self.elapsed,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- users -------------------------------------------------------------------------------


def test_people_are_all_users_by_their_number(site: Site):
    people = site.directory().people()
    assert {uid: user.name for uid, user in people.items()} == {
        "1": "serveradmin",
        "2": "helen",
        "3": "bob",
    }
    assert people["1"].is_administrator
    assert not people["2"].is_administrator
    assert people["2"].quotas is not None
    assert people["2"].quotas.findtext("ID") == "2"
    assert "hash" not in repr(people["2"])


def test_a_user_list_is_kept_for_as_long_as_it_is_set(site: Site):
    directory = site.directory(users_every_s=30.0)
    directory.people()
    site.elapsed = 29.9
    directory.people()
    assert site.oned.calls.count("one.userpool.info") == 1
    site.elapsed = 30.0
    directory.people()
    assert site.oned.calls.count("one.userpool.info") == 2


def test_no_user_list_is_believed_for_more_than_a_minute(site: Site):
    directory = site.directory(users_every_s=3600.0)
    directory.people()
    site.elapsed = 60.0
    site.oned.users[2].enabled = False
    with pytest.raises(EngineBusy, match="disabled"):
        directory.session_of("2")


def test_threads_that_need_a_new_list_share_one(site: Site):
    directory = site.directory()
    gate = threading.Event()
    site.oned.down = lambda: bool(gate.wait(5))
    threads = [threading.Thread(target=directory.people) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert site.oned.calls.count("one.userpool.info") == 1


def test_while_oned_is_away_it_is_asked_once_a_second(site: Site):
    directory = site.directory()

    def away() -> None:
        raise EngineBusy("not reached")

    site.oned.down = away
    for _ in range(3):
        with pytest.raises(EngineBusy, match="not reached"):
            directory.people()
    assert len(site.oned.calls) == 1
    site.elapsed, site.oned.down = 1.0, None
    assert directory.people()


# --- sessions ----------------------------------------------------------------------------


def test_a_session_is_the_users_own(site: Site):
    server, within, target, _ = opened(site.directory().session_of("2").reveal())
    assert (server, within, target) == ("serveradmin", "helen", "helen")


def test_a_session_never_is_anothers_after_a_change_of_names(site: Site):
    directory = site.directory()
    directory.session_of("2")
    site.oned.users[2].name, site.oned.users[3].name = "helen-old", "helen"
    site.elapsed = 60.0
    assert opened(directory.session_of("2").reveal())[1:3] == ("helen-old", "helen-old")
    assert opened(directory.session_of("3").reveal())[1:3] == ("helen", "helen")


def test_sessions_are_the_same_bytes_within_an_hour_in_every_process(site: Site):
    first = site.directory().session_of("2").reveal()
    site.now = datetime(2026, 11, 26, 12, 59, 59, tzinfo=UTC)
    assert site.directory().session_of("2").reveal() == first
    site.now = datetime(2026, 11, 26, 13, 0, 0, tzinfo=UTC)
    assert site.directory().session_of("2").reveal() != first


def test_a_session_ends_later_than_oned_needs_it(site: Site):
    end = opened(site.directory().session_of("2").reveal())[3]
    assert 3600 < end - site.now.timestamp() <= 7200


def test_our_own_session_is_the_service_accounts(site: Site):
    assert opened(site.directory().own_session().reveal())[2] == "serveradmin"


def test_nobody_is_acted_for_who_is_disabled(site: Site):
    site.oned.users[2].enabled = False  # oned itself would take it (recordings 21, 242)
    with pytest.raises(EngineBusy, match="user 2 is disabled"):
        site.directory().session_of("2")


def test_nobody_is_acted_for_who_is_gone(site: Site):
    with pytest.raises(EngineBusy, match="no user 9"):
        site.directory().session_of("9")


@pytest.mark.parametrize("driver", ["x509", "public", "server_cipher", "ldap", ""])
def test_nobody_is_acted_for_whose_driver_is_not_served(site: Site, driver: str):
    site.oned.users[2].driver = driver
    with pytest.raises(EngineBusy, match="authentication driver"):
        site.directory().session_of("2")


def test_drivers_that_are_set_are_served(site: Site):
    site.oned.users[2].driver = "ldap"
    assert site.directory(auth_drivers=("core", "ldap")).session_of("2")


@pytest.mark.parametrize("name", ["helen:0", "helen bob", "", "he\nlen", "x" * 129])
def test_nobody_is_acted_for_whose_name_means_something_else_in_a_session(site: Site, name: str):
    site.oned.users[2].name = name
    with pytest.raises(EngineBusy, match="cannot be acted for"):
        site.directory().session_of("2")


# --- logging in --------------------------------------------------------------------------


def test_the_key_scheme_is_found_once(site: Site):
    directory = site.directory()
    assert directory.version() == "7.0.2"
    site.elapsed = 60.0
    directory.people()
    assert site.oned.calls.count("one.system.version") == 1


def test_a_new_secret_is_read_from_its_file(site: Site):
    directory = site.directory()
    directory.people()
    site.oned.secret = "another"
    site.credentials.write_text("serveradmin:another\n")
    site.elapsed = 60.0
    with pytest.raises(EngineBusy, match="login"):
        directory.people()
    site.elapsed = 61.0
    assert directory.people()


def test_a_refused_service_account_is_told_as_such(site: Site):
    site.oned.secret = "another"
    with pytest.raises(EngineBusy, match="refuses the login of our service account 'serveradmin'"):
        site.directory().people()


def test_a_missing_credentials_file_is_told_as_such(site: Site):
    site.credentials.unlink()
    with pytest.raises(EngineBusy, match="ec2_auth cannot be read"):
        site.directory().people()


def test_a_service_account_that_may_not_see_all_is_told_as_such(site: Site):
    site.oned.users[1].groups = (100,)
    with pytest.raises(EngineBusy, match="must be in the group oneadmin"):
        site.directory().people()


# --- the same oned -----------------------------------------------------------------------


def test_the_first_contact_leaves_a_mark_on_both_sides(site: Site):
    site.directory().people()
    (attribute,) = site.oned.users[1].template
    assert (site.state / "opennebula.mark").read_text() == f"{attribute}\n"
    assert attribute.startswith("ECONE_")


def test_the_mark_is_made_once(site: Site):
    site.directory().people()
    site.elapsed = 60.0
    site.directory().people()
    assert site.oned.calls.count("one.user.update") == 1


def test_another_database_is_not_spoken_to(site: Site):
    directory = site.directory()
    directory.people()
    site.oned.users[1].template.clear()
    with pytest.raises(EngineBusy, match=r"delete .*opennebula\.mark"):
        directory.check_same_oned()
    site.elapsed = 60.0
    for ask in (directory.people, directory.own_session, lambda: directory.session_of("2")):
        with pytest.raises(EngineBusy, match="not the OpenNebula that it was"):
            ask()
    assert not site.oned.users[1].template


def test_another_servers_mark_is_not_ours(site: Site):
    site.directory().people()
    site.oned.users[1].template = {"ECONE_0123456789ABCDEF": "YES"}
    with pytest.raises(EngineBusy, match="not the OpenNebula that it was"):
        site.directory().people()


def test_the_operator_can_accept_another_database(site: Site):
    site.directory().people()
    site.oned.users[1].template.clear()
    (site.state / "opennebula.mark").unlink()
    directory = site.directory()
    directory.people()
    directory.check_same_oned()
    assert site.oned.users[1].template


def test_a_lost_answer_to_the_mark_is_made_up_for(site: Site):
    """The mark is written in oned, and we crash before it is written here."""
    directory = site.directory()
    update = site.oned.call

    def crash(session: Hidden[str], method: str, *args: str | int | bool) -> str | int:
        answer = update(session, method, *args)
        if method == "one.user.update":
            raise EngineLost("no answer")
        return answer

    site.oned.call = crash  # type: ignore[method-assign]
    with pytest.raises(EngineBusy):
        directory.people()
    site.oned.call = update  # type: ignore[method-assign]
    site.elapsed = 1.0
    directory.people()
    directory.check_same_oned()


def test_a_pool_that_is_rubbish_changes_nothing(site: Site):
    directory = site.directory()
    site.oned.users[2].name = "<"
    with pytest.raises(EngineBusy, match="not understood"):
        directory.people()


# --- a user who makes the list unreadable ------------------------------------------------


def test_a_user_whom_oned_cannot_write_locks_out_himself_alone(site: Site):
    """Seen with 7.0.2: an emoji in the template of one user, and the list is a fault."""
    directory = site.directory()
    site.oned.users[150] = FakeUser(150, "carol")
    assert set(directory.people()) == {"1", "2", "3", "150"}
    site.oned.choking = {3}
    site.oned.users[151] = FakeUser(151, "dora")
    site.elapsed += 60
    people = directory.people()
    assert {uid for uid, user in people.items() if user.enabled} == {"1", "2", "150", "151"}
    assert not people["3"].enabled
    with pytest.raises(EngineBusy, match="disabled"):
        directory.session_of("3")
    site.oned.choking.clear()
    site.elapsed += 60
    assert directory.people()["3"].enabled


def test_users_are_found_one_by_one_at_the_first_contact(site: Site):
    site.oned.choking = {3}
    site.oned.users[90] = FakeUser(90, "carol")
    assert set(site.directory().people()) == {"1", "2", "90"}


def test_a_oned_that_fails_between_two_users_is_busy(site: Site):
    site.oned.choking = {2, 3}
    directory = site.directory()
    calls = iter(range(1000))

    def fail_later() -> None:
        if next(calls) > 6:
            raise EngineBusy("no answer")

    site.oned.down = fail_later
    with pytest.raises(EngineBusy, match="no answer"):
        directory.people()
