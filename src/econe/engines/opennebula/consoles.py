"""Where a machine's screen is. OpenNebula keeps no serial output; what it has is VNC."""

import threading
from collections.abc import Mapping
from datetime import datetime

from econe.engines.opennebula.vms import Vm


class VncConsoles:
    """ports.Consoles, of what looks left in memory: the request plane reads it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, tuple[str, datetime]] = {}

    def output(self, instance_id: str) -> tuple[bytes, datetime] | None:
        """One line, and when it was last seen to be so."""
        with self._lock:
            shown = self._shown.get(instance_id)
        return None if shown is None else (shown[0].encode(), shown[1])

    def saw(self, instances: Mapping[str, Vm], now: datetime, *, all_of_them: bool) -> None:
        """A look: of all instances, or of some."""
        found = {id_: line for id_, vm in instances.items() if (line := screen_of(vm))}
        with self._lock:
            if all_of_them:
                self._shown = {}
            for id_ in instances:
                self._shown.pop(id_, None)
            self._shown.update((id_, (line, now)) for id_, line in found.items())

    def forget(self, instance_id: str) -> None:
        with self._lock:
            self._shown.pop(instance_id, None)


def screen_of(vm: Vm) -> str:
    """Empty where it has none: oned gives the port when it is placed on a host."""
    kind, port = vm.graphics("TYPE").upper(), vm.graphics("PORT")
    host = vm.last("HOSTNAME")
    if not (kind and port and host):
        return ""
    listens = vm.graphics("LISTEN")
    only = f" (it listens on {listens} there)" if listens not in ("", "0.0.0.0", "::") else ""  # noqa: S104
    return f"{kind} console: {host}:{port}{only}\r\n"
