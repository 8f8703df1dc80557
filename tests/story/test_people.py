"""Who may come in: OpenNebula's users with their password, and keys beside it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.story.conftest import hashed
from tests.story.server import Server, User
from tests.support.eventually import eventually

pytestmark = pytest.mark.story

SOON_S = 5.0
"""For what counts after users_every_s, which is 0.5 s here."""


@pytest.fixture
def bob(server: Server) -> Iterator[User]:
    user = server.user("bob")
    user.keys = ("bob", hashed(server.cluster.passwords["bob"]))
    yield user
    user.close()


def test_a_key_beside_the_password_works_until_it_is_revoked(server: Server, helen: User):
    made = server.admin("key", "create", "helen")
    other = replace(helen, keys=(made["access_key"], made["secret_key"]), _ec2=None)
    assert other.refusal() == ""
    kinds = {
        k["access_key"]: k["kind"] for k in server.admin("key", "list", "helen")["access_keys"]
    }
    assert kinds == {"helen": "password", made["access_key"]: "key"}
    server.admin("key", "disable", made["access_key"])
    assert other.refusal() == "AuthFailure"
    server.admin("key", "enable", made["access_key"])
    assert other.refusal() == ""
    server.admin("key", "delete", made["access_key"])
    assert other.refusal() == "AuthFailure"
    assert helen.refusal() == ""
    other.close()


def test_accounts_are_made_in_opennebula(server: Server):
    refused = server.command("econe-admin", "account", "create", "carol")
    assert refused.returncode == 1
    assert "oneuser create" in refused.stderr
    server.cluster.as_admin("one.user.allocate", "carol", "carol's", "core", [100])
    server.cluster.passwords["carol"] = "carol's"
    carol = server.user("carol")
    carol.keys = ("carol", hashed("carol's"))
    eventually(lambda: carol.refusal() == "", within_s=SOON_S)
    carol.close()


def test_a_disabled_user_is_refused_with_every_key(server: Server, bob: User):
    made = server.admin("key", "create", "bob")
    other = replace(bob, keys=(made["access_key"], made["secret_key"]), _ec2=None)
    assert bob.refusal() == other.refusal() == ""
    server.cluster.as_admin("one.user.enable", server.cluster.uid("bob"), False)
    for user in (bob, other):
        eventually(lambda user=user: user.refusal() == "AuthFailure", within_s=SOON_S)
    server.cluster.as_admin("one.user.enable", server.cluster.uid("bob"), True)
    for user in (bob, other):
        eventually(lambda user=user: user.refusal() == "", within_s=SOON_S)
    other.close()


def test_a_new_password_counts_and_the_old_one_does_not(server: Server, bob: User):
    new = replace(bob, keys=("bob", hashed("bob's new one")), _ec2=None)
    assert new.refusal() == "AuthFailure"
    server.cluster.as_admin("one.user.passwd", server.cluster.uid("bob"), "bob's new one")
    server.cluster.passwords["bob"] = "bob's new one"
    eventually(lambda: new.refusal() == "", within_s=SOON_S)
    assert bob.refusal() == "AuthFailure"
    bob.write_password("bob's new one")
    bob.keys = None
    bob.said("econe-describe-instances")
    new.close()


def test_one_auth_works_for_a_user_whose_hash_is_still_sha_1(server: Server, bob: User, disk: Path):
    """As OpenNebula kept it up to 5.8; it is not changed by what we do."""
    password = server.cluster.passwords["bob"]
    world = server.cluster.running.world
    user = world.user_named("bob")
    assert user is not None
    user.password = hashed(password, "sha1")
    bob.keys = ("bob", user.password)
    eventually(lambda: bob.refusal() == "", within_s=SOON_S)
    bob.keys = None
    bob.said("econe-describe-instances")
    bob.said("econe-upload", str(disk), expect="^Success: ImageId ami-")
    assert user.password == hashed(password, "sha1")
