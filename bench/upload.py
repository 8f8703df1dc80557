"""econe-upload of 2 GiB against cp and fsync of the same file."""

import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from bench.harness import BIN, Row, cloud, median

GIB = 1 << 30
ROUNDS = 3


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, cloud("simulator") as ours:
        disk = Path(folder) / "big.img"
        make(disk)
        copies, uploads = [], []
        before = peak = resident(ours.pid)
        watching = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not watching.wait(0.05):
                peak = max(peak, resident(ours.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        for turn in range(ROUNDS):
            with disk.open("r+b") as out:  # other content each time: the vault keeps no copy twice
                out.seek(4096)
                out.write(turn.to_bytes(4, "big"))
            os.sync()
            copies.append(copy(disk, Path(folder) / "copy"))
            begun = time.monotonic()
            subprocess.run([BIN / "econe-upload", disk], env=ours.environment, check=True,
                           capture_output=True)  # fmt: skip
            uploads.append(time.monotonic() - begun)
        watching.set()
        watcher.join()
    ours_s, copy_s = median(uploads), median(copies)
    return [
        Row("econe-upload of 2 GiB: against cp + fsync", f"{ours_s:.1f} s", f"{copy_s:.1f} s",
            ours_s / copy_s, "<= 1.5"),
        Row("MiB that the server grows by during it", f"{peak:.0f} MiB", f"{before:.0f} MiB",
            peak - before, "<= 64"),
    ]  # fmt: skip


def make(disk: Path) -> None:
    block = os.urandom(16 << 20)
    with disk.open("wb") as out:
        for _ in range(2 * GIB // len(block)):
            out.write(block)
        out.seek(510)
        out.write(b"\x55\xaa")


def copy(source: Path, target: Path) -> float:
    begun = time.monotonic()
    subprocess.run(["cp", "--reflink=never", source, target], check=True)
    descriptor = os.open(target, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)
    taken = time.monotonic() - begun
    target.unlink()
    return taken


def resident(pid: int) -> float:
    """MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
