"""Taking a cloud down: every guest stopped as StopInstances does, every network removed.

What a server leaves running on purpose when it ends, this ends on purpose. Rows and disks stay: the
next server shows the instances as `stopped`, and StartInstances goes on with them.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from econe.app import App, build, utc_now
from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused
from econe.domain.instances import Instance, InstanceState
from econe.domain.ports import StoreUnusable
from econe.logs import log_to
from econe.settings import Settings
from econe.statedir import CannotStart, StateLock

log: Final = logging.getLogger("econe.takedown")

BEYOND_GRACE_S: Final = 30.0
"""How long after the guests' grace everything must be down."""
PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class TakenDown:
    """What was done: instances stopped, terminations finished, VPCs whose network was removed."""

    stopped: Sequence[str]
    networks: Sequence[str]


def take_down(settings: Settings, log_file: Path | None) -> TakenDown:
    """Raises CannotStart if a server runs there, or if something will not end; and for guests on a
    cluster, which others command too and which end by TerminateInstances only."""
    if settings.engine == "opennebula":
        raise CannotStart(
            "machines run on OpenNebula's hosts and are not this machine's to stop; "
            "econe-server stop ends the server"
        )
    try:
        with StateLock(settings.state):
            log_to(log_file)
            app = build(settings)
            try:
                app.metadata.start()  # networks give their sockets back to it
                app.engine.open(app.loop.poke)
                stopped = _stop_all(app)
                _settle(app, settings.work.stop_grace_s + BEYOND_GRACE_S)
                return TakenDown(stopped, _remove_networks(app))
            finally:
                app.close()
    except StoreUnusable as problem:
        raise CannotStart(str(problem)) from problem
    except (EngineBusy, EngineLost) as problem:
        raise CannotStart(f"the engine cannot do it now: {problem}") from problem
    except EngineRefused as problem:
        raise CannotStart(problem.said) from problem


def _stop_all(app: App) -> list[str]:
    now = utc_now()
    with app.store.writing() as tx:
        up = [
            row
            for row in tx.instances.live()
            if row.state in (InstanceState.PENDING, InstanceState.RUNNING)
        ]
        for row in up:
            app.cloud.instances.stop(tx, row.account, [row.id], now)
    return [row.id for row in up]


def _settle(app: App, patience_s: float) -> None:
    end = time.monotonic() + patience_s
    while waiting := _waiting(app):
        if time.monotonic() > end:
            names = ", ".join(f"{row.id} ({row.problem or row.state})" for row in waiting)
            raise CannotStart(f"not everything went down: {names}")
        app.loop.round()
        time.sleep(PAUSE_S)


def _waiting(app: App) -> list[Instance]:
    with app.store.reading() as tx:
        return tx.instances.waiting()


def _remove_networks(app: App) -> list[str]:
    removed = sorted(app.engine.networks.look())
    for vpc_id in removed:
        app.engine.networks.remove(vpc_id)
        log.info("A network was taken down vpc=%s", vpc_id)
    return removed
