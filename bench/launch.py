"""RunInstances on QEMU against a bare qemu-system start of the same disk."""

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench.harness import Row, cloud, median, tiny_disk, wait_for

ROUNDS = 5


def measure() -> list[Row]:
    disk = tiny_disk()
    with cloud("qemu") as ours:
        image = ours.upload(disk)
        ec2 = ours.ec2()
        warm = launch(ours.state, ec2, image)  # the first makes the network; it counts too
        pairs = [(bare(disk), launch(ours.state, ec2, image)) for _ in range(ROUNDS)]
    bare_run = median([one[0] for one, _ in pairs])
    bare_line = median([one[1] for one, _ in pairs])
    our_run = median([two[0] for _, two in pairs])
    our_line = median([two[1] for _, two in pairs])
    return [
        Row("RunInstances to running: seconds above a bare QEMU", f"{our_run:.2f} s",
            f"{bare_run:.2f} s", our_run - bare_run, "<= 0.3"),
        Row("the very first one, which makes the network: seconds above", f"{warm[0]:.2f} s",
            f"{bare_run:.2f} s", warm[0] - bare_run, "<= 0.3"),
        Row("first console line: against a bare QEMU", f"{our_line:.2f} s", f"{bare_line:.2f} s",
            our_line / bare_line, "<= 1.10"),
    ]  # fmt: skip


def launch(state: Path, ec2, image: str) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Seconds from the call to `running` in DescribeInstances, and to the first console line."""
    begun = time.monotonic()
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t2.micro")
    name = made["Instances"][0]["InstanceId"]

    def running() -> bool:
        told = ec2.describe_instances(InstanceIds=[name])
        return bool(told["Reservations"][0]["Instances"][0]["State"]["Name"] == "running")

    at_running = wait_for("running", running)
    console = state / "instances" / name / "console.log"
    at_line = wait_for("a console line", lambda: console.exists() and b"\n" in told(console))
    ec2.terminate_instances(InstanceIds=[name])
    ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return at_running - begun, at_line - begun


def told(console: Path) -> bytes:
    return console.read_bytes().strip(b"\r\n")


def bare(disk: Path) -> tuple[float, float]:
    """The same of a bare qemu-system: an overlay, then the same machine."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        begun = time.monotonic()
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw", here / "root"],
            check=True,
        )
        guest = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1024",
             "-nodefaults", "-display", "none", "-serial", f"file:{here / 'console.log'}",
             "-drive", f"file={here / 'root'},if=virtio,format=qcow2",
             "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n",
             "-qmp", f"unix:{here / 'qmp'},server=on,wait=off"],
        )  # fmt: skip
        try:
            at_running = wait_for("running", lambda: status(here / "qmp") == "running")
            console = here / "console.log"
            at_line = wait_for("a line", lambda: console.exists() and b"\n" in told(console))
            return at_running - begun, at_line - begun
        finally:
            guest.kill()
            guest.wait()


def status(path: Path) -> str:
    try:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(path))
            lines = monitor.makefile("rw")
            lines.readline()
            for command in ("qmp_capabilities", "query-status"):
                lines.write(json.dumps({"execute": command}))
                lines.flush()
                answer = json.loads(lines.readline())
            return str(answer["return"]["status"])
    except OSError:
        return ""
