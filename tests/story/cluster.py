"""An OpenNebula as its administrator and its users have it: calls as one of them.

The stand-in (tests/support/oned) as a process of its own, or in the test's process where the test
stops it and looks into it. Or a real one, for the guide's story alone (test_hello_cloud.py):

    ECONE_TEST_ONED=http://127.0.0.1:2633/RPC2
    ECONE_TEST_ONED_CREDENTIALS=serveradmin:secret
    ECONE_TEST_ONED_USER=helen                      who may make images and machines
    ECONE_TEST_ONED_PASSWORD=…
    ECONE_TEST_ONED_UPLOADS=/dir                    among SAFE_DIRS of datastore 1
"""

import json
import os
import shutil
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.oned import Oned, Pace, prepared_world
from tests.support.oned.prepared import BOB, HELEN, ONEADMIN, SECRET

ROOT = Path(__file__).parents[2]


@dataclass
class Cluster:
    url: str
    upload_dir: Path
    service: str
    """`serveradmin:secret`, as the service account's file has it."""
    passwords: dict[str, str]
    oned: Oned | None = None
    """The stand-in itself, where it runs in this process."""
    _uids: dict[str, int] = field(default_factory=dict)

    def call(self, who: str, method: str, *args: Any) -> Any:
        """What oned answers this user; it must succeed."""
        with xmlrpc.client.ServerProxy(self.url) as oned:
            ok, value, *_ = getattr(oned, method)(f"{who}:{self.passwords[who]}", *args)
        assert ok, f"{method}{args} as {who}: {value}"
        return value

    def as_admin(self, method: str, *args: Any) -> Any:
        return self.call("oneadmin", method, *args)

    def uid(self, name: str) -> int:
        if not self._uids:
            from lxml import etree

            pool = etree.fromstring(self.as_admin("one.userpool.info").encode())
            self._uids = {
                user.findtext("NAME"): int(user.findtext("ID"))
                for user in pool.iterchildren("USER")
            }
        return self._uids[name]

    @property
    def running(self) -> Oned:
        assert self.oned is not None
        return self.oned


@contextmanager
def stand_in(upload_dir: Path, *, stage_s: float = 0.02) -> Iterator[Cluster]:
    """In this process: it can be stopped, and looked into."""
    prepared = prepared_world(upload_dir=str(upload_dir), pace=Pace.even(stage_s))
    with Oned(prepared.world) as oned:
        yield Cluster(
            url=oned.url,
            upload_dir=upload_dir,
            service=f"serveradmin:{SECRET}",
            passwords={"oneadmin": ONEADMIN, "helen": HELEN, "bob": BOB},
            oned=oned,
        )


@contextmanager
def real_or_stand_in(upload_dir: Path) -> Iterator[Cluster]:
    """Either is a process of its own."""
    url = os.environ.get("ECONE_TEST_ONED")
    if not url:
        with stand_in_process(upload_dir) as cluster:
            yield cluster
        return
    said = {
        name: os.environ[f"ECONE_TEST_ONED_{name}"]
        for name in ("CREDENTIALS", "USER", "PASSWORD", "UPLOADS")
    }
    upload_dir = Path(said["UPLOADS"]) / f"econe-story-{os.getpid()}"
    try:
        yield Cluster(
            url=url,
            upload_dir=upload_dir,
            service=said["CREDENTIALS"],
            passwords={said["USER"]: said["PASSWORD"]},
        )
    finally:
        shutil.rmtree(upload_dir, ignore_errors=True)


@contextmanager
def stand_in_process(upload_dir: Path) -> Iterator[Cluster]:
    words = ["-m", "tests.support.oned", "--until-eof", "--upload-dir", str(upload_dir)]
    with subprocess.Popen(
        [sys.executable, *words, "--stage-s", "0.05"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            told: Mapping[str, Any] = json.loads(process.stdout.readline())
            admin = told["oneadmin"].partition(":")[2]
            yield Cluster(
                url=told["url"],
                upload_dir=upload_dir,
                service=told["serveradmin"],
                passwords={"oneadmin": admin, **told["users"]},
            )
        finally:
            process.kill()
