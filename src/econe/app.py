"""The composition root: the only module that knows every package.

build() makes the parts and joins them, App.start() sets them going, serve() is all of a server's
life. QEMU's libraries are loaded only for the QEMU engine, lxml only for OpenNebula's.
"""

import gc
import logging
import resource
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import econe.actions  # noqa: F401 - registers every action
from econe.actions.keymaker import OpenSshKeys
from econe.configuration import read_listen, usual_limits
from econe.domain.capacity import Capacity
from econe.domain.cloud import Cloud
from econe.domain.engine_ports import Capabilities, Engine, EngineRefused
from econe.domain.hidden import Hidden
from econe.domain.key_use import KeyUse
from econe.domain.places import private_domain
from econe.domain.ports import Known, Samples, Store, StoreUnusable, Vault
from econe.domain.sizes import Size, choose_sizes
from econe.engines.simulator.engine import Simulator
from econe.front.asgi import Application
from econe.front.metrics import MetricsPage
from econe.front.pipeline import Door, Pipeline
from econe.front.server import CannotListen, bind, make_server, url_of
from econe.logs import log_to
from econe.metadata.server import MetadataServer
from econe.metadata.service import Service
from econe.metadata.tokens import Tokens
from econe.reconcile.census import Census
from econe.reconcile.loop import Loop
from econe.reconcile.pictures import Pictures
from econe.settings import Settings
from econe.statedir import CannotStart, StateLock, derived_secret
from econe.store import open_store
from econe.store.samples import FileSamples

if TYPE_CHECKING:
    from econe.engines.opennebula.engine import OpennebulaEngine

log: Final = logging.getLogger("econe.app")


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class App:
    """All parts of a server, joined. start() once, then close() once."""

    settings: Settings
    store: Store
    samples: Samples
    vault: Vault
    engine: Engine
    metadata: MetadataServer
    cloud: Cloud
    census: Census
    loop: Loop
    asgi: Application
    key_use: KeyUse

    def start(self) -> None:
        """Raises EngineRefused where the engine cannot do its work here."""
        if self.engine.can.metadata:
            self.metadata.start()
        self.engine.open(self.loop.poke)
        self.census.take(utc_now())  # so that users of the engine can sign in from the first moment
        self.loop.start()

    def close(self) -> None:
        """End everything but the machines. What fails to end does not keep the rest."""
        with ExitStack() as ending:
            ending.callback(self.store.close)
            ending.callback(self.key_use.write_down, self.store)
            ending.callback(self.samples.close)
            ending.callback(self.metadata.close)
            ending.callback(self.engine.close)
            ending.callback(self.loop.stop)
            ending.callback(self.asgi.close)


def build(
    settings: Settings,
    *,
    engine: Engine | None = None,
    vault: Vault | None = None,
    url: str = "",
) -> App:
    """All parts over the state directory. Raises StoreUnusable, EngineRefused and CannotStart.

    `engine` and `vault` are used in place of what the settings say; tests give theirs. `url` is
    where the server answers, if that is known yet: the settings may leave the port open.
    """
    with ExitStack() as undo:
        store = open_store(settings.state)
        undo.callback(store.close)
        samples = FileSamples(settings.state)
        undo.callback(samples.close)
        vault = vault or make_vault(settings)
        tokens = Tokens(Hidden(derived_secret(settings.state, "metadata tokens")))
        metadata = MetadataServer(Service(store, settings.cloud.region, tokens))
        undo.callback(metadata.close)
        if engine is None:
            refuse_anothers_accounts(settings, store)
            engine = make_engine(settings, store, vault, metadata)
        cloud = make_cloud(settings, engine, url)
        census = Census(
            store=store, engine=engine, settings=settings.opennebula, zone=settings.cloud.zone
        )
        key_use = KeyUse()
        loop = Loop(
            store=store,
            engine=engine,
            vault=vault,
            sizes=cloud.sizes,
            work=settings.work,
            clock=utc_now,
            terminated_listed_s=settings.cloud.terminated_listed_s,
            census=census,
            pictures=make_pictures(settings, engine, store, vault),
            samples=samples,
            key_use=key_use,
        )
        door = make_door(settings, store, cloud, loop, key_use)
        health = Health(engine.can, loop)
        asgi = Application(
            Pipeline(door),
            vault,
            health,
            settings.server,
            settings.images,
            staged=engine.staged,
            metrics=make_metrics(settings, store, samples),
        )
        undo.pop_all()
    return App(
        settings, store, samples, vault, engine, metadata, cloud, census, loop, asgi, key_use
    )


def make_door(settings: Settings, store: Store, cloud: Cloud, loop: Loop, key_use: KeyUse) -> Door:
    return Door(
        store=store,
        cloud=cloud,
        poke=loop.poke,
        clock=utc_now,
        clock_window_s=settings.cloud.clock_window_s,
        public_host=urlsplit(settings.server.public_url).netloc,
        key_use=key_use,
    )


def make_metrics(settings: Settings, store: Store, samples: Samples) -> MetricsPage | None:
    if settings.server.metrics == "off":
        return None
    return MetricsPage(
        store,
        samples,
        utc_now,
        sampled_within=timedelta(seconds=2 * settings.work.sample_basic_every_s),
        open=settings.server.metrics == "open",
    )


def refuse_anothers_accounts(settings: Settings, store: Store) -> None:
    """A state directory is of one cloud: where accounts are OpenNebula's users none is ours, and
    the machines of its rows are of that engine. Raises CannotStart."""
    with store.reading() as tx:
        accounts = tx.accounts.all()
    if settings.engine == "opennebula":
        others = [account.name for account in accounts if not account.engine_ref]
        wants = "the engine opennebula needs a state directory of its own"
    else:
        others = [account.name for account in accounts if account.engine_ref]
        wants = f"it is a cloud of the engine opennebula, not {settings.engine}"
    if others:
        raise CannotStart(f"{settings.state} has the account {others[0]}: {wants}")


def make_vault(settings: Settings) -> Vault:
    from econe.store.vault import FileVault

    return FileVault(settings.state, settings.images)


def image_capabilities(settings: Settings) -> Capabilities:
    """What the engine can do with images, for commands that set none going."""
    # Late, as the engines themselves.
    if settings.engine == "opennebula":
        from econe.engines.opennebula.engine import abilities

        return abilities(settings.opennebula)
    if settings.engine == "simulator":
        return Simulator.can
    from econe.engines.qemu import firmware
    from econe.engines.qemu.engine import ARCHITECTURES

    found = firmware.find(settings.qemu)
    uefi = isinstance(found, firmware.Uefi)
    reasons = {} if isinstance(found, firmware.Uefi) else {"uefi": found}
    return Capabilities("qemu", "none", uefi=uefi, architectures=ARCHITECTURES, reasons=reasons)


def make_engine(settings: Settings, store: Store, vault: Vault, metadata: MetadataServer) -> Engine:
    """Raises CannotStart for settings that cannot be meant, and EngineRefused."""
    if settings.engine == "simulator":
        return Simulator(start_delay_s=settings.simulator.start_delay_s)
    if settings.engine == "qemu":
        # Late: the simulator's users need no QEMU libraries, and loading them takes time.
        from econe.engines.qemu import network_check
        from econe.engines.qemu.engine import QemuEngine

        choice = network_check.choose(settings.qemu.network)
        domain = private_domain(settings.cloud.region)
        networks = network_check.build(choice, settings.state, domain, metadata)
        return QemuEngine(settings.state, settings.qemu, vault, networks)
    if settings.engine == "opennebula":
        return make_opennebula(settings, store)
    raise CannotStart(f"there is no engine {settings.engine}")


def make_opennebula(settings: Settings, store: Store) -> "OpennebulaEngine":
    """Does not ask oned yet: a server starts while it is away. Without a service account it would
    wait for ever, so that is looked at. Raises CannotStart and EngineRefused."""
    from econe.engines.opennebula.engine import OpennebulaEngine
    from econe.engines.opennebula.login import read_server_account

    read_server_account(settings.opennebula.credentials)
    try:
        return OpennebulaEngine(
            settings.state,
            settings.opennebula,
            register=StoreRegister(store),
            mark_key=Hidden(derived_secret(settings.state, "opennebula marks")),
            clock=utc_now,
        )
    except ValueError as problem:
        raise CannotStart(f"opennebula.endpoint: {problem}") from problem


@dataclass(frozen=True, slots=True)
class StoreRegister:
    """Which machine of the engine is which instance, for an engine whose machines cannot say it
    reliably themselves (ports.Register)."""

    store: Store

    def __call__(self) -> Mapping[str, Known]:
        with self.store.reading() as tx:
            return tx.instances.known()


def make_pictures(
    settings: Settings, engine: Engine, store: Store, vault: Vault
) -> Pictures | None:
    """None for an engine that keeps no images."""
    if engine.images is None:
        return None
    return Pictures(
        store=store,
        images=engine.images,
        vault=vault,
        work=settings.work,
        look_every_s=settings.opennebula.users_every_s,
    )


def make_cloud(settings: Settings, engine: Engine, url: str = "") -> Cloud:
    said = settings.cloud
    reached = urlsplit(settings.server.public_url or url).netloc
    return Cloud(
        region=said.region,
        zone=said.zone,
        consoles=engine.consoles,
        screens=engine.screens,
        firmware=engine.firmware,
        key_maker=OpenSshKeys(),
        page_key=Hidden(derived_secret(settings.state, "pages")),
        endpoint=reached or settings.server.listen,
        sizes=_offered_sizes(settings),
        default_type=said.default_type,
        root_gib=said.root_gib,
        limits=usual_limits(settings),
        vpc_pools=said.default_vpc_cidrs,
        can=engine.can,
        capacity=Capacity.of(
            engine.can.host_vcpus,
            max(0, engine.can.host_memory_mib - said.memory_reserve_mib),
            vcpu_overcommit=said.vcpu_overcommit,
            memory_overcommit=said.memory_overcommit,
        ),
    )


def _offered_sizes(settings: Settings) -> Mapping[str, Size]:
    """Raises CannotStart for a type that is none."""
    if settings.engine == "opennebula" and not settings.opennebula.catalogue:
        return {}
    try:
        return choose_sizes(settings.cloud.types, settings.cloud.more_types)
    except ValueError as problem:
        raise CannotStart(f"cloud.more_types: {problem}") from problem


@dataclass(frozen=True, slots=True)
class Health:
    """What /health says."""

    can: Capabilities
    loop: Loop

    def __call__(self) -> Mapping[str, Any]:
        rounds = self.loop.goes_on
        engine = {"engine": self.can.name, "network": self.can.network}
        if not self.can.shared:
            return {"ok": rounds, **engine, "rounds": rounds}
        # Of an engine on other machines: while it is away the server does what it can.
        sees = self.loop.sees
        return {"ok": rounds or sees is False, **engine, "rounds": rounds, "oned": sees}


# --- a server's life ---------------------------------------------------------------------


def serve(settings: Settings, log_file: Path | None, announce: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT. `announce(url)` is called once, when it answers.

    Raises CannotStart, with one line for the operator.
    """
    host, port = read_listen(settings.server.listen)
    try:
        with StateLock(settings.state) as lock, bind(host, port) as listening:
            log_to(log_file)
            _allow_many_files()
            url = url_of(listening, settings.server)
            app = build(settings, url=url)

            def ready() -> None:
                # What lives now lives on: the collector need not look at it ever again.
                gc.collect()
                gc.freeze()
                log.info("Ready. url=%s state=%s %s", url, settings.state, _told(app.engine.can))
                lock.announce(url)
                announce(url)

            try:
                server = make_server(app.asgi, settings.server, ready)
                app.start()
                server.run(sockets=[listening])
            finally:
                app.close()
            log.info("Stopped. threads_left=%d", threading.active_count() - 1)
    except (CannotListen, StoreUnusable) as problem:
        raise CannotStart(str(problem)) from problem
    except EngineRefused as problem:
        raise CannotStart(problem.said) from problem


def _told(can: Capabilities) -> str:
    """What the engine can do here, and why not more, for the log."""
    reasons = "".join(f" no_{what}={why!r}" for what, why in can.reasons.items())
    return f"engine={can.name} network={can.network}{reasons}"


def _allow_many_files() -> None:
    """A connection is a file; the usual soft limit of 1024 is for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
