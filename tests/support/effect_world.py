"""A cloud in which every parameter of every action can show what it does."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from tests.support.desk import Desk, make_account, make_cloud
from tests.support.uefi_data import Firmware, started, with_firmware

from econe.actions.context import Context
from econe.actions.registry import HANDLERS
from econe.domain.faults import Fault
from econe.domain.hidden import Hidden
from econe.domain.images import Content, DiskFormat
from econe.domain.ports import KnownKey, Store
from econe.front.faults import tell
from econe.wire import model

HELEN, PARIS = "111122223333", "444455556666"
CONTENT = Content("29ead5de585f43282acab4060bfb7a07", DiskFormat.RAW, 4096, 1 << 30)


class Absent:
    """The value of a parameter that is not given."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


class PlainKeys:
    """Keys that are the same each time."""

    def make(self, key_type: str, *, key_format: str = "pem", comment: str = "") -> KnownKey:
        private = Hidden(f"{key_type} {key_format} {comment}")
        return KnownKey(key_type, f"ssh-{key_type} AAAA", f"made:{key_type}", private)

    def read(self, material: bytes) -> KnownKey:
        return KnownKey("ed25519", material.decode(), f"read:{material.hex()}")


@dataclass(frozen=True)
class World:
    desk: Desk
    ids: Mapping[str, str]
    """What cases call things -> the id of each."""

    def named(self, value: Any) -> Any:
        """The value with `@running` and so on made ids, wherever they stand in it."""
        if isinstance(value, str) and value.startswith("@"):
            return self.ids[value[1:]]
        if isinstance(value, list):
            return [self.named(each) for each in value]
        return value

    def asked(self, action: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Dotted paths -> the request; of lists in between the first item is meant."""
        shape = model.load().expect(action).input_shape
        made: dict[str, Any] = {}
        for path, value in given.items():
            if value is not ABSENT:
                _put(made, shape, path.split("."), self.named(value))
        return made

    def outcome(self, action: str, given: Mapping[str, Any]) -> Any:
        """All that comes of the request: the answer or the fault, and every row of the database.
        Nothing of it stays."""
        desk, handler = self.desk, HANDLERS[action]
        if action == "UploadImage":  # where images are kept is asked of engines that keep them
            desk = desk.on(replace(desk.cloud.can, keeps_images=True))
        desk.cloud.screens.asked.clear()  # type: ignore[union-attr]
        with desk.store.writing() as tx:
            tx.undo()
            context = Context(
                account=desk.account,
                cloud=desk.cloud,
                tx=tx,
                now=desk.now,
                request_id="r",
                fragments=desk.fragments,
                words=tell,
                content=CONTENT if action == "UploadImage" else None,
            )
            try:
                made: Any = handler.call(context, deepcopy(self.asked(action, given)))
            except Fault as fault:
                made = tell(fault)
            rows = list(_rows(tx))
        if handler.asks is not None and isinstance(made, dict):
            made = handler.asks(desk.cloud, made)
        return _plain(made), rows, list(desk.cloud.screens.asked)  # type: ignore[union-attr]


def _put(made: dict[str, Any], shape: Any, path: list[str], value: Any) -> None:
    name, *rest = path
    member = shape.members[name]
    if not rest:
        made[name] = value
    elif member.type_name == "list":
        _put(made.setdefault(name, [{}])[0], member.member, rest, value)
    else:
        _put(made.setdefault(name, {}), member, rest, value)


def _plain(value: Any) -> Any:
    """Without fragments and what hides itself, so that two answers can be compared."""
    value = getattr(value, "structure", value)
    if isinstance(value, Hidden):
        return value.reveal()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _rows(tx: Any) -> Iterator[tuple[str, list[Any]]]:
    """By table, as they are within the transaction."""
    connection = tx._session._connection
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    for (table,) in tables.fetchall():
        yield table, sorted(map(repr, connection.execute(f"SELECT * FROM {table}")))


def make_world(store: Store) -> World:
    """`helen` with one of everything in every state that matters, and a public image of `paris`."""
    cloud = replace(make_cloud(), key_maker=PlainKeys())
    can = replace(cloud.can, hibernation=True, meters=True, topology=True, metadata=True)
    desk = make_account(store, cloud, HELEN, "helen")
    other = make_account(store, cloud, PARIS, "paris")
    ids = {
        "nobody": "i-00000099",
        "running": desk.running(DisableApiStop=False)[0],
        "other": desk.running(InstanceType="t2.micro")[0],
        "stopping": desk.running()[0],
        "ending": desk.running()[0],
        "stopped": desk.running(InstanceType="m5.2xlarge")[0],
        "monitored": desk.running()[0],
        "image": desk.image(),
        "image2": desk.image(gib=2),
        "upload": desk.image(registered=False),
        "upload2": desk.image(registered=False),
        "disabled": desk.image(),
        "guarded": desk.image(),
        "shared": desk.image(),
        "old": other.image(),
    }
    on = desk.on(can)
    on = with_firmware(on, Firmware())
    ids["uefi"] = started(on)
    (ids["sleeper"],) = on.running(
        ImageId=ids["image"], InstanceType="m5.large", HibernationOptions={"Configured": True}
    )
    for name in ("stopped", "stopping"):
        desk("StopInstances", InstanceIds=[ids[name]])
    desk.halted([ids["stopped"]])
    desk("TerminateInstances", InstanceIds=[ids["ending"]])
    on("MonitorInstances", InstanceIds=[ids["monitored"]])
    desk("DisableImage", ImageId=ids["disabled"])
    desk("EnableImageDeregistrationProtection", ImageId=ids["guarded"], WithCooldown=False)
    desk("EnableImageDeprecation", ImageId=ids["guarded"], DeprecateAt=desk.now.replace(year=2030))
    everybody = {"Add": [{"Group": "all"}, {"UserId": PARIS}]}
    desk("ModifyImageAttribute", ImageId=ids["shared"], LaunchPermission=everybody)
    other("ModifyImageAttribute", ImageId=ids["old"], LaunchPermission={"Add": [{"Group": "all"}]})
    other("EnableImageDeprecation", ImageId=ids["old"], DeprecateAt=desk.now.replace(year=2027))
    with store.writing() as tx:  # as the janitor does once that time has come
        row = tx.images.get(ids["old"])
        assert row is not None
        tx.images.save(replace(row, deprecated=True))
    for name in ("red", "blue"):
        ids[f"key-{name}"] = desk("CreateKeyPair", KeyName=name, KeyType="ed25519")["KeyPairId"]
        for number, key in enumerate(("red", "blue")):
            data = {"LaunchTemplateName": name, "LaunchTemplateData": {"KeyName": key}}
            action = "CreateLaunchTemplateVersion" if number else "CreateLaunchTemplate"
            made = desk(action, **data)
            ids.setdefault(f"lt-{name}", next(iter(made.values()))["LaunchTemplateId"])
    for name in ("running", "other"):
        desk("CreateTags", Resources=[ids[name]], Tags=[{"Key": "Name", "Value": name}])
    running = desk.row(ids["running"])
    nic, disk = running.interfaces[0], running.volumes[0]
    ids |= {
        "nic": nic.id,
        "disk": disk.id,
        "subnet": nic.subnet_id,
        "vpc": nic.vpc_id,
        "group": nic.groups[0][0],
    }
    desk.cloud.consoles.written[ids["running"]] = (b"hello", desk.now)  # type: ignore[attr-defined]
    return World(replace(on, now=desk.now.replace(year=2028)), ids)
