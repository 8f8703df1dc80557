"""What the operator of the recorded oned did beside the recorded calls.

Much of it is in the cases' texts ("driver fails", "slow boot"); the rest follows from the answers:
an image that is in use in one and gone in the next was released and deleted in between.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, ClassVar

from tests.support.oned import ManualClock, World
from tests.support.oned.calls.networks import delete as delete_network
from tests.support.oned.drivers import Outcome, failing, taking
from tests.support.oned.machine import Actor, State
from tests.support.oned.machine_rules import act
from tests.support.oned.objects import LoginToken
from tests.support.oned.protocol import Args
from tests.support.oned.rights import Caller

SERVERADMIN = "43371b425735f1b7266cb8cbe37d5cbbb3744ab803dbfb3075dbc813783a96a4"
START = 1_795_434_884.0
UPLOADS = "/var/tmp/ec2-upload"
ADMIN = Caller(0, 0, "oneadmin", "oneadmin", [0])
ACTOR = Actor(0, 0, 0)
SLOW = taking(8)


class Files:
    """The files of the recorded host, as far as they matter."""

    _SIZES: ClassVar = {
        f"{UPLOADS}/ami-1.img": 3 << 20,
        f"{UPLOADS}/big.img": 3000 << 20,
        f"{UPLOADS}/story.img": 1 << 20,
        "/etc/hostname": 12,
    }
    _REAL: ClassVar = {
        f"{UPLOADS}/link.img": "/etc/hostname",
        f"{UPLOADS}/../../../etc/hostname": "/etc/hostname",
    }

    def real(self, path: str) -> str:
        return self._REAL.get(path, path)

    def head(self, path: str) -> bytes:
        self.size(path)
        return bytes(512)

    def size(self, path: str) -> int:
        size = self._SIZES.get(self.real(path))
        if size is None:
            raise FileNotFoundError(2, "No such file or directory")
        return size

    def chunks(self, path: str) -> Iterator[bytes]:
        """Its digest is nobody's business, so one chunk stands for all."""
        self.size(path)
        yield bytes(512)


def recorded_world() -> World:
    """As it was before the first exchange."""
    world = World(serveradmin=SERVERADMIN, clock=ManualClock(START), sources=Files())
    group = world.add_group("ec2users")
    world.rights.next_rule = 10
    for name in ("helen", "bob"):
        world.add_user(name, f"{name}-pw1", group=group.id)
    token_passwords = {
        "oneadmin": "ee8e2cf0e6f3f7ea3f1f7971fa15dfa5b38f00a2a686208faf1c91942b74eadd",
        "serveradmin": "3f5a8f97963e2b141138e7207c171173ca02d82d062aa1c72d533399ffd586cb",
        "helen": "26f50fbfe30dca337daa7a40485db6b67bd5ebda6f3177895ce0e0c9d4683586",
        "bob": "a034257f6b85e6b82176af554afdabe18de8def03144bacb638615cfcc98da6f",
    }
    for user in world.users.values():
        user.template.set("TOKEN_PASSWORD", token_passwords[user.name])
    helen = world.users[2]
    earlier = "29ca50c822d2ac90d5b62f7282ef6eb033d187a1bc530f28f10efd911374d282"
    helen.tokens.append(LoginToken(earlier, 1_795_435_367))
    lift_quotas(world)
    tokens = iter(
        (
            "203caddd6ece310b513504937d180a039ece0c05e224e53f6187050dfef8d4ed",
            "c7219392cd32e229e49371b18f63adc42c1263e35cbd801a61532afa7e7a1389",
        )
    )
    world.new_token = lambda: next(tokens)
    _stores(world)
    network = world.add_network(
        "public", "147.96.80.33", 200, gateway="147.96.80.1", dns="147.96.1.9"
    )
    network.rights = [1, 1, 0, 1, 0, 0, 1, 0, 0]
    return world


def _stores(world: World) -> None:
    default, system, files = (world.datastores[number] for number in (1, 0, 2))
    default.ds_mad, default.total_mb, default.free_mb, default.used_mb = "dummy", 20480, 20480, 9720
    default.template.set("DS_MAD", "dummy")
    system.used_mb = 1_429_920
    for each in (default, system, files):
        each.rights = [1, 1, 0, 1, 0, 0, 0, 0, 0]
    files.tm_mad, files.total_mb, files.free_mb, files.used_mb = "local", 258020, 76581, 27318
    for name, value in (
        ("ALLOW_ORPHANS", "FORMAT"),
        ("LN_TARGET", "SYSTEM"),
        ("TM_MAD", "local"),
    ):
        files.template.set(name, value)
    files.template.drop("DISK_TYPE")
    fsimg = world.add_datastore("fsimg", safe_dirs=UPLOADS, restricted_dirs="")
    fsimg.total_mb, fsimg.free_mb, fsimg.used_mb = 258020, 76580, 27318


def lift_quotas(world: World) -> None:
    """helen's quotas without limits, as they stood before the first exchange."""
    quotas = world.users[2].quotas
    quotas.limit("DATASTORE", 1, {"IMAGES": -2, "SIZE": -2})
    quotas.limit("NETWORK", 0, {"LEASES": -2})
    quotas.limit("VM", None, {"VMS": -2, "MEMORY": -2, "CPU": -2})


Deed = Callable[[World], None]


def _type_back(world: World) -> None:
    """70 shows image 0 as OS again, which 59 had made a DATABLOCK."""
    world.images[0].type = 0


def _disable_bob(world: World) -> None:
    world.users[3].enabled = False


def _enable_bob(world: World) -> None:
    world.users[3].enabled = True


def _say(*numbers: int) -> Deed:
    """What the scheduler of 7.0.2 wrote while it had only enough for some of a burst."""

    def deed(world: World) -> None:
        text = (
            "Mon Nov 23 11:58:49 2026: Cannot dispatch VM to any Host. Possible reasons: Not enough"
            " capacity in Host or System DS, dispatch... see more details in VM log"
        )
        for number in numbers:
            world.edit(number).user_template.set("SCHED_MESSAGE", text)

    return deed


def _password_back(world: World) -> None:
    world.users[2].password = sha256(b"helen-pw1").hexdigest()


def _terminate(*numbers: int) -> Deed:
    """oneadmin's terminate-hard, until they are DONE."""

    def deed(world: World) -> None:
        for number in numbers:
            machine = world.edit(number)
            act(world, machine, "terminate-hard", ADMIN, ACTOR)
        world.settle()

    return deed


def _resume(number: int) -> Deed:
    def deed(world: World) -> None:
        act(world, world.edit(number), "resume", ADMIN, ACTOR)
        world.settle()

    return deed


def _order(action: str, *outcomes: Outcome) -> Deed:
    return lambda world: world.drivers.order(action, *outcomes)


def _template_1(world: World) -> None:
    world.add_template(
        "tmpl-pers",
        'CPU="0.1"\nVCPU="1"\nMEMORY="128"\nDISK=[IMAGE_ID="0"]\nNIC=[NETWORK_ID="0"]\n'
        'CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY="ssh-ed25519 AAAAC3Nza test@helen"]',
        owner=world.users[2],
    )


def _image(name: str, size_mb: int, **given: Any) -> Deed:
    """One of helen's in `default`."""

    def deed(world: World) -> None:
        world.add_image(name, world.users[2], size_mb=size_mb, source="dummy_path", **given)

    return deed


def _clean_up(world: World) -> None:
    """Between the second and the third part of the recording all was taken down."""
    running = [each.id for each in world.machines.values() if each.state != State.DONE]
    _terminate(*running)(world)
    for number in list(world.images):
        world.image_life.delete(world.images[number], force=True)
    world.settle()
    for number in [each for each in world.networks if each != 0]:
        delete_network(world, ADMIN, Args((("int", number),)))


def _restrict(world: World) -> None:
    world.datastores[100].template.set("RESTRICTED_DIRS", "/")


def _lift(world: World) -> None:
    lift_quotas(world)


DEEDS: dict[int, list[Deed]] = {
    217: [lift_quotas],
    61: [_type_back],
    141: [_resume(0)],
    223: [_order("deploy", failing())],
    241: [_disable_bob],
    243: [_enable_bob],
    251: [_password_back],
    277: [_order("image_copy", SLOW)],
    283: [_terminate(9)],
    288: [_template_1, _order("image_clone", taking(0))],
    295: [_resume(10), _order("attach_disk", failing())],
    298: [_order("attach_disk", SLOW)],
    303: [_order("shutdown", failing())],
    305: [_order("deploy", SLOW)],
    309: [_order("shutdown", SLOW)],
    325: [_say(15, 16, 17)],
    328: [
        _clean_up,
        _restrict,
        _image("ami-3", 1024, path=f"{UPLOADS}/ami-1.img", format="dummy_format"),
    ],
    334: [_order("image_copy", failing("Error copying image: disk full"))],
    345: [_image("vol-c3", 10, type=2, persistent=True, format="raw")],
    346: [_order("detach_disk", failing())],
    355: [_order("deploy", SLOW)],
    361: [World.stall_scheduler],
    365: [World.resume_scheduler, World.settle, _terminate(20)],
}
"""Before the exchange of that number."""

AT_ONCE = frozenset(
    (33, 79, 174, 230, 234, 237, *range(278, 283), *range(299, 303), 307, 308, 310, 311)
) | frozenset((*range(319, 327), 357, 360))
"""Asked while what the call before began was still under way. Before all others, everything had
come to its end, but for these, where a second had passed:"""

A_SECOND_LATER = frozenset((306, 356))

CLOCK = {
    13: 1_795_434_885,
    14: 1_795_434_889,  # past what the token of 13 and 14 says
    23: 1_795_434_890,
    78: 1_795_434_894,
    223: 1_795_434_903,
    241: 1_795_435_056,
    328: 1_795_435_250,
    365: 1_795_435_899,
}
"""From that exchange on it is this time."""
