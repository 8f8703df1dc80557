"""Watching QEMUs: one QMP connection to each, all served by one background thread.

QEMU's monitor takes one connection at a time; we keep it. What a guest's run state is comes from
`query-status`, asked once when the connection is made and again after every event that may have
changed it, so `status()` costs nothing and is as fresh as QEMU's last word. Public methods are
synchronous, may be called from any thread, and give up after a time.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError, Runstate

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.engines.qemu.processes import Process
from econe.engines.qemu.reboots import Reboots

T = TypeVar("T")
_log = logging.getLogger(__name__)

GREETING_S: Final = 20.0
"""How long a QEMU may take to answer a connection: one that just starts, on a busy machine."""
ASK_S: Final = 5.0

_EVENTS: Final = (
    *("STOP", "RESUME", "SHUTDOWN", "SUSPEND", "WAKEUP"),
    *("GUEST_PANICKED", "BLOCK_IO_ERROR"),
)
"""Those after which query-status may say something new. RESET is none: guests can reset
themselves a thousand times a second, and run on."""


@dataclass(slots=True)
class _Watch:
    client: QMPClient
    status: str = ""
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is us who leave."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing is said or heard any more."""
    hurry: asyncio.Task[None] | None = None
    talking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Monitors:
    """`changed` is called, in the background thread, when a status changes or a QEMU goes away.

    A guest that shuts down while a reboot is under way is let go on, in the same QEMU.
    """

    def __init__(self, changed: Callable[[], None], reboots: Reboots) -> None:
        self._changed, self._reboots = changed, reboots
        self._watches: dict[str, _Watch] = {}
        self._keepers: set[asyncio.Task[None]] = set()
        self._connecting: dict[str, asyncio.Task[str | None]] = {}
        self._ending: set[Process] = set()
        self._loop = asyncio.SelectorEventLoop()  # whatever the server runs on
        self._thread = threading.Thread(target=self._loop.run_forever, name="qemu", daemon=True)
        # An ended QEMU is an ordinary event here; the library reports it as an error of its own.
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Let all connections go. Machines run on."""
        if not self._thread.is_alive():
            return
        self._run(self._let_all_go(), 2 * ASK_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def status(self, name: str) -> str | None:
        """QEMU's run state (`running`, `shutdown`, …), or None while nothing is connected."""
        watch = self._watches.get(name)
        return watch.status if watch is not None else None

    def attach(self, wanted: Mapping[str, Path], within_s: float) -> None:
        """Connect to those that are not connected, all at once. Some may be still unanswered
        afterwards: they are tried further in the background."""
        missing = {name: path for name, path in wanted.items() if name not in self._watches}
        if missing:
            self._run(self._attach(missing, within_s), within_s + ASK_S)

    def follow(self, processes: Iterable[Process]) -> None:
        """Call `changed` also when these have ended. A QEMU that dies lets its monitor go a while
        before it is gone, and whoever looks in between finds that it lives."""
        new = [process for process in processes if process not in self._ending]
        self._ending.update(new)
        for process in new:
            self._loop.call_soon_threadsafe(self._loop.add_reader, process, self._tell_end, process)

    def ask(self, name: str, command: str, within_s: float = ASK_S, **arguments: object) -> Any:
        """Execute a QMP command. Raises EngineBusy if nobody answers, EngineRefused if QEMU
        says no."""
        return self._run(self._ask(name, command, arguments, within_s), within_s + ASK_S)

    def ask_all(
        self, wanted: Mapping[str, Path], command: str, within_s: float
    ) -> Mapping[str, Any]:
        """What each answers to a QMP command; without those that do not. Together they have
        `within_s`."""
        return self._run(self._ask_all(wanted, command, within_s), within_s + ASK_S)

    def talk(
        self,
        name: str,
        path: Path,
        conversation: Callable[[QMPClient], Coroutine[Any, Any, T]],
        within_s: float,
    ) -> T:
        """Several commands that belong together; nobody else talks meanwhile, which is what files
        need that are handed over. All of it, the connecting too, takes `within_s` seconds at most.
        Raises as ask() does."""
        return self._run(self._talk(name, path, conversation, within_s), within_s + ASK_S)

    def let_go(self, name: str) -> None:
        """Forget the connection: its QEMU is gone, and the next of that name is another."""
        self._run(self._let_go(name), 2 * ASK_S)

    def reboot(self, name: str) -> None:
        """Ask the guest to; see Reboots. Raises as ask() does, and then nothing is under way."""
        self._reboots.begin(name)
        try:
            self.ask(name, "system_powerdown")
        except (EngineBusy, EngineRefused):
            self._reboots.end(name)
            raise
        self._run(self._restart_hurry(name), ASK_S)

    def _run(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(within_s)
        except (TimeoutError, concurrent.futures.CancelledError) as error:
            future.cancel()
            raise EngineBusy("the monitors' thread does not answer") from error

    # In the background thread from here on.

    def _tell_end(self, process: Process) -> None:
        self._loop.remove_reader(process)
        self._ending.discard(process)
        self._changed()

    async def _attach(self, wanted: Mapping[str, Path], within_s: float) -> None:
        tasks = [self._connect_once(name, path) for name, path in wanted.items()]
        await asyncio.wait(tasks, timeout=within_s)

    def _connect_once(self, name: str, path: Path) -> asyncio.Task[str | None]:
        """Two who want the same connection share the attempt."""
        task = self._connecting.get(name)
        if task is None:
            task = self._loop.create_task(self._connect(name, path))
            self._connecting[name] = task
            task.add_done_callback(lambda _: self._connecting.pop(name, None))
        return task

    async def _connect(self, name: str, path: Path) -> str | None:
        if (known := self._watches.get(name)) is not None:
            return known.status
        try:
            end = connect_to(path)
        except OSError as error:
            _log.debug("no monitor name=%s why=%s", name, error)
            return None
        client = QMPClient(name)
        listener = EventListener(names=_EVENTS)
        client.register_listener(listener)
        watch = _Watch(client)
        try:
            await asyncio.wait_for(client.connect(end), GREETING_S)
            await self._refresh(name, watch)
        except (OSError, QMPError, TimeoutError) as error:
            _log.debug("no monitor name=%s why=%s", name, error)
            await _close(client)
            end.close()
            return None
        self._watches[name] = watch
        keeper = self._loop.create_task(self._keep(name, watch, listener))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)
        return watch.status

    async def _keep(self, name: str, watch: _Watch, listener: EventListener) -> None:
        """Follow one QEMU until it, or we, go."""
        ears = self._loop.create_task(self._listen(name, watch, listener))
        watch.hurry = self._loop.create_task(self._hurry(name, watch))
        leaving = self._loop.create_task(watch.leaving.wait())
        try:
            while watch.client.runstate is Runstate.RUNNING and not leaving.done():
                moved = self._loop.create_task(watch.client.runstate_changed())
                await asyncio.wait((moved, leaving), return_when=asyncio.FIRST_COMPLETED)
                moved.cancel()
            we_go = leaving.done()
            await _cancel(ears, watch.hurry, leaving)
            await _close(watch.client)
        finally:
            del self._watches[name]
            watch.gone.set()
        if not we_go:
            self._changed()

    async def _listen(self, name: str, watch: _Watch, listener: EventListener) -> None:
        async for _ in listener:
            listener.clear()  # one question answers for all events that wait
            before = watch.status
            try:
                await self._refresh(name, watch)
            except (QMPError, TimeoutError):
                continue
            if watch.status != before:
                self._changed()

    async def _hurry(self, name: str, watch: _Watch) -> None:
        """Reset a guest that does not reboot by itself in time."""
        while (left := self._reboots.seconds_left(name)) is not None:
            if left > 0:
                await asyncio.sleep(left)
                continue
            _log.info("the guest did not reboot in time and is reset instance=%s", name)
            with contextlib.suppress(QMPError, TimeoutError):
                await _execute(watch.client, "system_reset")
                await self._refresh(name, watch)  # it may just have halted
            self._reboots.end(name)

    async def _restart_hurry(self, name: str) -> None:
        watch = self._watches.get(name)
        if watch is not None and watch.hurry is not None:
            await _cancel(watch.hurry)
            watch.hurry = self._loop.create_task(self._hurry(name, watch))

    async def _refresh(self, name: str, watch: _Watch) -> None:
        status = await _status(watch.client)
        if status == "shutdown" and self._reboots.under_way(name):
            await _execute(watch.client, "system_reset")
            await _execute(watch.client, "cont")
            self._reboots.end(name)
            status = await _status(watch.client)
        watch.status = status

    async def _ask(
        self, name: str, command: str, arguments: Mapping[str, object], within_s: float
    ) -> Any:
        watch = self._watches.get(name)
        if watch is None:
            raise EngineBusy(f"the monitor of {name} is not connected")
        try:
            return await _execute(watch.client, command, dict(arguments), within_s)
        except ExecuteError as error:
            raise EngineRefused("The emulator refused.", f"{name}: {command}: {error}") from error
        except (QMPError, TimeoutError) as error:
            raise EngineBusy(f"the monitor of {name} does not answer: {error!r}") from error

    async def _ask_all(
        self, wanted: Mapping[str, Path], command: str, within_s: float
    ) -> Mapping[str, Any]:
        asked = {
            self._loop.create_task(self._answer(name, path, command)): name
            for name, path in wanted.items()
        }
        if not asked:
            return {}
        done, late = await asyncio.wait(asked, timeout=within_s)
        await _cancel(*late)
        return {asked[task]: task.result() for task in done if task.result() is not None}

    async def _answer(self, name: str, path: Path, command: str) -> Any:
        """None if there is none."""
        if name not in self._watches:
            await asyncio.shield(self._connect_once(name, path))
        watch = self._watches.get(name)
        try:
            return None if watch is None else await _execute(watch.client, command)
        except (QMPError, TimeoutError):
            return None

    async def _talk(
        self,
        name: str,
        path: Path,
        conversation: Callable[[QMPClient], Coroutine[Any, Any, T]],
        within_s: float,
    ) -> T:
        try:
            async with asyncio.timeout(within_s):
                if name not in self._watches:
                    await asyncio.shield(self._connect_once(name, path))
                watch = self._watches.get(name)
                if watch is None:
                    raise EngineBusy(f"the monitor of {name} is not connected")
                async with watch.talking:
                    await _status(watch.client)  # one that hangs is handed no files
                    return await conversation(watch.client)
        except ExecuteError as error:
            raise EngineRefused("The emulator refused.", f"{name}: {error}") from error
        except (QMPError, TimeoutError) as error:
            raise EngineBusy(f"the monitor of {name} does not answer: {error!r}") from error

    async def _let_go(self, name: str) -> None:
        attempt, watch = self._connecting.get(name), self._watches.get(name)
        if attempt is not None:
            attempt.cancel()
            await asyncio.wait([attempt])
        if watch is not None:
            watch.leaving.set()
            await watch.gone.wait()

    async def _let_all_go(self) -> None:
        for name in {*self._connecting, *self._watches}:
            await self._let_go(name)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=ASK_S)


def connect_to(path: Path) -> socket.socket:
    """A connected socket. Names it through its directory's descriptor: the kernel takes no
    socket path of more than 107 bytes, and state directories can be deeper."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.setblocking(False)
        try:
            end.connect(f"/proc/self/fd/{directory}/{path.name}")
        except BaseException:
            end.close()
            raise
        return end
    finally:
        os.close(directory)


def listen_at(path: Path) -> socket.socket:
    """A listening socket, for QEMU to inherit; whoever connects before it is there just waits."""
    path.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            end.bind(f"/proc/self/fd/{directory}/{path.name}")
            path.chmod(0o600)
            end.listen(1)
        except BaseException:
            end.close()
            raise
        return end
    finally:
        os.close(directory)


async def _execute(
    client: QMPClient,
    command: str,
    arguments: dict[str, object] | None = None,
    within_s: float = ASK_S,
) -> Any:
    return await asyncio.wait_for(client.execute(command, arguments or None), within_s)


async def _status(client: QMPClient) -> str:
    answer = await _execute(client, "query-status")
    if not isinstance(answer, dict) or "status" not in answer:
        raise QMPError(f"query-status: {answer!r}")
    return str(answer["status"])


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _close(client: QMPClient) -> None:
    """Leave IDLE behind, whatever state it is in; what ended the connection is no news."""
    with contextlib.suppress(OSError, EOFError, QMPError, TimeoutError):
        await asyncio.wait_for(client.disconnect(), ASK_S)
