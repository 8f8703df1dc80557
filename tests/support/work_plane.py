"""A server that is only the work plane, on real QEMU in user-mode networks, for tests to kill.

`python -m tests.support.work_plane DIRECTORY`: over the store and the content of a Site there. It
writes a line just before it begins to work, and works until it is killed.
"""

import sys
import threading
from pathlib import Path

from tests.contract.engines import ClosedDoor
from tests.support.site import FakeVault

from econe.domain.sizes import CATALOGUE
from econe.engines.qemu import network_check
from econe.engines.qemu.engine import QemuEngine
from econe.engines.simulator.world import utc_now
from econe.reconcile.loop import Loop
from econe.settings import Qemu, Work
from econe.store import open_store


def main(directory: Path) -> None:
    state = directory / "state"
    vault = FakeVault(directory / "blobs")
    choice = network_check.choose("user")
    networks = network_check.build(choice, state, "ec2.internal", ClosedDoor())
    engine = QemuEngine(state, Qemu(), vault, networks)
    loop = Loop(
        store=open_store(state),
        engine=engine,
        vault=vault,
        sizes=CATALOGUE,
        work=Work(watch_every_s=0.1, retry_first_s=0.1, terminate_grace_s=2.0),
        clock=utc_now,
    )
    print("working", flush=True)  # noqa: T201 - the parent waits for it
    engine.open(loop.poke)
    loop.start()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
