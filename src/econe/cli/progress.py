"""A progress bar on standard error, for what is sent and what is fetched."""

from __future__ import annotations

import os
import sys
import time

from econe.cli.tables import printable

_EVERY_S = 0.1


class Bar:
    """Shown if standard error is a terminal; otherwise nothing."""

    def __init__(self, name: str, then: str) -> None:
        self._name, self._then = name, then
        self._shown = sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began
        self._ended = False

    def __call__(self, done: int, size: int) -> None:
        """`done` bytes of `size`; 0 where it is not known how many there are."""
        now = time.monotonic()
        if not self._shown or self._ended or (now < self._next and done != size):
            return
        self._next = now + _EVERY_S
        self._ended = done == size
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        line = bar_line(self._name, done, size, now - self._began, width - 1, then=self._then)
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def bar_line(name: str, done: int, size: int, seconds: float, width: int, *, then: str = "") -> str:
    """`disk.img [#####     ]  50%  812 MiB/s  0:02 left`, at most `width` characters; `then` is
    what comes when all is done."""
    rate = done / seconds if seconds > 0 else 0.0
    if not size and done:
        return f"{printable(name)} {done / 2**20:.0f} MiB {rate / 2**20:.0f} MiB/s"[:width]
    share = done / size if size else 1.0
    if done == size:
        rest = then
    elif rate:
        left_s = round((size - done) / rate)
        rest = f"{left_s // 60}:{left_s % 60:02} left"
    else:
        rest = ""
    figures = f" {share:4.0%} {rate / 2**20:6.0f} MiB/s  {rest}"
    label = printable(name)[: max(0, width - len(figures) - 13)]
    inner = min(40, width - len(label) - len(figures) - 3)
    if inner < 5:
        return figures.strip()[:width]
    return f"{label} [{'#' * int(inner * share):<{inner}}]{figures}"
