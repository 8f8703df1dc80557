"""Who a session stands for: the holes of oned that econe closes on its own side must be there."""

from xmlrpc.client import Fault

import pytest
from tests.oned.conftest import User
from tests.support.oned import ManualClock, Oned, Pace, Prepared, World, prepared_world
from tests.support.oned.errors import Refused
from tests.support.oned.objects import password_hash
from tests.support.oned.prepared import SECRET
from tests.support.oned.sessions import SESSION_EXPIRATION_S, delegation

# facts/opennebula.md, 1: made with the Ruby files of 5.4.0, 5.12.0 and 7.0.2.
VECTORS = [
    ("5.4.0", "6dSwflAoBXvlsAYBuWdNxPZlHJcOuNixjLY+kcXxaVc="),
    ("5.8.5", "6dSwflAoBXvlsAYBuWdNxPZlHJcOuNixjLY+kcXxaVc="),
    ("5.12.0", "Cm87uybcYh3CskSrfNY+3C/Q7JIBIz40XLAw24/pe2w="),
    ("6.0.0", "Cm87uybcYh3CskSrfNY+3C/Q7JIBIz40XLAw24/pe2w="),
    ("6.2.0", "9F+mgWjHmh/AWRVG6duxCsJKAtnoATl3Ww7g5+MZJr8="),
    ("7.0.2", "9F+mgWjHmh/AWRVG6duxCsJKAtnoATl3Ww7g5+MZJr8="),
]


@pytest.mark.parametrize(("version", "token"), VECTORS)
def test_the_token_of_each_version(version: str, token: str) -> None:
    made = delegation("serveradmin", "throwaway-secret", "helen", 1_900_000_000, version=version)
    assert made == f"serveradmin:helen:{token}"
    world = World(version=version, serveradmin="throwaway-secret", clock=ManualClock())
    world.add_user("helen", "pw")
    assert world.sessions.caller(made).name == "helen"


def test_the_token_of_another_version_is_refused(prepared: Prepared) -> None:
    old = delegation("serveradmin", SECRET, "helen", 2_000_000_000, version="5.12.0")
    with pytest.raises(Refused, match="couldn't be authenticated"):
        prepared.world.sessions.caller(old)


def test_the_stored_hash_is_of_the_version() -> None:
    assert len(password_hash("pw", "5.8.5")) == 40
    assert len(password_hash("pw", "5.12.0")) == 64


def test_a_remembered_token_outlives_its_expiry_by_fifteen_minutes(prepared: Prepared) -> None:
    world = prepared.world
    session = delegation("serveradmin", SECRET, "helen", world.now + 10)
    assert world.sessions.caller(session).name == "helen"
    world.pass_s(SESSION_EXPIRATION_S - 1)
    assert world.sessions.caller(session).name == "helen"
    world.pass_s(2)
    with pytest.raises(Refused):
        world.sessions.caller(session)


def test_two_tokens_in_turn_are_looked_at_each_time(prepared: Prepared) -> None:
    """One token a user is remembered: two workers with two tokens pay the driver each time."""
    world = prepared.world
    one, two = (
        delegation("serveradmin", SECRET, "helen", world.now + seconds) for seconds in (600, 700)
    )
    for session in (one, one, one, two, one, two):
        world.sessions.caller(session)
    assert world.sessions.checks == 4


def test_whom_a_token_is_for_is_not_looked_at(prepared: Prepared) -> None:
    helens = delegation("serveradmin", SECRET, "helen", prepared.world.now + 600)
    token = helens.rpartition(":")[2]
    assert prepared.world.sessions.caller(f"serveradmin:bob:{token}").name == "bob"


def test_a_disabled_user_is_spoken_for_all_the_same(
    prepared: Prepared, oned: Oned, bob: User
) -> None:
    prepared.bob.enabled = False
    assert bob.ask("one.user.info", -1)[0]
    with pytest.raises(Refused):
        prepared.world.sessions.caller("bob:bob-pw1")


def test_a_restart_forgets_tokens(prepared: Prepared, oned: Oned, helen: User) -> None:
    helen.call("one.system.version")
    helen.call("one.system.version")
    assert prepared.world.sessions.checks == 1
    oned.stop()
    oned.start()
    helen.call("one.system.version")
    assert prepared.world.sessions.checks == 2


def test_a_sha1_hash_becomes_sha256_at_the_next_login(prepared: Prepared) -> None:
    prepared.helen.password = password_hash("helen-pw1", "5.8.5")
    prepared.world.sessions.caller("helen:helen-pw1")
    assert prepared.helen.password == password_hash("helen-pw1", "7.0.2")


def test_older_versions_lack_methods() -> None:
    prepared = prepared_world(version="5.12.0", clock=ManualClock(), pace=Pace())
    with Oned(prepared.world) as oned:
        session = delegation(
            "serveradmin", SECRET, "helen", prepared.world.now + 60, version="5.12.0"
        )
        user = User(oned, "helen")
        user.session = session
        assert user.call("one.system.version") == "5.12.0"
        with pytest.raises(Fault, match="infoset' not defined"):
            user.ask("one.vmpool.infoset", "0", True)
