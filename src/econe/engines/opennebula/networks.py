"""ports.Networks where they are OpenNebula's: its own network drivers make them with machines."""

import threading

from econe.domain.engine_ports import NetworkSpec, NicSpec


class OpennebulaNetworks:
    """Nothing is made. What was ensured is remembered, so that look() and remove() mean the same
    as with other engines; it is forgotten with the process, and nothing is lost by that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._up: set[str] = set()

    def ensure(self, network: NetworkSpec) -> None:
        with self._lock:
            self._up.add(network.vpc_id)

    def admit(self, nic: NicSpec) -> None:
        """The lease is oned's."""

    def dismiss(self, network: NetworkSpec, interface_id: str) -> None:
        """oned takes the lease back when the machine ends."""

    def remove(self, vpc_id: str) -> None:
        with self._lock:
            self._up.discard(vpc_id)

    def look(self) -> set[str]:
        with self._lock:
            return set(self._up)
