"""A real guest in a VPC: DHCP, names, metadata, ssh from the host, and the way out."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from tests.engines import network_world
from tests.engines.network_user_guest import OneInstance, await_line, greeting, instance
from tests.engines.network_world import HOST, OUTSIDE, network, nic

from econe.domain.hidden import Hidden
from econe.engines.qemu import vpc_names
from econe.engines.qemu.vpc import VpcNetworks
from econe.metadata.server import MetadataServer
from econe.metadata.service import Service
from econe.metadata.tokens import Tokens

USER_DATA = f"""#!/bin/sh
grep nameserver /etc/resolv.conf
nslookup ip-172-31-0-4.ec2.internal
nc -w 5 {OUTSIDE} 7777 </dev/null
""".encode()


class AtAddress(OneInstance):
    """As the store finds it: by VPC and address."""

    def reading(self):
        context = super().reading()
        tx = context.__enter__()
        tx.instances.at = lambda vpc_id, address: {
            (self.held.vpc_id, self.held.private_ip): self.held
        }.get((vpc_id, address))
        return _Entered(tx)


class _Entered:
    def __init__(self, tx):
        self.tx = tx

    def __enter__(self):
        return self.tx

    def __exit__(self, *_):
        return None


def greet(server):
    server.settimeout(60)
    accepted, (address, _) = server.accept()
    with accepted:
        accepted.sendall(f"the outside greets {address}\n".encode())


@pytest.mark.root
@pytest.mark.e2e
def test_a_real_guest_in_a_vpc(tiny_image, tmp_path, monkeypatch):
    runtime = Path(f"/run/econe-test-{os.getpid()}")
    monkeypatch.setattr(vpc_names, "RUNTIME", runtime)
    disk, console = tmp_path / "disk.raw", tmp_path / "console.log"
    shutil.copy(tiny_image, disk)
    console.touch()
    held = AtAddress(replace(instance(0), user_data=Hidden(USER_DATA)))
    server = MetadataServer(Service(held, "us-east-1", Tokens(Hidden(b"k"))))
    server.start()
    try:
        with (
            network_world.world(runtime) as world,
            network_world.listening(world.outside) as outside,
        ):
            greeter = Thread(target=greet, args=(outside,))
            greeter.start()
            networks = VpcNetworks(tmp_path, domain="ec2.internal", door=server)
            its = nic(1, network())
            networks.admit(its)
            opened = networks.open_nic(its, tmp_path, None)
            qemu = subprocess.Popen(
                ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg", "-m", "256",
                 "-nodefaults", "-display", "none", "-serial", f"file:{console}",
                 "-drive", f"file={disk},format=raw,if=virtio", "-netdev", opened.netdev,
                 "-device", f"virtio-net-pci,netdev={its.interface_id},mac={its.mac}"],
                pass_fds=opened.fds,
            )  # fmt: skip
            for descriptor in opened.fds:
                os.close(descriptor)
            try:
                await_line(console, "tiny: ready after")
                assert greeting("172.31.0.4:22").startswith("SSH-2.0")
            finally:
                qemu.kill()
                qemu.wait()
                networks.remove("vpc-00000001")
            assert networks.look() == set()
            greeter.join()
    finally:
        server.close()
    said = console.read_text(errors="replace")
    assert "tiny: eth0 172.31.0.4/20" in said
    assert "tiny: i-00000001 is ip-172-31-0-4.ec2.internal" in said
    assert "user-data: nameserver 172.31.0.2" in said
    assert "Address 1: 172.31.0.4" in said or "Address: 172.31.0.4" in said
    assert f"user-data: the outside greets {HOST}" in said
