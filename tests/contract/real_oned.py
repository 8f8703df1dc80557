"""The stand of the OpenNebula engine over a real oned, where there is one for tests:

    ECONE_TEST_ONED=http://127.0.0.1:2633/RPC2
    ECONE_TEST_ONED_CREDENTIALS=serveradmin:secret     driver server_cipher, group oneadmin
    ECONE_TEST_ONED_USER=helen                         may make machines; driver core
    ECONE_TEST_ONED_IMAGE=0                            that this user may use,
    ECONE_TEST_ONED_TEMPLATE=0                         as well as this template (a type)
    ECONE_TEST_ONED_NETWORK=0                          and this network; ids
    ECONE_TEST_ONED_MONITOR=127.0.0.1:4124             its monitord; else nothing is killed
    pytest -m e2e -k real-oned tests/contract

Its drivers may be dummies, which have no guests: what needs one that does as it likes is skipped,
and a machine is killed by telling monitord, in its host's name, that it is off.
Machines that are not of this run's are left alone. It takes minutes: oned's scheduler looks
every few seconds.
"""

import base64
import os
import secrets
import socket
import time
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.guests import Guest
from tests.support.machines import machine

from econe.domain.accounts import number_of
from econe.domain.engine_ports import Engine, EngineBusy, MachineSpec, Phase
from econe.domain.hidden import Hidden
from econe.engines.opennebula.directory import Directory
from econe.engines.opennebula.engine import OpennebulaEngine
from econe.engines.opennebula.rpc import Oned
from econe.engines.simulator.world import utc_now
from econe.settings import Opennebula

URL = "ECONE_TEST_ONED"
MARKS = [
    pytest.mark.e2e,
    pytest.mark.skipif(URL not in os.environ, reason=f"{URL} names no oned"),
]


def told(name: str, otherwise: str = "") -> str:
    return os.environ.get(f"{URL}_{name}", otherwise)


class RealOnedStand:
    patience_s = 90.0
    speaks = False
    death = Phase.HALTED

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.state.mkdir()
        credentials = directory / "ec2_auth"
        credentials.write_text(told("CREDENTIALS") + "\n")
        credentials.chmod(0o600)
        self.settings = Opennebula(
            endpoint=os.environ[URL],
            credentials=credentials,
            look_every_s=0.5,
            upload_path=directory / "uploads",
        )
        self._key = Hidden(secrets.token_bytes(32))
        self._account = number_of(self._uid())
        self._engine: OpennebulaEngine | None = None
        self._pokes = 0

    def _uid(self) -> str:
        """oned has a mark of each state directory that ever spoke to it: a few bytes a test."""
        oned = Oned(self.settings.endpoint, timeout_s=self.settings.timeout_s)
        directory = Directory(oned, self.settings, self.state, utc_now)
        named = {user.name: uid for uid, user in directory.people().items()}
        return named[told("USER", "helen")]

    def open(self) -> Engine:
        if self._engine is not None:
            self._engine.close()
        self._engine = OpennebulaEngine(
            self.state, self.settings, register=dict, mark_key=self._key, clock=utc_now
        )
        self._engine.open(self._poked)
        return self._engine

    def spec(self, number: int = 1, guest: Guest = Guest.OBEDIENT) -> MachineSpec:
        if guest is not Guest.OBEDIENT:
            pytest.skip("it may have no guests that do as they like")
        spec = machine(number)
        network = replace(spec.nics[0].network, engine_ref=told("NETWORK", "0"), is_default=False)
        return replace(
            spec,
            account=self._account,
            image_id="ami-00000001",
            image_ref=told("IMAGE", "0"),
            template_ref=told("TEMPLATE", "0"),
            nics=(replace(spec.nics[0], network=network),),
        )

    def kill(self, instance_id: str) -> None:
        """What the monitor says within 30 s of a change of state is ignored by oned
        (InformationManager.cc, test_and_trigger)."""
        if not told("MONITOR"):
            pytest.skip("nobody is there to kill it")
        time.sleep(32)
        engine = self._engine
        assert engine is not None
        vm = engine.machines._one(instance_id)
        assert vm is not None
        state = (
            f'VM=[ID="{vm.ref}",DEPLOY_ID="{vm.element.findtext("DEPLOY_ID")}",STATE="POWEROFF"]'
        )
        packed = base64.b64encode(zlib.compress(state.encode())).decode()
        message = f"STATE_VM SUCCESS {vm.last('HID')} {int(time.time())} {packed}"
        host, _, port = told("MONITOR").partition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.sendto(message.encode(), (host, int(port)))

    def pokes(self) -> int:
        return self._pokes

    def end(self) -> None:
        engine = self.open()
        until = time.monotonic() + self.patience_s
        while (left := engine.machines.look()) and time.monotonic() < until:
            for instance_id in left:
                with suppress(EngineBusy):
                    engine.machines.destroy(instance_id)
            time.sleep(0.5)
        engine.close()

    def _poked(self) -> None:
        self._pokes += 1
