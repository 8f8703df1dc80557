"""A program: boot one guest on the user-mode network, as whatever user runs this.

    python network_user_guest.py IMAGE DIRECTORY

It starts the metadata server and UserNetworks, restarts both while the guest runs, and prints what
it saw as JSON: the guest's console, the ssh server's greeting, the forwarded port before and after.
"""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from econe.domain.engine_ports import NetworkSpec, NicSpec
from econe.domain.hidden import Hidden
from econe.domain.instances import Instance, InstanceState, MetadataOptions
from econe.domain.networks import NetworkInterface
from econe.engines.qemu.user_network import UserNetworks
from econe.metadata.server import MetadataServer
from econe.metadata.service import Service
from econe.metadata.tokens import Tokens

NOW = datetime.now(UTC)
NETWORK = NetworkSpec("vpc-00000001", "172.31.0.0/16", "subnet-00000001", "172.31.0.0/20", True)
NIC = NicSpec("eni-00000001", "02:00:00:00:00:01", "172.31.0.4", NETWORK, "ip-172-31-0-4")
USER_DATA = b"""#!/bin/sh
ip -4 addr show eth0
for n in 1 2 3 4 5; do imds meta-data/local-ipv4 >/tmp/$n & done
wait
for n in 1 2 3 4 5; do echo "answer $(cat /tmp/$n)"; done
until [ "$(imds meta-data/ami-launch-index)" = 1 ]; do sleep 1; done
echo "the new server answers"
"""


def instance(launch_index: int) -> Instance:
    interface = NetworkInterface(
        NIC.interface_id, "1", "vpc-00000001", "subnet-00000001", NIC.mac, NIC.private_ip, (), NOW
    )
    return Instance(
        id="i-00000001",
        account="123456789012",
        reservation_id="r-00000001",
        launch_index=launch_index,
        image_id="ami-00000001",
        image_location="0" * 32,
        instance_type="t1.micro",
        vpc_id="vpc-00000001",
        subnet_id="subnet-00000001",
        zone="us-east-1a",
        launched_at=NOW,
        state=InstanceState.RUNNING,
        user_data=Hidden(USER_DATA),
        metadata_options=MetadataOptions(http_tokens="required"),
        interfaces=(interface,),
    )


class OneInstance:
    def __init__(self, held: Instance) -> None:
        self.held = held

    @contextmanager
    def reading(self):
        rows = SimpleNamespace(get={self.held.id: self.held}.get)
        other = SimpleNamespace(get=lambda _: SimpleNamespace(cidr="172.31.0.0/16"))
        yield SimpleNamespace(instances=rows, vpcs=other, subnets=other)


@contextmanager
def serving(state: Path, held: Instance):
    server = MetadataServer(Service(OneInstance(held), "us-east-1", Tokens(Hidden(b"k"))))
    server.start()
    networks = UserNetworks(state, domain="ec2.internal", door=server, reasons={})
    try:
        yield networks
    finally:
        server.close()


def greeting(address: str) -> str:
    """Of the guest's ssh server, which may not have started: libslirp then hangs up at once."""
    host, _, port = address.partition(":")
    end = time.monotonic() + 30
    said = ""
    while not said and time.monotonic() < end:
        with (
            suppress(ConnectionRefusedError),
            socket.create_connection((host, int(port)), 10) as ssh,
        ):
            ssh.settimeout(20)
            said = ssh.recv(64).decode("ascii", "replace")
        time.sleep(0.2)
    return said


def await_line(console: Path, text: str, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while text not in console.read_text(errors="replace"):
        if time.monotonic() > end:
            raise TimeoutError(f"no {text!r} in:\n{console.read_text(errors='replace')}")
        time.sleep(0.1)


def main(image: Path, directory: Path) -> None:
    state, place = directory / "state", directory / ("deep-" * 25) / "running" / "i-00000001"
    place.mkdir(parents=True)
    disk, console = directory / "disk.qcow2", directory / "console.log"
    console.touch()
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "raw", str(disk)],
        check=True,
    )
    seen: dict[str, object] = {"user": os.geteuid()}
    with serving(state, instance(0)) as networks:
        networks.admit(NIC)
        opened = networks.open_nic(NIC, place, None)
        sandbox = "on,obsolete=deny,elevateprivileges=allow,resourcecontrol=deny,spawn=allow"
        qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg", "-m", "256",
             "-nodefaults", "-display", "none", "-sandbox", sandbox,
             "-serial", f"file:{console}", "-drive", f"file={disk},if=virtio",
             "-netdev", opened.netdev,
             "-device", f"virtio-net-pci,netdev={NIC.interface_id},mac={NIC.mac}"],
            cwd=place,
        )  # fmt: skip
        try:
            await_line(console, "tiny: running user data")
            seen["address"] = opened.address
            with serving(state, instance(1)) as again:
                again.admit(NIC)
                await_line(console, "the new server answers")
                seen["greeting"] = greeting(opened.address)
                seen["address_after"] = f"127.0.0.1:{forward(state)['port']}"
                again.close_nic(NIC)
        finally:
            qemu.kill()
            qemu.wait()
        seen["left"] = sorted(path.name for path in place.iterdir())
        networks.dismiss(NETWORK, NIC.interface_id)
        seen["kept"] = [path.name for path in (state / "networks/vpc-00000001").iterdir()]
    seen["console"] = console.read_text(errors="replace")
    json.dump(seen, sys.stdout)


def forward(state: Path) -> dict[str, object]:
    return json.loads((state / "networks/vpc-00000001/eni-00000001.json").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
