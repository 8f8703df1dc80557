"""The model: everything that oned keeps, and the hands that tests lay on it from outside."""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from tests.support.oned.clock import Agenda, Clock, ManualClock, Pace, RealClock
from tests.support.oned.copying import Copies, RealFiles, Sources
from tests.support.oned.drivers import Drivers, failing, taking
from tests.support.oned.filling import fill
from tests.support.oned.image_life import ImageLife
from tests.support.oned.images import Image, ImageState
from tests.support.oned.life import Life
from tests.support.oned.machine import Action, Lcm, Machine, State
from tests.support.oned.networks import AddressRange, Network
from tests.support.oned.objects import (
    Datastore,
    Document,
    Group,
    MachineTemplate,
    Owned,
    SecurityGroup,
    User,
    password_hash,
)
from tests.support.oned.rights import Caller, Op, Rights, Rule, for_group
from tests.support.oned.sessions import Sessions
from tests.support.oned.templates import Template


class _Editing(Mapping[int, Machine]):
    def __init__(self, world: "World") -> None:
        self._world = world

    def __getitem__(self, number: int) -> Machine:
        return self._world.edit(number)

    def __iter__(self) -> Iterator[int]:
        return iter(self._world.machines)

    def __len__(self) -> int:
        return len(self._world.machines)


_DEFAULT_GROUP = (
    "The default security group is added to every network. Use it to add default filter rules for"
    " your networks. You may remove this security group from any network by updating its"
    " properties."
)


@dataclass
class Host:
    name: str = "dummy0"
    cpu_percent: int = 800
    memory_kib: int = 16_777_216


class World:
    """All pools, by id. Tests may read them freely and change them through the methods below;
    machines that a test changes itself must come from `edit`, so that lists show it."""

    def __init__(
        self,
        *,
        version: str = "7.0.2",
        oneadmin: str = "oneadminpw",
        serveradmin: str = "serveradmin-secret",
        clock: Clock | None = None,
        pace: Pace | None = None,
        sources: Sources | None = None,
    ) -> None:
        self.version = version
        self.lock = threading.RLock()
        self.clock = clock or RealClock()
        self.pace = pace or Pace()
        self.agenda = Agenda(self.clock)
        self.drivers = Drivers()
        self.copies = Copies(self, sources or RealFiles())
        self.users: dict[int, User] = {}
        self.groups: dict[int, Group] = {}
        self.datastores: dict[int, Datastore] = {}
        self.networks: dict[int, Network] = {}
        self.images: dict[int, Image] = {}
        self.templates: dict[int, MachineTemplate] = {}
        self.machines: dict[int, Machine] = {}
        self.security_groups: dict[int, SecurityGroup] = {}
        self.documents: dict[int, Document] = {}
        self.rights = Rights()
        self.sessions = Sessions(self)
        self.host = Host()
        self.life = Life(self)
        self.new_token: Callable[[], str] = lambda: secrets.token_hex(32)
        self.image_life = ImageLife(self)
        self._serials: dict[str, int] = {}
        self._requests = 0
        self._bootstrap(oneadmin, serveradmin)

    def _bootstrap(self, oneadmin: str, serveradmin: str) -> None:
        for name in ("oneadmin", "users"):
            self.add_group(name)
        self.add_user("oneadmin", oneadmin, group=0)
        self.add_user("serveradmin", serveradmin, group=0, driver="server_cipher")
        self.add_datastore("system", type=1, ds_mad="-", total_mb=4_796_800, free_mb=3_333_260)
        self.add_datastore("default")
        self.add_datastore("files", type=2)
        text = f'DESCRIPTION="{_DEFAULT_GROUP}"\nRULE=[PROTOCOL="ALL",RULE_TYPE="OUTBOUND"]\n'
        text += 'RULE=[PROTOCOL="ALL",RULE_TYPE="INBOUND"]'
        self.security_groups[self.serial("secgroup")] = SecurityGroup(
            id=0, name="default", rights=[1, 1, 1, 1, 0, 0, 1, 0, 0], template=Template.parse(text)
        )
        self._serials["secgroup"] = self._serials["group"] = self._serials["datastore"] = 100

    # What both the methods of the API and tests use.

    def serial(self, pool: str) -> int:
        number = self._serials.get(pool, 0)
        self._serials[pool] = number + 1
        return number

    def next_serial(self, pool: str) -> int:
        """What `serial` will give next."""
        return self._serials.get(pool, 0)

    def next_request(self) -> int:
        self._requests = (self._requests + 16) % 10_000
        return self._requests

    @property
    def now(self) -> int:
        return int(self.clock.now())

    def user_named(self, name: str) -> User | None:
        return next((user for user in self.users.values() if user.name == name), None)

    def edit(self, machine_id: int) -> Machine:
        """The machine, of which nothing rendered is kept any more."""
        machine = self.machines[machine_id]
        machine.kept.clear()
        return machine

    def edit_all(self) -> Mapping[int, Machine]:
        """For methods that find the machine themselves."""
        return _Editing(self)

    def owned_by(self, caller: Caller, pool: str) -> dict[str, Any]:
        """The first fields of an object that the caller makes."""
        return {
            "id": self.serial(pool),
            "uid": caller.uid,
            "gid": caller.gid,
            "uname": caller.name,
            "gname": self.groups[caller.gid].name if caller.gid in self.groups else "",
        }

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Around every call: what is due has happened, and nothing else happens meanwhile."""
        with self.lock:
            self.agenda.run_due()
            yield

    # What a test prepares.

    def add_group(self, name: str, *, may_create: bool = False) -> Group:
        """As oned's own: it joins the default VDC, which lets it use networks and datastores. To
        create anything it needs a rule that the operator adds (30, 31)."""
        group = Group(id=self.serial("group"), name=name)
        self.groups[group.id] = group
        if group.id >= 100:
            self.rights.add(for_group(group.id, "NET+DATASTORE", Op.USE))
        if may_create:
            self.rights.add(for_group(group.id, "VM+IMAGE+TEMPLATE+DOCUMENT+SECGROUP", Op.CREATE))
        return group

    def add_user(self, name: str, password: str, *, group: int = 1, driver: str = "core") -> User:
        user = User(
            id=self.serial("user"),
            gid=group,
            gname=self.groups[group].name,
            name=name,
            password=password_hash(password, self.version),
            driver=driver,
            groups=[group],
        )
        # For OneGate; a replacing update of the user's template loses it (383).
        user.template.set("TOKEN_PASSWORD", secrets.token_hex(32))
        self.users[user.id] = user
        self.groups[group].users.append(user.id)
        return user

    def add_datastore(
        self,
        name: str,
        *,
        type: int = 0,  # noqa: A002 - oned's word
        ds_mad: str = "fs",
        tm_mad: str = "dummy",
        free_mb: int = 81_920,
        total_mb: int = 102_400,
        safe_dirs: str = "/var/tmp",
        restricted_dirs: str = "/",
    ) -> Datastore:
        template = Template()
        for key, value in (("SAFE_DIRS", safe_dirs), ("RESTRICTED_DIRS", restricted_dirs)):
            if value:
                template.set(key, value)
        kind = ("IMAGE_DS", "SYSTEM_DS", "FILE_DS")[type]
        common = {"ALLOW_ORPHANS": "NO", "PERSISTENT_SNAPSHOTS": "YES", "TM_MAD": tm_mad}
        ours = {"SHARED": "YES", "DS_MIGRATE": "YES"}
        if type != 1:
            ours = {"DS_MAD": ds_mad, "CLONE_TARGET": "SYSTEM", "LN_TARGET": "NONE"}
        for key, value in {"TYPE": kind, **common, **ours, "DISK_TYPE": "FILE"}.items():
            template.set(key, value)
        datastore = Datastore(
            id=self.serial("datastore"),
            name=name,
            type=type,
            ds_mad=ds_mad,
            tm_mad=tm_mad,
            free_mb=free_mb,
            total_mb=total_mb,
            rights=[1, 1, 0, 1, 0, 0, 1, 0, 0],
            template=template,
        )
        self.datastores[datastore.id] = datastore
        return datastore

    def add_image(
        self,
        name: str,
        owner: User,
        *,
        size_mb: int = 8,
        datastore: int = 1,
        state: ImageState = ImageState.READY,
        attributes: str = "",
        **given: Any,
    ) -> Image:
        """One that is there already, without any copying; `attributes` as in a template."""
        template = Template.parse(attributes) if attributes else Template()
        template.set("DEV_PREFIX", "sd")
        common: dict[str, Any] = {
            "source": f"/var/lib/one//datastores/{datastore}/{self.next_serial('image'):032x}",
            "format": "raw",
            "registered": self.now,
        }
        image = Image(
            id=self.serial("image"),
            uid=owner.id,
            gid=owner.gid,
            uname=owner.name,
            gname=owner.gname,
            name=name,
            size_mb=size_mb,
            datastore_id=datastore,
            datastore=self.datastores[datastore].name,
            state=state,
            previous=state,
            template=template,
            **common | given,
        )
        self.image_life.add(image)
        return image

    def add_network(
        self,
        name: str,
        first: str,
        size: int,
        *,
        gateway: str = "",
        dns: str = "",
        mask: str = "255.255.255.0",
    ) -> Network:
        """A network with one range of addresses, which everyone may use."""
        template = Template()
        given = {"BRIDGE": "br0", "BRIDGE_TYPE": "linux", "VN_MAD": "dummy", "NETWORK_MASK": mask}
        empty = {"OUTER_VLAN_ID": "", "PHYDEV": "", "VLAN_ID": "", "SECURITY_GROUPS": "0"}
        for key, value in {**given, **empty, "GATEWAY": gateway, "DNS": dns}.items():
            if value or key in empty:
                template.set(key, value)
        network = Network(
            id=self.serial("network"),
            name=name,
            rights=[1, 1, 0, 1, 0, 0, 1, 0, 0],
            template=template,
            ranges=[AddressRange(0, IPv4Address(first), size)],
        )
        self.networks[network.id] = network
        return network

    def add_template(
        self, name: str, text: str, *, owner: User | None = None, public: bool = True
    ) -> MachineTemplate:
        owner = owner or self.users[0]
        template = MachineTemplate(
            id=self.serial("template"),
            uid=owner.id,
            gid=owner.gid,
            uname=owner.name,
            gname=owner.gname,
            name=name,
            registered=self.now,
            template=Template.parse(text),
            rights=[1, 1, 0, 0, 0, 0, int(public), 0, 0],
        )
        self.templates[template.id] = template
        return template

    def fill(self, count: int, *, owner: User | None = None, text: str = "") -> list[Machine]:
        """`count` machines RUNNING, past the scheduler. Without `text` they have a NIC in network
        0, so its range must be large enough, and a disk of image 0 where there is one."""
        if not text:
            disk = 'DISK=[IMAGE_ID="0"]\n' if 0 in self.images else ""
            text = f'CPU="0.1"\nVCPU="1"\nMEMORY="128"\n{disk}NIC=[NETWORK_ID="0"]\n'
        with self.looking():
            return fill(self, count, owner or self.users[0], text)

    def add_rule(self, user: int, resource: int, rights: int) -> int:
        return self.rights.add(Rule(user, resource, rights))

    # Time.

    def pass_s(self, seconds: float) -> None:
        """Only with a ManualClock."""
        assert isinstance(self.clock, ManualClock)
        with self.lock:
            until = self.clock.time + seconds
            while (due := self.agenda.next_due()) is not None and due <= until:
                self.clock.time = max(self.clock.time, due)
                self.agenda.run_due()
            self.clock.time = until

    def settle(self) -> None:
        """Let everything that is under way come to its end, however long it would take."""
        for _ in range(1000):
            with self.lock:
                self.agenda.run_all()
            if not self.copies.wait():
                return
        raise AssertionError("copies do not end")

    def step(self) -> bool:
        """Let the next thing happen; False when there is none."""
        with self.lock:
            return self.agenda.run_next()

    # What happens to machines from outside. The states are those of the LCM's sources at 7.0.2.

    def vm(self, machine_id: int) -> Machine:
        """As it is now. To be read; `edit` is for changes."""
        with self.looking():
            return self.machines[machine_id]

    def vms(self, *, done: bool = False) -> list[Machine]:
        with self.looking():
            every = [self.machines[number] for number in sorted(self.machines)]
            return [machine for machine in every if done or machine.state != State.DONE]

    def guest_powers_off(self, machine: Machine) -> None:
        """The guest switches itself off and the monitor sees it: POWEROFF, HISTORY/ACTION 44.

        A real oned is blind to it for 30 s after a change of state (test_and_trigger)."""
        with self.looking():
            self.life.seen_off(machine.id)

    def guest_ignores_acpi(self, machine: Machine) -> None:
        """Shutdowns wait for SHUTDOWN_TIMEOUT and then fail: the machine stays RUNNING."""
        with self.looking():
            self.edit(machine.id).ignores_acpi = True

    def killed_outside(self, machine: Machine) -> None:
        """Its domain is gone from the hypervisor. After three looks the KVM probe reports POWEROFF
        (probe_db.rb: missing_state), so it looks like a guest that switched itself off."""
        self.guest_powers_off(machine)

    def host_lost(self) -> None:
        """The host is in ERROR: every machine that runs there becomes UNKNOWN."""
        with self.looking():
            for machine in list(self.machines.values()):
                if machine.is_in(Lcm.RUNNING):
                    self.life.seen_gone(machine.id)

    def host_back(self) -> None:
        with self.looking():
            for machine in list(self.machines.values()):
                self.life.seen_running(machine.id)

    def next_deploy_fails(self, text: str = "Error deploying virtual machine") -> None:
        self.drivers.order("deploy", failing(text))

    def next_boot_takes(self, seconds: float) -> None:
        self.drivers.order("deploy", taking(seconds))

    def next_shutdown_fails(self) -> None:
        """OK is answered, then the machine is RUNNING again without a word (facts, 4)."""
        self.drivers.order("shutdown", failing())

    def next_copy_fails(self, text: str = "Error copying image") -> None:
        self.drivers.order("image_copy", failing(text))

    def next_copy_takes(self, seconds: float) -> None:
        self.drivers.order("image_copy", taking(seconds))

    def stall_scheduler(self) -> None:
        """Machines stay PENDING, without a SCHED_MESSAGE."""
        with self.looking():
            self.life.stalled = True

    def resume_scheduler(self) -> None:
        with self.looking():
            self.life.stalled = False
            self.life.place_all()

    def set_capacity(self, *, cpu_percent: int, memory_kib: int) -> None:
        with self.looking():
            self.host.cpu_percent = cpu_percent
            self.host.memory_kib = memory_kib
            self.life.place_all()


__all__ = ["Action", "ImageState", "Lcm", "Owned", "State", "World"]
