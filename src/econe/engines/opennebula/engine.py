"""ports.Engine over an OpenNebula front-end, and its life: a thread that asks for a look now and
then, since oned tells nobody what others do."""

import hmac
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from econe.domain.engine_ports import Capabilities, Register
from econe.domain.hidden import Hidden
from econe.domain.ports import Clock, Poke
from econe.engines.opennebula.checks import OpennebulaChecks
from econe.engines.opennebula.consoles import VncConsoles
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.disks import NoDisks
from econe.engines.opennebula.estate import OpennebulaEstate
from econe.engines.opennebula.images import OnedImages
from econe.engines.opennebula.launcher import Launcher
from econe.engines.opennebula.leavings import Leaving, read_leavings
from econe.engines.opennebula.machines import OpennebulaMachines
from econe.engines.opennebula.marks import Marks
from econe.engines.opennebula.networks import OpennebulaNetworks
from econe.engines.opennebula.pool import Pool
from econe.engines.opennebula.rpc import Oned
from econe.engines.opennebula.staging import Staging
from econe.engines.opennebula.upload_way import way_of
from econe.settings import Opennebula

CAN: Final = Capabilities(
    name="opennebula",
    network="opennebula",
    shared=True,
    gives_addresses=True,
    keeps_images=True,
    keeps_disks=False,
    metadata=False,
    console="vnc",
    reasons={
        "serial": "OpenNebula keeps no serial output; the console tells where VNC is",
        "uefi": "which firmware its hosts have only its operator knows (opennebula.uefi_firmware)",
        "metadata": "a context disk tells guests (cloud-init's OpenNebula source, one-context)",
    },
)


def abilities(settings: Opennebula) -> Capabilities:
    """CAN, and what the operator has told."""
    if not settings.uefi_firmware:
        return CAN
    reasons = {name: why for name, why in CAN.reasons.items() if name != "uefi"}
    return replace(CAN, uefi=True, reasons=reasons)


class OpennebulaEngine:
    """`state` is the state directory, where the mark of our oned is kept; `mark_key` proves our
    marks in it. Raises ValueError for an endpoint that is no URL."""

    def __init__(
        self,
        state: Path,
        settings: Opennebula,
        *,
        register: Register,
        mark_key: Hidden[bytes],
        clock: Clock,
    ) -> None:
        self.can = abilities(settings)
        self._settings = settings
        self._oned = Oned(settings.endpoint, timeout_s=settings.timeout_s)
        marks = Marks(mark_key)
        self._directory = directory = Directory(self._oned, settings, state, clock)
        self._pool = pool = Pool(self._oned, directory)
        launcher = Launcher(self._oned, directory, marks, settings)
        self.consoles = VncConsoles()
        self.machines = OpennebulaMachines(
            self._oned,
            directory,
            pool,
            launcher=launcher,
            register=register,
            marks=marks,
            consoles=self.consoles,
            clock=clock,
        )
        self.checks = OpennebulaChecks(self.machines, pool)
        self.disks = NoDisks()
        self.networks = OpennebulaNetworks()
        self.meters = None
        self.screens = None
        self.firmware = None
        way = way_of(settings, state)
        staging = Staging(way, Hidden(hmac.digest(mark_key.reveal(), b"staged files", "sha256")))
        self.images = OnedImages(self._oned, directory, marks, staging, settings)
        self.staged = staging if way.by_url else None
        self.estate = OpennebulaEstate(self._oned, directory, settings, self.machines.strangers)
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    def leavings(self) -> list[Leaving]:
        """What an older econe left. For econe-admin: it reads every image and machine."""
        return read_leavings(self._oned, self._directory, self._pool)

    def open(self, changed: Poke) -> None:
        self._closed.clear()
        self._watch = threading.Thread(
            target=self._poke_on, args=(changed,), name="opennebula-watch", daemon=True
        )
        self._watch.start()

    def _poke_on(self, changed: Poke) -> None:
        while not self._closed.wait(self._settings.look_every_s):
            changed()

    def tidy(self) -> None:
        self.machines.tidy()

    def close(self) -> None:
        self._closed.set()
        if self._watch is not None:
            self._watch.join()
            self._watch = None
        self._oned.close()
