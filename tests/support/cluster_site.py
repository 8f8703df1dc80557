"""A site over a simulated cluster: users, networks, types, images and machines of its own."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.site import IMAGE, Site

from econe.domain.accounts import Account
from econe.domain.engine_ports import (
    OfferedNetwork,
    Person,
    Phase,
    Seen,
    SeenNic,
    Stranger,
)
from econe.domain.gallery import Gallery, Registration
from econe.domain.hidden import Hidden
from econe.domain.image_ports import SeenImage
from econe.domain.images import Content, DiskFormat, Image, ImageState
from econe.domain.instances import InstanceState
from econe.domain.launch import LaunchOrder
from econe.domain.ports import Known
from econe.domain.queries import Query
from econe.engines.simulator.shared import SharedSimulator
from econe.engines.simulator.world import World
from econe.reconcile.census import Census
from econe.reconcile.pictures import Pictures
from econe.settings import Opennebula

ADA, BOB = "100000000002", "100000000003"
"""The accounts of users 2 and 3."""
MAIN = OfferedNetwork("0", "main", "10.99.0.0/24", is_default=True)
EXTRA = OfferedNetwork("1", "extra", "10.98.0.0/24", is_default=False)


def person(ref: str, name: str, **more: Any) -> Person:
    return Person(
        **{"ref": ref, "name": name, "secret": Hidden(f"hash of {name}"), "enabled": True} | more
    )


class ClusterSite(Site):
    """Users ada (2) and bob (3), network `main` (0), and the site's own helen, who is no user."""

    estate = Opennebula()

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.estate = replace(self.estate, **settings)
        super().__init__(directory)
        self.fleet = replace(self.fleet, can=SharedSimulator.can)
        with self.store.writing() as tx:
            tx.next_ids("ami")  # the site's own image has the first
        cluster = self.world.cluster
        cluster.put_person(person("2", "ada"))
        cluster.put_person(person("3", "bob"))
        cluster.networks.append(MAIN)

    def simulator(self, world: World) -> SharedSimulator:  # type: ignore[override]
        return SharedSimulator(world, register=self._known)

    def parts(self, engine: Any) -> dict[str, Any]:
        self.census = Census(
            store=self.store, engine=engine, settings=self.estate, zone="us-east-1a"
        )
        self.pictures = Pictures(
            store=self.store,
            images=engine.images,
            vault=self.vault,
            work=self.work,
            look_every_s=self.estate.users_every_s,
        )
        return {"census": self.census, "pictures": self.pictures}

    def _known(self) -> Mapping[str, Known]:
        with self.store.reading() as tx:
            return tx.instances.known()

    # --- what can be seen ----------------------------------------------------------------

    def take(self) -> None:
        self.census.take(self.clock())

    def account(self, number: str) -> Account:
        with self.store.reading() as tx:
            account = tx.accounts.get(number)
        assert account is not None
        return account

    def stranger(self, ref: str, phase: Phase = Phase.RUNNING, **more: Any) -> None:
        """Somebody made a machine by other means."""
        seen = more.pop("seen", {})
        nic = SeenNic(f"02:00:0a:63:00:{int(ref):02x}", f"10.99.0.{int(ref)}", "0")
        self.world.cluster.put_stranger(
            Stranger(
                **{
                    "ref": ref,
                    "account": ADA,
                    "name": f"vm {ref}",
                    "seen": Seen(**{"phase": phase, "ref": ref, "nics": (nic,)} | seen),
                    "instance_type": "one.1x128",
                    "vcpus": 1,
                    "memory_mib": 128,
                    "launched_at": self.clock(),
                }
                | more
            )
        )

    # --- what users do -------------------------------------------------------------------

    def running_of(self, account: str, count: int = 1) -> list[str]:
        ids = self.launch_of(account, count)
        self.settle()
        assert [self.state(id_) for id_ in ids] == [InstanceState.RUNNING] * count
        return ids

    def launch_of(self, account: str, count: int = 1, image: str = IMAGE) -> list[str]:
        order = LaunchOrder(image=image, at_least=count, at_most=count)
        with self.store.writing() as tx:
            row = tx.images.get(IMAGE)
            assert row is not None
            if not row.public:
                tx.images.save(replace(row, public=True))
            return [row.id for row in self.fleet.launch(tx, account, order, self.clock())]

    def start_of(self, account: str, *ids: str) -> None:
        with self.store.writing() as tx:
            self.fleet.start(tx, account, ids, self.clock())

    def terminate_of(self, account: str, *ids: str) -> None:
        with self.store.writing() as tx:
            self.fleet.terminate(tx, account, ids, self.clock())

    # --- images --------------------------------------------------------------------------

    def upload(self, name: str = "disk", account: str = ADA, *, registered: bool = True) -> str:
        """An upload that was proven, as UploadImage and RegisterImage write it down."""
        location = hashlib.md5(name.encode()).hexdigest()
        self.vault.path(location, DiskFormat.RAW).write_bytes(b"disk")
        content = Content(location, DiskFormat.RAW, 4, 1 << 20)
        gallery = Gallery(SharedSimulator.can)
        with self.store.writing() as tx:
            image = gallery.keep(tx, account, content, self.clock(), name=name)
            if registered:
                gallery.register(tx, account, Registration(image.id))
        return image.id

    def deregister(self, image_id: str) -> None:
        gallery = Gallery(SharedSimulator.can)
        with self.store.writing() as tx:
            row = tx.images.get(image_id)
            assert row is not None
            gallery.deregister(tx, row.account, image_id, self.clock())

    def image_row(self, image_id: str) -> Image:
        with self.store.reading() as tx:
            row = tx.images.get(image_id)
        assert row is not None
        return row

    def images(self) -> dict[str, ImageState]:
        """Without the site's own."""
        with self.store.reading() as tx:
            rows = tx.images.find(Query()).items
        return {row.id: row.state for row in rows if row.id != IMAGE}

    def kept(self, ref: str, **changes: Any) -> None:
        """An image that others made and marked."""
        fields = {
            "ref": ref,
            "id": "",
            "account": ADA,
            "name": f"image {ref}",
            "state": ImageState.AVAILABLE,
            "registered": True,
            "public": False,
            "shares": (),
            "size_bytes": 1 << 21,
            "location": f"store/{ref}",
            "content_format": DiskFormat.QCOW2,
            "created_at": self.clock(),
        }
        self.world.cluster.put_image(SeenImage(**(fields | changes)))
