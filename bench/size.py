"""Start-up and size: the idle server, and the command line."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.harness import BIN, Row, cloud, median, process
from bench.upload import resident


def measure() -> list[Row]:
    ready, size = server()
    rows = [
        Row("idle server: MB resident", f"{size:.0f} MB", "", size, "<= 120"),
        Row("server ready after its start: seconds", f"{ready:.2f} s", "", ready, "<= 1"),
    ]
    with cloud("simulator") as ours:
        floor = [BIN / "python", "-c", "pass"]
        tool = [BIN / "econe-describe-instances"]
        aws = [BIN / "aws", "ec2", "describe-instances"]
        times = {name: [] for name in ("floor", "tool", "aws")}  # type: dict[str, list[float]]
        for turn in range(20):
            times["floor"].append(run(floor, ours.environment))
            times["tool"].append(run(tool, ours.environment))
            if turn < 5:
                times["aws"].append(run(aws, ours.environment))
    tool_s, floor_s, aws_s = (median(times[name]) for name in ("tool", "floor", "aws"))
    return [
        *rows,
        Row("econe-describe-instances: against python -c pass", f"{tool_s * 1000:.0f} ms",
            f"{floor_s * 1000:.0f} ms", tool_s / floor_s, "<= 5"),
        Row("econe-describe-instances: against aws ec2 describe-instances",
            f"{tool_s * 1000:.0f} ms", f"{aws_s * 1000:.0f} ms", tool_s / aws_s, "<= 0.2"),
    ]  # fmt: skip


def run(command: list[object], environment: dict[str, str]) -> float:
    begun = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)  # type: ignore[arg-type]
    return time.monotonic() - begun


def server() -> tuple[float, float]:
    """Median seconds to `ready`, and MB resident of a server that has idled for three seconds."""
    times, sizes = [], []
    for _ in range(5):
        state = Path(tempfile.mkdtemp(prefix="econe-bench-"))
        begun = time.monotonic()
        with process(
            BIN / "econe-server", "run", "--state", state, "--listen", "127.0.0.1:0",
            "--engine", "qemu", ready="ready on", env=dict(os.environ),
        ) as child:  # fmt: skip
            times.append(time.monotonic() - begun)
            time.sleep(3)
            sizes.append(resident(child.pid) * 1.048576)
        shutil.rmtree(state, ignore_errors=True)
    return median(times), median(sizes)
