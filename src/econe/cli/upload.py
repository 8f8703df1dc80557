"""econe-upload, with its progress bar."""

from __future__ import annotations

import os
import sys
import time

from econe.cli.tables import printable, show_json
from econe.cli.tool import Asked, Example, Option, Tool, UsageError, no_more_arguments
from econe.client.answers import text_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from econe.client.session import Session


_NO_FILE = "missing IMAGE-PATH parameter or file not found"
_EVERY_S = 0.1


class Bar:
    """A progress bar on standard error, if that is a terminal; otherwise nothing."""

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._shown = sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began
        self._checking = False

    def __call__(self, sent: int) -> None:
        now = time.monotonic()
        if not self._shown or self._checking or (now < self._next and sent < self._size):
            return
        self._next = now + _EVERY_S
        self._checking = sent == self._size
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        line = bar_line(self._name, sent, self._size, now - self._began, width - 1)
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def bar_line(name: str, sent: int, size: int, seconds: float, width: int) -> str:
    """`disk.img [#####     ]  50%  812 MiB/s  0:02 left`, at most `width` characters."""
    rate = sent / seconds if seconds > 0 else 0.0
    share = sent / size if size else 1.0
    if sent == size:
        rest = "the server looks at it"
    elif rate:
        left_s = round((size - sent) / rate)
        rest = f"{left_s // 60}:{left_s % 60:02} left"
    else:
        rest = ""
    figures = f" {share:4.0%} {rate / 2**20:6.0f} MiB/s  {rest}"
    label = printable(name)[: max(0, width - len(figures) - 13)]
    inner = min(40, width - len(label) - len(figures) - 3)
    if inner < 5:
        return figures.strip()[:width]
    return f"{label} [{'#' * int(inner * share):<{inner}}]{figures}"


def _upload(asked: Asked, session: Session) -> None:
    from econe.client.uploads import open_source

    no_more_arguments(asked, 1)
    if not asked.arguments or not asked.arguments[0]:
        raise UsageError(_NO_FILE)
    params = [
        (name, asked.values[option])
        for option, name in (
            ("name", "Name"),
            ("description", "Description"),
            ("architecture", "Architecture"),
        )
        if asked.has(option)
    ]
    source = open_source(asked.arguments[0])
    bar = Bar(source.name, source.size)
    try:
        answer = session.upload(source, params, progress=bar, multipart=asked.has("multipart"))
    finally:
        bar.clear()
        os.close(source.descriptor)
    if asked.has("json"):
        show_json(answer)
    else:
        print(f"Success: ImageId {printable(text_at(answer, 'imageId'))}")


UPLOAD = Tool(
    name="econe-upload",
    gist="upload a disk image",
    arguments="IMAGE-PATH",
    description="""\
Uploads the image of a disk, and prints its id when the cloud has it and has found that it is one.
What follows is econe-register with that id. Formats: raw, qcow2, vmdk, vdi, vhd and vhdx, also
compressed by gzip, xz, bzip2 or zstd. On a terminal a bar shows the progress.""",
    act=_upload,
    options=(
        Option(
            "multipart",
            "Send the file as a form, signed by version 2, as OpenNebula's tool did, for servers "
            "that take nothing else.",
            "M",
        ),
        Option("name", "Name of the image. Default: one that the cloud makes.", value="NAME"),
        Option("description", "Description of the image.", value="TEXT"),
        Option("architecture", "x86_64, arm64, i386. Default: the cloud's own.", value="NAME"),
    ),
    examples=(Example("econe-upload /images/gentoo.img", "Success: ImageId ami-00000001"),),
)
