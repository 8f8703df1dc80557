"""A round's look at 1,000 machines of OpenNebula: against fetching and parsing the same bytes.

The stand-in for oned is another process, and answers from what it has rendered before, so the
wall clock shows us rather than it. The floor asks it the same, reads the answers, and gives them to
lxml: twice, since a pool comes as text inside an XML-RPC answer.
"""

import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from lxml import etree

from bench.harness import ROOT, Row, median, process
from econe.domain.accounts import number_of
from econe.domain.engine_ports import Phase
from econe.domain.hidden import Hidden
from econe.domain.ports import Known
from econe.engines.opennebula.engine import OpennebulaEngine
from econe.engines.opennebula.login import Scheme, find_delegation
from econe.engines.opennebula.pool import OVERLAP, PAGE
from econe.engines.opennebula.rpc import Oned, write_call
from econe.engines.simulator.world import utc_now
from econe.settings import Opennebula

MACHINES = 1000
ROUNDS = 15
KEY = bytes(32)


def measure() -> list[Row]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with (
        tempfile.TemporaryDirectory() as folder,
        process(
            sys.executable, "-m", "bench.oned", str(MACHINES), KEY.hex(),
            ready='"url"', env=environment, cwd=ROOT,
        ) as server,
    ):  # fmt: skip
        told = json.loads(server.ready_line)  # type: ignore[attr-defined]
        (look_s, cpu_s), (floor_s, floor_cpu_s) = timed(look(told, Path(folder)), floor(told))
    return [
        Row(f"a look at {MACHINES} machines of OpenNebula: against fetching and parsing them",
            f"{look_s:.3f} s", f"{floor_s:.3f} s", look_s / floor_s, "<= 2"),
        Row("the same in CPU time of ours", f"{cpu_s:.3f} s", f"{floor_cpu_s:.3f} s",
            cpu_s / floor_cpu_s, "<= 2.5"),
        Row("seconds of our CPU time for it", f"{cpu_s:.3f} s", "", cpu_s, "<= 0.4"),
    ]  # fmt: skip


def look(told: dict[str, str], folder: Path) -> Callable[[], None]:
    credentials = folder / "ec2_auth"
    credentials.write_text(told["serveradmin"])
    credentials.chmod(0o600)
    account = number_of(told["uid"])
    known = {str(n): Known(f"i-{n + 1:08x}", account) for n in range(MACHINES)}
    engine = OpennebulaEngine(
        folder,
        Opennebula(endpoint=told["url"], credentials=credentials),
        register=lambda: dict(known),
        mark_key=Hidden(KEY),
        clock=utc_now,
    )

    def once() -> None:
        seen = engine.machines.look()
        assert len(seen) == MACHINES
        assert all(each.phase is Phase.RUNNING and each.nics for each in seen.values())

    return once


def floor(told: dict[str, str]) -> Callable[[], None]:
    """The same calls, without anything that tells one machine from another."""
    oned = Oned(told["url"], timeout_s=15)
    name, _, secret = told["serveradmin"].partition(":")
    delegation, _ = find_delegation(oned, name, Hidden(secret), time.time())
    assert delegation.scheme is Scheme.SHA256_KEY_IV
    own = delegation.session_for(name, time.time())
    bodies = [
        write_call(own, "one.vmpool.infoextended", (-2, offset, -PAGE, -1))
        for offset in (0, PAGE - OVERLAP)
    ]
    where = urlsplit(told["url"])

    def once() -> None:
        found = set()
        connection = http.client.HTTPConnection(where.hostname or "", where.port or 80)
        for body in bodies:
            connection.request("POST", where.path, body, {"Content-Type": "text/xml"})
            answer = etree.fromstring(connection.getresponse().read(), parser())
            pool = answer.findtext("params/param/value/array/data/value/string") or ""
            found |= {vm.findtext("ID") for vm in etree.fromstring(pool.encode(), parser())}
        connection.close()
        assert len(found) == MACHINES

    return once


def parser() -> etree.XMLParser:
    return etree.XMLParser(huge_tree=True)


def timed(*measured: Callable[[], None]) -> list[tuple[float, float]]:
    """Median seconds of each, and of CPU time; in turns, so that what else goes on here is the same
    for all."""
    walls: list[list[float]] = [[] for _ in measured]
    cpus: list[list[float]] = [[] for _ in measured]
    for turn in range(ROUNDS + 1):
        for number, once in enumerate(measured):
            wall, cpu = time.monotonic(), time.process_time()
            once()
            if turn:
                walls[number].append(time.monotonic() - wall)
                cpus[number].append(time.process_time() - cpu)
    return [(median(wall), median(cpu)) for wall, cpu in zip(walls, cpus, strict=True)]
