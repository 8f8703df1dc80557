"""A world with what econe's tests need: helen and bob, a datastore, a network, an m1.small."""

from dataclasses import dataclass

from tests.support.oned.clock import Clock, Pace
from tests.support.oned.networks import Network
from tests.support.oned.objects import Datastore, Group, MachineTemplate, User
from tests.support.oned.world import World

SECRET = "serveradmin-secret"
ONEADMIN = "oneadminpw"
HELEN, BOB = "helen-pw1", "bob-pw1"
M1_SMALL = """CPU="0.1"
VCPU="1"
MEMORY="256"
NIC=[NETWORK_ID="0"]
GRAPHICS=[TYPE="VNC",LISTEN="127.0.0.1"]
CONTEXT=[NETWORK="YES"]
EC2_INSTANCE_TYPE="m1.small"
"""


@dataclass
class Prepared:
    world: World
    group: Group
    helen: User
    bob: User
    datastore: Datastore
    network: Network
    m1_small: MachineTemplate


def prepared_world(
    *,
    upload_dir: str = "/var/tmp",
    version: str = "7.0.2",
    clock: Clock | None = None,
    pace: Pace | None = None,
) -> Prepared:
    """Images may come from `upload_dir` and over http; helen and bob may make what users may."""
    world = World(version=version, oneadmin=ONEADMIN, serveradmin=SECRET, clock=clock, pace=pace)
    group = world.add_group("ec2users", may_create=True)
    datastore = world.datastores[1]
    datastore.template.set("SAFE_DIRS", upload_dir)
    return Prepared(
        world,
        group,
        world.add_user("helen", HELEN, group=group.id),
        world.add_user("bob", BOB, group=group.id),
        datastore,
        world.add_network("public", "147.96.80.33", 200, gateway="147.96.80.1", dns="147.96.1.9"),
        world.add_template("m1.small", M1_SMALL),
    )
