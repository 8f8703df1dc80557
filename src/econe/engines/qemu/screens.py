"""What a guest's screen shows, by QMP's `screendump`.

QEMU's user may write nowhere that we read (decision 12), so it is handed a file that exists in
memory only. What it writes is the simplest picture format that there is, read here to the byte and
no further than the largest screen. A QEMU that a guest has taken over could fill that file, which
is no more than it can do with memory of its own.
"""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from qemu.qmp import QMPClient

from econe.domain.engine_ports import EngineBusy, EngineRefused
from econe.domain.ports import Picture
from econe.engines.qemu.monitor import Monitors
from econe.engines.qemu.place import place_of

ANSWER_S: Final = 3.0
"""How long all of it may take: a caller waits for it."""
REDRAW_S: Final = 0.3
"""How long a guest that was woken has to draw its screen again."""
WAKING_KEY: Final = "shift"
"""Linux's console shows itself at any key, and this one alone does nothing more."""
MOST_BYTES: Final = (16 << 20) // 4 * 3 + 64
"""The card's memory (16 MiB, four bytes a pixel), as three bytes a pixel."""

_HEAD: Final = re.compile(rb"\AP6\s+([1-9][0-9]{0,4})\s+([1-9][0-9]{0,4})\s+255\s", re.ASCII)
"""Netpbm's PPM, as QEMU's ppm_save() writes it."""


class QemuScreens:
    """ports.Screens."""

    def __init__(self, instances: Path, watching: Callable[[], Monitors]) -> None:
        self._instances, self._watching = instances, watching

    def picture(self, instance_id: str, *, wake: bool = False) -> Picture:
        """Raises EngineBusy also where there is no such machine, or it is off."""
        place = place_of(self._instances, instance_id)
        if not place.power.exists():
            raise EngineBusy(f"{instance_id} is off")
        with ExitStack() as held:
            file = os.memfd_create("screen", os.MFD_CLOEXEC)
            held.callback(os.close, file)
            # As QEMU opens it: of an fd set it takes the file whose mode is the same.
            written = os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_CLOEXEC)
            held.callback(os.close, written)
            self._watching().talk(
                instance_id,
                place.monitor,
                lambda client: _dump(client, written, wake=wake),
                ANSWER_S,
            )
            return read_picture(os.pread(file, MOST_BYTES, 0))


async def _dump(client: QMPClient, file: int, *, wake: bool) -> None:
    if wake:
        await client.execute("send-key", {"keys": [{"type": "qcode", "data": WAKING_KEY}]})
        await asyncio.sleep(REDRAW_S)
    client.send_fd_scm(file)
    lent = await client.execute("add-fd")
    if not isinstance(lent, dict) or "fdset-id" not in lent:
        raise EngineBusy(f"add-fd: {lent!r}")
    fd_set = lent["fdset-id"]
    try:
        await client.execute("screendump", {"filename": f"/dev/fdset/{fd_set}"})
    finally:
        await client.execute("remove-fd", {"fdset-id": fd_set})


def read_picture(content: bytes) -> Picture:
    """Of PPM, with whatever may follow it. Raises EngineRefused for anything else."""
    head = _HEAD.match(content)
    if head is None:
        raise EngineRefused("The emulator shows no picture.", f"it begins {content[:32]!r}")
    width, height = int(head[1]), int(head[2])
    rgb = content[head.end() : head.end() + 3 * width * height]
    if len(rgb) < 3 * width * height:
        raise EngineRefused("The emulator shows half a picture.", f"{width}x{height}")
    return Picture(width, height, rgb)
